"""Everything that is not a prediction."""

import time

from replicate import APIStatusError, NotFoundError, Replicate, ReplicateError
from suite import operator
from suite.checks import contains, equal, expect, matches, raises
from suite.wire import main_wire
from rows_running import client_of


def row_008_bad_token(site):
    client = Replicate(bearer_token="r8_" + "x" * 37, base_url=site["url"] + "/v1")
    error = raises(ReplicateError, client.account.get)
    contains(str(error), "You did not pass a valid authentication token", "the message")


def row_022_pages(site):
    client = Replicate(bearer_token=site["pager_token"], base_url=site["url"] + "/v1")
    ids = [one.id for one in client.predictions.list()]
    expect(len(ids) >= 205 and len(set(ids)) == len(ids), f"{len(ids)} predictions, {len(set(ids))} different ones")
    after = client.predictions.list().results[49].created_at
    later = list(client.predictions.list(created_after=after))
    expect(0 < len(later) < len(ids), f"{len(later)} of {len(ids)} predictions since {after}")
    names = [one.name for one in client.models.list(sort_by="model_created_at", sort_direction="asc")]
    expect(len(names) > 30 and len({*names}) == len(names), f"{len(names)} models, {len({*names})} different ones")


def row_050_filters(site):
    client = client_of(site)
    made = client.predictions.create(version=site.versions["hello"], input={"text": "f"}, prefer="wait")
    contains([one.id for one in client.predictions.list(created_after=made.created_at)], made.id, "created_after")
    expect(made.id not in [one.id for one in client.predictions.list(created_before=made.created_at)], "created_before")
    expect(made.id not in [one.id for one in client.predictions.list(extra_query={"source": "web"})], "source")


def _new(site, client, **more):
    name = site.unique("p2-model")
    made = client.models.create(owner=site.owner, name=name, visibility="private", hardware="cpu", **more)
    return name, made


def row_060_create_get_list(site):
    client = client_of(site)
    name, made = _new(site, client, description="About it")
    equal((made.owner, made.name, made.description, made.run_count), (site.owner, name, "About it", 0), "the model")
    got = client.models.get(model_owner=site.owner, model_name=name)
    equal((got.name, got.visibility, got.latest_version), (name, "private", None), "the model, read")
    for key in ("model_created_at", "latest_version_created_at"):
        for direction in ("asc", "desc"):
            page = client.models.list(sort_by=key, sort_direction=direction)
            expect(page.results, f"no models by {key} {direction}")


def row_061_patch(site):
    client = client_of(site)
    name, before = _new(site, client, description="old", github_url="https://github.com/a/b")
    changed = {"description": "new", "readme": "# Read me", "github_url": "https://github.com/c/d",
               "paper_url": "https://example.com/p", "weights_url": "https://example.com/w",
               "license_url": "https://example.com/l"}
    after = client.models.update(model_owner=site.owner, model_name=name, **changed)
    shown = {key: value for key, value in changed.items() if key not in ("readme", "weights_url")}
    equal({key: getattr(after, key) for key in shown}, shown, "the changed fields")
    equal((after.name, after.visibility, after.cover_image_url, after.run_count),
          (name, before.visibility, before.cover_image_url, 0), "the others")
    one = client.models.update(model_owner=site.owner, model_name=name, description="newer")
    equal((one.description, one.github_url), ("newer", "https://github.com/c/d"), "after a change of one field")
    # What cannot be changed is refused or left alone.
    for field, value in (("visibility", "public"), ("hardware", "gpu-none"), ("cover_image_url", "https://example.com/c")):
        try:
            client.models.update(model_owner=site.owner, model_name=name, extra_body={field: value})
        except APIStatusError as error:
            expect(error.status_code in (400, 422), f"PATCH of {field}: {error}")
        got = client.models.get(model_owner=site.owner, model_name=name)
        equal((got.visibility, got.cover_image_url), ("private", None), f"after PATCH of {field}")


def row_062_readme(site):
    client = client_of(site)
    name, _ = _new(site, client)
    error = raises(NotFoundError, client.models.readme.get, model_owner=site.owner, model_name=name)
    equal(error.status_code, 404, "the status without a README")
    text = "# Title\n\nText with *marks* and später ☃\n"
    client.models.update(model_owner=site.owner, model_name=name, readme=text)
    equal(client.models.readme.get(model_owner=site.owner, model_name=name), text, "the README")
    raw = client.models.readme.with_raw_response.get(model_owner=site.owner, model_name=name)
    equal(raw.headers["content-type"].split(";")[0], "text/plain", "its type")


def row_064_query(site):
    contains([one.name for one in client_of(site).models.search(body="probe")], "probe", "the models found")


def row_065_examples(site):
    client = client_of(site)
    equal(client.models.examples.list(model_owner=site.owner, model_name="hello").results, [], "examples of a model without")
    made = client.predictions.create(version=site.versions["probe"], input={"text": "example"}, prefer="wait")
    operator.add_example(site, site.model("probe"), made.id)
    page = client.models.examples.list(model_owner=site.owner, model_name="probe")
    contains([one.id for one in page.results], made.id, "the examples")
    example = client.models.get(model_owner=site.owner, model_name="probe").default_example
    # The client gives it as it came.
    expect(example and example["status"] == "succeeded" and example["urls"], f"default_example is {example}")


def row_068_versions(site):
    client = client_of(site)
    page = client.models.versions.list(model_owner=site.owner, model_name="hello")
    contains([one["id"] if isinstance(one, dict) else one.id for one in page.results], site.versions["hello"], "versions")


def row_074_deployments(site):
    client, name = client_of(site), site.unique("p2")
    made = client.deployments.create(name=name, model=site.model("hello"), version=site.versions["hello"],
                                     hardware="cpu", min_instances=0, max_instances=1)
    equal(made.current_release.number, 1, "the first release")
    done = client.deployments.predictions.create(deployment_owner=site.owner, deployment_name=name, input={"text": "d"},
                                                 prefer="wait")
    equal(done.output, "Hello d!", "the output")
    after = client.deployments.update(deployment_owner=site.owner, deployment_name=name, min_instances=0, max_instances=0)
    equal(after.current_release.number, 2, "the release after a change")


def row_082_upload(site):
    client = client_of(site)
    made = client.files.create(content=b"raw bytes", metadata={"purpose": "test"})
    equal((made.size, made.content_type, made.metadata), (9, "application/octet-stream", {"purpose": "test"}), "the file")
    named = client.files.create(content=("named.txt", b"text", "text/plain"))
    equal((named.size, named.content_type, named.to_dict()["name"]), (4, "text/plain", "named.txt"), "a file with a name")
    contains([one.id for one in client.files.list()], made.id, "the list of files")
    client.files.delete(file_id=made.id)
    raises(NotFoundError, client.files.get, file_id=made.id)


def row_085_download(site):
    client = client_of(site)
    made = client.files.create(content=b"signed bytes")
    expiry = int(time.time()) + 60
    signature = operator.sign_file_link(main_wire(site), site.owner, made.id, expiry)
    got = client.files.download(file_id=made.id, expiry=expiry, owner=site.owner, signature=signature)
    equal(got.read(), b"signed bytes", "the content")
    raises(NotFoundError, client.files.download, file_id=made.id, expiry=expiry + 1,
           owner=site.owner, signature=signature)


def row_086_account_and_hardware(site):
    client = client_of(site)
    equal(client.account.get().username, site.owner, "the account")
    contains([one.sku for one in client.hardware.list()], "cpu", "the hardware")


def row_087_collections(site):
    client, slug = client_of(site), site.unique("p2-collection")
    operator.create_collection(site, slug, "For tests", "Models of the suite", "# All of them", [site.model("probe")])
    contains([one.slug for one in client.collections.list()], slug, "the collections")
    got = client.collections.get(collection_slug=slug)
    equal((got.name, got.description, got.full_description), ("For tests", "Models of the suite", "# All of them"), "it")
    model = got.models[0]
    equal((model.owner, model.name), (site.owner, "probe"), "its model")
    expect(model.latest_version and model.run_count is not None, "a model without its fields")


def row_088_search(site):
    found = client_of(site).search(query="probe", limit=5)
    expect({one.model.name for one in found.models} & {"probe", "probe-stream"}, f"the models found: {found.models}")
    equal((found.query, list(found.collections)[:0], list(found.pages)[:0]), ("probe", [], []), "the other keys")


def row_089_secret(site):
    matches(client_of(site).webhooks.default.secret.get().key, r"whsec_[A-Za-z0-9+/]{32}", "the secret")
