"""Real Cog images: models in Python, served by the published `cog` package, unmodified, on a Debian made with
debootstrap. From the build and `docker push` to what a user sees.

Needs root, debootstrap, a Debian mirror (that of this machine's apt) and pip's index. What was fetched is kept in
`image-cache` of the build folder, or in MIMEO_IMAGE_CACHE.
"""

import base64
import csv
import io
import os
import pathlib
import re
import subprocess
import sys
import time
import unittest
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from mimeo_testing import CHECKOUT, InstallationTest, eventually, json  # noqa: E402

COG = "0.23.1"  # The newest, whose server is coglet.
COG_BEFORE = "0.16.12"  # The last whose server is Python, as in most published images.
HOST_PYTHON = "/usr/bin/python3.11"


class PythonModels(InstallationTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        docker = cls.stack.docker
        docker.cli("login", "-u", cls.owner, "--password-stdin", cls.stack.layout.registry_addr,
                   stdin=cls.stack.layout.data["secrets"]["token"])
        cls.publish("python-hello")
        cls.publish("python-stream")
        cls.publish("python-files")
        cls.publish("python-files", "python-files-before", "--cog", COG_BEFORE)

    # -- building and pushing ------------------------------------------------------------------------

    @classmethod
    def image(cls, name):
        return f"{cls.stack.layout.registry_addr}/{cls.owner}/{name}"

    @classmethod
    def publish(cls, folder, name=None, *options, base="debian"):
        """Builds the example and pushes it; returns when the push has become the model's latest version."""
        name = name or folder
        began = time.monotonic()
        cache = os.environ.get("MIMEO_IMAGE_CACHE") or cls.stack.layout.build / "image-cache"
        built = subprocess.run(
            [CHECKOUT / "examples" / "build-python-image", CHECKOUT / "examples" / folder, cls.image(name), "--base", base,
             "--cache", cache, *options], text=True, capture_output=True, check=False,
            env={**os.environ, "DOCKER_HOST": f"unix://{cls.stack.docker.socket}"})
        if built.returncode != 0:
            raise AssertionError(f"the image of {folder} could not be built:\n{built.stderr}")
        pushed = cls.stack.docker.cli("push", cls.image(name)).stdout
        digest = pushed.split("sha256:")[-1][:64]
        eventually(lambda: (cls.version(name) or {}).get("id") == digest, 15, f"the version of the push of {name}")
        print(f"{name}: built and pushed in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)

    @classmethod
    def version(cls, name):
        status, body = cls.api.call("GET", f"/v1/models/{cls.owner}/{name}")
        return body["latest_version"] if status == 200 else None

    # -- predictions ---------------------------------------------------------------------------------

    def predict(self, name, **given):
        """The final object; the container may have to start first."""
        body = self.create(f"/v1/models/{self.owner}/{name}/predictions", given, {"Prefer": "wait"})
        return self.wait_terminal([body["id"]])[0]

    def find_in_logs(self, pattern):
        """(container, match) of the first running container whose own log has it, or None."""
        for container in self.containers():
            log = self.stack.docker.cli("logs", container, check=False)  # It may be gone by now.
            match = re.search(pattern, log.stdout + log.stderr)
            if match:
                return container, match
        return None

    def read_stream(self, url):
        """(event, data) of a whole stream."""
        request = urllib.request.Request(url, headers={"Accept": "text/event-stream"})
        events, event, data = [], "message", []
        with urllib.request.urlopen(request, timeout=60) as answer:
            for line in answer:
                field, _, value = line.decode().rstrip("\n").partition(":")
                value = value.removeprefix(" ")
                if field == "event":
                    event = value
                elif field == "data":
                    data.append(value)
                elif not field and not value and data:  # An empty line ends an event.
                    events.append((event, "\n".join(data)))
                    if event == "done":
                        return events
                    event, data = "message", []
        return events

    def assertCounts(self, model):
        text = "data:text/plain;base64," + base64.b64encode(b"to be or not to be").decode()
        body = self.predict(model, document=text, top=2)
        self.assertEqual((body["status"], body["error"]), ("succeeded", None), body)
        self.assertTrue(body["output"].endswith("/words.csv"), body["output"])
        with urllib.request.urlopen(body["output"]) as answer:
            rows = list(csv.reader(io.StringIO(answer.read().decode())))
        self.assertEqual(rows, [["word", "count"], ["to", "2"], ["be", "2"]])
        self.assertIn("6 words", body["logs"])

    # -- tests ---------------------------------------------------------------------------------------

    def test_the_image_is_a_debian_with_the_published_package(self):
        def run(*command):
            docker = self.stack.docker.cli
            return docker("run", "--rm", "--network", "none", self.image("python-hello"), *command).stdout
        self.assertIn("ID=debian", run("cat", "/etc/os-release").splitlines())
        self.assertIn(COG, run("python", "-m", "cog.server.http", "--version"))
        # The files are the ones of the wheel: pip left their digests beside them.
        check = ("import base64, hashlib, importlib.metadata as m\n"
                 "files = [f for n in ('cog', 'coglet') for f in m.files(n) if f.hash and '../bin/' not in str(f)]\n"
                 "for f in files:\n"
                 "  found = base64.urlsafe_b64encode(hashlib.new(f.hash.mode, f.read_binary()).digest()).rstrip(b'=')\n"
                 "  assert found.decode() == f.hash.value, f\n"
                 "print(len(files), 'files')")
        self.assertRegex(run("python", "-c", check), r"^\d\d+ files")

    def test_a_push_becomes_a_version_with_the_schema_of_the_labels(self):
        for name, cog in (("python-hello", COG), ("python-files-before", COG_BEFORE)):
            labels = json.loads(self.stack.docker.cli("image", "inspect", "--format", "{{json .Config.Labels}}",
                                                      self.image(name)).stdout)
            version = self.version(name)
            self.assertEqual(version["openapi_schema"], json.loads(labels["run.cog.openapi_schema"]))
            self.assertEqual(version["cog_version"], cog)

    def test_a_string_goes_in_and_a_string_comes_out(self):
        body = self.predict("python-hello", text="Ann", times=2)
        self.assertEqual((body["status"], body["output"], body["error"]), ("succeeded", "Hello Ann! Hello Ann!", None), body)
        self.assertEqual(body["logs"], "greeting Ann\n")
        self.assertGreater(body["metrics"]["predict_time"], 0)

    def test_wrong_input_is_refused_before_it_reaches_the_model(self):
        for given, field in (({"text": "x", "times": 11}, "input.times"), ({"text": 5}, "input.text"), ({}, "input")):
            status, body = self.api.call("POST", f"/v1/models/{self.owner}/python-hello/predictions", {"input": given})
            self.assertEqual((status, body["status"], body["title"]), (422, 422, "Input validation failed"), body)
            self.assertTrue(body["invalid_fields"][0]["field"].startswith(field), body)
            self.assertIn(field, body["detail"])

    def test_what_a_generator_yields_is_streamed_item_by_item(self):
        body = self.create(f"/v1/models/{self.owner}/python-stream/predictions", {"text": "one two three", "delay_ms": 20})
        events = self.read_stream(body["urls"]["stream"])
        self.assertEqual([data for event, data in events if event == "output"], ["one", " two", " three"], events)
        self.assertEqual(events[-1][0], "done")
        body = self.wait_terminal([body["id"]])[0]
        self.assertEqual((body["status"], body["output"]), ("succeeded", ["one", " two", " three"]), body)
        self.assertEqual(body["logs"], "word 0\nword 1\nword 2\nstopped after 3 words\n")
        self.assertEqual(body["metrics"]["output_token_count"], 3)

    def test_a_file_goes_in_and_a_file_comes_out(self):
        self.assertCounts("python-files")

    def test_an_exception_fails_the_prediction_with_its_message_and_traceback(self):
        body = self.predict("python-stream", text="a b c", fail_at=1)
        self.assertEqual((body["status"], body["error"]), ("failed", "ValueError: failed at word 1"), body)
        self.assertEqual(body["output"], ["a"])
        self.assertIn("Traceback (most recent call last)", body["logs"])
        self.assertIn('File "/src/run.py"', body["logs"])
        self.assertEqual(self.predict("python-stream", text="after")["output"], ["after"])

    def test_cancel_stops_the_python_code_and_keeps_the_container(self):
        name = f"python-cancel-{os.getpid()}"
        path = self.deploy(name, "python-stream", 1, 1) + "/predictions"
        words = 3000
        running = self.create(path, {"text": "x " * words, "delay_ms": 100})["id"]
        eventually(lambda: "word 2\n" in (self.get(running)["logs"] or ""), 60, "work in the model")
        status, body = self.api.call("POST", f"/v1/predictions/{running}/cancel")
        self.assertEqual((status, body["status"], body["error"]), (200, "canceled", None), body)
        # The code's own last words, from the container: it was stopped where it was, not left to run.
        container, last = eventually(
            lambda: self.find_in_logs(rf'stopped after (\d+) words","prediction_id":"{running}"'), 30, "the end of the code")
        self.assertLess(int(last.group(1)), words)
        # The only slot of the same container is free again: the next one runs now, not after five minutes.
        after = self.wait_terminal([self.create(path, {"text": "next"})["id"]])[0]
        self.assertEqual((after["status"], after["output"]), ("succeeded", ["next"]), after)
        again, _ = eventually(lambda: self.find_in_logs(rf'"prediction_id":"{after["id"]}"'), 30, "its line in a log")
        self.assertEqual(again, container)

    def test_an_image_of_before_coglet_runs_as_well(self):
        self.assertCounts("python-files-before")
        broken = "data:application/octet-stream;base64," + base64.b64encode(b"\xff\xff").decode()
        body = self.predict("python-files-before", document=broken)
        self.assertEqual(body["status"], "failed", body)
        self.assertTrue(body["error"].startswith("'utf-8' codec can't decode"), body["error"])
        self.assertIn("Traceback (most recent call last)", body["logs"])  # This server logs it by itself.
        self.assertIn("/src/predict.py", body["logs"])

    @unittest.skipUnless(os.path.exists(HOST_PYTHON), f"{HOST_PYTHON} is missing: nothing to copy for --base host")
    def test_a_copy_of_this_machines_python_is_a_base_too(self):
        self.publish("python-hello", "python-hello-host", base="host")
        self.assertEqual(self.predict("python-hello-host", text="host")["output"], "Hello host!")


if __name__ == "__main__":
    unittest.main(verbosity=2)
