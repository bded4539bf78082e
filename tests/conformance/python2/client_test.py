"""The official Python client 2.x (beta), unmodified, against a running installation."""

import importlib.metadata
import os
import time
import unittest

os.environ.setdefault("REPLICATE_POLL_INTERVAL", "0.05")
if not os.environ["REPLICATE_BASE_URL"].endswith("/v1"):  # Documented with /v1; both must work.
    os.environ["REPLICATE_BASE_URL"] += "/v1"
import replicate  # noqa: E402
from replicate import Replicate  # noqa: E402

OWNER = os.environ["MIMEO_OWNER"]
HELLO = f"{OWNER}/hello"
STREAM = f"{OWNER}/stream-text"


class PythonClient2(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.client = Replicate(bearer_token=os.environ["REPLICATE_API_TOKEN"])

    def latest(self, name):
        return self.client.models.get(model_owner=OWNER, model_name=name).latest_version.id

    def test_is_the_official_client(self):
        self.assertEqual(importlib.metadata.version("replicate"), "2.0.0b4")

    def test_runs_a_model(self):
        self.assertEqual(self.client.run(HELLO, input={"text": "Python"}), "Hello Python!")

    def test_runs_with_a_base_url_without_v1(self):
        base = os.environ["REPLICATE_BASE_URL"].removesuffix("/v1")
        client = Replicate(bearer_token=os.environ["REPLICATE_API_TOKEN"], base_url=base)
        self.assertEqual(client.run(HELLO, input={"text": "root"}), "Hello root!")

    def test_uses_a_model_as_a_function(self):
        self.assertEqual(replicate.use(HELLO)(text="use"), "Hello use!")

    def test_uses_a_streaming_model(self):
        parts = list(replicate.use(STREAM, streaming=True)(text="one two three", delay_ms=1))
        self.assertEqual("".join(parts), "one two three")

    def test_creates_waits_gets_lists_and_cancels(self):
        made = self.client.predictions.create(version=self.latest("hello"), input={"text": "a"})
        self.assertEqual(self.client.predictions.wait(made.id).output, "Hello a!")
        self.assertEqual(self.client.predictions.get(prediction_id=made.id).status, "succeeded")
        self.assertIn(made.id, [p.id for p in self.client.predictions.list()])
        running = self.client.predictions.create(
            version=self.latest("stream-text"), input={"text": "x " * 1000, "delay_ms": 100})
        deadline = time.monotonic() + 30
        while running.status == "starting" and time.monotonic() < deadline:
            running = self.client.predictions.get(prediction_id=running.id)
        self.assertEqual(self.client.predictions.cancel(prediction_id=running.id).status, "canceled")

    def test_account_and_hardware(self):
        self.assertEqual(self.client.account.get().username, OWNER)
        self.assertIn("cpu", [h.sku for h in self.client.hardware.list()])


if __name__ == "__main__":
    unittest.main(verbosity=2)
