"""Pushes as model owners see them: `docker push` makes a version, a push that is no model is refused
with a reason, credentials count, a push missed by the control plane is found later."""

import os
import pathlib
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from mimeo_testing import InstallationTest, StackError, eventually  # noqa: E402


class Registry(InstallationTest):
    def login(self, token=None):
        self.stack.docker.cli("login", "-u", self.owner, "--password-stdin", self.stack.layout.registry_addr,
                              stdin=token or self.stack.layout.data["secrets"]["token"])

    def image(self, name):
        return f"{self.stack.layout.registry_addr}/{self.owner}/{name}"

    def copy_of_hello(self, name):
        """The hello image under another name and with another digest."""
        docker = self.stack.docker.cli
        made = docker("create", self.image("hello")).stdout.strip()
        docker("commit", "--change", f"LABEL made-at={time.time_ns()}", made, self.image(name))
        docker("rm", made)

    def version_of(self, name):
        status, body = self.api.call("GET", f"/v1/models/{self.owner}/{name}")
        return body["latest_version"] if status == 200 else None

    def test_a_push_makes_a_version_whose_id_is_the_manifest_digest(self):
        name = f"pushed-{os.getpid()}"
        self.copy_of_hello(name)
        self.login()
        output = self.stack.docker.cli("push", self.image(name)).stdout
        digest = output.split("sha256:")[-1][:64]
        version = eventually(lambda: self.version_of(name), 15, "the version")
        self.assertEqual(version["id"], digest)
        self.assertIn("Input", version["openapi_schema"]["components"]["schemas"])
        self.assertTrue(version["cog_version"])
        ran = self.create(f"/v1/models/{self.owner}/{name}/predictions", {"text": "p"}, {"Prefer": "wait"})
        self.assertEqual(ran["output"], "Hello p!")

    def test_a_push_that_is_no_model_is_refused_with_a_reason(self):
        name = f"nomodel-{os.getpid()}"
        docker = self.stack.docker.cli
        with tempfile.NamedTemporaryFile(suffix=".tar") as empty:
            empty.write(b"\0" * 10240)
            empty.flush()
            docker("import", empty.name, self.image(name))
        self.login()
        docker("push", self.image(name))
        def refusal():
            status, body = self.api.call("POST", f"/v1/models/{self.owner}/{name}/predictions", {"input": {}})
            self.assertEqual(status, 404, body)
            return body if body.get("title") == "Push refused" else None
        reason = eventually(refusal, 15, "the refusal")["detail"]
        self.assertIn("did not become a version", reason)
        self.assertIn("run.cog", reason)
        digest = reason.split("sha256:")[1][:64]
        status, body = self.api.call("GET", f"/v1/models/{self.owner}/{name}/versions/{digest}")
        self.assertEqual((status, body["detail"]), (404, reason))
        self.assertIsNone(self.version_of(name))

    def test_wrong_credentials_and_foreign_names_are_refused(self):
        with self.assertRaises(StackError):
            self.login("r8_" + "x" * 37)
        self.login()
        docker = self.stack.docker.cli
        foreign = f"{self.stack.layout.registry_addr}/somebody-else/hello"
        docker("tag", self.image("hello"), foreign)
        result = docker("push", foreign, check=False)
        self.assertNotEqual(result.returncode, 0)
        self.assertRegex(result.stderr + result.stdout, "denied|unauthorized")

    def test_a_push_missed_while_the_control_plane_was_down_is_found(self):
        name = f"missed-{os.getpid()}"
        self.copy_of_hello(name)
        self.login()
        # The notification is lost: it goes to a control plane that is stopped right after the token was given.
        config = self.stack.layout.registry / "config.yml"
        text = config.read_text()
        self.stack.registry.process.stop()
        config.write_text(text.replace("/registry/events", "/registry/nowhere"))
        self.stack.registry.process.start(["docker-registry", "serve", config])
        self.stack.registry.process.wait_ready(self.stack.registry._answers, 20)
        self.stack.docker.cli("push", self.image(name))
        self.stack.registry.process.stop()
        self.stack.registry.start()
        self.stack.control_plane.stop()
        self.stack.control_plane.start()
        eventually(lambda: self.version_of(name), 30, "the missed push")


if __name__ == "__main__":
    unittest.main(verbosity=2)
