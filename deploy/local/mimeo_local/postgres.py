"""A private PostgreSQL: its own data directory, reachable through a Unix socket only."""

import contextlib
import glob
import os
import pathlib
import shlex
import shutil
import subprocess
import time

from .console import StackError
from .layout import user_exists
from .process import start_time, wait_until

SETTINGS = """
# Written by `make up`; sized for one machine that also runs models.
listen_addresses = ''
port = 5432
max_connections = 100
shared_buffers = 256MB
wal_compression = lz4
max_wal_size = 4GB
checkpoint_timeout = 15min
random_page_cost = 1.1
jit = off
fsync = on
synchronous_commit = on
idle_in_transaction_session_timeout = 10s
log_line_prefix = '%m [%p] '
"""


class Postgres:
    def __init__(self, layout):
        self.layout = layout
        # PostgreSQL refuses to run as root; the packages bring a user for it.
        self.user = "postgres" if os.getuid() == 0 else None
        self.socket_dir = layout.sockets / "pg"

    @property
    def bin(self):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin/pg_ctl"), key=_major)
        if found:
            return pathlib.Path(found[-1]).parent
        on_path = shutil.which("pg_ctl")
        if on_path:
            return pathlib.Path(on_path).resolve().parent
        raise StackError("PostgreSQL is not installed", "Run scripts/install-deps.")

    @property
    def data(self):
        return self.layout.postgres_dir / "data"

    @property
    def log(self):
        return self.layout.postgres_dir / "log"

    def _run(self, *argv, check=True):
        command = [str(a) for a in argv]
        if self.user:
            command = ["runuser", "-u", self.user, "--", *command]
        result = subprocess.run(command, text=True, capture_output=True, cwd="/", check=False,
                                stdin=subprocess.DEVNULL)
        if check and result.returncode != 0:
            raise StackError(f"{pathlib.Path(argv[0]).name} failed",
                             log=result.stderr + result.stdout + self._log_tail())
        return result

    def _log_tail(self):
        try:
            return "\n" + "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])
        except OSError:
            return ""

    def _choose_directory(self):
        """The data directory must be reachable for Postgres' own user, which a checkout below a
        home directory of mode 0700 is not: then it is below /var/lib, and status shows it."""
        if self.user and not user_exists(self.user):
            raise StackError("there is no user 'postgres'", "Run scripts/install-deps.")
        wanted = self.layout.state / "postgres"
        wanted.mkdir(parents=True, exist_ok=True)
        if not self._give(wanted):
            wanted = pathlib.Path(f"/var/lib/mimeo-{self.layout.key}/postgres")
            if (wanted / "data").exists():  # Of a state directory that somebody removed.
                (wanted / "data").rename(wanted / f"data.of-removed-state-{time.strftime('%Y%m%d-%H%M%S')}")
            wanted.mkdir(parents=True, exist_ok=True)
            self._give(wanted)
            self.layout.data["postgres_dir"] = str(wanted)
        self.layout.data["postgres_chosen"] = True
        self.layout.save()

    def _give(self, folder):
        """Makes the folder Postgres' own. False if its user cannot reach it."""
        if not self.user:
            return True
        try:
            shutil.chown(folder, self.user, self.user)
        except OSError:  # A file system without owners.
            return False
        return self._run("test", "-w", folder, check=False).returncode == 0

    @property
    def pid(self):
        """The pid of the server on our data directory, or None. Whatever else has the pid in a stale
        file is left alone: a postmaster works in its data directory."""
        try:
            pid = int((self.data / "postmaster.pid").read_text().split("\n")[0])
            return pid if os.path.samefile(f"/proc/{pid}/cwd", self.data) else None
        except (OSError, ValueError):
            return None

    def is_running(self):
        return self.pid is not None

    @property
    def has_died(self):
        """It was not stopped in order: its pid file is left."""
        return (self.data / "postmaster.pid").exists() and not self.is_running()

    def start(self):
        """Idempotent. Makes the cluster the first time."""
        if not {"postgres_chosen", "postgres_dir"} & self.layout.data.keys():
            self._choose_directory()
        self.socket_dir.mkdir(parents=True, exist_ok=True)
        if self.user:
            shutil.chown(self.socket_dir, self.user, self.user)
        self.socket_dir.chmod(0o700)  # Only root and Postgres' user get in: hence `trust` below.
        for leftover in self.layout.postgres_dir.glob("making-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        if not self.data.exists():
            self._make_cluster()
        if not self.is_running():
            self._start_server()
        wait_until(self._accepts, 60, "PostgreSQL does not accept connections", log=self._log_tail)
        exists = self.psql("postgres", "SELECT 1 FROM pg_database WHERE datname = 'mimeo'")
        if not exists:
            self.psql("postgres", "CREATE DATABASE mimeo")

    def _make_cluster(self):
        """In a folder that gets its name when all is there: an interrupted one is never taken for whole."""
        folder = self.layout.postgres_dir / f"making-{os.getpid()}"
        self._run(self.bin / "initdb", "-D", folder, "-A", "trust", "-U", "mimeo", "--no-locale",
                  "-E", "UTF8", "--no-instructions")
        with open(folder / "postgresql.conf", "a") as conf:
            conf.write(SETTINGS)
            conf.flush()
            os.fsync(conf.fileno())
        folder.rename(self.data)

    def _start_server(self):
        self._drop_stale_files()
        try:
            self._run(self.bin / "pg_ctl", "-D", self.data, "-w", "-t", "60", "-l", self.log,
                      "-o", f"-k {shlex.quote(str(self.socket_dir))}", "start")
        except StackError as error:
            if not self.is_running():  # Else one that an interrupted start had left was faster.
                raise StackError("PostgreSQL did not start", f"Its log is {self.log}.", error.log) from error

    def _drop_stale_files(self):
        """After a crash both files name a pid, and PostgreSQL does not start if some other program of
        its user has that pid now. Otherwise postmaster.pid must stay: it also leads PostgreSQL to
        backends that outlived their postmaster."""
        (self.socket_dir / ".s.PGSQL.5432.lock").unlink(missing_ok=True)  # The directory is ours alone.
        path = self.data / "postmaster.pid"
        try:
            pid = int(path.read_text().split("\n")[0])
        except (OSError, ValueError):
            return
        if start_time(pid) is not None:
            wait_until(lambda: not self._backends(), 30, "processes of the former PostgreSQL do not end",
                       hint="Look for them with: ps -fu postgres")
            path.unlink()

    def _backends(self):
        """Pids of all processes that work in our data directory."""
        found = []
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if os.readlink(folder / "cwd") == str(self.data):
                    found.append(int(folder.name))
        return found

    def _accepts(self):
        return self._run(self.bin / "pg_isready", "-q", "-U", "mimeo", "-d", "postgres", "-h", self.socket_dir, "-p", "5432",
                         check=False).returncode == 0

    def psql(self, database, statement):
        return self._run(self.bin / "psql", "-h", self.socket_dir, "-U", "mimeo", "-d", database, "-X", "-A",
                         "-t", "-q", "-v", "ON_ERROR_STOP=1", "-c", statement).stdout.strip()

    def stop(self, mode="fast"):
        """True if it ran. mode: fast, or immediate for a crash-like stop (tests)."""
        if not self.is_running():
            return False
        self._run(self.bin / "pg_ctl", "-D", self.data, "-w", "-t", "60", "-m", mode, "stop")
        return True


def _major(path):
    part = path.split("/")[4]
    return int(part) if part.isdigit() else 0
