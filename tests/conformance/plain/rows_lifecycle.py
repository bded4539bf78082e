"""From creation to the end: deadlines, cancels, limits, order, retention."""

from suite import operator
from suite.checks import contains, equal, eventually, expect, takes_a_minute
from suite.wire import TERMINAL, main_wire, strict_wire

RANK = {"starting": 0, "processing": 1}


def row_044_deadline_before_start(site):
    """In an account of its own: Python clients cannot read lists with `aborted` in them."""
    wire = main_wire(site).with_token(operator.create_account(site, site.unique("impatient")))
    made = wire.create(site.model("asleep"), {}, {"Cancel-After": "5s"})
    expect(made["deadline"], "no deadline")
    done = wire.wait(made["id"], limit=25)
    equal(done["status"], "aborted", "the status")
    equal((done["error"], done["output"], done["deadline"]), (None, None, made["deadline"]), "error, output, deadline")
    expect(not done.get("started_at"), "it was started")


def row_044_deadline_after_start(site):
    wire = main_wire(site)
    made = wire.create(site.model("probe"), {"delay_ms": 60_000}, {"Cancel-After": "5"})
    wire.wait(made["id"], ("processing",))
    done = wire.wait(made["id"], limit=25)
    equal((done["status"], done["deadline"], done["error"]), ("canceled", made["deadline"], None), "the end")


def row_045_cancel_running(site):
    wire = main_wire(site)
    name = site.unique("cancel")
    path = f"/v1/deployments/{site.owner}/{name}"
    wire.ok("POST", "/v1/deployments", {"name": name, "model": site.model("stream-text"), "hardware": "cpu",
                                        "version": site.versions["stream-text"], "min_instances": 0, "max_instances": 1})
    made = wire.ok("POST", f"{path}/predictions", {"input": {"text": "x " * 3000, "delay_ms": 100}})
    wire.wait(made["id"], ("processing",))
    canceled = wire.cancel(made["id"])
    equal((canceled["status"], canceled["error"]), ("canceled", None), "status and error")
    expect({"input", "urls", "metrics", "completed_at", "started_at", "logs"} <= set(canceled), f"body: {sorted(canceled)}")
    # The only slot is free again, so the work has stopped: the next one does not wait for five minutes.
    after = wire.ok("POST", f"{path}/predictions", {"input": {"text": "next"}}, {"Prefer": "wait"})
    equal(after["status"], "succeeded", "the prediction after it")
    wire.ok("PATCH", path, {"min_instances": 0, "max_instances": 0})


def row_046_cancel_queued(site):
    wire = main_wire(site)
    made = wire.create(site.model("asleep"), {})
    equal(wire.prediction(made["id"])["status"], "starting", "the status before")
    canceled = wire.cancel(made["id"])
    equal(canceled["status"], "canceled", "the status")
    expect(not canceled.get("started_at"), "it was started")
    equal(wire.prediction(made["id"])["status"], "canceled", "the status afterwards")


def row_047_cancel_at_the_end(site):
    wire = main_wire(site)
    for given in ({"text": "done"}, {"fail": "broken"}):
        done = wire.run(site.model("probe"), given)
        equal(wire.cancel(done["id"]), done, f"the object of a prediction that {done['status']}")
        equal(wire.prediction(done["id"]), done, "and when read again")


def row_048_run_limit(site):
    wire = strict_wire(site)
    done = wire.run(site.model("probe"), {"delay_ms": 120_000})
    equal(done["status"], "failed", "the status of one that runs too long")
    expect(isinstance(done["error"], str) and done["error"], f"error is {done['error']!r}")
    expect(done["metrics"]["predict_time"] >= site["run_limit_s"] - 0.5, f"it ended early: {done['metrics']}")


@takes_a_minute
def row_048_setup_limit(site):
    done = strict_wire(site).wait(strict_wire(site).create(site.model("asleep"), {})["id"], limit=120)
    equal(done["status"], "failed", "the status when the setup takes too long")
    contains(done["error"].lower(), "setup", "the error")


@takes_a_minute
def row_048_setup_failure(site):
    done = strict_wire(site).wait(strict_wire(site).create(site.model("broken"), {})["id"], limit=120)
    equal(done["status"], "failed", "the status when the setup fails")
    contains(done["error"], "the weights are missing", "the error")


def row_049_never_backwards(site):
    wire = main_wire(site)
    chunks = [f"{i} " for i in range(25)]
    made = wire.create(site.model("probe-stream"), {"chunks": chunks, "delay_ms": 40})
    rank, output, body = 0, [], made
    while body["status"] not in TERMINAL:
        body = wire.prediction(made["id"])
        now = RANK.get(body["status"], 2)
        expect(now >= rank, f"the status went back to {body['status']}")
        got = body["output"] or []
        equal(got[:len(output)], output, "the output that was there before")
        rank, output = now, got
    equal((body["status"], output), ("succeeded", chunks), "the end")


@takes_a_minute
def row_051_content_goes(site):
    name = site.unique("forgetful")
    wire = main_wire(site).with_token(operator.create_account(site, name))
    operator.set_retention(site, name)
    done = wire.run(site.model("probe"), {"text": "to be forgotten", "with_files": True, "lines": 3})
    equal((done["status"], done["data_removed"]), ("succeeded", False), "the end")
    url = done["output"]["nested"]["one"]
    equal(wire.get(url).status, 200, "the file before")
    operator.let_retention_pass(site, name)

    def removed():
        body = wire.prediction(done["id"])
        return body if body["data_removed"] else None
    after = eventually(removed, 90, "the removal of its data")
    equal((after["output"], after["input"], after["logs"], after["status"]), (None, {}, "", "succeeded"),
          "output, input, logs, status")
    eventually(lambda: wire.get(url).status == 404, 30, "the removal of its file")
    contains([one["id"] for one in wire.ok("GET", "/v1/predictions")["results"]], done["id"], "the list")
