"""All parts together, in the order in which they need each other."""

import json
import os
import pathlib
import shutil
import signal

from .api import Api
from .console import Console, StackError
from .docker_engine import DockerEngine
from .layout import Layout
from .models import EXAMPLES, Models
from .parts import ControlPlane, Scheduler, Worker, is_ready, prepare_secrets
from .postgres import Postgres
from .process import wait_until
from .registry import Registry


class Stack:
    def __init__(self, layout: Layout, console: Console):
        self.layout = layout
        self.console = console
        self.postgres = Postgres(layout)
        self.docker = DockerEngine(layout)
        self.control_plane = ControlPlane(layout)
        self.registry = Registry(layout)
        self.scheduler = Scheduler(layout)
        self.worker = Worker(layout, self.docker)
        self.models = Models(layout, self.docker)

    # -- state ----------------------------------------------------------------------------------

    def parts(self):
        """(name, is running) of everything that up() starts."""
        yield "postgres", "postgres_dir" in self.layout.data and self.postgres.is_running()
        if self.layout.data.get("runtime", "docker") == "docker":
            yield "docker", bool(self.docker.socket) and os.path.exists(self.docker.socket)
        for part in (self.control_plane, self.registry, self.scheduler, self.worker):
            yield getattr(part, "name", "registry"), part.process.pid is not None

    def is_up(self):
        return (self.layout.exists and all(running for _, running in self.parts())
                and is_ready(self.layout.ports["http"]) and self.layout.env_file.exists())

    @property
    def api(self):
        return Api(self.layout.base_url, self.layout.data["secrets"]["token"])

    # -- up -------------------------------------------------------------------------------------

    def up(self, examples=EXAMPLES):
        """Idempotent: starts what does not run, and says so."""
        layout, say = self.layout, self.console
        with say.step("state directory and ports") as step:
            layout.prepare()
            step.note = str(layout.state)
        self._choose_runtime()
        with say.step("PostgreSQL"):
            self.postgres.start()
        with say.step("database schema, keys and an account"):
            layout.cli("migrate")
            prepare_secrets(layout)
        if layout.data["runtime"] == "docker":
            with say.step("Docker Engine") as step:
                step.note = self.docker.start()
        with say.step("control plane"):
            self.control_plane.start()
        with say.step("image registry"):
            self.registry.start()
        with say.step("scheduler"):
            self.scheduler.start()
        with say.step("worker"):
            self.worker.start()
            layout.data["worker_id"] = self._worker_id()
            layout.save()
        self.write_env()
        for example in examples:
            with say.step(f"example model {layout.data['owner']}/{example}") as step:
                step.note = self.models.ensure(example, self.api)

    def _choose_runtime(self):
        data = self.layout.data
        wanted = os.environ.get("MIMEO_RUNTIME")
        if wanted not in (None, "docker", "process"):
            raise StackError(f"MIMEO_RUNTIME is '{wanted}'", "It is 'docker' or 'process'.")
        data["runtime"] = wanted or data.get("runtime", "docker")
        self.layout.save()

    def _worker_id(self):
        path = self.layout.worker / "worker.json"
        wait_until(path.exists, 10, "the worker has not written its id")
        return json.loads(path.read_text())["worker_id"]

    def write_env(self):
        layout = self.layout
        lines = {
            "REPLICATE_BASE_URL": layout.base_url,
            "REPLICATE_API_TOKEN": layout.data["secrets"]["token"],
            "MIMEO_OWNER": layout.data["owner"],
            "MIMEO_REGISTRY": layout.registry_addr,
            "MIMEO_DATABASE": layout.database,
            "MIMEO_CONTROL_PLANE_URL": layout.base_url,
            "MIMEO_HUB_ADDR": layout.socket("hub"),
            "MIMEO_SCHEDULER_ADDR": layout.socket("scheduler"),
            "MIMEO_SCHEDULER_METRICS_URL": f"http://127.0.0.1:{layout.ports['scheduler_metrics']}/metrics",
            "MIMEO_WORKER_METRICS_URL": f"http://127.0.0.1:{layout.ports['worker_metrics']}/metrics",
            "MIMEO_STATE_DIR": str(layout.state),
        }
        if self.docker.socket and layout.data["runtime"] == "docker":
            lines["MIMEO_DOCKER_HOST"] = f"unix://{self.docker.socket}"
        text = "# Written by `make up`. Use it with: . " + str(layout.env_file) + "\n"
        text += "".join(f"export {name}='{value}'\n" for name, value in lines.items())
        temporary = layout.env_file.with_suffix(".new")
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
            out.write(text)
        temporary.replace(layout.env_file)

    # -- down -----------------------------------------------------------------------------------

    def down(self):
        """Stops exactly what up() started; data stays. Returns the names of what was stopped."""
        stopped = []
        for name, part in (("worker", self.worker), ("scheduler", self.scheduler),
                           ("registry", self.registry), ("control plane", self.control_plane)):
            with self.console.step(f"stop {name}") as step:
                step.note = "" if part.stop() else "was not running"
        self.stop_leftovers()
        with self.console.step("stop containers and Docker Engine"):
            self.worker.remove_containers()
            self.docker.remove_containers()
            self.docker.stop()
        with self.console.step("stop PostgreSQL") as step:
            step.note = "" if self.postgres.stop() else "was not running"
        return stopped

    def stop_leftovers(self):
        """A worker that was killed leaves its shims running by design; end those of its folders."""
        for record in self.layout.worker.glob("instances/*/shim.pid"):
            pid = record.read_text().strip()
            try:
                command = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:
                continue
            if str(record.parent).encode() in command:  # Not a recycled pid.
                os.kill(int(pid), signal.SIGTERM)

    def destroy(self):
        """down(), and removes all data (tests)."""
        self.down()
        for path in (self.layout.state, self.layout.sockets):
            shutil.rmtree(path, ignore_errors=True)
