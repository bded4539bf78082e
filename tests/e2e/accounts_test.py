"""Organizations, roles, scoped tokens and the audit log over a real installation, with the operator's
command beside the API."""

import os
import pathlib
import sys
import unittest
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from mimeo_testing import Api, InstallationTest, eventually  # noqa: E402


class Accounts(InstallationTest):
    def setUp(self):
        tag = uuid.uuid4().hex[:8]
        self.org, self.user, self.member = f"lab-{tag}", f"ada-{tag}", f"bob-{tag}"
        self.mimeo("user", "create", self.user)
        self.mimeo("user", "create", self.member)
        self.mimeo("org", "create", self.org, "--owner", self.user)

    def mimeo(self, *arguments):
        return self.stack.layout.cli(*arguments).strip()

    def token(self, *arguments):
        """A client with a new token of the operator's making."""
        return self.client(self.mimeo("token", "create", *arguments).split()[-1])

    def client(self, token):
        return Api(self.stack.layout.base_url, token)

    def status(self, client, method, path, body=None):
        return client.call(method, path, body)[0]

    def test_the_command_disables_at_once(self):
        client = self.token(self.org, "--name", "ci", "--scope", "read")
        self.assertEqual(self.status(client, "GET", "/v1/models"), 200)
        number = [line.split()[0] for line in self.mimeo("token", "list", self.org).splitlines()][-1]
        self.mimeo("token", "disable", number)
        # The command is another process: the control plane hears of it.
        eventually(lambda: self.status(client, "GET", "/v1/models") == 401, 5, "the refusal")

    def test_a_role_bounds_what_its_tokens_may_do(self):
        owner = self.token(self.user)
        path = f"/v1/organizations/{self.org}/members/{self.member}"
        self.assertEqual(self.status(owner, "PUT", path, {"role": "viewer"}), 201)
        status, made = self.token(self.member).call("POST", "/v1/account/tokens", {"name": "mine", "owner": self.org})
        self.assertEqual(status, 201, made)
        client = self.client(made["token"])
        model = {"owner": self.org, "name": "m", "visibility": "private", "hardware": "cpu"}
        status, refused = client.call("POST", "/v1/models", model)
        self.assertEqual(status, 403, refused)
        self.assertIn("models", refused["detail"])
        self.assertEqual(self.status(owner, "PUT", path, {"role": "developer"}), 200)
        self.assertEqual(self.status(client, "POST", "/v1/models", model), 201)
        self.assertEqual(self.status(self.api, "GET", f"/v1/models/{self.org}/m"), 404)
        self.assertEqual(self.status(owner, "DELETE", path), 204)
        self.assertEqual(self.status(client, "GET", "/v1/account"), 401)
        self.assertEqual(self.status(owner, "PUT", path, {"role": "developer"}), 201)
        self.assertEqual(self.status(client, "GET", "/v1/account"), 401, "for good")
        status, log = owner.call("GET", f"/v1/account/audit-log?owner={self.org}")
        self.assertEqual(status, 200, log)
        told = [(entry["action"], entry["outcome"]) for entry in log["results"]]
        self.assertEqual(told, [("member.set", "done"), ("member.remove", "done"), ("model.create", "done"),
                                ("member.set", "done"), ("model.create", "refused"), ("token.create", "done"),
                                ("member.set", "done"), ("organization.create", "done")])
        self.assertIn("model.create", self.mimeo("audit", "--account", self.org))

    def test_a_disabled_account_is_unknown(self):
        client = self.token(self.user)
        self.assertEqual(self.status(client, "GET", "/v1/account"), 200)
        self.mimeo("user", "disable", self.user)
        eventually(lambda: self.status(client, "GET", "/v1/account") == 401, 5, "the refusal")
        self.mimeo("user", "enable", self.user)
        eventually(lambda: self.status(client, "GET", "/v1/account") == 200, 5, "the welcome")


if __name__ == "__main__":
    unittest.main(verbosity=2 if os.environ.get("VERBOSE") else 1)
