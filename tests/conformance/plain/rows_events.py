"""Event streams, read byte by byte."""

import re

from suite.checks import equal, expect, matches
from suite.wire import main_wire, read_events

PUBLIC = {"Authorization": None, "Accept": "text/event-stream"}
CHUNKS = ["Once", " upon", "\n", " a\ntime\n\n", "", "  two blanks", "☃ and 🦙", "end "]


def _events(wire, url, headers=None):
    with wire.open(url, {**PUBLIC, **(headers or {})}) as response:
        equal(response.status, 200, "the status of the stream")
        equal(response.headers.get_content_type(), "text/event-stream", "its type")
        return list(read_events(response))


def row_100_late_connect_replays(site):
    wire = main_wire(site)
    done = wire.run(site.model("probe-stream"), {"chunks": CHUNKS})
    first = _events(wire, done["urls"]["stream"])
    equal([data for event, _, data in first if event == "output"], CHUNKS, "the outputs, after the end")
    equal([event for event, _, _ in first][-1], "done", "the last event")


def row_100_resumes(site):
    wire = main_wire(site)
    made = wire.create(site.model("probe-stream"), {"chunks": CHUNKS, "delay_ms": 30})
    url = made["urls"]["stream"]
    with wire.open(url, PUBLIC) as response:
        begun = [next(events) for events in [read_events(response)] for _ in range(3)]
    rest = _events(wire, url, {"Last-Event-ID": begun[-1][1]})
    outputs = [data for event, _, data in begun + rest if event == "output"]
    equal(outputs, CHUNKS, "the outputs of both connections")
    ids = [identity for _, identity, _ in begun + rest]
    equal(len(set(ids)), len(ids), "the number of ids without repetition")
    for identity in ids:
        matches(identity, r"\d+:\d+", "an id")


def row_101_outputs_are_the_output(site):
    wire = main_wire(site)
    made = wire.create(site.model("probe-stream"), {"chunks": CHUNKS, "delay_ms": 10})
    events = _events(wire, made["urls"]["stream"])
    streamed = "".join(data for event, _, data in events if event == "output")
    done = wire.wait(made["id"])
    equal(streamed, "".join(done["output"]), "the streamed text")
    equal(done["output"], CHUNKS, "the final output")


def row_096_wire_format(site):
    """No carriage returns, one blank after the colon, an id in every event, keep-alives without a blank line."""
    wire = main_wire(site)
    made = wire.create(site.model("probe-stream"), {"chunks": CHUNKS, "delay_ms": 5})
    with wire.open(made["urls"]["stream"], PUBLIC) as response:
        raw = response.read().decode()
    expect("\r" not in raw, "there are carriage returns")
    for block in filter(None, raw.split("\n\n")):
        lines = [line for line in block.splitlines() if not line.startswith(":")]
        if not lines:
            continue
        expect(any(line.startswith("id: ") for line in lines), f"an event without an id: {block!r}")
        for line in lines:
            expect(re.match(r"(event|id|data): ", line), f"a line of the stream is {line!r}")
