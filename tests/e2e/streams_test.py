"""Event streams as a client sees them: late, interrupted, and across the death of the parts behind them."""

import http.client
import os
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from mimeo_testing import InstallationTest, eventually, json  # noqa: E402

WORDS = "".join(f"w{i} " for i in range(60))


class Reader:
    """One connection to a stream; yields (event, id, data) with the lines of data joined."""

    def __init__(self, url, last_id=None):
        host, _, path = url.partition("://")[2].partition("/")
        self.connection = http.client.HTTPConnection(host, timeout=30)
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": last_id} if last_id else {})}
        self.connection.request("GET", f"/{path}", headers=headers)
        self.answer = self.connection.getresponse()

    def __iter__(self):
        fields = {}
        while True:
            line = self.answer.readline()
            if not line:
                return
            line = line.decode().rstrip("\n")
            if line.startswith(":"):
                continue
            if line:
                name, _, value = line.partition(": ")
                fields.setdefault(name, []).append(value)
            elif fields:
                yield fields["event"][0], fields["id"][0], "\n".join(fields["data"])
                fields = {}

    def close(self):
        self.connection.close()


class Streams(InstallationTest):
    def start(self, delay_ms=50, text=WORDS):
        body = self.create(f"/v1/models/{self.owner}/stream-text/predictions", {"text": text, "delay_ms": delay_ms})
        return body["id"], body["urls"]["stream"]

    def open(self, url, last_id=None):
        reader = Reader(url, last_id)
        self.addCleanup(reader.close)
        return reader

    def read(self, url, last_id=None, stop_after=None):
        """The events, up to `stop_after` of them; whatever cuts the connection ends it quietly."""
        events, reader = [], self.open(url, last_id)
        self.assertEqual(reader.answer.status, 200)
        try:
            for event in reader:
                events.append(event)
                if len(events) == stop_after:
                    break
        except (OSError, http.client.HTTPException):
            pass
        return events

    def assert_whole(self, events, text=WORDS):
        self.assertEqual("".join(data for name, _, data in events if name == "output"), text)
        numbers = [int(event_id.partition(":")[2]) for _, event_id, _ in events]
        self.assertEqual(numbers, list(range(len(numbers))), "each event once, in order")
        self.assertEqual(events[-1][0::2], ("done", "{}"))

    def test_a_late_reader_gets_everything_from_the_first_event(self):
        prediction, url = self.start(delay_ms=5)
        self.wait_terminal([prediction])
        self.assert_whole(self.read(url))

    def test_done_comes_after_the_commit(self):
        prediction, url = self.start(delay_ms=2)
        for name, _, _ in self.open(url):
            if name == "done":
                self.assertEqual(self.get(prediction)["status"], "succeeded")

    def test_a_reader_goes_on_behind_the_event_that_it_names(self):
        _, url = self.start(delay_ms=10)
        first = self.read(url, stop_after=7)
        second = self.read(url, last_id=first[-1][1], stop_after=5)
        self.assert_whole(first + second + self.read(url, last_id=second[-1][1]))

    def interrupted(self, fault):
        """Events before and after `fault`, which happens in the midst of the stream."""
        prediction, url = self.start()
        reader = self.open(url)
        before = []
        try:
            for event in reader:
                before.append(event)
                if len(before) == 10:
                    fault()
        except (OSError, http.client.HTTPException):
            pass
        self.assertGreaterEqual(len(before), 10)
        if before[-1][0] == "done":
            return prediction, url, before
        return prediction, url, before + self.read(url, last_id=before[-1][1])

    def test_goes_on_exactly_after_the_control_plane_was_killed(self):
        def fault():
            self.stack.control_plane.process.kill()
            self.stack.control_plane.start()
        prediction, url, events = self.interrupted(fault)
        self.assert_whole(events)
        self.assert_whole(self.read(url))
        self.assertEqual("".join(self.get(prediction)["output"]), WORDS)

    def test_goes_on_exactly_after_the_control_plane_was_restarted_in_good_order(self):
        def fault():
            self.stack.control_plane.stop()
            self.stack.control_plane.start()
        self.assert_whole(self.interrupted(fault)[2])

    def test_goes_on_while_the_worker_dies_and_comes_back(self):
        def fault():
            self.stack.worker.process.kill()
            self.stack.worker.start()
        self.assert_whole(self.interrupted(fault)[2])

    def test_a_reader_that_waits_in_the_queue_sees_the_start_of_the_output(self):
        path = self.deploy(f"streams-{os.getpid()}", "stream-text", 0, 1)
        body = self.create(f"{path}/predictions", {"text": "one two", "delay_ms": 1})
        self.assert_whole(self.read(body["urls"]["stream"]), "one two")

    def test_a_canceled_prediction_says_so(self):
        prediction, url = self.start(delay_ms=100)
        reader = iter(self.open(url))
        next(reader)
        self.api.call("POST", f"/v1/predictions/{prediction}/cancel")
        rest = list(reader)
        self.assertEqual((rest[-1][0], json.loads(rest[-1][2])), ("done", {"reason": "canceled"}))

    def test_another_token_opens_nothing(self):
        _, url = self.start(delay_ms=1, text="x")
        wrong = url[:-1] + ("a" if url[-1] != "a" else "b")
        self.assertEqual(self.open(wrong).answer.status, 404)
        eventually(lambda: self.open(url).answer.status == 200, what="the right one opens it")


if __name__ == "__main__":
    unittest.main(verbosity=2)
