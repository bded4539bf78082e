"""Webhooks as receivers get them: order, filter, throttle, signature, retries, redirects, the log, sending again, trying."""

import base64
import hashlib
import hmac
import http.server
import pathlib
import socket
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from mimeo_testing import InstallationTest, eventually, json  # noqa: E402


class Receiver:
    """A server on loopback. The path says how it answers: /ok, /fail/N (500 to the first N), /redirect."""

    def __init__(self, port=0):
        self.received = []
        self.lock = threading.Lock()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with outer.lock:
                    earlier = sum(one["path"] == self.path for one in outer.received)
                    outer.received.append({"path": self.path, "headers": dict(self.headers.items()), "body": body,
                                           "at": time.monotonic()})
                status = 204
                if self.path.startswith("/fail/"):
                    status = 500 if earlier < int(self.path.split("/")[2]) else 200
                if self.path.startswith("/redirect"):
                    status = 302
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", f"/landed{self.path}")
                if status != 204:
                    self.send_header("Content-Length", "4")
                self.end_headers()
                if status != 204:
                    self.wfile.write(b"seen")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{path}"

    def at(self, path):
        with self.lock:
            return [one for one in self.received if one["path"] == path]

    def bodies(self, path):
        return [json.loads(one["body"]) for one in self.at(path)]

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Webhooks(InstallationTest):
    def setUp(self):
        self.receiver = Receiver()
        self.addCleanup(self.receiver.close)
        status, body = self.api.call("GET", "/v1/webhooks/default/secret")
        self.assertEqual(status, 200, body)
        self.secret = body["key"]

    def predict(self, model, text_input, url, events=None):
        body = {"input": text_input, "webhook": url}
        if events:
            body["webhook_events_filter"] = events
        status, created = self.api.call("POST", f"/v1/models/{self.owner}/{model}/predictions", body)
        self.assertEqual(status, 201, created)
        return created["id"]

    def check_signature(self, request):
        headers = {name.lower(): value for name, value in request["headers"].items()}
        content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + request["body"]
        key = base64.b64decode(self.secret.removeprefix("whsec_"), validate=True)
        good = "v1," + base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()
        self.assertIn(good, headers["webhook-signature"].split(" "))
        self.assertLess(abs(time.time() - int(headers["webhook-timestamp"])), 30)
        self.assertEqual(headers["content-type"], "application/json")
        self.assertRegex(headers["webhook-id"], r"^msg_[0-9A-Za-z]{27}$")
        return headers["webhook-id"]

    def deliveries(self, prediction):
        status, page = self.api.call("GET", f"/v1/webhooks/deliveries?prediction={prediction}")
        self.assertEqual(status, 200, page)
        return page["results"]

    def delivery(self, webhook_id):
        status, body = self.api.call("GET", f"/v1/webhooks/deliveries/{webhook_id}")
        self.assertEqual(status, 200, body)
        return body

    def settled(self, prediction, limit=90):
        """The one delivery of this prediction, when nothing more is tried."""
        def found():
            all_of_it = self.deliveries(prediction)
            return all_of_it if all_of_it and all(d["status"] != "pending" for d in all_of_it) else None
        return eventually(found, limit, f"deliveries of {prediction}")[0]

    def test_the_end_is_told_as_get_would_tell_it(self):
        prediction = self.predict("hello", {"text": "Alice"}, self.receiver.url("/ok?token=a%20b"), ["completed"])
        requests = eventually(lambda: self.receiver.at("/ok?token=a%20b"), 60, "the webhook")
        self.check_signature(requests[0])
        told = json.loads(requests[0]["body"])
        self.assertEqual(told["status"], "succeeded")
        self.assertEqual(told["webhook"], self.receiver.url("/ok?token=a%20b"))
        self.assertEqual(told, self.get(prediction))
        self.settled(prediction)
        self.assertEqual(len(self.receiver.at("/ok?token=a%20b")), 1)

    def test_events_come_in_order_and_not_too_often(self):
        words = " ".join(str(i) for i in range(30))
        prediction = self.predict("stream-text", {"text": words, "delay_ms": 100, "log": True},
                                  self.receiver.url("/ok"), ["start", "output", "logs", "completed"])
        eventually(lambda: any(b["status"] == "succeeded" for b in self.receiver.bodies("/ok")), 90, "the end")
        self.settled(prediction)
        requests, bodies = self.receiver.at("/ok"), self.receiver.bodies("/ok")
        ids = [self.check_signature(one) for one in requests]
        self.assertEqual(len(set(ids)), len(ids))
        statuses = [b["status"] for b in bodies]
        self.assertEqual(statuses, ["processing"] * (len(bodies) - 1) + ["succeeded"])
        outputs = [len(b["output"] or []) for b in bodies]
        self.assertEqual(outputs, sorted(outputs))
        self.assertEqual("".join(bodies[-1]["output"]), words)
        between = requests[1:-1]
        self.assertGreaterEqual(len(between), 3, "output and logs while it ran")
        for one, two in zip(between, between[1:]):
            self.assertGreater(two["at"] - one["at"], 0.45)
        events = {d["id"]: d["event"] for d in self.deliveries(prediction)}
        self.assertEqual(events[ids[0]], "start")
        self.assertEqual(events[ids[-1]], "completed")
        self.assertTrue({events[i] for i in ids[1:-1]} <= {"output", "logs"})

    def test_without_a_filter_output_and_the_end_are_told(self):
        prediction = self.predict("stream-text", {"text": "a b c d e f", "delay_ms": 200}, self.receiver.url("/ok"))
        eventually(lambda: any(b["status"] == "succeeded" for b in self.receiver.bodies("/ok")), 60, "the end")
        self.settled(prediction)
        events = {d["event"] for d in self.deliveries(prediction)}
        self.assertEqual(events, {"output", "completed"})

    def test_who_wants_output_alone_is_told_the_last_one(self):
        prediction = self.predict("hello", {"text": "only"}, self.receiver.url("/ok"), ["output"])
        eventually(lambda: any(b["status"] == "succeeded" for b in self.receiver.bodies("/ok")), 60, "the last output")
        self.assertEqual(self.receiver.bodies("/ok")[-1], self.get(prediction))
        self.settled(prediction)
        self.assertEqual({d["event"] for d in self.deliveries(prediction)}, {"output"})

    def test_a_failed_and_a_canceled_prediction_tell_their_end(self):
        failed = self.predict("stream-text", {"text": "a b", "fail_at": 1}, self.receiver.url("/ok/f"), ["completed"])
        canceled = self.predict("stream-text", {"text": "x " * 3000, "delay_ms": 100}, self.receiver.url("/ok/c"),
                                ["completed"])
        self.wait_status(canceled, ("processing",))
        self.api.call("POST", f"/v1/predictions/{canceled}/cancel")
        self.settled(failed)
        self.settled(canceled)
        self.assertEqual([b["status"] for b in self.receiver.bodies("/ok/f")], ["failed"])
        self.assertEqual([b["status"] for b in self.receiver.bodies("/ok/c")], ["canceled"])

    def test_a_refused_end_is_tried_again_under_the_same_id(self):
        prediction = self.predict("hello", {"text": "again"}, self.receiver.url("/fail/2"), ["completed"])
        delivery = self.settled(prediction)
        self.assertEqual((delivery["status"], delivery["attempt_count"]), ("delivered", 3))
        requests = self.receiver.at("/fail/2")
        self.assertEqual({self.check_signature(one) for one in requests}, {delivery["id"]})
        self.assertGreater(requests[1]["at"] - requests[0]["at"], 0.9)
        self.assertGreater(requests[2]["at"] - requests[1]["at"], 3.9)
        attempts = self.delivery(delivery["id"])["attempts"]
        self.assertEqual([a["response"]["status"] for a in attempts], [500, 500, 200])
        self.assertEqual(attempts[0]["response"]["body"], "seen")
        self.assertEqual(json.loads(attempts[0]["request"]["body"])["id"], prediction)
        self.assertNotIn("webhook-signature", attempts[0]["request"]["headers"])

    def test_redirects_are_not_followed(self):
        prediction = self.predict("hello", {"text": "moved"}, self.receiver.url("/redirect"), ["completed"])
        first = eventually(lambda: self.deliveries(prediction), 60, "a first attempt")[0]
        self.assertIn("302", first["error"])
        self.assertEqual(first["status"], "pending")
        self.assertEqual(self.receiver.at("/landed/redirect"), [])

    def test_a_receiver_that_was_down_is_told_when_it_is_back(self):
        port = free_port()
        prediction = self.predict("hello", {"text": "down"}, f"http://127.0.0.1:{port}/ok", ["completed"])
        pending = eventually(lambda: self.deliveries(prediction), 60, "a first attempt")[0]
        self.assertEqual((pending["status"], pending["response_status"]), ("pending", None))
        self.assertIsNotNone(pending["next_attempt_at"])
        back = Receiver(port)
        self.addCleanup(back.close)
        self.assertEqual(self.settled(prediction)["status"], "delivered")
        self.assertEqual(self.check_signature(back.at("/ok")[0]), pending["id"])

    def test_a_delivery_is_sent_again_on_request(self):
        prediction = self.predict("hello", {"text": "twice"}, self.receiver.url("/ok"), ["completed"])
        delivery = self.settled(prediction)
        status, again = self.api.call("POST", f"/v1/webhooks/deliveries/{delivery['id']}/redeliver")
        self.assertEqual((status, again["status"]), (202, "pending"), again)
        eventually(lambda: self.delivery(delivery["id"])["attempt_count"] == 2, 30, "the second attempt")
        requests = self.receiver.at("/ok")
        self.assertEqual([self.check_signature(one) for one in requests], [delivery["id"]] * 2)
        self.assertEqual(requests[0]["body"], requests[1]["body"])

    def test_a_test_event_tells_what_the_receiver_did(self):
        status, told = self.api.call("POST", "/v1/webhooks/test", {"url": self.receiver.url("/ok")})
        self.assertEqual((status, told["status"]), (200, "delivered"), told)
        self.check_signature(self.receiver.at("/ok")[0])
        self.assertEqual(self.receiver.bodies("/ok")[0]["status"], "succeeded")
        status, told = self.api.call("POST", "/v1/webhooks/test", {"url": self.receiver.url("/fail/9"), "event": "start"})
        self.assertEqual((status, told["status"], told["attempt"]["response"]["status"]), (200, "failed", 500), told)
        status, told = self.api.call("POST", "/v1/webhooks/test", {"url": f"http://127.0.0.1:{free_port()}/"})
        self.assertEqual((status, told["status"], told["attempt"]["response"]), (200, "failed", None), told)

    def test_addresses_inside_are_refused_and_the_log_says_so(self):
        for url in (f"http://[::1]:{self.receiver.port}/ok", "http://169.254.169.254/latest", "http://10.0.0.1/"):
            status, told = self.api.call("POST", "/v1/webhooks/test", {"url": url})
            self.assertEqual((status, told["status"]), (200, "failed"), told)
            self.assertIn("not a public one", told["attempt"]["error"])
        prediction = self.predict("hello", {"text": "inside"}, "http://[::1]:1234/", ["completed"])
        delivery = self.settled(prediction)
        self.assertEqual((delivery["status"], delivery["attempt_count"]), ("failed", 1))
        self.assertIn("not a public one", delivery["error"])

    def test_the_end_is_told_although_the_control_plane_was_killed(self):
        prediction = self.predict("hello", {"text": "killed"}, self.receiver.url("/fail/1"), ["completed"])
        eventually(lambda: self.receiver.at("/fail/1"), 60, "a first attempt")
        self.stack.control_plane.process.kill()
        self.stack.control_plane.start()
        eventually(lambda: len(self.receiver.at("/fail/1")) >= 2, 90, "another attempt")
        ids = {self.check_signature(one) for one in self.receiver.at("/fail/1")}
        self.assertEqual(len(ids), 1)
        self.assertEqual(self.settled(prediction)["status"], "delivered")

    def test_both_secrets_sign_after_a_rotation(self):
        status, rotated = self.api.call("POST", "/v1/webhooks/default/secret/rotate")
        self.assertEqual(status, 200, rotated)
        self.api.call("POST", "/v1/webhooks/test", {"url": self.receiver.url("/ok")})
        for secret in (self.secret, rotated["key"]):
            self.secret = secret
            self.check_signature(self.receiver.at("/ok")[0])


if __name__ == "__main__":
    unittest.main(verbosity=2)
