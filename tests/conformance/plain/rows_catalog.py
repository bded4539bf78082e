"""Models, versions and pushes."""

from suite import operator
from suite.checks import contains, equal, eventually, expect
from suite.images import Registry
from suite.wire import main_wire, stranger_wire

MODEL_KEYS = {"url", "owner", "name", "description", "visibility", "is_official", "github_url", "paper_url",
              "license_url", "run_count", "cover_image_url", "default_example", "latest_version"}


def new_model(site, name, visibility="private", **more):
    return main_wire(site).ok("POST", "/v1/models", {
        "owner": site.owner, "name": name, "visibility": visibility, "hardware": "cpu", **more}, status=201)


def push(site, name, form="value", **environment):
    """A version of owner/name that the API knows; its id."""
    version = Registry.of(site).push(name, form, **environment)
    path = f"/v1/models/{site.owner}/{name}/versions/{version}"
    eventually(lambda: main_wire(site).get(path).status == 200, 30, f"the version of {name}")
    return version


def row_060_create_and_get(site):
    wire, name = main_wire(site), site.unique("model")
    made = new_model(site, name, description="What it does", github_url="https://github.com/a/b",
                     paper_url="https://example.com/paper", license_url="https://example.com/license",
                     cover_image_url="https://example.com/cover.png")
    expect(MODEL_KEYS <= set(made), f"the model lacks {sorted(MODEL_KEYS - set(made))}")
    equal((made["owner"], made["name"], made["visibility"], made["description"], made["github_url"]),
          (site.owner, name, "private", "What it does", "https://github.com/a/b"), "the model")
    equal((made["run_count"], made["latest_version"], made["default_example"]), (0, None, None), "a new model's values")
    equal(wire.ok("GET", f"/v1/models/{site.owner}/{name}", status=200), made, "the model, read")
    answer = wire.post("/v1/models", {"owner": "stranger", "name": name, "visibility": "private", "hardware": "cpu"})
    expect(400 <= answer.status < 500, f"a model for another owner: {answer!r}")


def row_060_lists_are_sorted(site):
    wire = main_wire(site)
    first, second = site.unique("sorted"), site.unique("sorted")
    for name in (first, second):
        new_model(site, name, "public")

    def order(query):
        """The names in the order of the list, all pages."""
        names, url = [], f"/v1/models?{query}"
        while url:
            page = wire.ok("GET", url)
            names += [model["name"] for model in page["results"]]
            url = page["next"]
        return names
    for key in ("model_created_at", "latest_version_created_at"):
        for direction in ("asc", "desc"):
            names = order(f"sort_by={key}&sort_direction={direction}")
            equal(len(names), len(set(names)), f"the number of models by {key} {direction} without repetition")
            if key == "model_created_at":
                wanted = [first, second] if direction == "asc" else [second, first]
                equal([name for name in names if name in wanted], wanted, f"the order by {key} {direction}")
    versions = order("sort_by=latest_version_created_at&sort_direction=desc")
    contains(versions, "probe", "the list of models")
    for bad in ("sort_by=name", "sort_direction=up"):
        equal(wire.get(f"/v1/models?{bad}").status, 400, f"the answer to {bad}")


def row_068_list_and_get(site):
    name = site.unique("versions")
    new_model(site, name)
    wire, ids = main_wire(site), [push(site, name, STAMP=stamp) for stamp in ("one", "two")]
    page = wire.ok("GET", f"/v1/models/{site.owner}/{name}/versions")
    equal([one["id"] for one in page["results"]], ids[::-1], "the versions, newest first")
    expect({"next", "previous"} <= set(page), f"the keys are {sorted(page)}")
    got = wire.ok("GET", f"/v1/models/{site.owner}/{name}/versions/{ids[0]}")
    equal(got["id"], ids[0], "the version")
    expect(got["cog_version"] and got["openapi_schema"] and got["created_at"], "a version with empty fields")
    equal(wire.ok("GET", f"/v1/models/{site.owner}/{name}")["latest_version"]["id"], ids[1], "latest_version")


def _refused(answer, why):
    expect(400 <= answer.status < 500 and answer.status != 404, f"a version {why} can be deleted: {answer!r}")
    expect(answer.json["detail"], "a refusal without a reason")


def row_068_delete(site):
    wire, name = main_wire(site), site.unique("gone")
    new_model(site, name)
    version = push(site, name, STAMP=name)
    path = f"/v1/models/{site.owner}/{name}/versions/{version}"
    made = wire.run(f"{site.owner}/{name}", {"text": "x", "with_files": True})
    answer = wire.send("DELETE", path)
    equal((answer.status, answer.body), (202, b""), "the answer")
    eventually(lambda: wire.get(path).status == 404, 30, "the end of the version")
    eventually(lambda: wire.get(f"/v1/predictions/{made['id']}").status == 404, 30, "the end of its predictions")
    eventually(lambda: wire.get(made["output"]["nested"]["one"]).status == 404, 30, "the end of their files")


def row_068_delete_refused(site):
    wire = main_wire(site)
    public = f"/v1/models/{site.owner}/probe/versions/{site.versions['probe']}"
    _refused(wire.send("DELETE", public), "of a public model")
    answer = stranger_wire(site).send("DELETE", public)
    expect(answer.status in (403, 404), f"a version of another account can be deleted: {answer!r}")

    name = site.unique("used")
    new_model(site, name)
    version = push(site, name, STAMP=name)
    wire.ok("POST", "/v1/deployments", {"name": name, "model": f"{site.owner}/{name}", "version": version,
                                        "hardware": "cpu", "min_instances": 0, "max_instances": 0})
    _refused(wire.send("DELETE", f"/v1/models/{site.owner}/{name}/versions/{version}"), "of a deployment")

    base = site.unique("base")
    new_model(site, base)
    version = push(site, base, "trainer", STAMP=base, COG_MAX_CONCURRENCY="1")
    path = f"/v1/models/{site.owner}/{base}/versions/{version}"
    training = wire.ok("POST", f"{path}/trainings", {"destination": site.model("trained"), "input": {}})
    wire.wait(training["id"])
    _refused(wire.send("DELETE", path), "that is the base of a training")


def row_068_delete_refused_when_others_ran_it(site):
    """Somebody else ran it while the model was public; private since."""
    wire, name = main_wire(site), site.unique("ran")
    new_model(site, name, "public")
    version = push(site, name, STAMP=name)
    stranger_wire(site).run(f"{site.owner}/{name}", {})
    operator.sql(site, f"UPDATE models SET visibility = 1 WHERE name = '{name}'")
    _refused(wire.send("DELETE", f"/v1/models/{site.owner}/{name}/versions/{version}"), "that others ran")


def row_105_a_push_makes_a_version(site):
    wire, name = main_wire(site), site.unique("pushed")
    version = push(site, name, "stream", STAMP=name)  # A model that nobody made before.
    model = wire.ok("GET", f"/v1/models/{site.owner}/{name}")
    latest = model["latest_version"]
    equal(latest["id"], version, "latest_version, which is the image's digest")
    expect(latest["cog_version"], "no cog_version")
    output = latest["openapi_schema"]["components"]["schemas"]["Output"]
    equal((output["x-cog-array-type"], output["x-cog-array-display"]), ("iterator", "concatenate"), "the schema's marks")
    equal(wire.run(f"{site.owner}/{name}", {"chunks": ["a", "b"]})["output"], ["a", "b"], "its output")
    again = push(site, name, "stream", STAMP=f"{name}-2")
    eventually(lambda: wire.ok("GET", f"/v1/models/{site.owner}/{name}")["latest_version"]["id"] == again, 30,
               "the newer version as the latest")
