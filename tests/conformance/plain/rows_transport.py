"""How requests and answers travel, who is let in, and the limits."""

import concurrent.futures

from suite import operator
from suite.checks import contains, equal, eventually, expect, matches
from suite.wire import Wire, main_wire, strict_wire, stranger_wire

LISTS = ("/account", "/hardware", "/models", "/collections", "/predictions", "/trainings", "/deployments", "/files",
         "/webhooks/default/secret", "/search?query=hello")


def row_001_every_prefix_answers(site):
    wire = main_wire(site)
    paths = [*LISTS, f"/models/{site.owner}/hello", f"/models/{site.owner}/hello/versions",
             f"/models/{site.owner}/hello/versions/{site.versions['hello']}", f"/models/{site.owner}/hello/examples"]
    for prefix in ("/v1", "", "/v1/v1"):
        for path in paths:
            answer = wire.get(prefix + path)
            equal(answer.status, 200, f"GET {prefix}{path}")
        body = {"version": site.versions["hello"], "input": {"text": prefix}}
        for path in ("/predictions", f"/models/{site.owner}/hello/predictions"):
            sent = body if path == "/predictions" else {"input": body["input"]}
            made = wire.ok("POST", prefix + path, sent, status=201)
            wire.ok("POST", f"{prefix}/predictions/{made['id']}/cancel")


def row_002_query_is_routed(site):
    answer = main_wire(site).send("QUERY", "/v1/models", b"probe", {"Content-Type": "text/plain"})
    equal(answer.status, 200, "QUERY /v1/models")
    contains([model["name"] for model in answer.json["results"]], "probe", "the models found")


def row_005_urls_begin_with_the_external_base(site):
    strict = strict_wire(site)
    inside = Wire(site["strict_backend"], strict.token)  # Another host, port and scheme than the external base.
    made = inside.run(f"{site.owner}/probe", {"text": "x", "with_files": True})
    equal(made["status"], "succeeded", f"the status of {made}")
    base = site["strict_url"]
    for name, url in made["urls"].items():
        expect(url.startswith(base + "/"), f"urls.{name} is {url}")
    output = made["output"]["nested"]
    for url in (output["one"], *output["list"]):
        expect(url.startswith(base + "/"), f"an output file is {url}")
        equal(strict.get(url, {"Authorization": None}).status, 200, f"GET {url}")
    equal(strict.get(made["urls"]["get"]).json["id"], made["id"], "what urls.get answers")
    answer = inside.post("/v1/predictions", {"version": site["strict_versions"]["probe"], "input": {}})
    expect(answer.headers["Location"].startswith(base + "/v1/predictions/"), f"Location: {answer.headers['Location']}")


def row_006_bearer_and_token(site):
    wire = main_wire(site)
    for scheme in ("Bearer", "Token", "bearer"):
        answer = wire.get("/v1/account", {"Authorization": f"{scheme} {wire.token}"})
        equal(answer.status, 200, f"the answer to scheme {scheme}")


def _unauthenticated(answer, sentence):
    equal(answer.status, 401, "the status")
    equal(answer.json, {"title": "Unauthenticated", "detail": sentence, "status": 401}, "the body")
    equal(answer.headers.get_content_type(), "application/problem+json", "the media type")


def row_007_missing_token(site):
    wire = main_wire(site).with_token(None)
    for path in ("/v1/account", "/v1/models", "/v1/hardware", "/v1/predictions", "/v1/collections"):
        _unauthenticated(wire.get(path), "You did not pass an authentication token")


def row_008_bad_token(site):
    for token in ("r8_" + "x" * 37, "nonsense"):
        answer = main_wire(site).with_token(token).get("/v1/account")
        _unauthenticated(answer, "You did not pass a valid authentication token")


def row_009_disabled_token(site):
    name = site.unique("disabled")
    wire = main_wire(site).with_token(operator.create_token(site, site.owner, name))
    equal(wire.get("/v1/account").status, 200, "the answer before")
    operator.disable_token(site, site.owner, name)
    eventually(lambda: wire.get("/v1/account").status == 401, 5, "the end of a disabled token")


def row_010_resources_of_others(site):
    wire, stranger = main_wire(site), stranger_wire(site)
    private = site.unique("private")
    wire.ok("POST", "/v1/models", {"owner": site.owner, "name": private, "visibility": "private", "hardware": "cpu"})
    name = site.unique("others")
    wire.ok("POST", "/v1/deployments", {"name": name, "model": site.model("probe"), "version": site.versions["probe"],
                                        "hardware": "cpu", "min_instances": 0, "max_instances": 0})
    made = wire.create(site.model("probe"), {"delay_ms": 20_000})
    training = wire.ok("POST", f"/v1/models/{site.owner}/probe-trainer/versions/{site.versions['probe-trainer']}"
                       "/trainings", {"destination": site.model("trained"), "input": {"delay_ms": 20_000}})
    for method, path in (
            ("GET", f"/v1/predictions/{made['id']}"), ("POST", f"/v1/predictions/{made['id']}/cancel"),
            ("GET", f"/v1/trainings/{training['id']}"), ("POST", f"/v1/trainings/{training['id']}/cancel"),
            ("GET", f"/v1/models/{site.owner}/{private}"), ("PATCH", f"/v1/models/{site.owner}/{private}"),
            ("GET", f"/v1/deployments/{site.owner}/{name}"), ("PATCH", f"/v1/deployments/{site.owner}/{name}"),
            ("DELETE", f"/v1/deployments/{site.owner}/{name}"),
            ("POST", f"/v1/deployments/{site.owner}/{name}/predictions")):
        body = {"input": {}} if path.endswith("predictions") else {} if method == "PATCH" else None
        equal(stranger.send(method, path, body).status, 404, f"{method} {path} by another account")
    wire.cancel(made["id"])
    wire.ok("POST", f"/v1/trainings/{training['id']}/cancel")


def row_011_search_without_a_token(site):
    answer = main_wire(site).with_token(None).get("/v1/search?query=probe")
    equal(answer.status, 200, "GET /v1/search without a token")


def _headers_of(answer):
    remaining, reset = answer.headers["ratelimit-remaining"], answer.headers["ratelimit-reset"]
    matches(remaining, r"\d+", "ratelimit-remaining")
    matches(reset, r"\d+", "ratelimit-reset")
    return int(remaining)


def _limited_account(site):
    name = site.unique("limited")
    return strict_wire(site).with_token(operator.create_account(site, name, "strict_database"))


def row_020_limits_a_minute(site):
    wire = _limited_account(site)
    first = wire.post(f"/v1/models/{site.owner}/probe/predictions", {"input": {}})
    equal((first.status, _headers_of(first)), (201, 599), "status and remaining creates")
    read = wire.get(f"/v1/predictions/{first.json['id']}")
    expect(_headers_of(read) >= 10 * 3000, f"only {_headers_of(read)} reads of predictions remain")
    equal(_headers_of(wire.get("/v1/hardware")), 2999, "the remaining other calls")
    refused = wire.with_token("r8_" + "x" * 37).get("/v1/account")
    equal(refused.headers["ratelimit-remaining"], None, "ratelimit-remaining of a 401")


def row_021_throttled(site):
    wire = Wire(site["strict_backend"], _limited_account(site).token)  # Faster than through the proxy.

    def create(_):  # A bad version counts as well, and runs nothing.
        return wire.post("/v1/predictions", {"version": "x", "input": {}})
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(create, range(600)))
        equal({answer.status for answer in answers}, {422}, "the answers to 600 creates")
        answer = eventually(lambda: next((a for a in pool.map(create, range(100)) if a.status != 422), None), 60,
                            "a refusal")
    equal(answer.status, 429, "the status above the limit")
    matches(answer.headers["Retry-After"], r"\d+", "Retry-After")
    seconds = int(answer.headers["Retry-After"])
    equal(answer.json, {"detail": f"Request was throttled. Your rate limit resets in ~{seconds}s.", "status": 429,
                        "retry_after": seconds}, "the body")
