"""Webhooks, as their receiver sees them."""

import itertools
import threading

from suite.checks import equal, eventually, expect, matches, takes_a_minute
from suite.receiver import receiver
from suite.wire import main_wire

ALL = ["start", "output", "logs", "completed"]
TERMINAL = ("succeeded", "failed", "canceled", "aborted")


def row_091_body_is_that_of_get(site):
    wire = main_wire(site)
    with receiver() as hooks:
        made = wire.create(site.model("probe"), {"text": "hook", "lines": 2}, webhook=f"{hooks.url}/x?y=z",
                           webhook_events_filter=["completed"])
        last = hooks.last(made["id"])
        equal(last.json, wire.wait(made["id"]), "the body of the webhook, compared with GET")
        equal((last.json["webhook"], last.path), (f"{hooks.url}/x?y=z", "/x?y=z"), "webhook, and the path called")
        equal(last.headers["Content-Type"].split(";")[0], "application/json", "Content-Type")
        failed = wire.create(site.model("probe"), {"fail": "hook"}, webhook=hooks.url)
        equal(hooks.last(failed["id"]).json["error"], wire.wait(failed["id"])["error"], "the error in the webhook")


def row_092_filter(site):
    wire = main_wire(site)
    given = {"chunks": ["a", "b", "c"], "delay_ms": 700, "lines": 1}
    with receiver() as hooks:
        made = {events: wire.create(site.model("probe-stream"), given, webhook=f"{hooks.url}/{events}",
                                    webhook_events_filter=[events])["id"] for events in ("start", "logs", "completed")}
        made["default"] = wire.create(site.model("probe-stream"), given, webhook=hooks.url)["id"]
        for id in made.values():
            wire.wait(id)
        hooks.last(made["completed"])
        hooks.last(made["default"])
        seen = {name: [request.json["status"] for request in hooks.of(id)] for name, id in made.items()}
        equal(seen["completed"], ["succeeded"], "what `completed` alone brings")
        equal(len(seen["start"]), 1, f"the number of requests of `start` alone ({seen['start']})")
        expect(seen["start"][0] in ("starting", "processing"), f"`start` tells of {seen['start']}")
        expect(seen["logs"] and set(seen["logs"]) <= {"processing", "succeeded"}, f"`logs` alone brings {seen['logs']}")
        outputs = [len(request.json["output"] or []) for request in hooks.of(made["default"])]
        expect(len(outputs) >= 3 and outputs[0] >= 1, f"the default brings outputs of lengths {outputs}")
        equal((seen["default"][-1], outputs[-1]), ("succeeded", 3), "the last request of the default")


def row_092_throttle_and_order(site):
    wire = main_wire(site)
    with receiver() as hooks:
        made = wire.create(site.model("probe-stream"), {"chunks": [str(i) for i in range(60)], "delay_ms": 50},
                           webhook=hooks.url, webhook_events_filter=["output", "logs", "completed"])
        wire.wait(made["id"])
        hooks.last(made["id"])
        requests = hooks.of(made["id"])
    states = [request.json["status"] for request in requests]
    equal([state in TERMINAL for state in states], [False] * (len(states) - 1) + [True], f"the order of {states}")
    middle = [request for request in requests[:-1] if request.json["output"]]
    expect(len(middle) >= 3, f"only {len(middle)} requests with output came in 3 s")
    # Counted, since two that were sent 500 ms apart may arrive closer when the machine is busy.
    most = (requests[-1].at - requests[0].at) / 0.5 + 2
    expect(len(middle) <= most, f"{len(middle)} requests came in a time that allows {most:.1f}")
    lengths = [len(request.json["output"]) for request in middle]
    equal(lengths, sorted(lengths), "the growth of the output")


def row_092_refuses_what_is_no_filter(site):
    body = {"input": {}, "webhook": "https://example.com", "webhook_events_filter": ["finished"]}
    answer = main_wire(site).post(f"/v1/models/{site.owner}/probe/predictions", body)
    equal(answer.status, 422, "the answer to an unknown event")


@takes_a_minute
def row_093_completed_is_tried_for_a_minute(site):
    wire = main_wire(site)
    with receiver(lambda request: 500) as hooks:
        made = wire.create(site.model("probe"), {}, webhook=hooks.url, webhook_events_filter=["completed"])
        running = wire.create(site.model("probe-stream"), {"chunks": ["a", "b"], "delay_ms": 600},
                              webhook=hooks.url, webhook_events_filter=["start", "output", "logs"])

        def tried():
            return hooks.of(made["id"])
        eventually(lambda: len(tried()) >= 3 and tried()[-1].at - tried()[0].at > 45, 100,
                   "a last try about a minute later")
        tries, others = tried(), hooks.of(running["id"])
    equal(len({request.headers["webhook-id"] for request in tries}), 1, "the number of ids of one event")
    stamps = [int(request.headers["webhook-timestamp"]) for request in tries]
    expect(stamps == sorted(stamps) and stamps[-1] - stamps[0] > 40, f"the timestamps are {stamps}")
    gaps = [after.at - before.at for before, after in itertools.pairwise(tries)]
    expect(all(later > earlier for earlier, later in itertools.pairwise(gaps)), f"the pauses are {gaps}: no backoff")
    expect(tries[-1].at - tries[0].at < 75, "it was tried for more than about a minute")
    expect(others, "no intermediate event came at all")
    for request in (one for one in others if one.json["status"] not in TERMINAL):
        same = [one for one in others if one.headers["webhook-id"] == request.headers["webhook-id"]]
        equal(len(same), 1, f"how often an intermediate event came ({request.json['status']})")


def row_093_success_ends_the_tries(site):
    wire, count = main_wire(site), itertools.count()
    with receiver(lambda request: 500 if next(count) == 0 else 204) as hooks:
        made = wire.create(site.model("probe"), {}, webhook=hooks.url, webhook_events_filter=["completed"])
        eventually(lambda: len(hooks.of(made["id"])) == 2, 20, "the second try")
        first, second = hooks.of(made["id"])
        equal(second.headers["webhook-id"], first.headers["webhook-id"], "the id of the second try")
        equal(second.json, first.json, "its body")


def row_093_no_redirects(site):
    wire, redirected = main_wire(site), threading.Event()

    def answer(request):
        if request.path == "/elsewhere":
            redirected.set()
            return 200
        return 302, {"Location": "/elsewhere"}
    with receiver(answer) as hooks:
        made = wire.create(site.model("probe"), {}, webhook=f"{hooks.url}/hook", webhook_events_filter=["completed"])
        eventually(lambda: len(hooks.of(made["id"])) >= 2, 20, "a second try, because a redirect is no success")
        expect(not redirected.is_set(), "the redirect was followed")


def row_094_trainings(site):
    wire = main_wire(site)
    path = f"/v1/models/{site.owner}/probe-trainer/versions/{site.versions['probe-trainer']}/trainings"
    with receiver() as hooks:
        made = wire.ok("POST", path, {"destination": site.model("trained"), "input": {}, "webhook": hooks.url,
                                      "webhook_events_filter": ["start", "completed"]}, status=201)
        last = hooks.last(made["id"], 90)
        expect(last.json["status"] in TERMINAL, "no end")
        equal(last.json, wire.ok("GET", f"/v1/trainings/{made['id']}"), "the body, compared with GET")
        matches(last.headers["webhook-signature"], r"v1,[A-Za-z0-9+/]{43}=", "the signature")
