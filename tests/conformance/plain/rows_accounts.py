"""Search, and what needs accounts of a kind of their own."""

from suite.checks import equal, expect, matches
from suite.wire import main_wire


def row_088_search(site):
    wire = main_wire(site)
    found = wire.ok("GET", "/v1/search?query=probe")
    equal(sorted(found), ["collections", "models", "pages", "query"], "the keys")
    equal(found["query"], "probe", "the query")
    hit = next((one for one in found["models"] if one["model"]["name"] == "probe"), None)
    expect(hit is not None, "the model is not found by its name")
    equal(hit["model"]["owner"], site.owner, "its owner")
    expect({"generated_description", "tags", "score"} <= set(hit["metadata"]), f"metadata is {hit['metadata']}")
    expect(isinstance(hit["metadata"]["tags"], list), "tags is no list")


def row_088_limit(site):
    wire = main_wire(site)
    expect(len(wire.ok("GET", "/v1/search?query=page&limit=3")["models"]) == 3, "limit=3 gives another number")
    equal(len(wire.ok("GET", "/v1/search?query=page")["models"]), 20, "the number of results by default")
    for bad in ("many", "1.5"):
        equal(wire.get(f"/v1/search?query=page&limit={bad}").status, 400, f"the answer to limit={bad}")
    for outside in ("0", "51"):  # Clamped or refused, but never a fault, and never more than 50.
        answer = wire.get(f"/v1/search?query=page&limit={outside}")
        expect(answer.status in (200, 400), f"limit={outside}: {answer!r}")
        expect(answer.status == 400 or len(answer.json["models"]) <= 50, "more than 50 results")


def row_088_without_query(site):
    for path in ("/v1/search", "/v1/search?query="):
        answer = main_wire(site).get(path)
        equal((answer.status, answer.json), (400, {"detail": 'Query parameter "query" is required'}), f"GET {path}")


def row_089_secret_is_stable(site):
    wire = main_wire(site)
    first = wire.ok("GET", "/v1/webhooks/default/secret")
    equal(sorted(first), ["key"], "the keys")
    matches(first["key"], r"whsec_[A-Za-z0-9+/]{32}", "the secret")
    equal(wire.ok("GET", "/v1/webhooks/default/secret"), first, "the secret, asked again")
