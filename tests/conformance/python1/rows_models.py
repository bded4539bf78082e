"""Models, versions, hardware, collections."""

import replicate
from replicate.exceptions import ReplicateError
from suite import operator
from suite.checks import contains, equal, expect, matches, raises


def row_059_all_keys(site):
    for name in ("hello", "trained"):
        model = replicate.models.get(site.model(name))
        matches(model.url, rf"https://\S+/{site.owner}/{name}", "url")
        equal((model.owner, model.name), (site.owner, name), "owner and name")
        expect(model.visibility in ("public", "private"), f"visibility is {model.visibility}")
        expect(isinstance(model.run_count, int), f"run_count is {model.run_count!r}")
    equal((model.latest_version, model.default_example), (None, None), "what an empty model lacks")
    before = replicate.models.get(site.model("hello")).run_count
    replicate.run(site.model("hello"), input={"text": "count"})
    expect(replicate.models.get(site.model("hello")).run_count >= before, "run_count shrinks")


def _new(site, visibility="private"):
    name = site.unique("p1-model")
    replicate.models.create(owner=site.owner, name=name, visibility=visibility, hardware="cpu")
    return name


def row_063_delete(site):
    name = _new(site)
    equal(replicate.models.delete(site.owner, name), True, "whether an empty private model is deleted")
    equal(raises(ReplicateError, replicate.models.get, site.model(name)).status, 404, "the status afterwards")
    public = _new(site, "public")
    for owner, other, why in ((site.owner, public, "is public"), (site.owner, "hello", "has versions"),
                              ("pager", "page-1", "belongs to another account")):
        error = raises(ReplicateError, replicate.models.delete, owner, other)
        expect(error.status in (403, 404, 409) and error.detail, f"a model that {why}: {error}")
    equal(replicate.models.get(site.model(public)).name, public, "the model that was not deleted")


def row_064_query(site):
    contains([one.name for one in replicate.models.search("probe").results], "probe", "the models found")
    equal(replicate.models.search("no such words anywhere").results, [], "the models found by nonsense")


def row_065_default_example(site):
    made = replicate.predictions.create(version=site.versions["probe-files"], input={"count": 1, "text": "example"})
    made.wait()
    operator.add_example(site, site.model("probe-files"), made.id)
    example = replicate.models.get(site.model("probe-files")).default_example
    equal((example.id, example.status, example.version), (made.id, "succeeded", site.versions["probe-files"]), "example")


def row_066_versions(site):
    for name in ("hello", "edges", "probe-stream", "probe-trainer"):
        versions = replicate.models.get(site.model(name)).versions
        for version in (*versions.list().results, versions.get(site.versions[name])):
            numbers = tuple(int(part) for part in version.cog_version.split("+")[0].split(".")[:3])
            expect(numbers >= (0, 3, 9), f"cog_version is {version.cog_version}")
            expect({"Input", "Output"} <= set(version.openapi_schema["components"]["schemas"]), "a schema is missing")


def row_086_hardware(site):
    hardware = replicate.hardware.list()
    contains([one.sku for one in hardware], "cpu", "the SKUs")
    expect(all(one.name for one in hardware), "a hardware without a name")


def row_087_collections(site):
    slug = site.unique("p1-collection")
    operator.create_collection(site, slug, "For tests", "Models of the suite", "# All of them", [site.model("probe")])
    listed = {one.slug: one for one in replicate.collections.list().results}
    contains(listed, slug, "the collections")
    equal((listed[slug].name, listed[slug].description), ("For tests", "Models of the suite"), "name and description")
    got = replicate.collections.get(slug)
    equal([(model.owner, model.name) for model in got.models], [(site.owner, "probe")], "its models")
    expect(got.models[0].latest_version.id, "a model of it without its version")
