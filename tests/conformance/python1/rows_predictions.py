"""Running models, by the client's own ways to do it."""

import time
import types

import httpx
import replicate
from replicate.exceptions import ModelError, ReplicateError
from suite import operator
from suite.checks import contains, equal, eventually, expect, matches, raises, takes_a_minute, timed


def row_001_every_form_of_the_base_url(site):
    for base in (site["url"], site["url"] + "/", site["url"] + "/v1"):
        client = replicate.Client(api_token=site["token"], base_url=base)
        equal(client.run(site.model("hello"), input={"text": base}), f"Hello {base}!", f"the output with {base}")
        equal(client.accounts.current().username, site.owner, "the account")


def row_004_no_redirects(site):
    """The client follows none; here each answer is looked at."""
    seen = []
    transport = httpx.HTTPTransport()

    class Watching(httpx.BaseTransport):
        def handle_request(self, request):
            response = transport.handle_request(request)
            seen.append((response.status_code, str(request.url)))
            return response
    client = replicate.Client(api_token=site["token"], transport=Watching())
    client.run(site.ref("hello"), input={"text": "x"})
    client.run(site.model("hello"), input={"text": "x"}, wait=False)
    client.models.list()
    for event in client.stream(site.model("probe-stream"), input={"chunks": ["a"]}):
        str(event)
    files = client.run(site.model("probe-files"), input={"count": 1, "text": "x"})
    equal(files[0].read(), b"x", "the file")
    expect(any("/delivery/" in url for _, url in seen) and any("/streams/" in url for _, url in seen), f"saw {seen}")
    equal([one for one in seen if not 200 <= one[0] < 300], [], "answers that are not 2xx")


def row_008_bad_token(site):
    client = replicate.Client(api_token="r8_" + "x" * 37)
    error = raises(ReplicateError, client.models.get, site.model("hello"))
    equal((error.status, error.title, error.detail),
          (401, "Unauthenticated", "You did not pass a valid authentication token"), "the error")


def row_013_bad_input_is_refused_with_the_reason(site):
    error = raises(ReplicateError, replicate.predictions.create, version=site.versions["hello"], input={"text": 7})
    equal(error.status, 422, "the status")
    contains(str(error), "text", "the message")


def row_022_pages(site):
    client = replicate.Client(api_token=site["pager_token"])
    for listed, least in ((client.predictions, 205), (client.models, 30)):
        page = listed.list()
        equal(page.previous, None, "previous of the first page")
        ids = [getattr(one, "id", None) or one.url for one in page.results]
        expect(page.next, "there is no second page")
        while page.next:
            page = listed.list(cursor=page.next)
            ids += [getattr(one, "id", None) or one.url for one in page.results]
        expect(len(ids) >= least and len(set(ids)) == len(ids), f"{len(ids)} items, {len(set(ids))} different ones")


def row_024_account(site):
    account = replicate.Client().accounts.current()
    equal((account.type, account.username), ("user", site.owner), "type and username")
    matches(account.name, ".+", "name")


def row_027_error(site):
    done = replicate.predictions.create(version=site.versions["probe"], input={"text": "fine"})
    done.wait()
    equal((done.status, done.error), ("succeeded", None), "status and error of one that succeeds")
    failed = replicate.predictions.create(version=site.versions["probe"], input={"fail": "it broke"})
    failed.wait()
    equal(failed.status, "failed", "the status of one that fails")
    contains(failed.error, "it broke", "its error")
    canceled = replicate.predictions.create(version=site.versions["probe"], input={"delay_ms": 60_000})
    canceled.cancel()
    equal(canceled.error, None, "the error of one that was canceled")


def row_029_urls(site):
    made = replicate.predictions.create(version=site.versions["probe"], input={"delay_ms": 200})
    for moment in ("created", "finished"):
        for name, url in made.urls.items():
            matches(url, r"https://\S+", f"urls[{name}] when {moment}")
        made.wait()
    for one in replicate.predictions.list().results:  # Validated by the client: strings only.
        expect(one.urls, "a listed prediction without urls")


def row_035_create_get_list_reload(site):
    made = replicate.predictions.create(version=site.versions["hello"], input={"text": "a"})
    equal(made.status, "starting", "the status of an async create")
    made.wait()
    equal(made.output, "Hello a!", "the output")
    equal(replicate.predictions.get(made.id).status, "succeeded", "the status, read")
    contains([one.id for one in replicate.predictions.list().results], made.id, "the list")
    expect(made.metrics["total_time"] >= made.metrics["predict_time"], f"metrics are {made.metrics}")


def row_037_sync_wait_finished(site):
    made = replicate.predictions.create(version=site.versions["hello"], input={"text": "s"}, wait=True)
    equal((made.status, made.output), ("succeeded", "Hello s!"), "status and output")


@timed
def row_038_wait_expired(site):
    """With any other status than `starting` the client would give a half of the output as all of it."""
    chunks = [f"{i} " for i in range(20)]
    output = replicate.run(site.model("probe-stream"), input={"chunks": chunks, "delay_ms": 120}, wait=1)
    equal("".join(output), "".join(chunks), "the whole output")
    made = replicate.predictions.create(version=site.versions["probe"], input={"delay_ms": 60_000}, wait=1)
    equal((made.status, made.output), ("starting", None), "status and output when time is up")
    made.cancel()


@timed
def row_039_the_shortest_wait(site):
    """The client itself gives up half a second after the time that it asked for, and raises."""
    for _ in range(3):
        made = replicate.predictions.create(version=site.versions["probe"], input={"delay_ms": 60_000}, wait=1)
        equal(made.status, "starting", "the status")
        made.cancel()


@timed
@takes_a_minute
def row_039_the_longest_wait(site):
    replicate.hardware.list()  # Connects.
    start = time.monotonic()
    made = replicate.predictions.create(version=site.versions["probe"], input={"delay_ms": 180_000}, wait=60)
    took = time.monotonic() - start
    expect(50 < took < 60, f"wait=60 took {took:.2f} s")
    equal(made.status, "starting", "the status")
    made.cancel()


def row_042_a_failing_model_raises_its_own_message(site):
    error = raises(ModelError, replicate.run, site.model("stream-text"), input={"text": "a b c", "fail_at": 1})
    contains(str(error).lower(), "failed at token 1", "the message")
    equal(error.prediction.status, "failed", "the status of its prediction")
    raises(ModelError, replicate.run, site.ref("probe"), input={"fail": "x"})


def row_045_cancel_running(site):
    running = replicate.predictions.create(version=site.versions["probe"], input={"delay_ms": 120_000})
    eventually(lambda: (running.reload(), running.status)[1] == "processing", 30, "its start")
    running.cancel()
    equal(running.status, "canceled", "the status in the answer")
    running.reload()
    equal((running.status, running.error), ("canceled", None), "status and error")


def row_046_cancel_queued(site):
    queued = replicate.predictions.create(version=site.versions["asleep"], input={})
    queued.cancel()
    equal(queued.status, "canceled", "the status")  # The client would raise for `aborted`.
    queued.reload()
    equal(queued.status, "canceled", "the status, read")


def row_057_versionless(site):
    equal(replicate.run(site.model("hello"), input={"text": "Python"}), "Hello Python!", "run by name")
    made = replicate.models.predictions.create(model=(site.owner, "hello"), input={"text": "m"})
    made.wait()
    equal((made.version, made.output), (site.versions["hello"], "Hello m!"), "version and output")


def row_069_run_by_version(site):
    equal(replicate.run(site.ref("hello"), input={"text": "v"}), "Hello v!", "run by version")
    equal(replicate.run(site.model("hello"), input={"text": "poll"}, wait=False), "Hello poll!", "run by polling")
    for wait in (True, False):
        output = replicate.run(site.ref("stream-text"), input={"text": "one two three", "delay_ms": 1}, wait=wait)
        expect(isinstance(output, types.GeneratorType), f"an iterator's output is {output!r}")
        equal("".join(output), "one two three", "the joined output")


def row_070_training(site):
    made = replicate.trainings.create(version=site.ref("probe-trainer"), input={"delay_ms": 60_000},
                                      destination=site.model("trained"))
    expect(made.status in ("starting", "processing"), f"the status is {made.status}")
    equal((made.model, made.version), (site.model("probe-trainer"), site.versions["probe-trainer"]), "model and version")
    made.cancel()
    for destination in (site.model("nothing"), "nobody/nothing", "stranger/x"):
        error = raises(ReplicateError, replicate.trainings.create, version=site.ref("probe-trainer"), input={},
                       destination=destination)
        equal((error.status, error.detail), (404, "The specified training destination does not exist"), "the error")


def row_072_training_makes_a_version(site):
    name = site.unique("learned")
    replicate.models.create(owner=site.owner, name=name, visibility="private", hardware="cpu")
    made = replicate.trainings.create(version=site.ref("probe-trainer"), input={"text": "words"},
                                      destination=site.model(name))

    def ended():
        made.reload()  # The client parses output["version"] each time.
        return made.status in ("succeeded", "failed", "canceled")
    eventually(ended, 90, "the end of the training")
    equal((made.status, made.error), ("succeeded", None), "status and error")
    matches(made.output["version"], rf"{site.model(name)}:[0-9a-f]{{64}}", "output.version")
    matches(str(made.output["weights"]), r"https://\S+/trained_model\.tar", "output.weights")
    version = made.output["version"].split(":")[1]
    eventually(lambda: replicate.models.get(site.model(name)).latest_version, 15, "the new version")
    equal(replicate.models.get(site.model(name)).latest_version.id, version, "the destination's latest version")
    equal(replicate.run(made.output["version"], input={"text": "trained"})["text"], "trained", "what it answers")


def _deploy(site, name):
    return replicate.deployments.create(name=name, model=site.model("hello"), version=site.versions["hello"],
                                        hardware="cpu", min_instances=0, max_instances=1)


def row_074_deployment_life_cycle(site):
    name = site.unique("p1")
    equal(_deploy(site, name).current_release.number, 1, "the first release")
    made = replicate.deployments.predictions.create((site.owner, name), input={"text": "deployed"})
    made.wait()
    equal(made.output, "Hello deployed!", "the output")
    updated = replicate.deployments.update(deployment_owner=site.owner, deployment_name=name, max_instances=2)
    equal((updated.current_release.number, updated.current_release.configuration.max_instances), (2, 2), "the release")


def row_077_created_by(site):
    name = site.unique("by")
    _deploy(site, name)
    by = replicate.deployments.get(site.model(name)).current_release.created_by
    equal((by.type, by.username), ("user", site.owner), "type and username")
    matches(by.name, ".+", "name")
    contains([one.name for one in replicate.deployments.list().results], name, "the list of deployments")


def row_078_delete(site):
    unused = site.unique("unused")
    _deploy(site, unused)
    equal(replicate.deployments.delete(site.owner, unused), True, "whether one that was never used is deleted")
    equal(raises(ReplicateError, replicate.deployments.get, site.model(unused)).status, 404, "the status afterwards")

    used = site.unique("used")
    deployment = _deploy(site, used)
    deployment.predictions.create(input={"text": "x"}).wait()
    replicate.deployments.update(deployment_owner=site.owner, deployment_name=used, min_instances=0, max_instances=0)
    error = raises(ReplicateError, replicate.deployments.delete, site.owner, used)
    expect(400 <= error.status < 500 and error.detail, f"the refusal is {error}")

    its = f"(SELECT id FROM deployments WHERE name = '{used}')"
    eventually(lambda: operator.sql(site, "SELECT count(*) FROM instances i JOIN targets t ON t.id = i.target_id WHERE "
                                    f"t.deployment_id = {its} AND i.state < 90") == "0", 60, "the end of its instances")
    # A quarter of an hour later.
    operator.sql(site, f"UPDATE predictions SET created_at = created_at - interval '16 minutes' WHERE deployment_id = {its}")
    operator.sql(site, "UPDATE instances SET state_since = state_since - interval '16 minutes' WHERE target_id IN "
                 f"(SELECT id FROM targets WHERE deployment_id = {its})")
    equal(replicate.deployments.delete(site.owner, used), True, "whether one that was unused for long is deleted")
