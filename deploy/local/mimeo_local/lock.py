"""One `make up` or `make down` at a time. The kernel drops the lock with its holder, however that ends."""

import contextlib
import fcntl
import json
import os
import time

from .console import StackError


@contextlib.contextmanager
def exclusive(layout, command):
    """Held while the body runs. StackError when another one works on the same state directory."""
    layout.make_state()
    path = layout.state / "lock"
    with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError(*_explain(file.read(), layout)) from None
        file.truncate(0)
        json.dump({"pid": os.getpid(), "command": command, "since": time.time()}, file)
        file.flush()
        yield


def _explain(text, layout):
    try:
        holder = json.loads(text)
    except ValueError:  # Just about to write it.
        return f"another `up` or `down` is at work in {layout.state}", "Repeat this when it is done."
    seconds = max(0, time.time() - holder["since"])
    return (f"another `{holder['command']}` is at work in {layout.state}: process {holder['pid']}, "
            f"for {seconds:.0f} s",
            f"Repeat this when it is done, or end it first: kill {holder['pid']}")
