"""The official Python client 1.x trains MIMEO_TRAINABLE into MIMEO_DESTINATION; run by tests/e2e/trainings_test.py,
which makes both."""

import io
import os
import time
import unittest

os.environ.setdefault("REPLICATE_POLL_INTERVAL", "0.05")  # Read by the client at import.
import replicate  # noqa: E402
from replicate.exceptions import ReplicateError  # noqa: E402

MODEL = os.environ["MIMEO_TRAINABLE"]
DESTINATION = os.environ["MIMEO_DESTINATION"]
FABLE = b"The fox saw the grapes and the fox saw the moon but the fox ate the grapes"


class PythonClient1Training(unittest.TestCase):
    def setUp(self):
        self.version = f"{MODEL}:{replicate.models.get(MODEL).latest_version.id}"

    def test_trains(self):
        text = replicate.files.create(io.BytesIO(FABLE), filename="fable.txt")
        training = replicate.trainings.create(version=self.version, input={"texts": [text.urls["get"]]},
                                              destination=DESTINATION)
        deadline = time.monotonic() + 60
        while training.status in ("starting", "processing") and time.monotonic() < deadline:
            training.reload()
        self.assertEqual(training.status, "succeeded", training.error)
        self.assertTrue(training.output["version"].startswith(DESTINATION + ":"), training.output)
        self.assertEqual(replicate.trainings.get(training.id).output, training.output)
        self.assertIn(training.id, [one.id for one in replicate.trainings.list().results])
        trained = replicate.models.get(DESTINATION).latest_version
        self.assertEqual(training.output["version"], f"{DESTINATION}:{trained.id}")
        self.assertEqual(replicate.run(training.output["version"], input={"start": "fox", "words": 2}), "fox saw")

    def test_an_unknown_destination_is_an_error(self):
        with self.assertRaises(ReplicateError) as caught:
            replicate.trainings.create(version=self.version, input={"texts": ["https://x.example/a"]},
                                       destination=DESTINATION + "-not")
        self.assertEqual(caught.exception.status, 404)
        self.assertEqual(caught.exception.detail, "The specified training destination does not exist")


if __name__ == "__main__":
    unittest.main(verbosity=2)
