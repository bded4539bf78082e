"""The Docker Engine: the one that answers already, else one of our own (root only)."""

import contextlib
import http.client
import ipaddress
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess

from .console import StackError
from .process import ManagedProcess, command_line, processes_with, wait_until

DEFAULT_HOST = "unix:///var/run/docker.sock"
WITHOUT = "run models without containers: MIMEO_RUNTIME=process make up"


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
    with contextlib.closing(UnixConnection(str(path), timeout=3)) as connection:
        try:
            connection.request("GET", "/version")
            answer = connection.getresponse()
            return json.loads(answer.read()).get("Version") if answer.status == 200 else None
        except (OSError, ValueError, http.client.HTTPException):
            return None


def find_program(name):
    """Also where root's programs are, which `su` leaves out of PATH. None if it is not installed."""
    return shutil.which(name, path=os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/sbin")


class DockerEngine:
    """`socket` is the path to talk to, after start(). An engine that we start has its own data root,
    its own bridge and --live-restore; it is stopped by stop(), a foreign one never is."""

    name = "docker"

    def __init__(self, layout):
        self.layout = layout
        self.process = ManagedProcess("dockerd", layout)
        self.own_socket = layout.sockets / "docker.sock"
        self.exec_root = layout.sockets / "docker"
        # A bridge's name has at most 15 characters.
        self.bridge = f"mimeo{layout.key[:8]}"

    @property
    def socket(self):
        return self.layout.data.get("docker_socket")

    @property
    def is_own(self):
        return self.socket == str(self.own_socket)

    def answers(self):
        return bool(self.socket) and engine_version(self.socket) is not None

    # -- start ----------------------------------------------------------------------------------

    def _foreign_socket(self):
        host = os.environ.get("DOCKER_HOST") or DEFAULT_HOST
        path = host[len("unix://"):] if host.startswith("unix://") else ""
        return path if path and path != str(self.own_socket) and engine_version(path) else None

    def check_possible(self):
        """StackError when there is no way to an engine. Starts nothing."""
        if self.answers() or self.process.pid or self._foreign_socket():
            return
        host = os.environ.get("DOCKER_HOST") or DEFAULT_HOST
        nobody = f"no Docker Engine answers at {host}"
        if not host.startswith("unix://"):
            raise StackError(f"{nobody}, and Mimeo's worker can only use one at a Unix socket",
                             "Unset DOCKER_HOST, or set it to unix://<path>.")
        if os.getuid() != 0:
            raise StackError(f"{nobody}, or not to you; only root can start one",
                             "Start Docker and add yourself to the group 'docker', or run `sudo make up`,\n"
                             f"or {WITHOUT}")
        for program, package in (("dockerd", "the Docker Engine (dockerd)"), ("ip", "the command `ip`")):
            if not find_program(program):
                raise StackError(f"{nobody}, and {package} is not installed",
                                 f"Run scripts/install-deps, or {WITHOUT}")

    def start(self):
        """Idempotent. Returns a line for people. StackError when there is no way to an engine."""
        if self.answers():
            return f"{'our own' if self.is_own else 'yours'}, at {self.socket}"
        self.check_possible()
        foreign = None if self.is_own else self._foreign_socket()
        self._remember(foreign or str(self.own_socket))
        if foreign:
            return f"yours, at {foreign}, version {engine_version(foreign)}"
        if not self.process.pid:
            self._start_own()
        self.process.wait_ready(lambda: engine_version(self.own_socket), 60,
                                "Docker needs root's full rights, cgroups and the kernel's overlay file system.\n"
                                f"Where that is not to be had, {WITHOUT}")
        return f"our own, version {engine_version(self.own_socket)}"

    def _remember(self, path):
        self.layout.data["docker_socket"] = path
        self.layout.save()

    def _start_own(self):
        if self._drop_stale_files():
            return
        self._make_bridge()
        self.layout.docker.mkdir(parents=True, exist_ok=True)
        path = os.environ.get("PATH", os.defpath)  # dockerd looks for iptables and containerd there.
        self.process.start([
            find_program("dockerd"), "--data-root", self.layout.docker / "data", "--exec-root",
            self.exec_root, "--pidfile", self.layout.sockets / "docker.pid", "-H",
            f"unix://{self.own_socket}", "--bridge", self.bridge, "--live-restore",
            "--userland-proxy=false", "--log-driver", "json-file", "--log-opt", "max-size=10m",
            "--log-opt", "max-file=2"], env={"PATH": f"{path}:/usr/sbin:/sbin"})

    def _drop_stale_files(self):
        """After a crash the pid files of dockerd and its containerd may name some other program, and
        dockerd would take that for itself. True if it is our dockerd after all, which we then adopt."""
        for path in (self.layout.sockets / "docker.pid", self.exec_root / "containerd/containerd.pid"):
            try:
                pid = int(path.read_text())
            except (OSError, ValueError):
                continue
            if str(self.layout.sockets) not in command_line(pid):
                path.unlink(missing_ok=True)
            elif path.name == "docker.pid":
                self.process.adopt(pid)
                return True
        return False

    def _ip(self, *arguments, check=True):
        result = subprocess.run([find_program("ip"), *arguments], text=True, capture_output=True, check=False)
        if check and result.returncode != 0:
            raise StackError(f"making the network bridge failed: `ip {' '.join(arguments)}`",
                             f"It needs the rights of a network administrator. Without, {WITHOUT}", result.stderr)
        return result

    def _make_bridge(self):
        shown = self._ip("-4", "-o", "addr", "show", "dev", self.bridge, check=False)
        if shown.returncode != 0:
            self._ip("link", "add", self.bridge, "type", "bridge")
        if not shown.stdout.strip():
            self._ip("addr", "add", f"{self._free_network()[1]}/24", "dev", self.bridge)
        self._ip("link", "set", self.bridge, "up")

    def _free_network(self):
        lines = self._ip("-4", "-o", "addr").stdout.splitlines()
        taken = [ipaddress.ip_interface(line.split()[3]).network for line in lines]
        for third in range(77, 250):
            network = ipaddress.ip_network(f"172.30.{third}.0/24")
            if not any(network.overlaps(other) for other in taken):
                return network
        raise StackError("no network of 172.30.77.0 to 172.30.249.0 is free for the containers",
                         "Remove one of the interfaces that `ip -4 addr` shows.")

    # -- stop -----------------------------------------------------------------------------------

    def stop(self):
        """Only an engine of our own, with everything that runs in it. True if there was one."""
        if not self.is_own and not self.process.pid:
            self.layout.data.pop("docker_socket", None)
            self.layout.save()
            return False
        self._remember(str(self.own_socket))
        was_running = self.process.pid is not None
        if not was_running and self._leftovers():
            with contextlib.suppress(StackError):  # It died, its containers did not: they need it to end.
                self.start()
        if self.answers():
            running = self.cli("ps", "-q", check=False).stdout.split()
            if running:
                self.cli("stop", "-t", "5", *running, check=False)
        was_running = self.process.stop(limit=30) or was_running
        self._end_leftovers()
        if find_program("ip"):
            self._ip("link", "del", self.bridge, check=False)
        return was_running

    def _leftovers(self):
        """containerd and the shims of containers, when nobody looks after them any more."""
        return [pid for pid in processes_with(str(self.exec_root) + "/")
                if os.path.basename(command_line(pid).split(" ")[0]).startswith("containerd")]

    def _end_leftovers(self):
        for number in (signal.SIGTERM, signal.SIGKILL):
            for pid in self._leftovers():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            with contextlib.suppress(StackError):
                wait_until(lambda: not self._leftovers(), 5, "the end of containerd")
                break
        for line in reversed(pathlib.Path("/proc/self/mountinfo").read_text().splitlines()):
            point = line.split()[4]
            if point.startswith((f"{self.exec_root}/", f"{self.layout.docker}/")):
                subprocess.run(["umount", "-l", point], capture_output=True, check=False)

    # -- use ------------------------------------------------------------------------------------

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
        worker = self.worker_id()
        if not worker or not self.answers():
            return
        ids = self.cli("ps", "-aq", "--filter", f"label=mimeo.worker={worker}", check=False).stdout.split()
        if ids:
            self.cli("rm", "-f", *ids, check=False)

    def worker_id(self):
        try:
            return json.loads((self.layout.worker / "worker.json").read_text())["worker_id"]
        except (OSError, ValueError, KeyError):
            return self.layout.data.get("worker_id")
