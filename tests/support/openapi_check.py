"""Holds every response that an end-to-end test gets through mimeo_local.api.Api against the API's description,
as control-plane/api/testing/response_checker.h does in the unit tests."""

import json
import re
import urllib.parse

import jsonschema  # python3-jsonschema: scripts/install-deps


class NotDescribed(AssertionError):
    """A response that the description does not allow. Names method, path, status and place."""


class Checker:
    def __init__(self, document):
        self.document = document
        self.operations = {}  # method -> [(has parameters, pattern, place, operation)]
        for path, item in document["paths"].items():
            pattern = re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)))
            for key, operation in item.items():
                if key != "parameters":
                    method = key.removeprefix("x-").upper()
                    place = f"#/paths/{path.replace('~', '~0').replace('/', '~1')}/{key}"
                    self.operations.setdefault(method, []).append(("{" in path, pattern, place, operation))
        for known in self.operations.values():
            known.sort(key=lambda one: one[0])  # Paths without parameters win.

    def check(self, method, path, status, headers, text):
        """Raises NotDescribed. `headers` is a mapping that ignores case, `text` the body's bytes."""
        problems = self.problems("GET" if method == "HEAD" else method, path, status, headers,
                                 None if method == "HEAD" else text)
        if problems:
            raise NotDescribed("\n".join(f"{method} {path} {status}: {one}" for one in problems))

    def problems(self, method, path, status, headers, text):
        path = "/" + "/".join(part for part in path.split("?")[0].split("/") if part)
        for _ in range(2):
            path = path.removeprefix("/v1")
        for _, pattern, place, operation in self.operations.get(method, ()):
            if pattern.fullmatch(path):
                break
        else:
            is_fine = status in (400, 404, 405) or method == "OPTIONS"
            return [] if is_fine else ["neither 400, 404 nor 405 for what is not described"]
        if str(status) not in operation["responses"]:
            return [f"{place}/responses: this status is not described"]
        response, place = self.resolve(operation["responses"][str(status)], f"{place}/responses/{status}")
        return [*self.header_problems(response, place, headers), *self.body_problems(response, place, headers, text)]

    def resolve(self, value, place):
        if "$ref" not in value:
            return value, place
        found = self.document
        for step in value["$ref"].split("/")[1:]:
            found = found[urllib.parse.unquote(step).replace("~1", "/").replace("~0", "~")]
        return found, value["$ref"]

    def header_problems(self, response, place, headers):
        for name, value in response.get("headers", {}).items():
            header, where = self.resolve(value, f"{place}/headers/{name}")
            given = headers.get(name)
            if given is None:
                if header.get("required"):
                    yield f"{where}: it is missing"
                continue
            is_number = header["schema"].get("type") == "integer" and re.fullmatch(r"-?\d+", given)
            yield from self.value_problems(header["schema"], f"{where}/schema", int(given) if is_number else given)

    def body_problems(self, response, place, headers, text):
        if text is None:
            return
        content = response.get("content")
        if content is None:
            if text:
                yield f"{place}: a body, where none is described"
            return
        kind = (headers.get("Content-Type") or "").split(";")[0].strip()
        if kind not in content and "*/*" not in content:
            yield f"{place}/content: {kind!r} is not described"
        elif kind.endswith("json") and kind in content:
            try:
                value = json.loads(text)
            except ValueError:
                yield f"{place}: the body is not JSON: {text[:200]!r}"
                return
            yield from self.value_problems(content[kind]["schema"], f"{place}/content/{kind.replace('/', '~1')}/schema", value)

    def value_problems(self, schema, place, value):
        whole = {"allOf": [schema], "components": self.document["components"]}
        for error in jsonschema.Draft202012Validator(whole).iter_errors(value):
            yield f"{place}: {error.json_path}: {error.message[:500]}"


def install(api_class, base_api):
    """From now on every call of an `api_class` is checked, against the description that `base_api` reads."""
    if api_class.observer is None:
        status, document = base_api.call("GET", "/v1/openapi.json")
        if status != 200:
            raise NotDescribed(f"GET /v1/openapi.json {status}")
        api_class.observer = Checker(document).check
