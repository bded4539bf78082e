"""Trainings."""

from suite.checks import contains, equal, expect
from suite.wire import main_wire


def _train(site, given=None, **more):
    path = f"/v1/models/{site.owner}/probe-trainer/versions/{site.versions['probe-trainer']}/trainings"
    return main_wire(site).ok("POST", path, {"destination": site.model("trained"), "input": given or {}, **more},
                              status=201)


def row_071_both_paths(site):
    wire = main_wire(site)
    made = _train(site, {"delay_ms": 60_000})
    for path in ("trainings", "predictions"):
        got = wire.ok("GET", f"/v1/{path}/{made['id']}")
        equal((got["id"], got["model"]), (made["id"], site.model("probe-trainer")), f"what /{path} answers")
    equal(wire.ok("GET", made["urls"]["get"])["id"], made["id"], "what urls.get answers")
    canceled = wire.ok("POST", f"/v1/trainings/{made['id']}/cancel")
    equal((canceled["id"], canceled["status"]), (made["id"], "canceled"), "cancel under /trainings")
    other = _train(site, {"delay_ms": 60_000})
    equal(wire.ok("POST", f"/v1/predictions/{other['id']}/cancel")["status"], "canceled", "cancel under /predictions")
    listed = [one["id"] for one in wire.ok("GET", "/v1/trainings")["results"]]
    contains(listed, made["id"], "the list of trainings")
    prediction = wire.run(site.model("probe"), {})
    equal(wire.get(f"/v1/trainings/{prediction['id']}").status, 404, "a prediction under /trainings")
    expect(made["id"] not in [one["id"] for one in wire.ok("GET", "/v1/predictions")["results"]],
           "a training is listed among the predictions")
