"""Choosing TCP ports, and saying who has one that is taken."""

import contextlib
import os
import pathlib
import socket

from .console import StackError

DEFAULT_BASE = 7300
# In this order from the base; the value says what a port is for.
NAMES = {"http": "the API", "registry": "the image registry", "scheduler_metrics": "the scheduler's metrics",
         "worker_metrics": "the worker's metrics"}


def wanted_base():
    """MIMEO_PORT_BASE as a number, or None if it is not set; 0 means any free ports."""
    text = os.environ.get("MIMEO_PORT_BASE", "")
    if not text:
        return None
    if not text.isdigit() or not (int(text) == 0 or 1024 <= int(text) <= 65535 - len(NAMES)):
        raise StackError(f"MIMEO_PORT_BASE is '{text}'",
                         f"It is the first of {len(NAMES)} port numbers from 1024 on, or 0 for any free ones.")
    return int(text)


def from_base(base):
    """The ports by name. For 0 they are free ones, which nobody else is given meanwhile."""
    if base:
        return {name: base + i for i, name in enumerate(NAMES)}
    with contextlib.ExitStack() as probes:
        return {name: _bound(probes).getsockname()[1] for name in NAMES}


def _bound(probes):
    probe = probes.enter_context(socket.socket())
    probe.bind(("127.0.0.1", 0))
    return probe


def free_port():
    with contextlib.ExitStack() as probes:
        return _bound(probes).getsockname()[1]


def check_free(port, name):
    """StackError, with the name of the program that has it if that can be seen."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            pid, program = _listener(port) or (None, "")
            stop = ("It is another Mimeo: `make down` where that was started, or" if program.startswith("mimeo-") else
                    f"Stop it (kill {pid}), or" if pid else "Stop it, or")
            raise StackError(
                f"port {port}, for {NAMES[name]}, is taken by " +
                (f"process {pid} ({program})" if pid else "another program"),
                f"{stop} choose other ports: MIMEO_PORT_BASE=17300 make up\n"
                f"(uses 17300 to {17300 + len(NAMES) - 1}; it is remembered)") from error


def _listener(port):
    """(pid, program) of the process that listens on the port, if we may see it."""
    wanted = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if any(os.readlink(entry) in wanted for entry in (folder / "fd").iterdir()):
                return int(folder.name), os.path.basename((folder / "cmdline").read_text().split("\0")[0])
        except OSError:
            continue
    return None


def _listening_inodes(port):
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = pathlib.Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rsplit(":", 1)[1], 16) == port:
                yield fields[9]
