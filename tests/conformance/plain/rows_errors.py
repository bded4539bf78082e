"""Refusals, whose bodies clients show to people and match on."""

from suite import operator
from suite.checks import contains, equal, eventually, expect
from suite.wire import main_wire

GENERIC_404 = {"detail": "The requested resource could not be found.", "status": 404}


def row_012_unknown_resource(site):
    wire = main_wire(site)
    for path in ("/v1/predictions/" + "0" * 26, "/v1/predictions/x", "/v1/models/nobody/nothing", "/v1/nothing",
                 f"/v1/models/{site.owner}/nothing", f"/v1/models/{site.owner}/hello/versions/{'0' * 64}",
                 f"/v1/deployments/{site.owner}/nothing", "/v1/trainings/" + "0" * 26, "/v1/collections/nothing"):
        answer = wire.get(path)
        equal((answer.status, answer.json), (404, GENERIC_404), f"GET {path}")
        equal(answer.headers.get_content_type(), "application/problem+json", "the media type")


def _refused(site, given, fields):
    """The 422 to this input; `fields`: (type, field, description) of each problem."""
    answer = main_wire(site).post(f"/v1/models/{site.owner}/probe/predictions", {"input": given})
    equal(answer.status, 422, f"the answer to {given}")
    body = answer.json
    equal((body["title"], body["status"]), ("Input validation failed", 422), "title and status")
    got = [(one["type"], one["field"], one["description"]) for one in body["invalid_fields"]]
    equal(sorted(got), sorted(fields), "invalid_fields")
    lines = sorted(f"- {field}: {description}" for _, field, description in fields)
    equal(sorted(body["detail"].splitlines()), lines, "the lines of detail")
    expect(body["detail"].endswith("\n"), "detail does not end with a newline")


def row_013_input_validation(site):
    _refused(site, {"count": 9}, [("number_lte", "input.count", "Must be less than or equal to 4")])
    _refused(site, {"count": 0, "text": 7}, [
        ("number_gte", "input.count", "Must be greater than or equal to 1"),
        ("invalid_type", "input.text", "Invalid type. Expected: string, given: integer")])
    _refused(site, {"format": "gif"}, [
        ("enum", "input.format", 'format must be one of the following: "jpg", "png"')])
    answer = main_wire(site).post("/v1/predictions", {"version": site.versions["hello"], "input": {}})
    equal(answer.json["invalid_fields"], [{"type": "required", "field": "input", "description": "text is required"}],
          "invalid_fields of a missing input")
    equal(answer.json["detail"], "- input: text is required\n", "detail")


def row_014_root_of_the_body(site):
    wire = main_wire(site)
    answer = wire.post("/v1/predictions", {"input": {"text": "x"}, "model": "x"})
    equal(answer.status, 422, "the status")
    equal(answer.json["invalid_fields"], [
        {"type": "required", "field": "", "description": "version is required"},
        {"type": "additional_property_not_allowed", "field": "",
         "description": "Additional property model is not allowed"}], "invalid_fields")
    equal(answer.json["detail"], "- version is required\n- Additional property model is not allowed\n", "detail")
    answer = wire.post(f"/v1/models/{site.owner}/hello/predictions", {"input": {"text": "x"}, "version": "x"})
    equal((answer.status, answer.json["invalid_fields"][0]["field"]), (422, ""), "version beside a model")
    for legacy in ({"stream": True}, {"webhook_completed": None}):
        wire.ok("POST", f"/v1/models/{site.owner}/hello/predictions", {"input": {"text": "x"}, **legacy}, status=201)


def row_015_bad_version(site):
    for version in ("0" * 64, "latest", site.model("hello") + ":latest", site.model("nothing"),
                    "nobody/nothing:" + "0" * 64, f"{site.owner}/probe:{site.versions['hello']}"):
        answer = main_wire(site).post("/v1/predictions", {"version": version, "input": {"text": "x"}})
        equal(answer.status, 422, f"the answer to {version}")
        equal(answer.json, {
            "title": "Invalid version or not permitted", "status": 422,
            "detail": "The specified version does not exist (or perhaps you don't have permission to use it?)"}, "the body")


def row_016_unknown_keys_of_the_input(site):
    made = main_wire(site).run(site.model("hello"), {"text": "x", "no_such_input": {"a": [1]}})
    equal((made["status"], made["output"]), ("succeeded", "Hello x!"), "status and output")


def row_017_invalid_hardware(site):
    wire = main_wire(site)
    skus = [one["sku"] for one in wire.ok("GET", "/v1/hardware")]
    answer = wire.post("/v1/models", {"owner": site.owner, "name": site.unique("bad"), "visibility": "private",
                                      "hardware": "gpu-none"})
    equal((answer.status, answer.json["status"], answer.json["title"]), (400, 400, "Validation failed"), "the answer")
    detail = f"gpu-none is not a valid hardware SKU. Your options are: {', '.join(skus)}."
    equal(answer.json["errors"], [{"pointer": "/hardware", "detail": detail}], "errors")
    equal(answer.json["detail"], f"The following errors occurred:\n- hardware: {detail}", "detail")


def row_018_duplicate_model(site):
    wire, name = main_wire(site), site.unique("twice")
    body = {"owner": site.owner, "name": name, "visibility": "private", "hardware": "cpu"}
    wire.ok("POST", "/v1/models", body, status=201)
    answer = wire.post("/v1/models", body)
    equal(answer.status, 409, "the status")
    sentence = "A model with that name and owner already exists."
    contains(answer.json["errors"][0]["detail"], sentence, "errors[0].detail")
    contains(answer.json["detail"], sentence, "detail")


def row_019_insufficient_credit(site):
    name = site.unique("poor")
    wire = main_wire(site).with_token(operator.create_account(site, name))
    wire.run(site.model("probe"), {})
    operator.set_spend_limit(site, name, 0)

    def refused():  # What was spent is looked at every few seconds.
        answer = wire.post(f"/v1/models/{site.owner}/probe/predictions", {"input": {}})
        return answer if answer.status == 402 else None
    answer = eventually(refused, 30, "a refusal for lack of credit")
    equal((answer.json["title"], answer.json["status"]), ("Insufficient credit", 402), "title and status")
    contains(answer.json["detail"], "insufficient credit to run this model", "detail")
