"""Plain HTTP for checks: one connection a request, nothing followed, nothing retried, nothing hidden."""

import contextlib
import http.client
import json
import ssl
import urllib.parse

from .checks import eventually, expect

TERMINAL = ("succeeded", "failed", "canceled", "aborted")


class Answer:
    def __init__(self, response, body):
        self.status = response.status
        self.headers = response.headers
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def text(self):
        return self.body.decode()

    def __repr__(self):
        return f"HTTP {self.status} {self.body[:500].decode(errors='replace')}"


class Wire:
    """Calls of one account. Paths are below the base URL; absolute URLs are taken as they are."""

    def __init__(self, url, token=None, authority=None):
        self.url = urllib.parse.urlsplit(url)
        self.token = token
        self.authority = authority
        self.context = ssl.create_default_context(cafile=authority) if authority else None

    def with_token(self, token):
        return Wire(self.url.geturl(), token, self.authority)

    def connect(self, url, timeout=75):
        parts = urllib.parse.urlsplit(url if "://" in url else self.url.geturl() + url)
        if parts.scheme == "https":
            made = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=timeout, context=self.context)
        else:
            made = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
        return made, parts.path + (f"?{parts.query}" if parts.query else "")

    def headers(self, extra=None):
        own = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        # None removes one.
        return {name: value for name, value in {**own, **(extra or {})}.items() if value is not None}

    def send(self, method, url, body=None, headers=None, timeout=75):
        """`body`: bytes as they are, anything else as JSON."""
        connection, target = self.connect(url, timeout)
        sent = self.headers(headers)
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        with contextlib.closing(connection):
            connection.request(method, target, body, sent)
            response = connection.getresponse()
            return Answer(response, response.read())

    def get(self, url, headers=None, **options):
        return self.send("GET", url, None, headers, **options)

    def post(self, url, body=None, headers=None, **options):
        return self.send("POST", url, body, headers, **options)

    @contextlib.contextmanager
    def open(self, url, headers=None, timeout=75):
        """The response, still to be read (event streams)."""
        connection, target = self.connect(url, timeout)
        with contextlib.closing(connection):
            connection.request("GET", target, None, self.headers(headers))
            yield connection.getresponse()

    # -- in the words of the API ----------------------------------------------------------------------

    def ok(self, method, url, body=None, headers=None, status=None):
        """The decoded body of an answer that must be 2xx, or exactly `status`."""
        answer = self.send(method, url, body, headers)
        good = answer.status == status if status else 200 <= answer.status < 300
        expect(good, f"{method} {url}: {answer!r}")
        return answer.json if answer.body else None

    def create(self, model, given, headers=None, **more):
        """A prediction of `owner/name`."""
        return self.ok("POST", f"/v1/models/{model}/predictions", {"input": given, **more}, headers)

    def run(self, model, given, headers=None, **more):
        """The same, awaited to its end."""
        made = self.create(model, given, {"Prefer": "wait", **(headers or {})}, **more)
        return made if made["status"] in TERMINAL else self.wait(made["id"])

    def prediction(self, id):
        return self.ok("GET", f"/v1/predictions/{id}")

    def wait(self, id, statuses=TERMINAL, limit=60):
        def reached():
            body = self.prediction(id)
            return body if body["status"] in statuses else None
        return eventually(reached, limit, f"prediction {id} in {statuses}")

    def cancel(self, id):
        return self.ok("POST", f"/v1/predictions/{id}/cancel")


def main_wire(site):
    return Wire(site["url"], site["token"], site["authority"])


def stranger_wire(site):
    """Another account's."""
    return Wire(site["url"], site["stranger_token"], site["authority"])


def strict_wire(site):
    """The second installation: with limits, and plain HTTP behind a proxy with TLS."""
    return Wire(site["strict_url"], site["strict_token"], site["authority"])


def multipart(parts, boundary="mimeo-conformance"):
    """(body, headers) of a form. `parts`: (name, data, filename or None, type or None)."""
    out = b""
    for name, data, filename, kind in parts:
        out += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"'.encode()
        if filename is not None:
            out += f'; filename="{filename}"'.encode()
        out += f"\r\nContent-Type: {kind}".encode() if kind else b""
        out += b"\r\n\r\n" + data + b"\r\n"
    return out + f"--{boundary}--\r\n".encode(), {"Content-Type": f"multipart/form-data; boundary={boundary}"}


def read_events(response, until="done"):
    """Yields (event, id, data) of an event stream, as raw as they come: a list of data lines joined by \\n."""
    event, identity, data = "", "", []
    for raw in response:
        line = raw.decode().rstrip("\n")
        if not line:
            if event or data:
                yield event, identity, "\n".join(data)
                if event == until:
                    return
            event, identity, data = "", "", []
        elif not line.startswith(":"):
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "event":
                event = value
            elif field == "id":
                identity = value
            elif field == "data":
                data.append(value)
