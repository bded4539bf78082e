"""What a careless or hostile client may send: a clear 4xx each (or a closed connection), nothing logged
as an error of ours, nothing lost."""

import json
import os
import pathlib
import socket
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from mimeo_testing import Api, InstallationTest, eventually  # noqa: E402


class BadInput(InstallationTest):
    def setUp(self):
        self.log = self.stack.control_plane.process.log_file
        self.log_start = self.log.stat().st_size

    def tearDown(self):
        with open(self.log, "rb") as log:
            log.seek(self.log_start)
            lines = log.read().decode(errors="replace").splitlines()
        errors = [line for line in lines if " error " in line.lower()]
        self.assertEqual(errors, [], "bad input was logged as an internal error")
        after = self.create(f"/v1/models/{self.owner}/hello/predictions", {"text": "still"}, {"Prefer": "wait"})
        self.assertEqual(after["output"], "Hello still!")

    def raw(self, data, limit=1 << 16):
        """Sends bytes, returns what came back until the peer closed or a whole head arrived."""
        with socket.create_connection(("127.0.0.1", self.stack.layout.ports["http"]), timeout=20) as client:
            try:
                client.sendall(data)
            except (BrokenPipeError, ConnectionResetError):
                pass  # Answered before all was read.
            out = b""
            try:
                while b"\r\n\r\n" not in out and len(out) < limit:
                    part = client.recv(4096)
                    if not part:
                        break
                    out += part
            except ConnectionResetError:
                pass
            return out

    def post(self, body, headers=None, path="/v1/predictions"):
        head = {"Authorization": f"Bearer {self.api.token}", "Content-Type": "application/json",
                "Content-Length": str(len(body)), "Connection": "close", "Host": "x", **(headers or {})}
        lines = "".join(f"{k}: {v}\r\n" for k, v in head.items())
        return self.raw(f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode() + body)

    def assertRefused(self, answer, *codes):
        self.assertTrue(answer.startswith(b"HTTP/1.1 4"), answer[:200])
        if codes:
            self.assertIn(int(answer.split()[1]), codes, answer[:300])

    def test_malformed_json(self):
        for body in (b"{", b"[]", b'"x"', b"{\"input\": }", b"\xff\xfe", b"null", b"[" * 100_000):
            self.assertRefused(self.post(body), 400, 422)

    def test_a_body_of_50_mb(self):
        self.assertRefused(self.post(b"x" * 50_000_000), 413)

    def test_wrong_types(self):
        version = self.latest("hello")
        for value in (7, None, [], {}, True):
            status, body = self.api.call("POST", "/v1/predictions", {"version": version, "input": {"text": value}})
            self.assertEqual((status, body["title"]), (422, "Input validation failed"), body)
            self.assertEqual(body["invalid_fields"][0]["field"], "input.text")

    def test_unknown_version(self):
        for version in ("0" * 64, "latest", f"{self.owner}/hello:latest", "../../etc/passwd", ""):
            status, body = self.api.call("POST", "/v1/predictions", {"version": version, "input": {}})
            self.assertEqual(status, 422, body)

    def test_someone_elses_private_model(self):
        cli = self.stack.layout.cli
        try:
            cli("account", "create", "stranger")
        except Exception as error:
            self.assertIn("already", error.log)
        stranger = Api(self.api.url.geturl(), cli("token", "create", "stranger").split()[-1])
        path = f"/v1/models/{self.owner}/hello"
        self.assertEqual(stranger.call("GET", path)[0], 404)
        self.assertEqual(stranger.call("POST", path + "/predictions", {"input": {"text": "x"}})[0], 404)
        status, body = stranger.call("POST", "/v1/predictions",
                                     {"version": self.latest("hello"), "input": {"text": "x"}})
        self.assertEqual((status, body["title"]), (422, "Invalid version or not permitted"))

    def status_with(self, token):
        status, body = Api(self.api.url.geturl(), token).call("GET", "/v1/account")
        if status == 401:
            self.assertEqual(body["title"], "Unauthenticated")
        return status

    def test_tokens_that_are_missing_wrong_expired_or_disabled(self):
        for token in ("", "x", "r8_" + "a" * 37):
            self.assertEqual(self.status_with(token), 401)
        name = f"short-{os.getpid()}"

        def make():
            text = self.stack.layout.cli("token", "create", self.owner, "--name", name, "--expires", "1h").split()[-1]
            return text, int(self.sql(f"SELECT max(id) FROM tokens WHERE name = '{name}'"))
        # An hour later, as the database sees it.
        expired, number = make()
        self.sql(f"UPDATE tokens SET expires_at = expires_at - interval '61 minutes' WHERE id = {number}")
        self.assertEqual(self.status_with(expired), 401)
        disabled, number = make()
        self.assertEqual(self.status_with(disabled), 200)
        self.stack.layout.cli("token", "disable", str(number))
        eventually(lambda: self.status_with(disabled) == 401, 10, "the end of a disabled token")

    def test_path_tricks(self):
        for path in ("/v1/../../etc/passwd", "/v1/models/%2e%2e/%2e%2e", "/v1/models/a%00b/c", "/v1/%zz",
                     "/delivery/../../../etc/passwd", "/v1/predictions/" + "a" * 5000, "/v1/models/é/x"):
            head = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.api.token}\r\nConnection: close\r\n\r\n"
            self.assertRefused(self.raw(head.encode()))

    def test_ten_thousand_headers(self):
        head = b"GET /v1/account HTTP/1.1\r\nHost: x\r\n" + b"".join(b"x-%d: y\r\n" % i for i in range(10_000)) + b"\r\n"
        answer = self.raw(head)
        self.assertTrue(answer == b"" or answer.startswith(b"HTTP/1.1 4"), answer[:100])

    def test_a_client_that_stops_reading_harms_nobody(self):
        path = self.deploy(f"deaf-{os.getpid()}", "hello", 0, 1) + "/predictions"
        body = json.dumps({"input": {"text": "x" * 1000}}).encode()
        head = (f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.api.token}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n").encode()
        of_deaf = ("FROM predictions p JOIN deployments d ON d.id = p.deployment_id "
                   f"WHERE d.name = 'deaf-{os.getpid()}'")
        with socket.create_connection(("127.0.0.1", self.stack.layout.ports["http"])) as client:
            client.settimeout(2)
            try:
                for _ in range(2000):  # Pipelined, and never a read.
                    client.sendall(head + body)
            except (socket.timeout, ConnectionError):
                pass  # The server stopped taking more: that is its right.
            self.assertEqual(self.api.call("GET", "/v1/account")[0], 200)
        self.assertGreater(int(self.sql(f"SELECT count(*) {of_deaf}")), 0)
        # What was accepted is done, whether or not anybody read the answer.
        eventually(lambda: int(self.sql(f"SELECT count(*) {of_deaf} AND NOT EXISTS (SELECT 1 FROM results r "
                                        "WHERE r.id = p.id)")) == 0, 60, "the results of what was accepted")


if __name__ == "__main__":
    unittest.main(verbosity=2)
