"""What an operator does with the `mimeo` command, for rows that need it. All of it is here, so that a
command that changes its name is changed in one place.

An installation whose `mimeo` lacks a command raises NotRun: the row is then reported as not run.
"""

import base64
import hashlib
import hmac
import json
import os
import subprocess

from .checks import NotRun


def mimeo(site, *arguments, database="database"):
    """The output of `mimeo ...` against the main installation (or `strict_database`)."""
    result = subprocess.run([site["mimeo"], *arguments], text=True, capture_output=True, check=False,
                            env={**os.environ, "MIMEO_DATABASE": site[database]})
    if result.returncode == 2:  # Wrong usage: this build has no such command or option.
        raise NotRun(f"this build has no `mimeo {' '.join(arguments[:2])}` of that form: "
                     f"{result.stderr.strip().splitlines()[-1] if result.stderr.strip() else ''}")
    if result.returncode != 0:
        raise RuntimeError(f"`mimeo {' '.join(arguments)}`: {result.stderr.strip()}")
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
        raise RuntimeError(f"psql: {result.stderr.strip()}")
    return result.stdout.strip()


# -- files ----------------------------------------------------------------------------------------------


def sign_file_link(webhook_secret, owner, id, expiry):
    """The signature of a link to an uploaded file. Its secret is derived from the webhook secret."""
    secret = hmac.new(webhook_secret.encode(), b"file links", hashlib.sha256).digest()
    return base64.b64encode(hmac.new(secret, f"{owner} {id} {expiry}".encode(), hashlib.sha256).digest()).decode()


# -- commands that the rows of unfinished features need -------------------------------------------------


def set_retention(site, account, seconds):
    """Content of the account's predictions goes this long after their end (row 51)."""
    mimeo(site, "account", "set", account, "--retention", f"{seconds}s")


def set_spend_limit(site, account, micros):
    """Predictions are refused with 402 once this was spent (row 19)."""
    mimeo(site, "account", "set", account, "--spend-limit-micros", str(micros))


def make_official(site, model):
    """Its predictions show `hidden` as their version (row 58)."""
    mimeo(site, "model", "set", model, "--official")


def add_example(site, model, prediction):
    """Row 65."""
    mimeo(site, "model", "add-example", model, prediction)


def create_collection(site, slug, name, description, full_description, models):
    """Row 87."""
    mimeo(site, "collection", "create", slug, "--name", name, "--description", description,
          "--full-description", full_description)
    for model in models:
        mimeo(site, "collection", "add", slug, model)
