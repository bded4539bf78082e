"""Event streams and webhooks."""

import json
import time

import httpx
import replicate
from replicate.stream import EventSource, ServerSentEvent
from replicate.webhook import InvalidSignatureError, Webhooks, WebhookSigningSecret
from suite.checks import contains, equal, expect, matches, raises, takes_a_minute
from suite.receiver import receiver

CHUNKS = ["Once", " upon", "\n", " a\ntime\n\n", "", "  two blanks", "☃ and 🦙", "end "]
EventType = ServerSentEvent.EventType


def _events(made):
    """The events of a prediction, as the client decodes them."""
    with replicate.default_client._client.stream(  # pylint: disable=protected-access
            "GET", made.urls["stream"], headers={"Accept": "text/event-stream", "Cache-Control": "no-store"},
            timeout=httpx.Timeout(30)) as response:
        expect(response.headers["content-type"].startswith("text/event-stream"), f"headers are {response.headers}")
        yield from EventSource(replicate.default_client, response)


def _create(site, given):
    return replicate.predictions.create(version=site.versions["probe-stream"], input=given)


def row_096_events(site):
    events = list(_events(_create(site, {"chunks": ["a", "b"]})))
    equal([event.event for event in events], [EventType.OUTPUT, EventType.OUTPUT, EventType.DONE], "the events")
    equal(events[-1].data, "{}", "the data of done")
    ids = [event.id for event in events]
    equal(len(set(ids)), len(ids), "the number of different ids")
    for one in ids:
        matches(one, r"\d+:\d+", "an id")


def row_096_failure(site):
    """The client raises at an error event, with its data."""
    error = raises(RuntimeError, list, _events(_create(site, {"chunks": ["a"], "fail": "it broke"})))
    contains(json.loads(str(error))["detail"], "it broke", "detail of the error event")


def row_096_cancel(site):
    running = _create(site, {"chunks": ["a"] * 1000, "delay_ms": 100})
    events = []
    for event in _events(running):
        events.append(event)
        if len(events) == 1:
            running.cancel()
    equal((events[-1].event, json.loads(events[-1].data)), (EventType.DONE, {"reason": "canceled"}), "the last event")


def row_097_chunks_survive(site):
    events = list(replicate.stream(site.model("probe-stream"), input={"chunks": CHUNKS, "delay_ms": 5}))
    equal("".join(str(event) for event in events), "".join(CHUNKS), "the text")
    equal([event.data for event in events if event.event == EventType.OUTPUT], CHUNKS, "the chunks")


@takes_a_minute
def row_099_cold_boot(site):
    """The client gives up after 30 s without a byte."""
    start = time.monotonic()
    events = list(replicate.stream(site.model("slow-start"), input={"chunks": ["awake"]}))
    took = time.monotonic() - start
    equal("".join(str(event) for event in events), "awake", "the text")
    expect(took > 60, f"the boot took only {took:.0f} s: it shows nothing")


def row_089_secret(site):
    secret = replicate.webhooks.default.secret()
    matches(secret.key, r"whsec_[A-Za-z0-9+/]{32}", "the secret")
    equal(replicate.webhooks.default.secret().key, secret.key, "the secret, asked again")


def row_090_signature(site):
    vector = {"webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp": "1614265330",
              "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="}
    known = WebhookSigningSecret(key="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    Webhooks.validate(headers=vector, body='{"test": 2432232314}', secret=known)
    secret = replicate.webhooks.default.secret()
    with receiver() as hooks:
        made = replicate.predictions.create(version=site.versions["hello"], input={"text": "später ☃"}, webhook=hooks.url)
        request = hooks.last(made.id)
    headers = dict(request.headers.items())
    matches(request.headers["webhook-id"], r"msg_\w+", "webhook-id")
    Webhooks.validate(headers=headers, body=request.body.decode(), secret=secret, tolerance=60)
    raises(InvalidSignatureError, Webhooks.validate, headers=headers, body=request.body.decode() + " ", secret=secret)
    raises(InvalidSignatureError, Webhooks.validate, headers=headers, body=request.body.decode(), secret=known)


def row_095_stream_url(site):
    made = _create(site, {"chunks": ["x"]})
    matches(made.urls["stream"], r"https://\S+/v1/streams/\w+", "urls.stream")
    with httpx.stream("GET", made.urls["stream"], headers={"Accept": "text/event-stream"}, timeout=30) as response:
        equal(response.status_code, 200, "the status of the stream without a token")


def row_101_streamed_text_is_the_output(site):
    made = _create(site, {"chunks": CHUNKS})
    streamed = "".join(event.data for event in _events(made) if event.event == EventType.OUTPUT)
    made.wait()
    equal(streamed, "".join(made.output), "the streamed text")
