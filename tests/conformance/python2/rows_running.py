"""Running models with run() and use(), and predictions."""

import datetime
import time

import replicate
from replicate import Replicate
from suite import operator
from suite.checks import contains, equal, eventually, expect, takes_a_minute, timed
from suite.images import Registry


def client_of(site, base=None):
    return Replicate(bearer_token=site["token"], base_url=base or site["url"] + "/v1")


def _running(client, site, **given):
    made = client.predictions.create(version=site.versions["probe"], input={"delay_ms": 120_000, **given})

    def started():
        return client.predictions.get(prediction_id=made.id).status == "processing"
    eventually(started, 30, "its start")
    return made


def row_001_every_form_of_the_base_url(site):
    for base in (site["url"], site["url"] + "/", site["url"] + "/v1", site["url"] + "/v1/"):
        client = client_of(site, base)
        equal(client.run(site.model("hello"), input={"text": base}), f"Hello {base}!", f"the output with {base}")
        equal(client.account.get().username, site.owner, "the account")


def row_003_bodies_that_are_empty(site):
    client = client_of(site)
    equal(client.account.get().username, site.owner, "GET")
    made = _running(client, site)
    equal(client.predictions.cancel(prediction_id=made.id).status, "canceled", "POST cancel without a body")


def row_031_timestamps(site):
    done = client_of(site).predictions.create(version=site.versions["hello"], input={"text": "t"}, prefer="wait")
    created = datetime.datetime.fromisoformat(str(done.created_at).replace("Z", "+00:00"))
    started, completed = done.started_at, done.completed_at
    for one in (started, completed):
        expect(isinstance(one, datetime.datetime) and one.tzinfo, f"a time is {one!r}")
    expect(created <= started <= completed, f"the order of {created}, {started}, {completed}")


def row_035_create_wait_get_list(site):
    client = client_of(site)
    made = client.predictions.create(version=site.versions["hello"], input={"text": "a"})
    equal(made.status, "starting", "the status of an async create")
    equal(client.predictions.wait(made.id).output, "Hello a!", "the output")
    equal(client.predictions.get(prediction_id=made.id).status, "succeeded", "the status, read")
    first = client.predictions.list()
    contains([one.id for one in first.results], made.id, "the list")


def row_037_sync_wait_finished(site):
    equal(client_of(site).run(site.model("hello"), input={"text": "Python"}), "Hello Python!", "run by name")
    equal(client_of(site).run(site.ref("hello"), input={"text": "v"}), "Hello v!", "run by version")


@timed
def row_038_wait_expired(site):
    client = client_of(site)
    chunks = [f"{i} " for i in range(20)]
    output = client.run(site.model("probe-stream"), input={"chunks": chunks, "delay_ms": 120}, wait=1)
    equal("".join(output), "".join(chunks), "the whole output")
    made = client.predictions.create(version=site.versions["probe"], input={"delay_ms": 60_000}, prefer="wait=1")
    equal((made.status, made.output), ("starting", None), "status and output when time is up")
    client.predictions.cancel(prediction_id=made.id)


@timed
@takes_a_minute
def row_039_never_times_out(site):
    """After 60 s without an answer the client would create a second prediction."""
    name = site.unique("waiter")
    client = Replicate(bearer_token=operator.create_account(site, name), base_url=site["url"] + "/v1")
    client.account.get()  # Connects.
    start = time.monotonic()
    made = client.models.predictions.create(model_owner=site.owner, model_name="probe", input={"delay_ms": 180_000},
                                            prefer="wait=60")
    took = time.monotonic() - start
    expect(50 < took < 60, f"wait=60 took {took:.2f} s")
    equal(len(client.predictions.list().results), 1, "the number of predictions")
    client.predictions.cancel(prediction_id=made.id)


def row_045_cancel_running(site):
    client = client_of(site)
    made = _running(client, site)
    canceled = client.predictions.cancel(prediction_id=made.id)
    equal((canceled.id, canceled.status, canceled.error), (made.id, "canceled", None), "the answer")


def row_049_a_stream_by_polling(site):
    """The client shows what is new since the last poll: output that shrinks or changes would be lost."""
    chunks = [f"{i} " for i in range(20)]
    parts = list(replicate.use(site.model("probe-stream"), streaming=True)(chunks=chunks, delay_ms=50))
    equal(parts, chunks, "the parts")


def row_057_versionless(site):
    client = client_of(site)
    made = client.models.predictions.create(model_owner=site.owner, model_name="hello", input={"text": "m"}, prefer="wait")
    equal((made.version, made.output), (site.versions["hello"], "Hello m!"), "version and output")
    equal(replicate.use(site.model("hello"))(text="use"), "Hello use!", "use()")


def row_058_official_models(site):
    name = site.unique("official")
    client = client_of(site)
    client.models.create(owner=site.owner, name=name, visibility="public", hardware="cpu")
    version = Registry.of(site).push(name, "value", STAMP=name)
    eventually(lambda: client.models.get(model_owner=site.owner, model_name=name).latest_version, 30, "the version")
    operator.make_official(site, site.model(name))
    eventually(lambda: client.models.get(model_owner=site.owner, model_name=name).is_official, 10, "is_official")
    made = client.models.predictions.create(model_owner=site.owner, model_name=name, input={"text": "o"}, prefer="wait")
    equal((made.version, made.output["text"]), ("hidden", "o"), f"version (really {version}) and output")
    equal(replicate.use(site.model(name))(text="official")["text"], "official", "use() without a version")


def row_067_use_reads_the_schema(site):
    model = replicate.use(site.model("probe"))
    schema = model.openapi_schema()
    inputs = schema["components"]["schemas"]["Input"]["properties"]
    orders = [one["x-order"] for one in inputs.values()]
    equal(sorted(orders), list(range(len(inputs))), "x-order of the inputs")
    equal(inputs["format"]["allOf"][0]["enum"], ["jpg", "png"], "a choice, with its reference followed")
    stream = replicate.use(site.model("probe-stream")).openapi_schema()["components"]["schemas"]["Output"]
    equal((stream["type"], stream["x-cog-array-type"], stream["x-cog-array-display"]),
          ("array", "iterator", "concatenate"), "the marks of a text stream")
    equal(str(replicate.use(site.model("probe-stream"))(chunks=["a", "b"])), "ab", "the joined output")
