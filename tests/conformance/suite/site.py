"""What the suite runs against: two installations of this build on this machine, made by the commands
that `make up` uses, with the models and accounts that the rows need.

  main    https, as most rows want it; no rate limits
  strict  rate limits as documented, a run limit and a setup limit of seconds; it speaks plain HTTP behind a
          proxy with TLS (proxy.py), so that its external URL is not where it listens
"""

import concurrent.futures
import json
import os
import pathlib
import shutil
import subprocess
import sys
import urllib.parse

from . import operator
from .checks import eventually
from .images import CHECKOUT, Registry
from .proxy import Proxy
from .wire import Wire

sys.path.insert(0, str(CHECKOUT / "deploy" / "local"))
from mimeo_local import ports  # noqa: E402
from mimeo_local.console import Console, StackError  # noqa: E402
from mimeo_local.layout import Layout  # noqa: E402
from mimeo_local.stack import Stack  # noqa: E402

OWNER = "demo"
RUN_LIMIT_S = 4
SETUP_LIMIT_S = 3
SLOW_SETUP_S = 66
PAGER_PREDICTIONS = 205
PAGER_MODELS = 30

# Models of the main installation: name -> (form, what is set in its image).
PROBES = {
    "probe": ("value", {}),
    "probe-stream": ("stream", {}),
    "probe-files": ("files", {}),
    "probe-trainer": ("trainer", {"COG_MAX_CONCURRENCY": "1"}),
    "slow-start": ("stream", {"MIMEO_PROBE_SETUP_S": str(SLOW_SETUP_S)}),
    "asleep": ("value", {"MIMEO_PROBE_SETUP_S": "500"}),  # Never ready: what is sent to it stays queued.
}
STRICT_PROBES = {
    "probe": ("value", {}),
    "asleep": ("value", {"MIMEO_PROBE_SETUP_S": "500"}),
    "broken": ("value", {"MIMEO_PROBE_SETUP_ERROR": "the weights are missing"}),
}


class Site:
    def __init__(self, folder, build, console):
        self.folder = pathlib.Path(folder).absolute()
        self.console = console
        self.main = Stack(Layout(CHECKOUT, self.folder / "main", build).load(), console)
        self.strict = Stack(Layout(CHECKOUT, self.folder / "strict", build).load(), console)
        self.program = pathlib.Path(build).resolve() / "tests" / "conformance" / "model" / "conformance-model"
        self.stripped = self.folder / "conformance-model"  # Each image is made of it: without debug information.
        self.proxy = None

    # -- making -----------------------------------------------------------------------------------------

    def up(self, is_long):
        """Makes both, from nothing. Returns the path of the file that tells the drivers."""
        if not self.program.is_file():
            raise StackError(f"{self.program} is not built", "Run `make build` first.")
        self.destroy()
        strip = shutil.which("strip")
        if strip:
            subprocess.run([strip, "-o", self.stripped, self.program], check=True)
        else:
            shutil.copy(self.program, self.stripped)
        os.environ.pop("MIMEO_TLS", None)
        os.environ.pop("MIMEO_EXTERNAL_URL", None)
        os.environ["MIMEO_PORT_BASE"] = "0"
        self._choose_runtime()
        self.console.say("The main installation:")
        self._start(self.main, ("hello", "stream-text", "edges"), {
            "tls": True, "owner": OWNER, "worker_flags": ["--allow-private-inputs"],
            "scheduler_flags": ["--idle-timeout-s", "5"],
            "control_plane_flags": ["--webhook-allow-private", "--default-max-instances", "2"]})
        if self.main.uses_docker():  # One engine is enough.
            os.environ["DOCKER_HOST"] = f"unix://{self.main.docker.socket}"
        self.console.say("The strict installation:")
        proxy_port = ports.free_port()
        self._start(self.strict, (), {
            "owner": OWNER, "external_url": f"https://localhost:{proxy_port}", "rate_flags": [],
            "scheduler_flags": ["--idle-timeout-s", "5", "--setup-limit-s", str(SETUP_LIMIT_S)],
            "control_plane_flags": ["--webhook-allow-private", "--run-limit-s", str(RUN_LIMIT_S)]})
        tls = self.main.layout.tls
        self.proxy = Proxy(proxy_port, self.strict.layout.ports["http"], tls.certificate, tls.key)
        return self._describe(is_long)

    def _choose_runtime(self):
        """Docker, unless it is not to be had here or MIMEO_RUNTIME says otherwise."""
        if os.environ.get("MIMEO_RUNTIME"):
            return
        try:
            self.main.docker.check_possible()
        except StackError as error:
            self.console.say(f"Models run without Docker: {error}")
            os.environ["MIMEO_RUNTIME"] = "process"

    def again(self, is_long):
        """The same with what is there already."""
        path = self.folder / "site.json"
        if not path.exists() or not self.main.layout.exists:
            raise StackError(f"there is nothing in {self.folder}", "Run once with --keep.")
        data = json.loads(path.read_text())
        tls = self.main.layout.tls
        proxy_port = urllib.parse.urlsplit(data["strict_url"]).port
        self.proxy = Proxy(proxy_port, self.strict.layout.ports["http"], tls.certificate, tls.key)
        path.write_text(json.dumps({**data, "long": is_long}, indent=1))
        return path

    @staticmethod
    def _start(stack, examples, settings):
        stack.layout.data.update(settings)
        stack.layout.make_state()
        stack.layout.save()
        stack.up(examples)

    # -- filling ----------------------------------------------------------------------------------------

    def _describe(self, is_long):
        main, strict = self.main.layout, self.strict.layout
        data = {
            "long": is_long, "owner": OWNER, "authority": str(main.tls.bundle), "program": str(self.stripped),
            "mimeo": str(main.program("mimeo")), "database": main.database, "strict_database": strict.database,
            "url": main.base_url, "token": main.data["secrets"]["token"], "registry": main.registry_addr,
            "control_plane_log": str(main.logs / "control-plane.log"),
            "strict_url": strict.base_url, "strict_backend": strict.local_url,
            "strict_token": strict.data["secrets"]["token"],
            "run_limit_s": RUN_LIMIT_S, "setup_limit_s": SETUP_LIMIT_S, "slow_setup_s": SLOW_SETUP_S,
        }
        with self.console.step("models and accounts of the suite"):
            wire = Wire(data["url"], data["token"], data["authority"])
            registry = Registry(data["program"], data["registry"], OWNER, data["token"], data["authority"])
            data["versions"] = self._push(wire, registry, PROBES)
            for name in ("hello", "stream-text", "edges"):
                model = wire.ok("GET", f"/v1/models/{OWNER}/{name}")
                data["versions"][name] = model["latest_version"]["id"]
            through_proxy = Wire(data["strict_url"], data["strict_token"], data["authority"])
            own = Registry(data["program"], strict.registry_addr, OWNER, data["strict_token"])
            data["strict_versions"] = self._push(through_proxy, own, STRICT_PROBES)
            data["stranger_token"] = operator.create_account(data, "stranger")
            data["pager_token"] = operator.create_account(data, "pager")
            self._fill_pager(wire.with_token(data["pager_token"]))
            wire.ok("POST", "/v1/models", _model(OWNER, "trained", "private"))
        path = self.folder / "site.json"
        path.write_text(json.dumps(data, indent=1))
        path.chmod(0o600)
        return path

    @staticmethod
    def _push(wire, registry, probes):
        """Public models with one version each; the ids of the versions."""
        for name in probes:
            wire.ok("POST", "/v1/models", _model(OWNER, name, "public"))
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            pushes = {name: pool.submit(registry.push, name, form, **environment)
                      for name, (form, environment) in probes.items()}
            versions = {name: push.result() for name, push in pushes.items()}
        for name, version in versions.items():
            def is_there(path=f"/v1/models/{OWNER}/{name}/versions/{version}"):
                return wire.get(path).status == 200
            eventually(is_there, 30, f"the version of {name}")
        return versions

    @staticmethod
    def _fill_pager(wire):
        """An account whose lists have several pages."""
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            made = [pool.submit(wire.create, f"{OWNER}/probe", {"text": str(i)}) for i in range(PAGER_PREDICTIONS)]
            made += [pool.submit(wire.ok, "POST", "/v1/models", _model("pager", f"page-{i}", "public"))
                     for i in range(PAGER_MODELS)]
            for one in made:
                one.result()

    # -- for drivers ------------------------------------------------------------------------------------

    def environment(self):
        """What a client's process needs beside the file."""
        layout = self.main.layout
        return {"REPLICATE_BASE_URL": layout.base_url, "REPLICATE_API_TOKEN": layout.data["secrets"]["token"],
                "MIMEO_OWNER": OWNER, **layout.tls.environment()}

    def close(self):
        """Ends what lives in this process; the installations go on."""
        if self.proxy:
            self.proxy.close()
            self.proxy = None

    def destroy(self):
        """Both installations with all their data."""
        self.close()
        for stack in (self.strict, self.main):
            if stack.layout.state.exists():
                stack.destroy()
        for name, which in (("main", "main"), ("strict", "strict")):
            layout = Layout(CHECKOUT, self.folder / name, getattr(self, which).layout.build)
            setattr(self, which, Stack(layout, self.console))


def _model(owner, name, visibility):
    return {"owner": owner, "name": name, "visibility": visibility, "hardware": "cpu"}


__all__ = ["Console", "Site", "StackError"]
