"""`make up` with TLS: made once, trusted through the env file, with a certificate of one's own, behind a proxy, and
without again."""

import json
import os
import pathlib
import shutil
import ssl
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from mimeo_installation import Installation  # noqa: E402

HELLO = ("--examples", "hello")


def curl(installation, path):
    """What curl says with nothing but the env file, as (exit code, answer)."""
    script = f'. "{installation.state}/env"; curl -s -H "Authorization: Bearer $REPLICATE_API_TOKEN" "$REPLICATE_BASE_URL{path}"'
    done = subprocess.run(["sh", "-c", script], text=True, capture_output=True, check=False, env={"PATH": os.environ["PATH"]})
    return done.returncode, done.stdout


@unittest.skipUnless(os.getuid() == 0, "needs root, for the process runtime")
class StackTls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.one = Installation("tls", MIMEO_RUNTIME="process")
        cls.addClassCleanup(cls.one.destroy)
        cls.keys = cls.one.state / "keys" / "tls"
        cls.first = cls.one.run("up", *HELLO, "--tls")
        if cls.first.returncode != 0:
            raise AssertionError(cls.first.stderr)

    def up(self, **environment):
        done = self.one.run("up", *HELLO, **environment)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def account(self):
        code, answer = curl(self.one, "/v1/account")
        self.assertEqual(code, 0, answer)
        return json.loads(answer)["username"]

    def test_1_the_env_file_makes_clients_trust_it(self):
        self.assertTrue(self.one.stack.layout.base_url.startswith("https://127.0.0.1:"))
        self.assertEqual(self.account(), "demo")
        self.assertIn("--cacert", self.first.stdout)
        status, body = self.one.stack.api.call("POST", "/v1/models/demo/hello/predictions", {"input": {"text": "x"}},
                                               {"Prefer": "wait"})
        self.assertEqual((status, body["output"]), (201, "Hello x!"), body)
        self.assertTrue(body["urls"]["get"].startswith(self.one.stack.layout.base_url), body["urls"])

    def test_2_it_is_remembered_and_kept(self):
        certificate = (self.keys / "server.crt").read_text()
        self.assertIn("Everything is running already.", self.up().stderr)
        self.assertEqual(self.one.run("down").returncode, 0)
        self.up()
        self.assertEqual((self.keys / "server.crt").read_text(), certificate)
        self.assertEqual((self.keys / "server.key").stat().st_mode & 0o077, 0)
        self.assertEqual(self.account(), "demo")

    def test_3_a_certificate_of_ones_own_is_used_and_not_written_over(self):
        self.assertEqual(self.one.run("down").returncode, 0)
        shutil.rmtree(self.keys)
        self.keys.mkdir(mode=0o700)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", self.keys / "server.key",
                        "-out", self.keys / "server.crt", "-days", "1", "-subj", "/CN=own", "-addext",
                        "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
        own = (self.keys / "server.crt").read_text()
        shutil.copy(self.keys / "server.crt", self.keys / "ca.crt")
        self.up()
        self.assertEqual((self.keys / "server.crt").read_text(), own)
        self.assertEqual(ssl.get_server_certificate(("127.0.0.1", self.one.stack.layout.ports["http"])), own)
        self.assertEqual(self.account(), "demo")

    def test_4_http_again_and_behind_a_proxy(self):
        self.up(MIMEO_TLS="0", MIMEO_EXTERNAL_URL="https://mimeo.example/")
        layout = self.one.stack.layout
        self.assertEqual((layout.base_url, layout.local_url.split(":")[0]), ("https://mimeo.example", "http"))
        status, body = self.one.stack.api.call("POST", "/v1/models/demo/hello/predictions", {"input": {"text": "p"}},
                                               {"Prefer": "wait", "Host": "inside"})
        self.assertEqual((status, body["output"]), (201, "Hello p!"))
        self.assertTrue(body["urls"]["get"].startswith("https://mimeo.example/v1/"), body["urls"])
        self.assertIn("Everything is running already.", self.up().stderr)
        self.up(MIMEO_EXTERNAL_URL="none")
        self.assertTrue(self.one.stack.layout.base_url.startswith("http://127.0.0.1:"))
        self.assertEqual(self.account(), "demo")

    def test_5_what_is_no_setting_is_refused_with_the_reason(self):
        for environment in ({"MIMEO_TLS": "yes"}, {"MIMEO_EXTERNAL_URL": "mimeo.example"}):
            done = self.one.run("up", *HELLO, **environment)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn(f"{next(iter(environment))} is '", done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
