"""Starts, remembers and ends processes. Ends only what it started: a pid counts only together with
its start time and the machine's boot, so a recycled pid is never touched."""

import json
import os
import pathlib
import signal
import subprocess
import time

from .console import StackError

LARGEST_LOG = 16 << 20


def start_time(pid):
    """The kernel's start time of the process (clock ticks since boot), or None if there is none."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rsplit(")", 1)[1].split()
    return None if fields[0] == "Z" else int(fields[19])


def boot_id():
    return pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def command_line(pid):
    """The arguments of a process, joined by blanks; empty if there is none."""
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def processes_with(text):
    """Pids of the processes whose command line contains `text`."""
    pids = (int(path.name) for path in pathlib.Path("/proc").iterdir() if path.name.isdigit())
    return [pid for pid in pids if pid != os.getpid() and text in command_line(pid)]


def build_of(program):
    """Tells one build of a program from the next; None if there is no such file."""
    path = os.path.realpath(program)
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return f"{path} {stat.st_mtime_ns} {stat.st_size}"


def replace_file(path, text, mode=0o644):
    """Writes a file so that whoever is interrupted leaves the old content or the new, never half of it."""
    temporary = path.with_name(f"{path.name}.new-{os.getpid()}")
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as out:
            os.fchmod(out.fileno(), mode)
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


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
    """One background process with a pid file and a log file under the state directory.

    The pid file is written by the process itself before its program begins: whenever the caller is
    killed, either there is no process or the next caller finds it. stop() removes the pid file, so
    one that is left without a process tells that the process ended by itself.
    """

    def __init__(self, name, layout):
        self.name = name
        self.pid_file = layout.run / f"{name}.pid"
        self.log_file = layout.logs / f"{name}.log"
        self._child = None

    def _record(self):
        try:
            record = json.loads(self.pid_file.read_text())
            return record if isinstance(record, dict) else {}
        except (OSError, ValueError):
            return {}

    @property
    def pid(self):
        """The pid if the process we started still runs, else None."""
        record = self._record()
        if not record.get("pid") or record.get("boot") != boot_id():
            return None
        return record["pid"] if start_time(record["pid"]) == record["start_time"] else None

    @property
    def has_died(self):
        """It ended without being asked to, since this machine was started."""
        record = self._record()
        return bool(record) and record.get("boot") == boot_id() and self.pid is None

    def runs_other_build_than(self, program):
        """It runs, but the program was built anew since, or is another one."""
        return self.pid is not None and self._record().get("build") not in (None, build_of(program))

    def log_tail(self, lines=30):
        """The last lines that the present process, or the last one, wrote."""
        try:
            with open(self.log_file, "rb") as log:
                end = log.seek(0, os.SEEK_END)
                begin = self._record().get("log_begin", 0)
                log.seek(max(begin if begin <= end else 0, end - 64 * 1024))
                return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""

    def start(self, argv, env=None, cwd="/"):
        """Starts the program in a session of its own, so that it outlives the caller and its terminal."""
        for path in (self.log_file, self.pid_file):
            path.parent.mkdir(parents=True, exist_ok=True)
        if self.log_file.exists() and self.log_file.stat().st_size > LARGEST_LOG:
            self.log_file.replace(self.log_file.with_suffix(".log.1"))
        command = [str(a) for a in argv]
        with open(self.log_file, "ab") as log:
            record = {"boot": boot_id(), "build": build_of(command[0]), "log_begin": log.tell()}
            try:
                self._child = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=cwd,
                    env={**os.environ, **(env or {})}, start_new_session=True,
                    preexec_fn=lambda: self.adopt(os.getpid(), record))
            except (OSError, subprocess.SubprocessError) as error:
                self.pid_file.unlink(missing_ok=True)
                raise StackError(f"cannot start {command[0]}: {error}",
                                 f"The file must be executable, and {self.pid_file.parent} writable.") from error
        return self._child.pid

    def adopt(self, pid, record=None):
        """From now on `pid` counts as this process."""
        record = record or {"boot": boot_id(), "build": None, "log_begin": 0}
        replace_file(self.pid_file, json.dumps({**record, "pid": pid, "start_time": start_time(pid)}))

    def wait_ready(self, is_ready, limit, hint=""):
        """Waits until `is_ready()`; a process that died meanwhile is reported with its log's end."""
        def check():
            self._reap()
            if self.pid is None:
                raise StackError(f"{self.name} {self._how_it_ended()} while starting", hint, self.log_tail())
            return is_ready()
        wait_until(check, limit, f"{self.name} is not ready", log=self.log_tail,
                   hint=hint or f"It runs, but does not answer. Its log is {self.log_file}.")

    def _how_it_ended(self):
        code = self._child.poll() if self._child else None
        if code is None:
            return "ended"
        return f"ended with exit code {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"

    def _reap(self):
        if self._child is not None:
            self._child.poll()

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
        was_running = self.pid is not None
        if was_running:
            self.send(number)
            if not self._wait_gone(limit):
                self.send(signal.SIGKILL)
                self._wait_gone(10)
        self.pid_file.unlink(missing_ok=True)
        return was_running

    def _wait_gone(self, limit):
        deadline = time.monotonic() + limit
        while self.pid is not None:
            self._reap()
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True
