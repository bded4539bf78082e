"""Deployments as their owners see them: from zero, up under load, back to zero, kept warm, updated
under traffic without a failed request."""

import concurrent.futures
import os
import pathlib
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from mimeo_testing import LIVE, READY, InstallationTest, eventually  # noqa: E402


class Deployments(InstallationTest):
    def name(self, word):
        return f"{word}-{os.getpid()}"

    def test_starts_on_the_first_request_grows_under_load_and_returns_to_zero(self):
        name = self.name("zero")
        path = self.deploy(name, "stream-text", 0, 2) + "/predictions"
        self.assertEqual(self.instances(name, LIVE), 0, "an instance runs that nobody asked for")
        first = self.create(path, {"text": "one"}, {"Prefer": "wait"})
        self.assertEqual(first["status"], "succeeded", first)

        ids = [b["id"] for b in self.create_many(path, [{"text": "a b c d e", "delay_ms": 200}] * 24)]
        eventually(lambda: self.instances(name, READY) == 2, 60, "a second instance")
        for body in self.wait_terminal(ids):
            self.assertEqual(body["status"], "succeeded", body)
        most = int(self.sql("SELECT count(*) FROM instances i JOIN targets t ON t.id = i.target_id JOIN "
                            f"deployments d ON d.id = t.deployment_id WHERE d.name = '{name}'"))
        self.assertEqual(most, 2, "more instances were started than the maximum")
        eventually(lambda: self.instances(name, LIVE) == 0, 60, "scale to zero")

    def test_a_minimum_of_one_keeps_an_instance_warm(self):
        name = self.name("warm")
        path = self.deploy(name, "hello", 1, 1) + "/predictions"
        eventually(lambda: self.instances(name, READY) == 1, 60, "the warm instance")
        self.create(path, {"text": "x"}, {"Prefer": "wait"})
        second = self.create(path, {"text": "y"}, {"Prefer": "wait"})
        self.assertEqual(second["output"], "Hello y!")
        started = int(self.sql("SELECT count(*) FROM instances i JOIN targets t ON t.id = i.target_id JOIN "
                               f"deployments d ON d.id = t.deployment_id WHERE d.name = '{name}'"))
        self.assertEqual(started, 1, "the second request did not use the warm instance")

    def test_an_update_under_traffic_fails_no_request(self):
        name = self.name("rollout")
        old, new = self.two_versions_of("hello")
        path = self.deploy(name, "hello", 1, 2)
        self.api.call("PATCH", path, {"version": old})
        eventually(lambda: self.instances(name, READY) >= 1, 60, "the first instance")
        stop = threading.Event()
        answers = []

        def one(i):
            answers.append(self.create(path + "/predictions", {"text": str(i)}, {"Prefer": "wait"}))

        def traffic():
            with concurrent.futures.ThreadPoolExecutor(16) as pool:
                start, i = time.monotonic(), 0
                while not stop.is_set():
                    pool.submit(one, i)
                    i += 1
                    stop.wait(max(0.0, start + i / 20 - time.monotonic()))  # A steady 20 a second.
                self.sent = i

        sender = threading.Thread(target=traffic)
        sender.start()
        try:
            eventually(lambda: len(answers) >= 20, 60, "traffic on the old version")
            status, body = self.api.call("PATCH", path, {"version": new})
            self.assertEqual(status, 200, body)
            eventually(lambda: answers[-1]["version"] == new, 60, "traffic on the new version")
            seen = len(answers)
            eventually(lambda: len(answers) >= seen + 40, 60, "steady traffic after the update")
        finally:
            stop.set()
            sender.join()
        self.assertEqual(len(answers), self.sent)
        bad = [a for a in answers if a["status"] != "succeeded"]
        self.assertEqual(bad, [], "requests failed during the update")
        self.assertEqual({a["version"] for a in answers}, {old, new})

    def two_versions_of(self, model):
        """The latest version and a second one: the same program in an image with another label."""
        current = self.latest(model)
        layout = self.stack.layout
        image = f"{layout.registry_addr}/{self.owner}/{model}"
        made = self.stack.docker.cli("create", image).stdout.strip()
        self.stack.docker.cli("commit", "--change", f"LABEL made-by=test-{time.time_ns()}", made, image)
        self.stack.docker.cli("rm", made)
        self.stack.models._push(image, self.owner)
        new = eventually(lambda: self.latest(model) != current and self.latest(model), 30, "a new version")
        return current, new


if __name__ == "__main__":
    unittest.main(verbosity=2)
