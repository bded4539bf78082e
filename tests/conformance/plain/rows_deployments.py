"""Deployments."""

import json
import time

from suite import operator
from suite.checks import contains, equal, eventually, expect, matches
from suite.receiver import receiver
from suite.wire import main_wire
from rows_catalog import new_model, push


def deploy(site, name, model="probe", low=0, high=1, version=None):
    main_wire(site).ok("POST", "/v1/deployments", {
        "name": name, "model": site.model(model), "version": version or site.versions[model], "hardware": "cpu",
        "min_instances": low, "max_instances": high}, status=200)
    return f"/v1/deployments/{site.owner}/{name}"


def stop(site, path):
    main_wire(site).ok("PATCH", path, {"min_instances": 0, "max_instances": 0})


def row_075_bounds(site):
    wire, name = main_wire(site), site.unique("bounds")
    good = {"name": name, "model": site.model("probe"), "version": site.versions["probe"], "hardware": "cpu",
            "min_instances": 0, "max_instances": 1}
    for change in ({"min_instances": -1}, {"min_instances": 6, "max_instances": 10}, {"max_instances": 21},
                   {"max_instances": -1}, {"min_instances": 2, "max_instances": 1}, {"hardware": "gpu-none"},
                   {"version": "0" * 64}, {"version": site.versions["hello"]}, {"model": site.model("nothing")},
                   {"min_instances": "1"}, {"name": "Not A Name"}):
        answer = wire.post("/v1/deployments", {**good, **change})
        equal(answer.status, 400, f"the answer to {change}")
        contains([error["pointer"] for error in answer.json["errors"]],
                 "/version" if "model" in change else "/" + next(iter(change)), f"the pointers of errors for {change}")
    for key in good:
        answer = wire.post("/v1/deployments", {k: v for k, v in good.items() if k != key})
        equal(answer.status, 400, f"the answer without {key}")
    path = deploy(site, name, low=0, high=20)
    for change in ({"min_instances": 6}, {"max_instances": 21}, {"hardware": "gpu-none"}, {"version": "0" * 64}):
        equal(wire.send("PATCH", path, change).status, 400, f"the answer to PATCH {change}")
    equal(wire.ok("GET", path)["current_release"]["number"], 1, "the release after refused changes")
    stop(site, path)


def row_079_stopped(site):
    wire = main_wire(site)
    path = deploy(site, site.unique("stopped"))
    running = wire.ok("POST", f"{path}/predictions", {"input": {"delay_ms": 120_000}})
    wire.wait(running["id"], ("processing",))
    stop(site, path)
    equal(wire.wait(running["id"], limit=30)["status"], "canceled", "the status of what ran")
    answer = wire.post(f"{path}/predictions", {"input": {}})
    expect(400 <= answer.status < 500, f"a new prediction is not refused: {answer!r}")
    expect(answer.json["detail"], "a refusal without a reason")
    wire.ok("PATCH", path, {"max_instances": 1})
    equal(wire.ok("POST", f"{path}/predictions", {"input": {}}, {"Prefer": "wait"})["status"], "succeeded",
          "the status after it was switched on again")
    stop(site, path)


def row_080_scaling(site):
    wire, name = main_wire(site), site.unique("scaled")
    new_model(site, name)
    version = push(site, name, "value", STAMP=name, COG_MAX_CONCURRENCY="1", slots=1)

    def instances(*states):
        listed = json.loads(operator.mimeo(site, "instances", "--json"))
        mine = [one for one in listed if version.startswith(one["version"])]
        return len([one for one in mine if not states or one["state"].lower() in states])
    path = deploy(site, name, name, 1, 2, version)
    eventually(lambda: instances("ready") == 1, 60, "the warm instance that nobody asked for")
    wire.ok("PATCH", path, {"min_instances": 0})
    made = [wire.ok("POST", f"{path}/predictions", {"input": {"delay_ms": 700}}) for _ in range(12)]
    eventually(lambda: instances("ready", "busy") == 2, 60, "a second instance under load")
    for one in made:
        equal(wire.wait(one["id"], limit=90)["status"], "succeeded", "the end of a prediction under load")
    eventually(lambda: instances("ready", "busy", "starting", "pulling") == 0, 60, "scale to zero")
    start = time.monotonic()
    again = wire.ok("POST", f"{path}/predictions", {"input": {}}, {"Prefer": "wait"})
    equal(again["status"], "succeeded", f"the prediction that wakes it, after {time.monotonic() - start:.1f} s")
    stop(site, path)


def row_081_all_options(site):
    wire, name = main_wire(site), site.unique("options")
    path = deploy(site, name)
    with receiver() as hooks:
        answer = wire.post(f"{path}/predictions", {"input": {"text": "d"}, "webhook": f"{hooks.url}/hook?a=b",
                                                   "webhook_events_filter": ["completed"]},
                           {"Prefer": "wait=30", "Cancel-After": "5m"})
        made = answer.json
        told = hooks.last(made["id"])
    equal((answer.status, made["status"], made["output"]["text"]), (201, "succeeded", "d"), "the answer")
    equal(made["deployment"], f"{site.owner}/{name}", "deployment")
    equal((made["model"], made["version"]), (site.model("probe"), site.versions["probe"]), "model and version")
    matches(answer.headers["Preference-Applied"], "wait=30", "Preference-Applied")
    expect(made["deadline"], "no deadline")
    equal((told.path, told.json["deployment"]), ("/hook?a=b", f"{site.owner}/{name}"), "the webhook")
    stop(site, path)
