"""Where everything of one local installation is: directories, ports, addresses, credentials."""

import hashlib
import json
import os
import pathlib
import pwd
import shutil
import socket
import subprocess

from .console import StackError

DEFAULT_PORT_BASE = 7300
PORT_NAMES = ("http", "registry", "scheduler_metrics", "worker_metrics")
MINIMUM_FREE_BYTES = 2 << 30


class Layout:
    """Paths, ports and settings of the installation in `state` (by default .mimeo in the checkout).

    Settings that must not change between two starts (ports, tokens) are kept in state.json.
    """

    def __init__(self, checkout, state=None, build=None):
        self.checkout = pathlib.Path(checkout).resolve()
        self.build = pathlib.Path(build or self.checkout / "build" / "release").resolve()
        wanted = pathlib.Path(state or os.environ.get("MIMEO_STATE_DIR") or self.checkout / ".mimeo")
        self.state = wanted.absolute()
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
        self.data = {}

    # -- settings that last ---------------------------------------------------------------------

    def load(self):
        try:
            self.data = json.loads((self.state / "state.json").read_text())
        except FileNotFoundError:
            self.data = {}
        return self

    def save(self):
        path = self.state / "state.json"
        temporary = path.with_suffix(".new")
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
            json.dump(self.data, out, indent=1)
        temporary.replace(path)

    @property
    def exists(self):
        return (self.state / "state.json").exists()

    # -- preparation ----------------------------------------------------------------------------

    def prepare(self):
        """Makes the directories and chooses the ports. StackError for what a person must mend."""
        try:
            for path in (self.state, self.run, self.logs, self.keys, self.files, self.worker,
                         self.registry, self.sockets):
                path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StackError(f"cannot make {error.filename}: {error.strerror}",
                             "Set MIMEO_STATE_DIR to a directory that you may write.") from error
        self.keys.chmod(0o700)
        self.sockets.chmod(0o711)  # Postgres runs as another user and must pass through.
        free = shutil.disk_usage(self.state).free
        if free < MINIMUM_FREE_BYTES:
            raise StackError(f"only {free >> 20} MiB are free on the disk of {self.state}",
                             "Mimeo needs 2 GiB: free some, or set MIMEO_STATE_DIR to another disk.")
        self.load()
        if "ports" not in self.data:
            self.data["ports"] = self._choose_ports()
            self.save()

    def _choose_ports(self):
        base = int(os.environ.get("MIMEO_PORT_BASE", DEFAULT_PORT_BASE))
        if base == 0:
            return {name: free_port() for name in PORT_NAMES}
        ports = {name: base + i for i, name in enumerate(PORT_NAMES)}
        for name, port in ports.items():
            check_port(port, name)
        return ports

    # -- addresses ------------------------------------------------------------------------------

    @property
    def ports(self):
        return self.data["ports"]

    @property
    def base_url(self):
        return self.data.get("external_url") or f"http://127.0.0.1:{self.ports['http']}"

    @property
    def registry_addr(self):
        return f"127.0.0.1:{self.ports['registry']}"

    @property
    def postgres_dir(self):
        return pathlib.Path(self.data.get("postgres_dir", self.state / "postgres"))

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

    def cli(self, *arguments):
        """Runs `mimeo ...` against this installation's database and returns its output."""
        result = subprocess.run([str(self.program("mimeo")), *arguments], text=True, capture_output=True,
                                env=self.environment(MIMEO_DATABASE=self.database), check=False)
        if result.returncode != 0:
            raise StackError(f"`mimeo {' '.join(arguments)}` failed", log=result.stderr)
        return result.stdout.strip()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def check_port(port, name):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise StackError(f"port {port} ({name}) is taken by another program",
                             "Choose another block with MIMEO_PORT_BASE=<port>, for example "
                             "`MIMEO_PORT_BASE=17300 make up`.") from error


def user_exists(name):
    try:
        pwd.getpwnam(name)
        return True
    except KeyError:
        return False
