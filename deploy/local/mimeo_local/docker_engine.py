"""The Docker Engine: the one that answers already, else one of our own (root only)."""

import http.client
import ipaddress
import json
import os
import pathlib
import shutil
import socket
import subprocess

from .console import StackError
from .process import ManagedProcess


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=5):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def engine_version(path):
    """The version of the engine that listens on this socket, or None."""
    try:
        connection = UnixConnection(str(path), timeout=3)
        connection.request("GET", "/version")
        answer = connection.getresponse()
        return json.loads(answer.read()).get("Version") if answer.status == 200 else None
    except (OSError, ValueError, http.client.HTTPException):
        return None


class DockerEngine:
    """`socket` is the path to talk to, after start(). An engine that we start has its own data root,
    its own bridge and --live-restore; it is stopped by stop(), a foreign one never is."""

    def __init__(self, layout):
        self.layout = layout
        self.process = ManagedProcess("dockerd", layout)
        self.own_socket = layout.sockets / "docker.sock"
        # A bridge's name has at most 15 characters.
        self.bridge = f"mimeo{layout.key[:8]}"

    @property
    def socket(self):
        return self.layout.data.get("docker_socket")

    @property
    def is_own(self):
        return self.socket == str(self.own_socket)

    def _foreign_socket(self):
        host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
        if not host.startswith("unix://"):
            return None
        path = host[len("unix://"):]
        return path if engine_version(path) else None

    def start(self):
        """Returns a line for people. StackError when there is no way to an engine."""
        if self.socket and engine_version(self.socket):
            return f"running at {self.socket}"
        foreign = None if self.is_own else self._foreign_socket()
        if foreign:
            self._remember(foreign)
            return f"the one at {foreign}, version {engine_version(foreign)}"
        if os.getuid() != 0:
            raise StackError(
                "no Docker Engine answers, and only root can start one",
                "Start Docker and add yourself to the group 'docker', or run `sudo make up`, or run "
                "without containers: MIMEO_RUNTIME=process make up.")
        dockerd = shutil.which("dockerd") or "/usr/sbin/dockerd"
        if not pathlib.Path(dockerd).exists():
            raise StackError("the Docker Engine is not installed", "Run scripts/install-deps.")
        self._make_bridge()
        self.layout.docker.mkdir(parents=True, exist_ok=True)
        self.process.start([
            dockerd, "--data-root", self.layout.docker / "data", "--exec-root",
            self.layout.sockets / "docker", "--pidfile", self.layout.sockets / "docker.pid", "-H",
            f"unix://{self.own_socket}", "--bridge", self.bridge, "--live-restore",
            "--userland-proxy=false", "--log-driver", "json-file", "--log-opt", "max-size=10m",
            "--log-opt", "max-file=2"])
        self.process.wait_ready(lambda: engine_version(self.own_socket), 60,
                                "Docker needs cgroups and the overlay file system of the kernel. Without: "
                                "MIMEO_RUNTIME=process make up.")
        self._remember(str(self.own_socket))
        return f"our own, version {engine_version(self.own_socket)}"

    def _remember(self, path):
        self.layout.data["docker_socket"] = path
        self.layout.save()

    def _make_bridge(self):
        if subprocess.run(["ip", "link", "show", self.bridge], capture_output=True, check=False).returncode == 0:
            return
        taken = subprocess.run(["ip", "-4", "-o", "addr"], text=True, capture_output=True, check=True).stdout
        networks = [ipaddress.ip_interface(line.split()[3]).network for line in taken.splitlines()]
        for third in range(77, 250):
            network = ipaddress.ip_network(f"172.30.{third}.0/24")
            if not any(network.overlaps(other) for other in networks):
                break
        for command in (["ip", "link", "add", self.bridge, "type", "bridge"],
                        ["ip", "addr", "add", f"172.30.{third}.1/24", "dev", self.bridge],
                        ["ip", "link", "set", self.bridge, "up"]):
            subprocess.run(command, check=True, capture_output=True)

    def stop(self):
        """Only an engine of our own, after its containers of ours are gone."""
        stopped = self.process.stop(limit=30) if self.is_own else False
        if self.is_own and shutil.which("ip"):
            subprocess.run(["ip", "link", "del", self.bridge], capture_output=True, check=False)
        if not self.is_own:
            self.layout.data.pop("docker_socket", None)
            self.layout.save()
        return stopped

    def cli(self, *arguments, check=True, stdin=None):
        """The docker command against this engine, with a configuration directory of our own."""
        config = self.layout.state / "docker-config"
        config.mkdir(exist_ok=True)
        docker = "/usr/bin/docker" if pathlib.Path("/usr/bin/docker").exists() else shutil.which("docker")
        if not docker:
            raise StackError("the docker command is not installed", "Run scripts/install-deps.")
        result = subprocess.run(
            [docker, "--config", str(config), *map(str, arguments)], text=True, capture_output=True,
            input=stdin, env={**os.environ, "DOCKER_HOST": f"unix://{self.socket}"}, check=False)
        if check and result.returncode != 0:
            raise StackError(f"`docker {arguments[0]}` failed", log=result.stderr)
        return result

    def remove_containers(self):
        """Removes the containers that our worker made here."""
        if not self.socket or not engine_version(self.socket):
            return
        label = f"mimeo.worker={self.layout.data.get('worker_id', '')}"
        if not self.layout.data.get("worker_id"):
            return
        ids = self.cli("ps", "-aq", "--filter", f"label={label}", check=False).stdout.split()
        if ids:
            self.cli("rm", "-f", *ids, check=False)
