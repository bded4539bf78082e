"""Trainings: a model learns, a version with what it learned appears on the destination, and answers with it. The C++
example and the Python example (its image made here, served by the published `cog` package of two generations), the
official Python client, failures, cancels, and a control plane that is killed before the version was made.

Needs what python_test.py needs but Docker: images are pushed without it.
"""

import http.server
import json
import os
import pathlib
import subprocess
import sys
import threading
import unittest
import urllib.request
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from mimeo_testing import CHECKOUT, InstallationTest, eventually  # noqa: E402
from mimeo_local.parts import http_get  # noqa: E402

COG = "0.23.1"  # Its server is coglet, which hands COG_WEIGHTS to setup() as it is.
COG_BEFORE = "0.16.12"  # The last server in Python, which takes ./weights.
FABLE = "The fox saw the grapes and the fox saw the moon but the fox ate the grapes"
LEARNED = "fox saw the fox saw the"  # "the" is followed by "fox" three times, by "grapes" twice.
UNDER_WAY = "mimeo_control_plane_trained_versions_under_way"


class Receiver:
    """Takes webhooks."""

    def __init__(self):
        self.bodies = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                outer.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Trainings(InstallationTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        data = cls.stack.layout.data
        cls.flags_before = data.get("control_plane_flags")
        data["control_plane_flags"] = [*(cls.flags_before or []), "--webhook-allow-private"]
        cls.restart_control_plane()
        program = cls.stack.layout.build / "examples" / "example-trainable"
        cls.publish("trainable", "build-image", "trainable", program)

    @classmethod
    def tearDownClass(cls):
        cls.stack.layout.data["control_plane_flags"] = cls.flags_before or []
        cls.restart_control_plane()

    # -- models ----------------------------------------------------------------------------------------

    @classmethod
    def restart_control_plane(cls):
        cls.stack.control_plane.stop()
        cls.stack.control_plane.start()

    @classmethod
    def publish(cls, name, script, *arguments):
        """Builds an image and pushes it; the id of the version that it becomes."""
        archive = cls.stack.layout.state / f"{name}.tar"
        image = f"{cls.stack.layout.registry_addr}/{cls.owner}/{name}"
        try:
            for command, given in (([CHECKOUT / "examples" / script, *arguments, image, "--output", archive], None),
                                   ([CHECKOUT / "examples" / "push-image", archive, "--user", cls.owner, "--password-stdin"],
                                    cls.stack.layout.data["secrets"]["token"])):
                done = subprocess.run(command, text=True, capture_output=True, input=given, check=False)
                if done.returncode != 0:
                    raise AssertionError(f"{command[0]} failed:\n{done.stderr}")
        finally:
            archive.unlink(missing_ok=True)
        pushed = done.stdout.strip().removeprefix("sha256:")
        eventually(lambda: cls.latest_of(name) == pushed, 30, f"the version of {name}")
        return pushed

    @classmethod
    def publish_python(cls, name, version):
        cache = os.environ.get("MIMEO_IMAGE_CACHE") or cls.stack.layout.build / "image-cache"
        return cls.publish(name, "build-python-image", CHECKOUT / "examples" / "python-train", "--cog", version,
                           "--cache", cache)

    @classmethod
    def latest_of(cls, name):
        status, body = cls.api.call("GET", f"/v1/models/{cls.owner}/{name}")
        version = body["latest_version"] if status == 200 else None
        return version and version["id"]

    def new_model(self, purpose):
        name = f"{purpose}-{uuid.uuid4().hex[:8]}"
        status, body = self.api.call("POST", "/v1/models", {"owner": self.owner, "name": name, "visibility": "private",
                                                           "hardware": "cpu"})
        self.assertEqual(status, 201, body)
        return name

    def upload(self, text):
        """The URL of an uploaded file."""
        boundary = uuid.uuid4().hex
        body = (f'--{boundary}\r\nContent-Disposition: form-data; name="content"; filename="text.txt"\r\n'
                f"Content-Type: text/plain\r\n\r\n{text}\r\n--{boundary}--\r\n").encode()
        request = urllib.request.Request(f"{self.stack.layout.base_url}/v1/files", data=body, headers={
            "Authorization": f"Bearer {self.api.token}", "Content-Type": f"multipart/form-data; boundary={boundary}"})
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)["urls"]["get"]

    # -- trainings -------------------------------------------------------------------------------------

    def path(self, model="trainable"):
        return f"/v1/models/{self.owner}/{model}/versions/{self.latest_of(model)}/trainings"

    def train(self, destination, text=FABLE, model="trainable", **more):
        given = {"texts": [self.upload(text)]} if model == "trainable" else {"text": self.upload(text)}
        given.update(more.pop("input", {}))
        # The Go client sends the version in the body too.
        status, body = self.api.call("POST", self.path(model), {
            "destination": f"{self.owner}/{destination}", "input": given, "version": "ignored", **more})
        self.assertEqual(status, 201, body)
        return body["id"]

    def training(self, id_):
        status, body = self.api.call("GET", f"/v1/trainings/{id_}")
        self.assertEqual(status, 200, body)
        return body

    def wait_for(self, id_):
        self.wait_terminal([id_])
        return self.training(id_)

    def say(self, model, start="fox", words=6):
        status, body = self.api.call("POST", f"/v1/models/{self.owner}/{model}/predictions",
                                     {"input": {"start": start, "words": words}}, {"Prefer": "wait"})
        self.assertIn(status, (201, 202), body)
        body = self.wait_terminal([body["id"]])[0]
        self.assertEqual((body["status"], body["error"]), ("succeeded", None), body)
        return body["output"]

    def assertBecameVersion(self, training, destination):
        self.assertEqual((training["status"], training["error"]), ("succeeded", None), training)
        version = training["output"]["version"]
        self.assertRegex(version, rf"^{self.owner}/{destination}:[0-9a-f]{{64}}$")
        self.assertEqual(self.latest_of(destination), version.split(":")[1])
        status, body = self.api.call("GET", f"/v1/models/{self.owner}/{destination}/versions")
        self.assertEqual((status, len(body["results"])), (200, 1), body)
        return body["results"][0]

    def test_a_version_appears_and_answers_with_what_was_learned(self):
        destination = self.new_model("learned")
        self.assertEqual(self.say("trainable", "nobody"), "nobody trained me yet")
        training = self.wait_for(self.train(destination, input={"epochs": 3}))
        version = self.assertBecameVersion(training, destination)
        self.assertIn("TrainingInput", version["openapi_schema"]["components"]["schemas"])
        self.assertEqual(training["logs"].splitlines()[0], "epoch 1: 8 words")
        self.assertEqual(training["metrics"]["epochs"], 3)
        self.assertGreater(training["metrics"]["predict_time"], 0)
        self.assertEqual(training["urls"]["get"], f"{self.stack.layout.base_url}/v1/trainings/{training['id']}")
        with urllib.request.urlopen(training["output"]["weights"]) as answer:
            self.assertIn("the\tfox\t9", answer.read().decode().splitlines())
        self.assertEqual(self.say(destination), LEARNED)
        self.assertEqual(self.say("trainable", "nobody"), "nobody trained me yet")

    def test_what_came_out_of_a_training_is_trained_again(self):
        first, second = self.new_model("first"), self.new_model("second")
        self.assertBecameVersion(self.wait_for(self.train(first)), first)
        self.assertBecameVersion(self.wait_for(self.train(second, "a b a b a c", model="trainable")), second)
        status, body = self.api.call("POST", self.path(first), {
            "destination": f"{self.owner}/{second}", "input": {"texts": [self.upload("moon is round")]}})
        self.assertEqual(status, 201, body)
        self.assertEqual(self.wait_for(body["id"])["status"], "succeeded")
        self.assertEqual(self.say(second, "moon"), "moon is round")

    def test_ids_of_trainings_are_ids_of_predictions_too(self):
        destination = self.new_model("ids")
        id_ = self.train(destination)
        self.wait_for(id_)
        self.assertEqual(self.get(id_)["output"], self.training(id_)["output"])
        listed = self.api.call("GET", "/v1/trainings")[1]["results"]
        self.assertIn(id_, [one["id"] for one in listed])
        self.assertNotIn(id_, [one["id"] for one in self.api.call("GET", "/v1/predictions")[1]["results"]])

    def test_a_webhook_tells_of_the_end_with_the_body_of_a_get(self):
        receiver = Receiver()
        self.addCleanup(receiver.stop)
        id_ = self.train(self.new_model("hook"), webhook=receiver.url, webhook_events_filter=["completed"])
        self.wait_for(id_)
        eventually(lambda: receiver.bodies, 30, "the webhook")
        self.assertEqual(receiver.bodies[0], self.training(id_))

    def test_what_cannot_be_trained_is_refused_at_once(self):
        for destination in ("no-such-model", "trainable/extra"):
            status, body = self.api.call("POST", self.path(), {"destination": f"{self.owner}/{destination}",
                                                              "input": {"texts": [self.upload(FABLE)]}})
            self.assertEqual((status, body), (404, {"detail": "The specified training destination does not exist",
                                                    "status": 404}))
        status, body = self.api.call("POST", self.path(), {"destination": f"{self.owner}/trainable",
                                                          "input": {"texts": "x", "epochs": 0}})
        self.assertEqual((status, body["title"]), (422, "Input validation failed"), body)
        self.assertEqual(sorted(one["field"] for one in body["invalid_fields"]), ["input.epochs", "input.texts"])
        status, body = self.api.call("POST", self.path("hello"), {"destination": f"{self.owner}/trainable", "input": {}})
        self.assertEqual((status, body["title"]), (422, "Version not trainable"), body)

    def test_a_training_that_fails_leaves_no_version(self):
        destination = self.new_model("failed")
        training = self.wait_for(self.train(destination, "one"))
        self.assertEqual((training["status"], training["error"]), ("failed", "the texts hold no two words"), training)
        self.assertIn("epoch 1", training["logs"])
        self.assertIsNone(self.latest_of(destination))

    def test_a_destination_that_is_deleted_meanwhile_fails_the_training(self):
        destination = self.new_model("deleted")
        id_ = self.train(destination, input={"epochs": 30, "pause_ms": 50})
        self.wait_status(id_, ("processing",))
        self.assertEqual(self.api.call("DELETE", f"/v1/models/{self.owner}/{destination}")[0], 204)
        training = self.wait_for(id_)
        self.assertEqual(training["status"], "failed", training)
        self.assertIn("does not exist any more", training["error"])

    def test_both_cancels_stop_the_work_and_the_next_training_runs(self):
        destination = self.new_model("canceled")
        for route in ("trainings", "predictions"):
            id_ = self.train(destination, input={"epochs": 100000, "pause_ms": 50})
            eventually(lambda i=id_: "epoch 2" in (self.training(i)["logs"] or ""), 60, "work in the trainer")
            status, body = self.api.call("POST", f"/v1/{route}/{id_}/cancel")
            self.assertEqual((status, body["status"], body["error"]), (200, "canceled", None), body)
        self.assertIsNone(self.latest_of(destination))
        self.assertBecameVersion(self.wait_for(self.train(destination)), destination)

    def under_way(self):
        answer = http_get(self.stack.layout.ports["http"], "/metrics")
        return answer and any(line == f"{UNDER_WAY} 1" for line in answer[1].splitlines())

    def test_a_control_plane_killed_before_the_version_is_made_loses_nothing(self):
        """The registry is away, so that the version cannot be made while the result is there already."""
        destination = self.new_model("killed")
        id_ = self.train(destination, input={"epochs": 40, "pause_ms": 50})
        self.wait_status(id_, ("processing",))
        self.stack.registry.process.stop()
        try:
            eventually(self.under_way, 60, "the trainer's result")
            self.assertEqual(self.training(id_)["status"], "processing")
            self.stack.control_plane.process.kill()
        finally:
            self.stack.registry.start()
            self.stack.control_plane.start()
        training = self.wait_for(id_)
        self.assertBecameVersion(training, destination)
        self.assertEqual(self.say(destination), LEARNED)
        self.assertEqual(int(self.sql("SELECT count(*) FROM versions v JOIN models m ON m.id = v.model_id "
                                      f"WHERE m.name = '{destination}'")), 1)

    def assertPythonLearns(self, name, version):
        self.publish_python(name, version)
        self.assertEqual(self.say(name, "nobody", 5), "nobody trained me")
        destination = self.new_model(f"{name}-out")
        training = self.wait_for(self.train(destination, model=name))
        self.assertBecameVersion(training, destination)
        self.assertIn("epoch 1: 8 words", training["logs"])
        self.assertEqual(self.say(destination), LEARNED)
        failed = self.wait_for(self.train(destination, "one", model=name))
        self.assertEqual((failed["status"], failed["error"]), ("failed", "ValueError: the text holds no two words"
                                                               if version == COG else "the text holds no two words"), failed)
        id_ = self.train(destination, model=name, input={"epochs": 100000, "pause_ms": 20})
        self.wait_status(id_, ("processing",))
        status, body = self.api.call("POST", f"/v1/trainings/{id_}/cancel")
        self.assertEqual((status, body["status"]), (200, "canceled"), body)

    def test_a_python_model_is_trained(self):
        self.assertPythonLearns("python-train", COG)

    def test_a_python_model_of_before_coglet_is_trained(self):
        self.assertPythonLearns("python-train-before", COG_BEFORE)

    def test_the_official_client_trains(self):
        destination = self.new_model("client")
        done = subprocess.run([CHECKOUT / "tests" / "conformance" / "run", "python1-training"], text=True, check=False,
                              capture_output=True, env={**os.environ, "MIMEO_TRAINABLE": f"{self.owner}/trainable",
                                                        "MIMEO_DESTINATION": f"{self.owner}/{destination}"})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(self.say(destination), LEARNED)


if __name__ == "__main__":
    unittest.main(verbosity=2)
