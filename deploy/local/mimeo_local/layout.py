"""Where everything of one local installation is: directories, ports, addresses, credentials."""

import hashlib
import json
import os
import pathlib
import pwd
import shutil
import subprocess

from . import ports
from .console import StackError
from .process import build_of, replace_file
from .tls import Tls

MINIMUM_FREE_MIB = 2048


class Layout:
    """Paths, ports and settings of the installation in `state` (by default .mimeo in the checkout).

    Settings that must not change between two starts (ports, tokens) are kept in state.json.
    """

    def __init__(self, checkout, state=None, build=None):
        self.checkout = pathlib.Path(checkout).resolve()
        self.build = pathlib.Path(build or self.checkout / "build" / "release").resolve()
        wanted = pathlib.Path(state or os.environ.get("MIMEO_STATE_DIR") or self.checkout / ".mimeo")
        self.state = wanted.absolute()
        self.is_default = not state or self.state == self.checkout / ".mimeo"
        # Unix sockets have short paths (107 bytes), so they get a directory of their own.
        key = hashlib.sha256(str(self.state).encode()).hexdigest()[:10]
        self.sockets = pathlib.Path(os.environ.get("MIMEO_SOCKET_DIR", f"/tmp/mimeo-{os.getuid()}-{key}"))
        self.key = key
        self.run = self.state / "run"
        self.logs = self.state / "logs"
        self.keys = self.state / "keys"
        self.files = self.state / "files"
        self.worker = self.state / "worker"
        self.registry = self.state / "registry"
        self.docker = self.state / "docker"
        self.env_file = self.state / "env"
        self.tls = Tls(self.keys / "tls")
        self.data = {}

    # -- settings that last ---------------------------------------------------------------------

    def load(self, lenient=False):
        """Reads what was saved. Lenient: a damaged file counts as none, so that parts can be stopped."""
        path = self.state / "state.json"
        try:
            self.data = json.loads(path.read_text())
        except FileNotFoundError:
            self.data = {}
        except PermissionError as error:
            owner = pwd.getpwuid(self.state.stat().st_uid).pw_name
            raise StackError(f"{self.state} belongs to the user {owner}",
                             f"Go on as {owner} (with `sudo` if that is root), or set MIMEO_STATE_DIR to a "
                             "directory of your own.") from error
        except ValueError as error:
            self.data = {}
            if lenient:
                return self
            raise StackError(f"{path} is damaged: {error}",
                             f"It holds ports, the account's name and its token. Restore it, or begin anew: "
                             f"{self.command('down')}, then remove {self.state}.") from error
        return self

    def save(self):
        replace_file(self.state / "state.json", json.dumps(self.data, indent=1), 0o600)

    @property
    def exists(self):
        return (self.state / "state.json").exists()

    # -- preparation ----------------------------------------------------------------------------

    def make_state(self):
        """Makes the state directory, and the one of the sockets."""
        try:
            for path in (self.state, self.sockets):
                path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StackError(f"cannot make {error.filename}: {error.strerror}",
                             "Set MIMEO_STATE_DIR to a directory that you may write.") from error
        # Its name can be guessed and /tmp is everybody's: nobody else may have made it.
        if self.sockets.is_symlink() or self.sockets.stat().st_uid != os.getuid():
            raise StackError(f"{self.sockets} belongs to another user",
                             "Remove it, or set MIMEO_SOCKET_DIR to a directory of your own with a short name.")

    def prepare(self):
        """Makes the directories. StackError for what a person must mend."""
        self.make_state()
        self.check_disk()
        for path in (self.run, self.logs, self.keys, self.files, self.worker, self.registry):
            path.mkdir(parents=True, exist_ok=True)
        self.state.chmod(0o711)  # Postgres runs as another user and must pass through, as here:
        self.keys.chmod(0o700)
        self.sockets.chmod(0o711)

    def check_disk(self):
        text = os.environ.get("MIMEO_MINIMUM_FREE_MIB") or str(MINIMUM_FREE_MIB)
        if not text.isdigit():
            raise StackError(f"MIMEO_MINIMUM_FREE_MIB is '{text}'", "It is a number, of MiB.")
        minimum = int(text)
        if self.free_mib() < minimum:
            raise StackError(f"the disk of {self.state} is nearly full: only {self.free_mib()} MiB are free",
                             f"Mimeo wants {minimum} MiB: free some, or set MIMEO_STATE_DIR to another disk.")

    def free_mib(self):
        there = next(path for path in (self.state, *self.state.parents) if path.exists())
        return shutil.disk_usage(there).free >> 20

    def choose_ports(self):
        """Chooses the ports once; again when MIMEO_PORT_BASE names others. True if they changed."""
        base = ports.wanted_base()
        if "ports" in self.data and base in (None, self.data.get("port_base")):
            return False
        self.data["port_base"] = ports.DEFAULT_BASE if base is None else base
        self.data["ports"] = ports.from_base(self.data["port_base"])
        return True

    # -- addresses ------------------------------------------------------------------------------

    @property
    def ports(self):
        return self.data["ports"]

    @property
    def has_tls(self):
        return bool(self.data.get("tls"))

    @property
    def local_url(self):
        """Where the API listens."""
        return f"{'https' if self.has_tls else 'http'}://127.0.0.1:{self.ports['http']}"

    @property
    def base_url(self):
        """Where clients reach it, and what the URLs in its answers begin with."""
        return self.data.get("external_url") or self.local_url

    def tls_context(self):
        """For our own calls to local_url; None without TLS."""
        return self.tls.context() if self.has_tls else None

    @property
    def registry_addr(self):
        return f"127.0.0.1:{self.ports['registry']}"

    @property
    def postgres_dir(self):
        """Below the state directory, unless Postgres' user cannot get there (postgres.py)."""
        return pathlib.Path(self.data.get("postgres_dir") or self.state / "postgres")

    @property
    def database(self):
        return f"host={self.sockets}/pg port=5432 user=mimeo dbname=mimeo"

    def socket(self, name):
        return f"unix:{self.sockets}/{name}.sock"

    def program(self, name):
        """The built program; StackError when it is not built."""
        for folder in ("control-plane", "scheduler", "worker", "worker/shim", "worker/launch", "cli"):
            path = self.build / folder / name
            if path.is_file():
                return path
        raise StackError(f"{name} is not built in {self.build}", "Run `make build` first.")

    def program_of_example(self, name):
        path = self.build / "examples" / f"example-{name}"
        if not path.is_file():
            raise StackError(f"the example {name} is not built in {self.build}", "Run `make build` first.")
        return path

    def environment(self, **extra):
        """The environment of child processes: ours, with these added."""
        return {**os.environ, **extra}

    def command(self, name):
        """What a person types for this installation, for example `make down`."""
        if self.is_default:
            return f"`make {name}`"
        return f"`deploy/local/stack {name} --state {self.state}`"

    def build_of(self, name):
        """Tells one build of our program from the next."""
        return build_of(self.program(name))

    def cli(self, *arguments):
        """Runs `mimeo ...` against this installation's database and returns its output."""
        result = subprocess.run([str(self.program("mimeo")), *arguments], text=True, capture_output=True,
                                env=self.environment(MIMEO_DATABASE=self.database), check=False)
        if result.returncode != 0:
            raise StackError(f"`mimeo {' '.join(arguments)}` failed", log=result.stderr)
        return result.stdout.strip()


def user_exists(name):
    try:
        pwd.getpwnam(name)
        return True
    except KeyError:
        return False
