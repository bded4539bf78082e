"""Starts, remembers and ends processes. Ends only what it started: a pid counts only together with
its start time, so a recycled pid is never touched."""

import json
import os
import pathlib
import signal
import subprocess
import time

from .console import StackError


def start_time(pid):
    """The kernel's start time of the process (clock ticks since boot), or None if there is none."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rsplit(")", 1)[1].split()
    return None if fields[0] == "Z" else int(fields[19])


def wait_until(condition, limit, what, every=0.02, hint="", log=None):
    """Calls `condition` until it is true; StackError after `limit` seconds. Returns its value."""
    deadline = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise StackError(f"{what}: not within {limit:.0f} s", hint, log() if log else "")
        time.sleep(every)


class ManagedProcess:
    """One background process with a pid file and a log file under the state directory."""

    def __init__(self, name, layout):
        self.name = name
        self.pid_file = layout.run / f"{name}.pid"
        self.log_file = layout.logs / f"{name}.log"

    @property
    def pid(self):
        """The pid if the process we started still runs, else None."""
        try:
            record = json.loads(self.pid_file.read_text())
        except (OSError, ValueError):
            return None
        return record["pid"] if start_time(record["pid"]) == record["start_time"] else None

    def log_tail(self, lines=30):
        try:
            with open(self.log_file, "rb") as log:
                log.seek(0, os.SEEK_END)
                log.seek(max(0, log.tell() - 64 * 1024))
                return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""

    def start(self, argv, env=None, user=None, cwd="/"):
        """Starts the program in a session of its own, so that it outlives the caller."""
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log_file, "ab") as log:
            child = subprocess.Popen(
                [str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=cwd,
                env={**os.environ, **(env or {})}, start_new_session=True, user=user)
        self._child = child  # Kept so that a test can reap it.
        self.pid_file.parent.mkdir(parents=True, exist_ok=True)
        self.pid_file.write_text(json.dumps({"pid": child.pid, "start_time": start_time(child.pid)}))
        return child.pid

    def wait_ready(self, is_ready, limit, hint=""):
        """Waits until `is_ready()`; a process that died meanwhile is reported with its log's end."""
        def check():
            self._reap()
            if self.pid is None:
                raise StackError(f"{self.name} ended while starting", hint, self.log_tail())
            return is_ready()
        wait_until(check, limit, f"{self.name} is not ready", hint=hint, log=self.log_tail)

    def _reap(self):
        child = getattr(self, "_child", None)
        if child is not None:
            child.poll()

    def send(self, number):
        pid = self.pid
        if pid is not None:
            os.kill(pid, number)

    def kill(self):
        """SIGKILL, and waits until it is gone."""
        self.send(signal.SIGKILL)
        self._wait_gone(10)

    def stop(self, limit=15, number=signal.SIGTERM):
        """Asks, waits, insists. True if there was something to stop."""
        pid = self.pid
        if pid is None:
            self.pid_file.unlink(missing_ok=True)
            return False
        os.kill(pid, number)
        if not self._wait_gone(limit):
            self.send(signal.SIGKILL)
            self._wait_gone(10)
        self.pid_file.unlink(missing_ok=True)
        return True

    def _wait_gone(self, limit):
        deadline = time.monotonic() + limit
        while self.pid is not None:
            self._reap()
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True
