"""Our own processes: control plane, scheduler, worker. Each can be started, stopped and killed by
itself, which is what the fault tests do."""

import contextlib
import http.client
import os
import secrets
import subprocess
import tempfile

from .api import connect
from .console import StackError
from .process import ManagedProcess, replace_file

CPU_OVERCOMMIT = 8
UNLIMITED = ("--rate-create-per-minute", "0", "--rate-read-per-minute", "0", "--rate-other-per-minute", "0")


def http_get(port, path, timeout=2, context=None):
    """(status, body) or None when nobody answers. With TLS if there is a context."""
    scheme = "http" if context is None else "https"
    with contextlib.closing(connect(scheme, "127.0.0.1", port, timeout, context)) as connection:
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        except (OSError, http.client.HTTPException):
            return None


def is_ready(port, context=None):
    answer = http_get(port, "/readyz", context=context)
    return answer is not None and answer[0] == 200


class ControlPlane:
    name = "control-plane"

    def __init__(self, layout):
        self.layout = layout
        self.process = ManagedProcess(self.name, layout)

    def start(self, wait=True):
        layout = self.layout
        if not self.process.pid:
            tls = (["--http-tls-certificate", layout.tls.certificate, "--http-tls-key", layout.tls.key]
                   if layout.has_tls else [])
            self.process.start([
                *self.common_arguments(layout),
                "--http-listen", f"127.0.0.1:{layout.ports['http']}", *tls,
                "--external-url", layout.base_url,
                "--grpc-listen", layout.socket("hub"),
                *layout.data.get("rate_flags", UNLIMITED),
                *layout.data.get("control_plane_flags", [])])
        if wait:
            context = layout.tls_context()
            self.process.wait_ready(lambda: is_ready(layout.ports["http"], context), 30)

    @staticmethod
    def common_arguments(layout):
        """What every control plane of this installation is started with."""
        return [layout.program("mimeo-control-plane"),
                "--database", layout.database,
                "--files-dir", layout.files,
                "--registry", layout.registry_addr,
                "--registry-url", f"http://{layout.registry_addr}",
                "--registry-service", "mimeo-registry",
                "--registry-key", layout.keys / "registry.key",
                "--registry-certificate", layout.keys / "registry.crt",
                "--registry-hook-secret", layout.data["secrets"]["registry_hook"]]

    def stop(self):
        return self.process.stop()


class Scheduler:
    name = "scheduler"

    def __init__(self, layout):
        self.layout = layout
        self.process = ManagedProcess(self.name, layout)

    def start(self, wait=True):
        layout = self.layout
        if not self.process.pid:
            self.process.start([
                layout.program("mimeo-scheduler"),
                "--database", layout.database,
                "--grpc-listen", layout.socket("scheduler"),
                "--metrics-listen", f"127.0.0.1:{layout.ports['scheduler_metrics']}",
                *layout.data.get("scheduler_flags", [])])
        if wait:
            self.process.wait_ready(lambda: is_ready(layout.ports["scheduler_metrics"]), 30)

    def stop(self):
        return self.process.stop()


class Worker:
    name = "worker"

    def __init__(self, layout, docker):
        self.layout = layout
        self.docker = docker
        self.process = ManagedProcess(self.name, layout)

    def start(self, wait=True):
        layout = self.layout
        if not self.process.pid:
            token_file = layout.keys / "worker.token"
            if not token_file.exists():
                write_secret(token_file, layout.cli("worker-token", "create", "--name", "local"))
            runtime = layout.data["runtime"]
            arguments = (["--docker-socket", self.docker.socket] if runtime == "docker" else
                         ["--launcher", layout.program("mimeo-launch")])
            self.process.start([
                layout.program("mimeo-worker"),
                "--schedulers", layout.socket("scheduler"),
                "--join-token-file", token_file,
                "--state-dir", layout.worker,
                "--runtime", runtime,
                "--skus", ",".join(layout.data.get("skus", ["cpu"])),
                "--shim", layout.program("mimeo-shim"),
                "--metrics-listen", f"127.0.0.1:{layout.ports['worker_metrics']}",
                # Models on one's own machine are idle most of the time: offer its cores several times.
                "--total-cpu-milli", (os.cpu_count() or 1) * 1000 * CPU_OVERCOMMIT,
                *arguments, *layout.data.get("worker_flags", [])])
        if wait:
            self.process.wait_ready(lambda: is_ready(layout.ports["worker_metrics"]), 30)

    def stop(self):
        return self.process.stop(limit=40)

    def remove_containers(self):
        """Of the process runtime: those that a worker left which was killed or could not drain."""
        if any((self.layout.worker / "containers").glob("*")):
            subprocess.run([str(self.layout.program("mimeo-launch")), "clean", str(self.layout.worker)], check=False)


def write_secret(path, text):
    replace_file(path, text + "\n", 0o600)


def make_registry_keys(layout):
    """Both files or none: an interrupted start must not leave half of a pair."""
    names = ("registry.crt", "registry.key")
    if all((layout.keys / name).exists() for name in names):
        return
    with tempfile.TemporaryDirectory(dir=layout.keys) as folder:
        layout.cli("registry-keys", folder)
        for name in names:
            os.replace(os.path.join(folder, name), layout.keys / name)


def prepare_secrets(layout):
    """Everything that is made once per installation: signing key, secrets, account, token."""
    stored = layout.data.setdefault("secrets", {})
    for name in ("registry_http", "registry_hook"):
        stored.setdefault(name, secrets.token_urlsafe(24))
    make_registry_keys(layout)
    owner = layout.data.setdefault("owner", os.environ.get("MIMEO_OWNER", "demo"))
    if "token" not in stored:
        try:
            layout.cli("account", "create", owner)
        except StackError as error:
            if "already" not in error.log:
                raise
        stored["token"] = layout.cli("token", "create", owner, "--name", "local").split()[-1]
    layout.save()
