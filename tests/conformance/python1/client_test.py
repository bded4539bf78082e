"""The official Python client 1.x, unmodified, against a running installation (see `. .mimeo/env`)."""

import importlib.metadata
import os
import time
import unittest

os.environ.setdefault("REPLICATE_POLL_INTERVAL", "0.05")  # Read by the client at import.
import replicate  # noqa: E402

OWNER = os.environ["MIMEO_OWNER"]
HELLO = f"{OWNER}/hello"
STREAM = f"{OWNER}/stream-text"


def latest(model):
    return replicate.models.get(model).latest_version.id


class PythonClient1(unittest.TestCase):
    def test_is_the_official_client(self):
        self.assertEqual(importlib.metadata.version("replicate"), "1.0.7")

    def test_runs_a_model_by_name(self):
        self.assertEqual(replicate.run(HELLO, input={"text": "Python"}), "Hello Python!")

    def test_runs_a_model_by_version_and_reads_that_version(self):
        self.assertEqual(replicate.run(f"{HELLO}:{latest(HELLO)}", input={"text": "v"}), "Hello v!")

    def test_runs_without_blocking_by_polling(self):
        self.assertEqual(replicate.run(HELLO, input={"text": "poll"}, wait=False), "Hello poll!")

    def test_iterator_output_is_a_generator(self):
        out = replicate.run(f"{STREAM}:{latest(STREAM)}", input={"text": "one two three", "delay_ms": 1})
        self.assertEqual("".join(out), "one two three")

    def test_creates_gets_lists_and_reloads(self):
        created = replicate.predictions.create(version=latest(HELLO), input={"text": "a"})
        self.assertIn(created.status, ("starting", "processing", "succeeded"))
        created.wait()
        self.assertEqual(created.output, "Hello a!")
        self.assertEqual(replicate.predictions.get(created.id).status, "succeeded")
        self.assertIn(created.id, [p.id for p in replicate.predictions.list().results])
        self.assertGreaterEqual(created.metrics["total_time"], created.metrics["predict_time"])

    def test_cancels_a_running_prediction(self):
        running = replicate.predictions.create(
            version=latest(STREAM), input={"text": "x " * 1000, "delay_ms": 100})
        deadline = time.monotonic() + 30
        while running.status == "starting" and time.monotonic() < deadline:
            running.reload()
        running.cancel()
        running.reload()
        self.assertEqual(running.status, "canceled")
        self.assertIsNone(running.error)

    def test_streams_tokens(self):
        events = list(replicate.stream(STREAM, input={"text": "a stream of words", "delay_ms": 5}))
        self.assertEqual("".join(str(e) for e in events), "a stream of words")

    def test_a_failing_model_raises_its_own_message(self):
        with self.assertRaises(replicate.exceptions.ModelError) as raised:
            replicate.run(STREAM, input={"text": "a b c", "fail_at": 1})
        self.assertIn("fail", str(raised.exception).lower())

    def test_bad_input_is_refused_with_the_reason(self):
        with self.assertRaises(replicate.exceptions.ReplicateError) as raised:
            replicate.predictions.create(version=latest(HELLO), input={"text": 7})
        self.assertEqual(raised.exception.status, 422)
        self.assertIn("text", str(raised.exception))

    def test_a_bad_token_is_refused(self):
        client = replicate.Client(api_token="r8_" + "x" * 37)
        with self.assertRaises(replicate.exceptions.ReplicateError) as raised:
            client.models.get(HELLO)
        self.assertEqual(raised.exception.status, 401)

    def test_lists_hardware_and_the_account(self):
        self.assertIn("cpu", [h.sku for h in replicate.hardware.list()])
        self.assertEqual(replicate.Client().accounts.current().username, OWNER)

    def test_deployment_life_cycle(self):
        name = f"p1-{os.getpid()}"
        deployment = replicate.deployments.create(
            name=name, model=HELLO, version=latest(HELLO), hardware="cpu", min_instances=0, max_instances=1)
        self.assertEqual(deployment.current_release.number, 1)
        prediction = replicate.deployments.predictions.create((OWNER, name), input={"text": "deployed"})
        prediction.wait()
        self.assertEqual(prediction.output, "Hello deployed!")
        updated = replicate.deployments.update(deployment_owner=OWNER, deployment_name=name, max_instances=2)
        self.assertEqual(updated.current_release.number, 2)
        self.assertEqual(updated.current_release.configuration.max_instances, 2)


if __name__ == "__main__":
    unittest.main(verbosity=2)
