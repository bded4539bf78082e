"""Checks in Python: functions named `row_NNN_what`, found by their names, each run in a thread and
reported as one line of JSON on standard output:

  {"row": 37, "client": "http", "check": "sync_wait_finished", "status": "pass", "detail": "", "seconds": 0.1}
"""

import concurrent.futures
import json
import os
import re
import sys
import threading
import time
import traceback

THREADS = 5
_NAME = re.compile(r"row_(\d{3})_(\w+)")
_printing = threading.Lock()


class NotRun(Exception):
    """Raised by a check that cannot be made here; its text is the reason."""


class Failed(AssertionError):
    pass


class Site:
    """What is tested, from the file of MIMEO_CONFORMANCE_SITE (site.py writes it)."""

    def __init__(self, path=None):
        with open(path or os.environ["MIMEO_CONFORMANCE_SITE"], encoding="utf-8") as file:
            self.data = json.load(file)
        self.owner = self.data["owner"]
        self.versions = self.data["versions"]

    def __getitem__(self, key):
        return self.data[key]

    def model(self, name):
        return f"{self.owner}/{name}"

    def ref(self, name):
        return f"{self.owner}/{name}:{self.versions[name]}"

    def unique(self, word):
        """A name that no other check uses."""
        return f"{word}-{os.getpid()}-{time.monotonic_ns() % 10**9}"


def takes_a_minute(check):
    """Such checks start first, in threads of their own, so that the others run meanwhile."""
    check.takes_a_minute = True
    return check


def timed(check):
    """Such a check measures seconds. It fails when it fails twice: a busy machine may spoil one measurement."""
    check.timed = True
    return check


def only_long(why):
    """Not run without --long."""
    def mark(check):
        check.only_long = why
        check.takes_a_minute = True
        return check
    return mark


# -- assertions ---------------------------------------------------------------------------------------


def expect(condition, message):
    if not condition:
        raise Failed(message)


def equal(got, wanted, what="it"):
    if got != wanted:
        raise Failed(f"{what} is {got!r} instead of {wanted!r}")


def contains(text, part, what="it"):
    if part not in text:
        raise Failed(f"{what} lacks {part!r}: {text!r}"[:600])


def matches(text, pattern, what="it"):
    if not isinstance(text, str) or not re.fullmatch(pattern, text):
        raise Failed(f"{what} is {text!r}, which is not of the form {pattern}")


def raises(kind, function, *arguments, **named):
    """The exception; Failed if there is none."""
    try:
        got = function(*arguments, **named)
    except kind as error:
        return error
    raise Failed(f"no {kind.__name__} was raised; it returned {got!r}")


def eventually(condition, limit=30, what="it", every=0.05):
    """The first true value of condition(); Failed after `limit` seconds."""
    deadline = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failed(f"{what} did not happen within {limit} s; last: {value!r}"[:600])
        time.sleep(every)


# -- running ------------------------------------------------------------------------------------------


def find(modules):
    """(row, name, function) of every check, those that take a minute first."""
    found = []
    for module in modules:
        for name, value in vars(module).items():
            match = _NAME.fullmatch(name)
            if match and callable(value):
                found.append((int(match[1]), match[2], value))
    return sorted(found, key=lambda one: (not hasattr(one[2], "takes_a_minute"), one[0], one[1]))


def report(client, row, check, status, detail="", seconds=0.0):
    line = json.dumps({"row": row, "client": client, "check": check, "status": status, "detail": detail,
                       "seconds": round(seconds, 2)})
    with _printing:
        print(line, flush=True)


def _where(error):
    """The innermost line of a check's own file."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "rows_" in frame.filename]
    return f" ({os.path.basename(frames[-1].filename)}:{frames[-1].lineno})" if frames else ""


def run_one(client, site, row, name, function):
    start = time.monotonic()
    status, detail = "pass", ""
    try:
        if getattr(function, "only_long", None) and not site["long"]:
            raise NotRun(f"needs --long: {function.only_long}")
        try:
            function(site)
        except NotRun:
            raise
        except Exception:
            if not hasattr(function, "timed"):
                raise
            function(site)
    except NotRun as why:
        status, detail = "not run", str(why)
    except Exception as error:  # Whatever a client raises is a failed check.
        kind = "" if isinstance(error, Failed) else f"{type(error).__name__}: "
        status, detail = "fail", f"{kind}{str(error)[:800]}{_where(error)}"
        if os.environ.get("MIMEO_CONFORMANCE_TRACE"):
            traceback.print_exception(error, file=sys.stderr)
    report(client, row, name, status, detail, time.monotonic() - start)


def run(client, modules):
    """What a driver's main calls. MIMEO_CONFORMANCE_ROWS limits it to some rows ("37,38")."""
    site = Site()
    rows = {int(row) for row in os.environ.get("MIMEO_CONFORMANCE_ROWS", "").split(",") if row}
    checks = [check for check in find(modules) if not rows or check[0] in rows]
    slow = [check for check in checks if hasattr(check[2], "takes_a_minute")]
    with concurrent.futures.ThreadPoolExecutor(THREADS + len(slow)) as pool:
        for check in checks:
            pool.submit(run_one, client, site, *check)
