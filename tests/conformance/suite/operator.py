"""What an operator does with the `mimeo` command, for rows that need it. All of it is here, so that a
command that changes its name is changed in one place.

A `mimeo` that lacks a command fails the row.
"""

import base64
import hashlib
import hmac
import json
import os
import subprocess
import tempfile

from .checks import Failed
from .wire import Wire


def mimeo(site, *arguments, database="database"):
    """The output of `mimeo ...` against the main installation (or `strict_database`)."""
    result = subprocess.run([site["mimeo"], *arguments], text=True, capture_output=True, check=False,
                            env={**os.environ, "MIMEO_DATABASE": site[database]})
    if result.returncode == 2:  # Wrong usage.
        raise Failed(f"this build has no command `mimeo {' '.join(arguments)}`")
    if result.returncode != 0:
        raise Failed(f"`mimeo {' '.join(arguments)}`: {result.stderr.strip()}")
    return result.stdout.strip()


# -- accounts -------------------------------------------------------------------------------------------


def create_account(site, name, database="database"):
    """A new account's token."""
    mimeo(site, "account", "create", name, database=database)
    return create_token(site, name, "conformance", database)


def create_token(site, account, name, database="database"):
    return mimeo(site, "token", "create", account, "--name", name, database=database).split()[-1]


def disable_token(site, account, name):
    listed = json.loads(mimeo(site, "token", "list", account, "--json"))
    number = next(token["id"] for token in listed if token["name"] == name)
    mimeo(site, "token", "disable", str(number))


def sql(site, statement):
    """For the passage of time alone: what lies an hour back can otherwise not be had."""
    result = subprocess.run(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", site["database"], "-c", statement], text=True,
                            capture_output=True, check=False)
    if result.returncode != 0:
        raise Failed(f"psql: {result.stderr.strip()}")
    return result.stdout.strip()


# -- files ----------------------------------------------------------------------------------------------


def sign_file_link(wire, owner, id, expiry):
    """The signature of a link to an uploaded file, with the secret that the account's settings show."""
    secret = wire.ok("GET", "/v1/account/settings")["file_signing_secret"].encode()
    return base64.b64encode(hmac.new(secret, f"{owner} {id} {expiry}".encode(), hashlib.sha256).digest()).decode()


# -- features that have commands of their own -----------------------------------------------------------


def set_retention(site, account):
    """Content of the account's predictions goes a few minutes after their end, the least that may be set (row 51)."""
    mimeo(site, "account", "retention", account, "--api", "5m")


def let_retention_pass(site, account):
    """As if those minutes had passed since what the account has finished."""
    sql(site, "UPDATE removals SET due_at = due_at - interval '5 minutes' WHERE account_id = "
        f"(SELECT id FROM accounts WHERE username = '{account}')")


def set_spend_limit(site, account, micros):
    """Predictions are refused with 402 once this was spent in a month (row 19)."""
    mimeo(site, "spend-limit", "set", account, str(micros))


def make_official(site, model):
    """Its predictions show `hidden` as their version (row 58)."""
    mimeo(site, "model", "set-official", model)


def create_collection(site, slug, name, description, full_description, models):
    """Row 87."""
    with tempfile.NamedTemporaryFile("w", suffix=".md") as text:
        text.write(full_description)
        text.flush()
        mimeo(site, "collection", "create", slug, "--name", name, "--description", description,
              "--full-description", text.name)
    for model in models:
        mimeo(site, "collection", "add", slug, model)


def add_example(site, model, prediction):
    """By the model's owner, through the API (row 65)."""
    wire = Wire(site["url"], site["token"], site["authority"])
    for method, path in (("POST", "examples"), ("PUT", "default-example")):
        answer = wire.send(method, f"/v1/models/{model}/{path}", {"prediction": prediction})
        if answer.status >= 300:
            raise Failed(f"{method} /v1/models/{model}/{path}: {answer!r}")
