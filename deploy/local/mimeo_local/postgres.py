"""A private PostgreSQL: its own data directory, reachable through a Unix socket only."""

import glob
import os
import pathlib
import shutil
import subprocess

from .console import StackError
from .layout import user_exists
from .process import wait_until

SETTINGS = """
# Written by `make up`; sized for one machine that also runs models.
listen_addresses = ''
port = 5432
unix_socket_directories = '{sockets}'
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
        home directory of mode 0700 is not."""
        wanted = self.layout.state / "postgres"
        wanted.mkdir(parents=True, exist_ok=True)
        if self.user:
            if not user_exists(self.user):
                raise StackError("there is no user 'postgres'", "Run scripts/install-deps.")
            shutil.chown(wanted, self.user, self.user)
            if self._run("test", "-w", wanted, check=False).returncode != 0:
                wanted = pathlib.Path(f"/var/lib/mimeo-{self.layout.key}/postgres")
                wanted.mkdir(parents=True, exist_ok=True)
                shutil.chown(wanted, self.user, self.user)
        self.layout.data["postgres_dir"] = str(wanted)
        self.layout.save()

    def is_running(self):
        if not (self.data / "postmaster.pid").exists():
            return False
        return self._run(self.bin / "pg_ctl", "-D", self.data, "status", check=False).returncode == 0

    def start(self):
        """Idempotent. Makes the cluster the first time."""
        if "postgres_dir" not in self.layout.data:
            self._choose_directory()
        self.socket_dir.mkdir(parents=True, exist_ok=True)
        if self.user:
            shutil.chown(self.socket_dir, self.user, self.user)
        self.socket_dir.chmod(0o700)  # Only root and Postgres' user get in: hence `trust` below.
        if not (self.data / "PG_VERSION").exists():
            self._run(self.bin / "initdb", "-D", self.data, "-A", "trust", "-U", "mimeo", "--no-locale",
                      "-E", "UTF8", "--no-instructions")
            with open(self.data / "postgresql.conf", "a") as conf:
                conf.write(SETTINGS.format(sockets=self.socket_dir))
        if not self.is_running():
            self._run(self.bin / "pg_ctl", "-D", self.data, "-w", "-t", "60", "-l", self.log, "start")
        wait_until(self._accepts, 30, "PostgreSQL does not accept connections", log=self._log_tail)
        exists = self.psql("postgres", "SELECT 1 FROM pg_database WHERE datname = 'mimeo'")
        if not exists:
            self.psql("postgres", "CREATE DATABASE mimeo")

    def _accepts(self):
        return self._run(self.bin / "pg_isready", "-q", "-h", self.socket_dir, "-p", "5432",
                         check=False).returncode == 0

    def psql(self, database, statement):
        return self._run(self.bin / "psql", "-h", self.socket_dir, "-U", "mimeo", "-d", database, "-X", "-A",
                         "-t", "-q", "-v", "ON_ERROR_STOP=1", "-c", statement).stdout.strip()

    def stop(self, mode="fast"):
        """True if it ran. mode: fast, or immediate for a crash-like stop (tests)."""
        if "postgres_dir" not in self.layout.data or not self.is_running():
            return False
        self._run(self.bin / "pg_ctl", "-D", self.data, "-w", "-m", mode, "stop")
        return True


def _major(path):
    part = path.split("/")[4]
    return int(part) if part.isdigit() else 0
