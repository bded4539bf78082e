"""One prediction at a time: what a container does, and what the user sees of it."""

import base64
import os
import pathlib
import sys
import unittest
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from mimeo_testing import READY, InstallationTest, eventually, striped_png  # noqa: E402


class Predictions(InstallationTest):
    def test_a_container_never_runs_more_than_its_slots(self):
        path = self.deploy(f"slots-{os.getpid()}", "stream-text", 0, 1) + "/predictions"
        ids = [b["id"] for b in self.create_many(path, [{"text": "a b c", "delay_ms": 30}] * 20)]
        for body in self.wait_terminal(ids):
            self.assertEqual(body["status"], "succeeded", body)
            self.assertEqual(body["metrics"]["in_flight"], 1, "two predictions ran in one slot")

    def test_cancel_stops_the_work_in_the_container(self):
        path = self.deploy(f"cancel-{os.getpid()}", "stream-text", 0, 1) + "/predictions"
        long = self.create(path, {"text": "x " * 3000, "delay_ms": 100})["id"]
        self.wait_status(long, ("processing",))
        status, canceled = self.api.call("POST", f"/v1/predictions/{long}/cancel")
        self.assertEqual((status, canceled["status"], canceled["error"]), (200, "canceled", None))
        # The only slot is free again: the next one runs at once instead of after five minutes.
        after = self.create(path, {"text": "next"}, {"Prefer": "wait"})
        self.assertEqual(after["status"], "succeeded", after)

    def test_a_queued_prediction_is_canceled_without_ever_running(self):
        path = self.deploy(f"queued-{os.getpid()}", "stream-text", 0, 1) + "/predictions"
        running = self.create(path, {"text": "x " * 3000, "delay_ms": 100})["id"]
        self.wait_status(running, ("processing",))
        queued = self.create(path, {"text": "never"})["id"]
        status, body = self.api.call("POST", f"/v1/predictions/{queued}/cancel")
        self.assertEqual((status, body["status"]), (200, "canceled"))
        self.assertNotIn("started_at", {k: v for k, v in body.items() if v})
        self.api.call("POST", f"/v1/predictions/{running}/cancel")

    def test_a_container_that_exits_fails_its_prediction_and_is_replaced(self):
        name = f"exit-{os.getpid()}"
        path = self.deploy(name, "stream-text", 0, 1) + "/predictions"
        body = self.create(path, {"text": "a b c d", "exit_at": 2, "exit_code": 3, "delay_ms": 20})
        final = self.wait_terminal([body["id"]])[0]
        self.assertEqual(final["status"], "failed")
        self.assertIn("3", final["error"])
        self.assertIn("exit", final["error"].lower())
        after = self.create(path, {"text": "again"}, {"Prefer": "wait"})
        self.assertEqual(after["status"], "succeeded", after)
        eventually(lambda: self.instances(name, READY) == 1, 30, "one new instance")

    def test_a_file_goes_in_and_a_file_comes_out(self):
        png = striped_png()
        uri = "data:image/png;base64," + base64.b64encode(png).decode()
        body = self.create(f"/v1/models/{self.owner}/edges/predictions", {"image": uri}, {"Prefer": "wait"})
        self.assertEqual(body["status"], "succeeded", body)
        self.assertTrue(body["output"].endswith(".png"), body["output"])
        with urllib.request.urlopen(body["output"]) as answer:
            self.assertEqual(answer.headers["Content-Type"], "image/png")
            out = answer.read()
        self.assertTrue(out.startswith(b"\x89PNG"))
        self.assertNotEqual(out, png, "the image came back unchanged")


if __name__ == "__main__":
    unittest.main(verbosity=2)
