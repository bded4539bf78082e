"""Creating predictions, and what every prediction looks like."""

import datetime
import socket
import ssl
import time

from suite import operator
from suite.checks import equal, eventually, expect, matches, timed
from suite.wire import TERMINAL, main_wire

REQUIRED = {"id", "model", "version", "input", "output", "data_removed", "error", "status", "created_at", "urls"}
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z"


def moment(text):
    matches(text, TIME, "a time")
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def _complete(body, where):
    expect(REQUIRED <= set(body), f"{where} lacks {sorted(REQUIRED - set(body))}")
    expect({"get", "cancel", "web"} <= set(body["urls"]), f"urls of {where}: {body['urls']}")


def row_025_required_fields(site):
    wire = main_wire(site)
    made = wire.create(site.model("probe"), {"delay_ms": 10_000})
    _complete(made, "an async create")
    _complete(wire.prediction(made["id"]), "GET while it runs")
    _complete(wire.cancel(made["id"]), "cancel")
    _complete(wire.prediction(made["id"]), "GET after a cancel")
    _complete(wire.run(site.model("probe"), {"text": "x"}), "a sync create")
    _complete(wire.run(site.model("probe"), {"fail": "x"}), "a failed one")
    for body in wire.ok("GET", "/v1/predictions")["results"]:
        _complete(body, "a list's item")


def row_026_ids(site):
    wire = main_wire(site)
    ids = [wire.create(site.model("hello"), {"text": "id"})["id"] for _ in range(10)]
    training = wire.ok("POST", f"/v1/models/{site.owner}/probe-trainer/versions/{site.versions['probe-trainer']}"
                       "/trainings", {"destination": site.model("trained"), "input": {"delay_ms": 60_000}})
    wire.ok("POST", f"/v1/trainings/{training['id']}/cancel")
    ids.append(training["id"])
    for one in ids:
        matches(one, "[0-9a-z]{26}", "an id")
    equal(len(set(ids)), len(ids), "the number of different ids")


def row_030_input_is_echoed(site):
    given = {"text": "später ☃ \n\"'\\", "unknown": [1, 2.5, None, {"deep": True}], "count": 2, "alpha": "first"}
    made = main_wire(site).create(site.model("probe"), given)
    equal(made["input"], given, "the input of the create")
    equal(main_wire(site).wait(made["id"])["input"], given, "the input at the end")
    equal(main_wire(site).run(site.model("probe"), {})["input"], {}, "an empty input: no defaults")


def row_031_timestamps(site):
    done = main_wire(site).run(site.model("probe"), {"delay_ms": 20})
    created, started, completed = (moment(done[key]) for key in ("created_at", "started_at", "completed_at"))
    expect(created <= started <= completed, f"the order of {created}, {started}, {completed}")


def _metrics_fit(body):
    """predict_time and total_time are the differences of the times that are shown."""
    created, completed = moment(body["created_at"]), moment(body["completed_at"])
    total = body["metrics"]["total_time"]
    expect(abs(total - (completed - created).total_seconds()) < 1e-5, f"total_time of {body}")
    if body.get("started_at"):
        predicted = (completed - moment(body["started_at"])).total_seconds()
        expect(abs(body["metrics"]["predict_time"] - predicted) < 1e-5, f"predict_time of {body}")


def row_032_times_at_every_end(site):
    wire = main_wire(site)
    succeeded = wire.run(site.model("probe"), {"delay_ms": 30})
    failed = wire.run(site.model("probe"), {"fail": "x"})
    running = wire.create(site.model("probe"), {"delay_ms": 60_000})
    wire.wait(running["id"], ("processing",))
    wire.cancel(running["id"])
    queued = wire.create(site.model("asleep"), {})
    wire.cancel(queued["id"])
    ends = [succeeded, failed, wire.prediction(running["id"]), wire.prediction(queued["id"])]
    equal([one["status"] for one in ends], ["succeeded", "failed", "canceled", "canceled"], "the ends")
    for one in ends:
        _metrics_fit(one)
    expect(succeeded["metrics"]["predict_time"] >= 0.03, "predict_time is shorter than the work")


def row_033_metrics_of_the_model(site):
    answer = main_wire(site).post(f"/v1/models/{site.owner}/probe/predictions", {"input": {}}, {"Prefer": "wait"})
    metrics = answer.json["metrics"]
    equal((metrics["input_token_count"], metrics["output_token_count"], metrics["tokens_per_second"]), (3, 5, 2.5),
          "the metrics of the model")
    for name in ("input_token_count", "output_token_count"):
        expect(isinstance(metrics[name], int), f"{name} is no integer: {metrics[name]!r}")
    expect({"predict_time", "total_time"} <= set(metrics), f"metrics are {metrics}")


def row_034_forms_of_version(site):
    wire = main_wire(site)
    for version in (site.versions["hello"], site.ref("hello"), site.model("hello")):
        made = wire.ok("POST", "/v1/predictions", {"version": version, "input": {"text": "v"}}, {"Prefer": "wait"}, 201)
        equal((made["version"], made["output"]), (site.versions["hello"], "Hello v!"), f"the answer to {version}")


def row_035_async_create(site):
    wire = main_wire(site)
    for path, more in (("/v1/predictions", {"version": site.versions["probe"]}),
                       (f"/v1/models/{site.owner}/probe/predictions", {})):
        made = wire.ok("POST", path, {"input": {"delay_ms": 200}, **more}, status=201)
        equal((made["status"], made["output"], made["logs"], made["error"]), ("starting", None, "", None), f"POST {path}")


def row_036_location(site):
    wire = main_wire(site)
    for headers in ({}, {"Prefer": "wait"}, {"Prefer": "wait=1"}):
        answer = wire.post(f"/v1/models/{site.owner}/hello/predictions", {"input": {"text": "x"}}, headers)
        equal(answer.headers["Location"], answer.json["urls"]["get"], f"Location with {headers}")


def row_037_sync_wait_finished(site):
    answer = main_wire(site).post(f"/v1/models/{site.owner}/hello/predictions", {"input": {"text": "s"}},
                                  {"Prefer": "wait"})
    equal((answer.status, answer.json["status"], answer.json["output"]), (201, "succeeded", "Hello s!"), "the answer")


def row_038_wait_expired(site):
    wire = main_wire(site)
    wire.run(site.model("probe"), {})  # An instance runs: the next one starts at once.
    answer = wire.post(f"/v1/models/{site.owner}/probe/predictions", {"input": {"delay_ms": 60_000}},
                       {"Prefer": "wait=1"})
    equal((answer.status, answer.json["status"]), (202, "starting"), "status and state when time is up")
    equal(wire.wait(answer.json["id"], ("processing", *TERMINAL))["status"], "processing", "its true status")
    wire.cancel(answer.json["id"])


def row_040_preference_applied(site):
    wire = main_wire(site)
    for given, applied in (("wait", "wait"), ("wait=10", "wait=10"), ("wait=100", "wait=60"), ("respond-async", None),
                           (None, None)):
        answer = wire.post(f"/v1/models/{site.owner}/hello/predictions", {"input": {"text": "x"}}, {"Prefer": given})
        equal(answer.status, 201, f"the status with Prefer: {given}")
        equal(answer.headers["Preference-Applied"], applied, f"Preference-Applied of {given}")


def row_041_disconnect(site):
    wire = main_wire(site).with_token(operator.create_account(site, site.unique("leaver")))
    body = b'{"input": {"delay_ms": 1500, "text": "left"}}'
    head = (f"POST /v1/models/{site.owner}/probe/predictions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {wire.token}\r\n"
            f"Prefer: wait\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n").encode()
    with socket.create_connection((wire.url.hostname, wire.url.port)) as plain:
        context = ssl.create_default_context(cafile=site["authority"])
        with context.wrap_socket(plain, server_hostname=wire.url.hostname) as connection:
            connection.sendall(head + body)
            made = eventually(lambda: wire.ok("GET", "/v1/predictions")["results"], 30, "the prediction")[0]
            expect(made["status"] not in TERMINAL, f"it was over before the client left: {made}")
    equal(wire.wait(made["id"])["status"], "succeeded", "the end of it")


def row_043_deadline_forms(site):
    wire = main_wire(site)
    for text, seconds in (("30", 30), ("30s", 30), ("5m", 300), ("2h30m", 9000), ("1h30m45s", 5445), ("5", 5),
                          ("24h", 86_400)):
        made = wire.ok("POST", f"/v1/models/{site.owner}/probe/predictions", {"input": {}}, {"Cancel-After": text}, 201)
        got = (moment(made["deadline"]) - moment(made["created_at"])).total_seconds()
        equal(got, seconds, f"the deadline of Cancel-After: {text}")
    for text in ("4", "4s", "24h1s", "86401", "soon", "-5", "1d", "5m2h", "1.5m", "s"):
        answer = wire.post(f"/v1/models/{site.owner}/probe/predictions", {"input": {}}, {"Cancel-After": text})
        expect(400 <= answer.status < 500, f"Cancel-After: {text} gives {answer!r}")
        expect(answer.json["detail"], "a refusal without a reason")
    expect("deadline" not in wire.create(site.model("probe"), {}), "deadline without Cancel-After")


def row_057_versionless(site):
    made = main_wire(site).run(site.model("hello"), {"text": "latest"})
    equal((made["version"], made["output"]), (site.versions["hello"], "Hello latest!"), "version and output")


@timed
def row_039_answers_in_time(site):
    wire = main_wire(site)
    wire.run(site.model("probe"), {})
    for seconds in (1, 3):
        start = time.monotonic()
        answer = wire.post(f"/v1/models/{site.owner}/probe/predictions", {"input": {"delay_ms": 60_000}},
                           {"Prefer": f"wait={seconds}"})
        took = time.monotonic() - start
        expect(seconds - 0.1 <= took < seconds + 0.5, f"wait={seconds} took {took:.2f} s")
        wire.cancel(answer.json["id"])
