"""MIMEO_RUNTIME=process: the same installation on a machine without a Docker Engine. Models run in containers that
the worker makes itself."""

import base64
import os
import pathlib
import sys
import unittest
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from mimeo_installation import Installation  # noqa: E402
from mimeo_testing import TERMINAL, eventually, striped_png  # noqa: E402


def groups_and_mounts(state):
    """What a container may leave on the machine."""
    mounts = [line for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines() if str(state) in line]
    groups = [str(path) for path in pathlib.Path("/sys/fs/cgroup").glob("*/mimeo/*")]
    groups += [str(path) for path in pathlib.Path("/sys/fs/cgroup").glob("mimeo/*") if path.is_dir()]
    return mounts, groups


@unittest.skipUnless(os.getuid() == 0, "needs root")
class ProcessRuntime(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # A `docker` that fails stands for none: nothing may need it.
        cls.one = Installation("process", MIMEO_RUNTIME="process")
        cls.addClassCleanup(cls.one.destroy)
        cls.before = groups_and_mounts(cls.one.state)
        docker = cls.one.folder / "bin" / "docker"
        docker.parent.mkdir()
        docker.write_text("#!/bin/sh\necho docker was called >&2\nexit 1\n")
        docker.chmod(0o755)
        up = cls.one.run("up", PATH=f"{docker.parent}:{os.environ['PATH']}")
        if up.returncode != 0:
            raise AssertionError(up.stderr)

    def call(self, method, path, body=None, headers=None):
        status, answer = self.one.stack.api.call(method, path, body, headers)
        self.assertLess(status, 300, answer)
        return answer

    def predict(self, model, given, **headers):
        return self.call("POST", f"/v1/models/demo/{model}/predictions", {"input": given}, {"Prefer": "wait", **headers})

    def test_1_strings_files_and_streams(self):
        self.assertEqual(self.predict("hello", {"text": "Ann"})["output"], "Hello Ann!")
        words = self.predict("stream-text", {"text": "a b c"})
        self.assertEqual((words["status"], "".join(words["output"])), ("succeeded", "a b c"), words)
        image = self.predict("edges", {"image": "data:image/png;base64," + base64.b64encode(striped_png()).decode()})
        self.assertEqual(image["status"], "succeeded", image)
        with urllib.request.urlopen(image["output"]) as answer:
            self.assertTrue(answer.read().startswith(b"\x89PNG"))

    def test_2_a_container_that_exits_fails_its_prediction_and_is_replaced(self):
        body = self.predict("stream-text", {"text": "a b c d", "exit_at": 2, "exit_code": 3, "delay_ms": 20})
        self.assertEqual(body["status"], "failed", body)
        self.assertIn("exited with code 3", body["error"])
        self.assertEqual(self.predict("stream-text", {"text": "again"})["status"], "succeeded")

    def test_3_a_killed_worker_finds_its_containers_again(self):
        running = self.call("POST", "/v1/models/demo/stream-text/predictions",
                            {"input": {"text": "x " * 40, "delay_ms": 50}})["id"]

        def status():
            return self.call("GET", f"/v1/predictions/{running}")["status"]
        eventually(lambda: status() == "processing", 30, "the model's work")
        worker = self.one.stack.worker
        worker.process.kill()
        worker.start()
        eventually(lambda: status() in TERMINAL, 60, "the end of the prediction")
        self.assertEqual(status(), "succeeded")

    def test_4_down_leaves_nothing(self):
        down = self.one.run("down")
        self.assertEqual(down.returncode, 0, down.stderr)
        eventually(lambda: groups_and_mounts(self.one.state) == self.before, 10, "the end of groups and mounts")
        self.assertEqual(self.one.processes(), [])
        up = self.one.run("up")
        self.assertEqual(up.returncode, 0, up.stderr)
        self.assertEqual(self.predict("hello", {"text": "again"})["output"], "Hello again!")


if __name__ == "__main__":
    unittest.main(verbosity=2)
