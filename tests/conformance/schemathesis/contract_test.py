"""The API against its own description, by schemathesis: requests as described, and requests that are not, each with
its answer held against the document. Needs a running installation (see `. .mimeo/env`); creates, changes and
deletes things there.

MIMEO_CONTRACT_EXAMPLES (cases for each operation) and MIMEO_CONTRACT_SECONDS (limit for each mode) make it longer.
"""

import base64
import hashlib
import hmac
import json
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.parse
import urllib.request
import zlib

import openapi_spec_validator

BASE = os.environ["REPLICATE_BASE_URL"].rstrip("/").removesuffix("/v1")
TOKEN = os.environ["REPLICATE_API_TOKEN"]
OWNER = os.environ["MIMEO_OWNER"]
EXAMPLES = os.environ.get("MIMEO_CONTRACT_EXAMPLES", "8")
SECONDS = os.environ.get("MIMEO_CONTRACT_SECONDS", "70")
SEED = os.environ.get("MIMEO_CONTRACT_SEED", "1")
CHECKS = ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance",
          "response_headers_conformance", "ignored_auth")


def call(method, path, body=None, content_type="application/json"):
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    request = urllib.request.Request(BASE + path, data, {"Authorization": f"Bearer {TOKEN}"}, method=method)
    if data is not None:
        request.add_header("Content-Type", content_type)
    with urllib.request.urlopen(request, timeout=70) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def make_file(name):
    form = (f'--b\r\nContent-Disposition: form-data; name="content"; filename="{name}"\r\n\r\nhello\r\n--b--\r\n').encode()
    return call("POST", "/v1/files", form, "multipart/form-data; boundary=b")["id"]


def finished(prediction):
    deadline = time.monotonic() + 120
    while prediction["status"] in ("starting", "processing") and time.monotonic() < deadline:
        time.sleep(0.1)
        prediction = call("GET", f"/v1/predictions/{prediction['id']}")
    if prediction["status"] != "succeeded":
        raise AssertionError(f"did not succeed: {prediction}")
    return prediction


def link_of(file):
    """Query parameters that open a file, as its owner can sign them."""
    secret = call("GET", "/v1/account/settings")["file_signing_secret"]
    expiry = int(time.time()) + 3600
    signature = hmac.digest(secret.encode(), f"{OWNER} {file} {expiry}".encode(), hashlib.sha256)
    return {"owner": OWNER, "expiry": expiry, "signature": base64.b64encode(signature).decode()}


def picture():
    """A PNG of one pixel, as a data URI."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    png = (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)) +
           chunk(b"IDAT", zlib.compress((b"\0" + bytes(24)) * 8)) + chunk(b"IEND", b""))
    return "data:image/png;base64," + base64.b64encode(png).decode()


def make_lasting():
    """What no request takes away: hello's version, a stream and a file that a model wrote."""
    streamed = finished(call("POST", f"/v1/models/{OWNER}/stream-text/predictions",
                             {"input": {"text": "a b", "delay_ms": 1}}))
    drawn = finished(call("POST", f"/v1/models/{OWNER}/edges/predictions", {"input": {"image": picture()}}))
    token, filename = drawn["output"].split("/delivery/", 1)[1].split("/")
    return {"version": call("GET", f"/v1/models/{OWNER}/hello")["latest_version"]["id"],
            "stream": streamed["urls"]["stream"].rsplit("/", 1)[1],
            "delivery": {"token": token, "filename": filename}}


def make_things(mark, lasting):
    """Values for path parameters, by the beginning of the path."""
    call("PUT", "/v1/account/spend-limit", {"limit_micros": None})  # The run before may have set one.
    for number in range(4):
        call("POST", "/v1/models", {"owner": OWNER, "name": f"contract-{mark}-{number}", "visibility": "private",
                                    "hardware": "cpu"})
        # They keep hello's version from being deleted; one runs, the others may not start instances.
        call("POST", "/v1/deployments", {
            "name": f"contract-{mark}-{number}", "model": f"{OWNER}/hello", "version": lasting["version"],
            "hardware": "cpu", "min_instances": 0, "max_instances": 1 if number == 0 else 0})
    runs = [call("POST", f"/v1/models/{OWNER}/hello/predictions", {"input": {"text": str(n)}}) for n in range(4)]
    hello = {"owner": OWNER, "name": "hello"}
    own = [{"owner": OWNER, "name": f"contract-{mark}-{n}"} for n in range(4)]
    return {
        "/predictions/": [{"id": one["id"]} for one in runs],
        "/trainings/": [{"id": one["id"]} for one in runs],
        "/models/": [hello, *own, hello],
        "/models/{owner}/{name}/predictions": [hello],
        "/models/{owner}/{name}/versions/": [{**hello, "id": lasting["version"]}],
        "/deployments/": own,
        "/files/": [{"id": make_file(f"{n}.txt")} for n in range(6)],
        "/streams/": [{"token": lasting["stream"]}],
        "/delivery/": [lasting["delivery"]],
        "/collections/": [{"slug": "none"}],
    }


class Contract(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.document = call("GET", "/openapi.json")
        cls.lasting = make_lasting()
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="mimeo-contract-"))
        # QUERY has no place in OpenAPI 3.1, but schemathesis knows it.
        whole = json.loads(json.dumps(cls.document))
        for item in whole["paths"].values():
            if "x-query" in item:
                item["query"] = item.pop("x-query")
        (cls.folder / "openapi.json").write_text(json.dumps(whole))

    @classmethod
    def tearDownClass(cls):
        # What waits or runs for what was made up must not keep the installation busy.
        page = {"next": f"{BASE}/v1/deployments"}
        while page["next"]:
            page = call("GET", page["next"].removeprefix(BASE))
            for one in page["results"]:
                path = f"/v1/deployments/{urllib.parse.quote(one['owner'])}/{urllib.parse.quote(one['name'])}"
                call("PATCH", path, {"min_instances": 0, "max_instances": 0})

    def test_the_document_is_valid_openapi(self):
        openapi_spec_validator.validate(self.document)

    def run_mode(self, mode, *more_checks):
        mark = f"{os.getpid()}-{mode[:3]}"
        command = [
            str(pathlib.Path(sys.executable).with_name("schemathesis")), "run", str(self.folder / "openapi.json"),
            "--url", f"{BASE}/v1", "-H", f"Authorization: Bearer {TOKEN}", "--mode", mode,
            "--phases", "examples,coverage,fuzzing", "-n", EXAMPLES, "--max-time", SECONDS, "--seed", SEED,
            "--workers", "2", "--continue-on-failure", "--no-shrink", "--suppress-health-check", "all",
            "--request-retries", "0", "--warnings", "off", "-c", ",".join(CHECKS + more_checks)]
        things = make_things(mark, self.lasting)
        version = self.lasting["version"]
        bodies = {"/predictions": {"version": version, "input": {"text": "described"}, "webhook": None},
                  "/deployments": {"model": f"{OWNER}/hello", "version": version, "hardware": "cpu", "min_instances": 0,
                                   "max_instances": 0},
                  "/models": {"owner": OWNER, "hardware": "cpu"}}
        ran = subprocess.run(command, text=True, capture_output=True, cwd=self.folder, check=False, env={
            **os.environ, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(pathlib.Path(__file__).parent),
            "MIMEO_CONTRACT_THINGS": json.dumps(things), "MIMEO_CONTRACT_BODIES": json.dumps(bodies),
            "MIMEO_CONTRACT_LINKS": json.dumps({one["id"]: link_of(one["id"]) for one in things["/files/"]}),
            "NO_COLOR": "1", "COLUMNS": "160"})
        self.assertEqual(ran.returncode, 0, ran.stdout[-40_000:] + ran.stderr[-4000:])
        cases = re.search(r"(\d+) generated", ran.stdout)
        self.assertTrue(cases and int(cases[1]) > 3 * len(self.document["paths"]), ran.stdout[-3000:])
        print(f"{mode}: {cases[0]}", file=sys.stderr)

    def test_requests_as_described(self):
        self.run_mode("positive")

    def test_requests_that_are_not_as_described(self):
        self.run_mode("negative", "negative_data_rejection")


if __name__ == "__main__":
    unittest.main(verbosity=2)
