"""All parts together, in the order in which they need each other."""

import dataclasses
import http.client
import json
import os
import pathlib
import shlex
import shutil
import signal

from . import addresses, gpus, ports
from .api import Api
from .console import Console, StackError
from .docker_engine import DockerEngine
from .layout import Layout
from .lock import exclusive
from .models import EXAMPLES, Models
from .parts import ControlPlane, Scheduler, Worker, http_get, is_ready, prepare_secrets
from .postgres import Postgres
from .process import replace_file, wait_until
from .registry import Registry

PROXY_VARIABLES = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")


@dataclasses.dataclass
class PartState:
    name: str
    state: str  # running, stopped, died, not answering, old build
    where: str  # Its address.
    log_file: pathlib.Path
    pid: int | None = None


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
        self._all_started = False

    # -- state ----------------------------------------------------------------------------------

    @property
    def ours(self):
        """The parts that are programs of this checkout, in the order of starting."""
        return self.control_plane, self.scheduler, self.worker

    @property
    def listeners(self):
        """The parts with TCP ports, each with the names of its port."""
        return ((self.control_plane, "http"), (self.registry, "registry"), (self.scheduler, "scheduler_metrics"),
                (self.worker, "worker_metrics"))

    def uses_docker(self):
        return self.layout.data.get("runtime", "docker") == "docker"

    def parts(self):
        """A PartState for everything that up() starts."""
        layout, postgres = self.layout, self.postgres
        yield PartState("postgres", _state(postgres.is_running(), postgres.has_died, True), f"{postgres.socket_dir}, "
                        f"data in {layout.postgres_dir}", postgres.log, postgres.pid)
        if self.uses_docker():
            engine = self.docker
            yield PartState("docker", _state(engine.answers(), engine.process.has_died, True),
                            f"{engine.socket} ({'our own' if engine.is_own else 'not ours: stays'})"
                            if engine.socket else "", engine.process.log_file, engine.process.pid)
        for part, port in self.listeners:
            process, number = part.process, layout.data.get("ports", {}).get(port)
            state = _state(process.pid is not None, process.has_died, self._answers(part, number))
            if state == "running" and part in self.ours and self._is_old(part):
                state = "old build"
            yield PartState(part.name, state, f"127.0.0.1:{number}", process.log_file, process.pid)

    def _answers(self, part, port):
        if part is self.registry:
            return http_get(port, "/v2/") is not None
        return is_ready(port, self.layout.tls_context() if part is self.control_plane else None)

    def _is_old(self, part):
        try:
            return part.process.runs_other_build_than(self.layout.program(f"mimeo-{part.name}"))
        except StackError:  # Not built at present, which does not disturb what runs.
            return False

    def is_up(self, examples=()):
        """Everything that up() would do is done, with the programs that are built now."""
        layout = self.layout
        wanted = os.environ.get("MIMEO_RUNTIME") or layout.data.get("runtime")
        return (layout.exists and layout.env_file.exists() and wanted == layout.data.get("runtime")
                and not addresses.are_new(layout.data)
                and ports.wanted_base() in (None, layout.data.get("port_base"))
                and layout.data.get("schema_of") == layout.build_of("mimeo")
                and all(self.models.is_current(example) for example in examples)
                and all(part.state == "running" for part in self.parts())
                and layout.data.get("hardware") == self._hardware())

    @property
    def api(self):
        return Api(self.layout.local_url, self.layout.data["secrets"]["token"], self.layout.tls_context())

    # -- up -------------------------------------------------------------------------------------

    def up(self, examples=EXAMPLES, try_one=False):
        """Idempotent: starts what does not run, and restarts what runs an older build. With `try_one`
        it is done only when a prediction went through. Returns False if all was done before."""
        with exclusive(self.layout, "up"):
            self.layout.load()  # Somebody else may have been at work until now.
            if self.is_up(examples) and (not try_one or self.layout.data.get("is_tried")):
                return False
            self.layout.data.pop("is_tried", None)
            self._prepare()
            self._start()
            self.write_env()
            for example in examples:
                with self.console.step(f"example model {self.layout.data['owner']}/{example}") as step:
                    step.note = self.models.ensure(example, self.api)
            if try_one:
                with self.console.step("one prediction through the whole of it") as step:
                    step.note = self._first_prediction()
                self.layout.data["is_tried"] = True
                self.layout.save()
            return True

    def _prepare(self):
        """Finds what a person must mend before anything is started, and clears the way."""
        layout = self.layout
        with self.console.step("state directory, ports, programs") as step:
            layout.prepare()
            has_new_runtime = self._choose_runtime()
            has_new_address = addresses.choose(layout.data)
            if layout.has_tls:
                has_new_address = layout.tls.prepare() or has_new_address
            for name in ("mimeo", "mimeo-control-plane", "mimeo-scheduler", "mimeo-worker", "mimeo-shim", "mimeo-launch"):
                layout.program(name)
            if self.uses_docker():
                self.docker.check_possible()
            has_new_ports = layout.choose_ports()
            for part, port in self.listeners:
                if has_new_ports or part.process.pid is None:
                    ports.check_free(layout.ports[port], port)
            step.note = str(layout.state)
        for part in self.ours:
            if part.process.has_died:
                self.console.say(f"  ! {part.name} had ended by itself. Its log ({part.process.log_file}) ended with")
                for line in part.process.log_tail(5).splitlines():
                    self.console.say(f"      {line}")
        for part in (self.worker, self.scheduler, self.registry, self.control_plane):
            why = ("other ports" if has_new_ports else
                   "other address or certificate" if has_new_address and part in (self.registry, self.control_plane) else
                   "other runtime" if has_new_runtime and part is self.worker else
                   "it was built anew" if part in self.ours and self._is_old(part) else "")
            if part.process.pid and why:
                with self.console.step(f"stop {part.name}: {why}"):
                    part.stop()
        layout.save()

    def _choose_runtime(self):
        """True if it is another one than before."""
        data = self.layout.data
        wanted = os.environ.get("MIMEO_RUNTIME") or None
        if wanted not in (None, "docker", "process"):
            raise StackError(f"MIMEO_RUNTIME is '{wanted}'", "It is 'docker' or 'process'.")
        before = data.get("runtime", "docker")
        data["runtime"] = wanted or before
        return data["runtime"] != before

    def _start(self):
        layout, step = self.layout, self.console.step
        if self.uses_docker():
            with step("Docker Engine") as shown:
                before = self.docker.socket
                shown.note = self.docker.start()
            if self.docker.socket != before:
                self.worker.stop()
        with step("PostgreSQL") as shown:
            self.postgres.start()
            if layout.state not in layout.postgres_dir.parents:
                shown.note = f"data in {layout.postgres_dir}: its user may not enter {layout.state}"
        with step("database schema, keys and an account") as shown:
            self._migrate()
            prepare_secrets(layout)
            shown.note = self._settle_hardware()
        with step("control plane"):
            self.control_plane.start()
        with step("image registry"):
            self.registry.start()
        with step("scheduler"):
            self.scheduler.start()
        with step("worker"):
            self.worker.start()
            layout.data["worker_id"] = self._worker_id()
            layout.save()
        self._all_started = True

    def _migrate(self):
        build = self.layout.build_of("mimeo")
        if "applied " in self.layout.cli("migrate"):
            # What still runs is of this build, but read the schema before it changed.
            self.scheduler.stop()
            self.control_plane.stop()
        self.layout.data["schema_of"] = build

    def _hardware(self):
        """[name, GPUs] of each class of hardware that models can ask for."""
        return [[one["sku"], one["gpus"]] for one in json.loads(self.layout.cli("hardware", "list", "--json"))]

    def _settle_hardware(self):
        """Adds a class for this machine's GPU, unless one has GPUs, and has the worker offer all that this machine
        has the GPUs for. Returns what it added, for people."""
        data = self.layout.data
        found = gpus.find() if self.uses_docker() else []  # Containers of the other runtime have none.
        note = ""
        hardware = self._hardware()
        if found and not any(count for _, count in hardware):
            sku, name = gpus.hardware_of(*found[0])
            self.layout.cli("hardware", "set", sku, "--name", name, "--gpus", "1")
            note = f"added the hardware {sku}: change it with `mimeo hardware set {sku}`"
            hardware = self._hardware()
        before, offered = data.get("skus", ["cpu"]), [sku for sku, count in hardware if count <= len(found)]
        data.update(hardware=hardware, skus=offered)
        if offered != before:
            self.worker.stop()  # It says what it offers when it starts.
        return note

    def _worker_id(self):
        path = self.layout.worker / "worker.json"
        wait_until(path.exists, 10, "the worker has not written its id")
        return json.loads(path.read_text())["worker_id"]

    def _first_prediction(self):
        status, body = self.api.call("POST", f"/v1/models/{self.layout.data['owner']}/hello/predictions",
                                     {"input": {"text": "world"}})
        if status == 201:
            body = wait_until(lambda: self._ended(body["id"]), 180, "the end of the first prediction", every=0.05,
                              hint=f"Look into {self.layout.logs}.", log=self.worker.process.log_tail)
            if body["status"] == "succeeded":
                return f"it answered {body['output']!r}"
        raise StackError(f"the first prediction did not succeed: HTTP {status}: {body}",
                         f"Look into {self.layout.logs}.", self.worker.process.log_tail())

    def _ended(self, prediction):
        """The prediction if it has ended. Does not wait for parts that are not there any more."""
        if any(part.process.has_died for part, _ in self.listeners):
            raise StackError("the first prediction did not end")  # explain() says why.
        status, body = self.api.call("GET", f"/v1/predictions/{prediction}")
        return body if status != 200 or body["status"] not in ("starting", "processing") else None

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
        if layout.has_tls:
            lines.update(layout.tls.environment())
        if self.docker.socket and self.uses_docker():
            lines["MIMEO_DOCKER_HOST"] = f"unix://{self.docker.socket}"
            if self.docker.is_own:  # `docker` and `cog` would not find it.
                lines["DOCKER_HOST"] = lines["MIMEO_DOCKER_HOST"]
        text = f"# Written by `make up`. Use it with: . {layout.env_file}\n"
        text += "".join(f"export {name}={shlex.quote(value)}\n" for name, value in lines.items())
        if any(os.environ.get(name) for name in PROXY_VARIABLES):
            text += "".join(f'export {name}="${{{name}:+${name},}}127.0.0.1,localhost"\n'
                            for name in ("no_proxy", "NO_PROXY"))
        replace_file(layout.env_file, text, 0o600)

    # -- failures -------------------------------------------------------------------------------

    def explain(self, error):
        """A StackError for whatever went wrong, with the reason behind the reason where that is known."""
        if not isinstance(error, StackError):
            kind = "" if isinstance(error, (OSError, http.client.HTTPException)) else f"{type(error).__name__}: "
            error = StackError(f"{kind}{error}", f"The logs are in {self.layout.logs}.")
        text = f"{error} {error.log}".lower()
        if "no space left on device" in text or "disk quota exceeded" in text:
            return StackError(
                f"the disk is full: {error}", f"{self.layout.free_mib()} MiB are free on the disk of "
                f"{self.layout.state}. Free some, then repeat this.", error.log)
        for part, _ in self.listeners:
            if self._all_started and part.process.has_died:
                return StackError(f"{part.name} ended by itself meanwhile ({error})",
                                  f"Its whole log is {part.process.log_file}. {self.layout.command('up')} starts it "
                                  "again.", part.process.log_tail())
        return error

    # -- down -----------------------------------------------------------------------------------

    def down(self):
        """Stops exactly what up() started; data stays. Returns the names of what was stopped."""
        with exclusive(self.layout, "down"):
            stopped = []
            for name, part in (("worker", self.worker), ("scheduler", self.scheduler),
                               ("image registry", self.registry), ("control plane", self.control_plane)):
                self._stop(name, part.stop, part.process.pid, stopped)
            self.stop_leftovers()
            self.worker.remove_containers()
            if self.docker.is_own or self.docker.process.pid:
                self._stop("Docker Engine and its containers", self._stop_docker, self.docker.process.pid, stopped)
            elif self.docker.answers():
                self._stop("our containers", self._stop_docker, True, stopped)
            self._stop("PostgreSQL", self.postgres.stop, self.postgres.is_running(), stopped)
            return stopped

    def _stop(self, name, stop, is_running, stopped):
        """Calls `stop` in any case, since it also clears up; shows what ran."""
        if not is_running:
            stop()
            return
        with self.console.step(f"stop {name}"):
            stop()
        stopped.append(name)

    def _stop_docker(self):
        self.docker.remove_containers()
        self.docker.stop()

    def stop_leftovers(self):
        """A worker that was killed leaves its shims running by design; end those of its folders."""
        for record in self.layout.worker.glob("instances/*/shim.pid"):
            try:
                pid = record.read_text().strip()
                command = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:
                continue
            if str(record.parent).encode() in command:  # Not a recycled pid.
                os.kill(int(pid), signal.SIGTERM)

    def destroy(self):
        """down(), and removes all data (tests)."""
        self.down()
        layout = self.layout
        folders = [layout.state, layout.sockets]
        if layout.state not in layout.postgres_dir.parents:
            folders.append(layout.postgres_dir.parent)
        worker = self.docker.worker_id()
        if worker:  # The worker's sockets, if the state directory's path is too long for them.
            folders.append(pathlib.Path(f"/tmp/mimeo-{worker}"))
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


def _state(is_running, has_died, answers):
    if is_running:
        return "running" if answers else "not answering"
    return "died" if has_died else "stopped"
