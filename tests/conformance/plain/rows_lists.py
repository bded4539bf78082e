"""Pages, their order and their filters."""

import urllib.parse

from suite.checks import contains, equal, expect, matches
from suite.wire import Wire, main_wire


def _pager(site):
    return Wire(site["url"], site["pager_token"], site["authority"])


def _walk(wire, url):
    pages = []
    while url:
        pages.append(wire.ok("GET", url))
        url = pages[-1]["next"]
    return pages


def row_022_pages(site):
    wire = _pager(site)
    after = "2020-01-01T00:00:00Z"
    pages = _walk(wire, f"/v1/predictions?created_after={after}")
    for page in pages:
        expect({"next", "previous", "results"} <= set(page), f"keys of a page: {sorted(page)}")
    equal(pages[0]["previous"], None, "previous of the first page")
    equal(pages[-1]["next"], None, "next of the last page")
    expect(all(page["previous"] for page in pages[1:]), "a later page has no previous")
    for page in pages[:-1]:
        expect(page["next"].startswith(site["url"] + "/v1/predictions?"), f"next is {page['next']}")
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(page["next"]).query)
        equal(query.get("created_after"), [after], "created_after in next")
        matches(query["cursor"][0], r"\S+", "the cursor")
    ids = [one["id"] for page in pages for one in page["results"]]
    equal(len(ids), len(set(ids)), "the number of predictions without repetition")
    back = wire.ok("GET", pages[1]["previous"])
    equal([one["id"] for one in back["results"]], [one["id"] for one in pages[0]["results"]], "the page before")


def row_022_a_bad_cursor_is_refused(site):
    equal(main_wire(site).get("/v1/predictions?cursor=nonsense").status, 400, "the answer to a bad cursor")


def row_023_sizes_and_order(site):
    wire = _pager(site)
    pages = _walk(wire, "/v1/predictions")
    equal([len(page["results"]) for page in pages[:-1]], [100] * (len(pages) - 1), "sizes of the pages")
    created = [one["created_at"] for page in pages for one in page["results"]]
    equal(created, sorted(created, reverse=True), "the times of creation, newest first")
    equal(len(wire.ok("GET", "/v1/models")["results"]), 25, "the size of a page of models")


def row_023_stable_under_inserts(site):
    wire = _pager(site)
    before = _walk(wire, "/v1/predictions")
    wanted = [one["id"] for page in before for one in page["results"]]
    first = wire.ok("GET", "/v1/predictions")
    for i in range(3):
        wire.create(site.model("probe"), {"text": f"late {i}"})
    seen = [one["id"] for one in first["results"]]
    seen += [one["id"] for page in _walk(wire, first["next"]) for one in page["results"]]
    equal(len(seen), len(set(seen)), "the number of predictions without repetition")
    equal([one for one in wanted if one not in seen], [], "predictions that were passed over")


def row_050_created_after_and_before(site):
    wire = main_wire(site)
    made = wire.run(site.model("probe"), {"text": "filter"})
    at = urllib.parse.quote(made["created_at"])

    def ids(query):
        return [one["id"] for page in _walk(wire, f"/v1/predictions?{query}") for one in page["results"]]
    contains(ids(f"created_after={at}"), made["id"], "created_after is inclusive: the list")
    expect(made["id"] not in ids(f"created_before={at}"), "created_before is not exclusive")
    equal(ids(f"created_after={at}&created_before={at}"), [], "what lies between a time and itself")
    contains(ids(f"created_after={made['created_at'].removesuffix('Z')}"), made["id"], "the list after a time without an offset")
    expect(made["id"] not in ids("source=web"), "a prediction of the API is listed as one of the web")
    for bad in ("created_after=yesterday", "created_before=1", "source=api"):
        equal(wire.get(f"/v1/predictions?{bad}").status, 400, f"the answer to {bad}")
