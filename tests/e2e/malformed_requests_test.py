"""Requests that are no HTTP, or hardly: each gets an HTTP answer that says so. A connection that is closed without
one leaves a client guessing, and makes some send the request again."""

import pathlib
import socket
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from mimeo_testing import InstallationTest, json  # noqa: E402

REFUSALS = (400, 401, 404, 405, 408, 411, 413, 414, 417, 431, 501, 505)


class MalformedRequests(InstallationTest):
    def raw(self, data):
        """(status, headers, body) of the first answer. Fails when there is none."""
        with socket.create_connection(("127.0.0.1", self.stack.layout.ports["http"]), timeout=30) as client:
            try:
                client.sendall(data)
            except (BrokenPipeError, ConnectionResetError):
                pass  # Answered before all was read.
            out = b""
            while True:
                try:
                    part = client.recv(65536)
                except ConnectionResetError:
                    self.fail(f"reset instead of an answer to {data[:120]!r}; so far {out[:200]!r}")
                out += part
                head, end, body = out.partition(b"\r\n\r\n")
                if end:
                    break
                if not part:
                    self.fail(f"closed without an answer to {data[:120]!r}; so far {out[:200]!r}")
            lines = head.decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
            while len(body) < int(headers.get("content-length", "0")):
                part = client.recv(65536)
                if not part:
                    break
                body += part
        self.assertTrue(lines[0].startswith("HTTP/1.1 "), lines[0])
        return int(lines[0].split()[1]), headers, body

    def assertRefused(self, data, *statuses):
        status, headers, body = self.raw(data)
        self.assertIn(status, statuses or REFUSALS, (data[:200], body[:300]))
        self.assertEqual(headers.get("content-type"), "application/problem+json", data[:200])
        self.assertEqual(json.loads(body).get("status", status), status)

    def get(self, target, *fields):
        head = b"".join(field + b"\r\n" for field in (b"Host: x", b"Authorization: Bearer " + self.api.token.encode(), *fields))
        return b"GET " + target + b" HTTP/1.1\r\n" + head + b"\r\n"

    def test_request_lines(self):
        for line in (b"", b" ", b"GET", b"GET /", b"GET  / HTTP/1.1", b"GET / HTTP/1.1 x", b"GET / HTTP/9.9", b"GET / HTTP/1",
                     b"GET / http/1.1", b"G\x00T / HTTP/1.1", b"\x16\x03\x01\x02\x00\x01", b"PRI * HTTP/2.0", b"<xml/>",
                     b"GET / FTP/1.0", b"\xff\xfe\xfd", b"GET http:// HTTP/1.1 HTTP/1.1", b"GET\t/\tHTTP/1.1", b"(GET) / HTTP/1.1"):
            with self.subTest(line=line):
                if line.strip():
                    self.assertRefused(line + b"\r\nHost: x\r\n\r\n", 400, 505)

    def test_paths(self):
        for path in (b"/v1/%zz", b"/v1/%", b"/v1/%4", b"/v1/models/%00/x", b"/v1/models/%ff/x", b"/v1/models/\xff/x",
                     b"/v1/models/\xf0\x9f\x92\xa9/x", b"/v1/models/%F0%9F%92%A9/x", b"/v1/models/%ed%a0%80/x", b"/v1/../x",
                     b"/v1/%2e%2e/x", b"/v1/models/a%0d%0ab/x", b"/v1/models/\x7f/x", b"/v1/models/%7f/x", b"/v1/models/a\x00b/x",
                     b"/v1/models/a\x01b/x", b"/v1/models/a\tb/x", b"v1/models", b"*", b"//", b"/v1//", b"/v1/https:/",
                     b"/v1/models/" + b"a" * 7000 + b"/x", b"/v1/predictions/%2F", b"/v1/files/" + b"z" * 53,
                     b"/v1/streams/" + b"0" * 53, b"/v1/delivery/" + b"0" * 52 + b"/x", b"/delivery/x/%2e%2e", b"/v1/models/;/,"):
            with self.subTest(path=path):
                self.assertRefused(self.get(path), 400, 404, 405)

    def test_queries(self):
        for query in (b"%zz", b"a=%", b"cursor=%ff", b"cursor=\xff", b"cursor=%00", b"cursor=x", b"cursor=cD0=", b"cursor=cj0xJnA9eA==",
                      b"created_after=yesterday", b"created_before=9999-99-99", b"source=api", b"created_after=%F0%9F%92%A9"):
            with self.subTest(query=query):
                self.assertRefused(self.get(b"/v1/predictions?" + query), 400)

    def test_cursors_and_times_beyond_what_a_database_takes(self):
        # base64 of p=<the largest and the smallest 64-bit numbers>, alone and with a row.
        cursors = (b"cD05MjIzMzcyMDM2ODU0Nzc1ODA3", b"cD0tOTIyMzM3MjAzNjg1NDc3NTgwOA==", b"cD05MjIzMzcyMDM2ODU0Nzc1ODA3LjE=",
                   b"cD0tOTIyMzM3MjAzNjg1NDc3NTgwOC4tMQ==")
        paths = [path + b"?cursor=" + cursor.replace(b"=", b"%3D") for cursor in cursors
                 for path in (b"/v1/models", b"/v1/deployments", b"/v1/models/%s/hello/versions" % self.owner.encode(), b"/v1/predictions")]
        paths += [b"/v1/predictions?created_%s=%s" % (end, time) for end in (b"after", b"before")
                  for time in (b"0000-01-01", b"0001-01-01", b"9999-12-31T23:59:59Z", b"9999-12-31T23:59:59-23:59", b"0001-01-01T00:00:00%2B23:59")]
        for path in paths:
            with self.subTest(path=path):
                status, _, body = self.raw(self.get(path))
                self.assertIn(status, (200, 400), body[:300])

    def test_headers(self):
        for field in (b"no colon", b": no name", b"bad name: x", b"x: \x00", b"x\x00: y", b"Content-Length: x",
                      b"Content-Length: -1", b"Content-Length: 99999999999999999999999", b"Content-Length: 1\r\nContent-Length: 2",
                      b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked, gzip", b"Content-Length: 5\r\nTransfer-Encoding: chunked",
                      b"x: " + b"y" * 100_000, b"\r\n".join(b"x-%d: y" % n for n in range(1000)), b"Authorization\x7f: x"):
            with self.subTest(field=field[:60]):
                self.assertRefused(self.get(b"/v1/account", field), 400, 413, 431, 501)

    def test_hosts(self):
        self.assertRefused(b"GET /v1/account HTTP/1.1\r\n\r\n", 400)

    def test_tokens(self):
        for value in (b"", b"Bearer", b"Bearer ", b"Basic eDp5", b"Bearer \xff\xfe", b"Bearer a b", b"bearer " + b"x" * 5000, b"Token"):
            with self.subTest(value=value[:40]):
                self.assertRefused(b"GET /v1/account HTTP/1.1\r\nHost: x\r\nAuthorization: " + value + b"\r\n\r\n", 401)

    def test_bodies(self):
        post = b"POST /v1/predictions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + self.api.token.encode() + b"\r\n"
        for rest in (b"\r\n", b"Content-Length: 2\r\n\r\n{]", b"Transfer-Encoding: chunked\r\n\r\nz\r\n", b"Transfer-Encoding: chunked\r\n\r\n-1\r\nx\r\n",
                     b"Transfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 100 + b"\r\n",
                     b"Content-Length: 999999999\r\n\r\n", b"Expect: 100-continue\r\nContent-Length: 999999999\r\n\r\n"):
            with self.subTest(rest=rest):
                self.assertRefused(post + rest, 400, 413, 422)

    def test_methods(self):
        for method, path in ((b"TRACE", b"/v1/account"), (b"CONNECT", b"/v1/account"), (b"PUT", b"/v1/models"), (b"FOO", b"/v1/account"),
                             (b"get", b"/v1/account"), (b"M" * 500, b"/v1/account"), (b"QUERY", b"/v1/predictions")):
            with self.subTest(method=method):
                self.assertRefused(method + b" " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n", 400, 404, 405, 501)


if __name__ == "__main__":
    unittest.main(verbosity=2)
