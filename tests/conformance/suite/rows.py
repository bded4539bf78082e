"""The rows of the grading list, in its words shortened: what is required, and which clients show it.

Letters as in the list: c plain HTTP, p1 and p2 the Python clients, js, go, cli the command line tool,
tf the Terraform provider.
"""

import dataclasses

# Who checks for a letter. The tools' own programs cannot be installed here, so the requests that they send
# are replayed with the very version of the library that is inside them; the real ones run when they are named.
CHECKED_BY = {
    "c": ("http",), "p1": ("python1",), "p2": ("python2",), "js": ("js",), "go": ("go",),
    "cli": ("go-0.21", "cli"), "tf": ("go-0.23", "terraform"),
    "all": ("http", "python1", "python2", "js", "go", "go-0.21", "cli"),
}
CLIENTS = ("http", "python1", "python2", "js", "go", "go-0.21", "go-0.23", "cli", "terraform")


@dataclasses.dataclass(frozen=True)
class Row:
    number: int
    area: str
    requirement: str
    letters: tuple

    @property
    def clients(self):
        """Every client that must have a check of this row."""
        wanted = {client for letter in self.letters for client in CHECKED_BY[letter]}
        return tuple(client for client in CLIENTS if client in wanted)


def _rows():
    for line in _TABLE.strip().splitlines():
        number, area, requirement, letters = (part.strip() for part in line.split("|"))
        yield Row(int(number), area, requirement, tuple(letters.split()))


_TABLE = """
1 | transport | same routes under `/v1`, the root and `/v1/v1` | c p1 p2 cli
2 | transport | verb QUERY is routed | c
3 | transport | GET with JSON type and no body, cancel with empty body | js go p2
4 | transport | no redirects on API, file and stream URLs | p1
5 | transport | absolute URLs use the external base | c
6 | auth | `Bearer` and `Token` schemes | c
7 | auth | missing token: 401 with its sentence | c
8 | auth | bad token: 401 problem body | c p1
9 | auth | disabled token: 401 at once | c
10 | auth | resources of another account: 404 | c
11 | auth | search and signed downloads without a token | c
12 | errors | unknown resource: 404 body | c
13 | errors | 422 input validation body | c
14 | errors | missing `version`, unknown key: 422, empty field | c
15 | errors | bad version or `:latest`: 422 | c
16 | errors | unknown keys inside `input` are accepted | c
17 | errors | invalid hardware: 400 lists the SKUs | c
18 | errors | duplicate model: 409 with the known sentence | c
19 | errors | 402 when credit is enforced | c
20 | limits | 600 creates, 3000 others a minute; headers | c
21 | limits | 429 body and `Retry-After` | c go
22 | paging | pages: next, previous, results, cursor, filters kept | c p1 p2 js
23 | paging | page sizes, newest first, stable under inserts | c
24 | account | account has type, username, name | p1
25 | prediction | all ten required fields in every body | c
26 | prediction | ids: 26 of [0-9a-z], unique with trainings | c
27 | prediction | `error` is null unless failed | go p1
28 | prediction | `logs` is always a string | cli
29 | prediction | no null inside `urls` | p1
30 | prediction | `input` echoed as sent | c
31 | prediction | timestamps RFC 3339 `Z`, in order | c p2
32 | prediction | `predict_time` and `total_time` at every end | c
33 | prediction | metrics of the model merged, ints stay ints | c go
34 | create | `version` as hex, `owner/name:hex`, `owner/name` | c
35 | create | async create: 201 `starting` | c all
36 | create | `Location` equals `urls.get` | c
37 | sync | `Prefer: wait` finished: 201 with output | p1 js go
38 | sync | wait expired: status `starting` | p1 p2 js go
39 | sync | answer within N+0.5 s, always before 60 s | p1 p2
40 | sync | `Preference-Applied`, N > 60 clamped | c js
41 | sync | a disconnect does not end the prediction | c
42 | sync | failed in time: 201 `failed`, clients raise | p1 js
43 | deadline | `Cancel-After` forms and bounds | c
44 | deadline | deadline: `aborted` before, `canceled` after start | c
45 | cancel | cancel running: work stops, full body | c js
46 | cancel | cancel queued: `canceled`, never `aborted` | c p1
47 | cancel | cancel at the end: 200 unchanged | c
48 | lifecycle | run limit and setup limit fail with a text | c
49 | lifecycle | status never regresses, output only grows | c p2
50 | list | list: created_after, created_before, source | c p2
51 | retention | retention: data gone, record stays | c
52 | output | file URLs: https, public, type, ETag, ranges, CORS | c js p1
53 | output | nested and listed file outputs rewritten | c
54 | input | own `/v1/files` URL as input | p1 js go cli
55 | input | `data:` URIs up to 10 MB | js
56 | input | secrets redacted everywhere | c
57 | official | versionless create runs the latest version | all
58 | official | version `hidden`, no versions: version-less | p2
59 | models | model object has all keys | p1
60 | models | models: create, get, list with sorts | c p2
61 | models | PATCH changes exactly six fields | p2
62 | models | README as text, 404 when empty | p2
63 | models | DELETE: only own, private, without versions | p1 go
64 | models | QUERY body in three forms | p1 js p2 go
65 | models | examples page, default_example | p1 p2
66 | versions | `cog_version`, `openapi_schema` never null | p1 cli
67 | versions | schema loads, Input, Output, x-order, iterators | cli p2
68 | versions | versions: newest first, get, DELETE 202, refusals | c
69 | run | p1 `run("o/n:v")`, generator for iterators | p1
70 | trainings | training: 201, bad destination 404 | p1
71 | trainings | training ids under both paths | c
72 | trainings | `output.version` and a new version | p1
73 | trainings | extra key `version` tolerated, page of 100 | go
74 | deployments | deployment create: 200, release 1, echo | tf
75 | deployments | bounds; unknown SKU and version refused | c tf
76 | deployments | PATCH counts up, keeps the rest | tf cli
77 | deployments | `created_by` has type, username, name | p1
78 | deployments | DELETE: 204 or refusal | tf p1
79 | deployments | min = max = 0 cancels and refuses | c
80 | deployments | warm minimum, scale to zero, scale up | c
81 | deployments | predictions of deployments: all options | c js
82 | files | all five multipart variants | p1 p2 js go c
83 | files | file object has all keys | p1
84 | files | 100 MB limit, delete, expiry | c p1
85 | files | signed download | c p2
86 | hardware | hardware: bare array, 401 | cli tf
87 | collections | collections list and detail | p1 p2
88 | search | search: four keys, bounds, 400 | p2 c
89 | webhooks | webhook secret stable, form | p1 js go
90 | webhooks | signature, headers, test vector | p1 js go
91 | webhooks | webhook body equals GET at that moment | c
92 | webhooks | event filter, throttle, order | c
93 | webhooks | retries of `completed`; no redirects | c
94 | webhooks | webhooks of trainings | c
95 | stream | `urls.stream` without asking, without token | js go
96 | stream | stream: type, events, ids, done | p1 js go
97 | stream | chunks survive: lines, blanks, unicode | p1 js go
98 | stream | text path not under `/v1/files/`, file path is | js
99 | stream | cold boot over 60 s keeps the stream alive | p1
100 | stream | late connect replays, `Last-Event-ID` resumes | go c
101 | stream | concatenated output equals final output | c cli
102 | cli | the command line tool's commands | cli
103 | tf | the Terraform resource's life | tf
104 | js | js: run, stream, paginate, files, webhook secret | js
105 | registry | a push makes a version | c
"""

ROWS = {row.number: row for row in _rows()}
