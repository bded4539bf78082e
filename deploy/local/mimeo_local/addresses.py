"""How clients reach the API: with TLS or without, and by which address. Remembered once chosen."""

import os
import urllib.parse

from .console import StackError

NONE = "none"  # As MIMEO_EXTERNAL_URL: the address where the API listens, again.


def _wanted(data):
    """(tls, external URL or None) by the environment, else as remembered."""
    tls = os.environ.get("MIMEO_TLS") or ""
    if tls not in ("", "0", "1"):
        raise StackError(f"MIMEO_TLS is '{tls}'", "It is 1 (https) or 0 (http).")
    url = os.environ.get("MIMEO_EXTERNAL_URL", "").rstrip("/")
    parts = urllib.parse.urlsplit(url)
    if url not in ("", NONE) and (parts.scheme not in ("http", "https") or not parts.hostname or parts.query):
        raise StackError(f"MIMEO_EXTERNAL_URL is '{url}'",
                         f"It is the URL by which clients reach the API, as https://mimeo.example, or '{NONE}'.")
    remembered = data.get("external_url")
    return (tls == "1" if tls else bool(data.get("tls"))), (None if url == NONE else url or remembered)


def are_new(data):
    return _wanted(data) != (bool(data.get("tls")), data.get("external_url"))


def choose(data):
    """Puts the wanted ones into `data`. True if they are others than before."""
    is_new = are_new(data)
    data["tls"], data["external_url"] = _wanted(data)
    return is_new
