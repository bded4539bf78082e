"""The image registry: CNCF distribution with token authentication by our control plane."""

import shutil

from .console import StackError
from .parts import http_get
from .process import ManagedProcess, replace_file

CONFIG = """version: 0.1
log: {{level: warn}}
storage:
  filesystem: {{rootdirectory: {data}}}
  delete: {{enabled: true}}
http:
  addr: {addr}
  secret: {http_secret}
auth:
  token:
    realm: {realm}
    service: {service}
    issuer: mimeo
    rootcertbundle: {certificate}
notifications:
  events: {{includereferences: true}}
  endpoints:
    - name: mimeo
      url: {events}
      headers: {{Authorization: [Bearer {hook_secret}]}}
      timeout: 2s
      threshold: 3
      backoff: 1s
      ignore: {{mediatypes: [application/octet-stream], actions: [pull, mount]}}
"""


class Registry:
    name = "registry"
    service = "mimeo-registry"

    def __init__(self, layout):
        self.layout = layout
        self.process = ManagedProcess(self.name, layout)

    def start(self):
        if not self.process.pid:
            self._start_program()
        self.process.wait_ready(self._answers, 20)

    def _start_program(self):
        program = shutil.which("docker-registry") or shutil.which("registry")
        if not program:
            raise StackError("docker-registry is not installed", "Run scripts/install-deps.")
        port = self.layout.ports["http"]
        scheme = "https" if self.layout.has_tls else "http"
        config = self.layout.registry / "config.yml"
        replace_file(config, CONFIG.format(
            data=self.layout.registry / "data", addr=self.layout.registry_addr,
            http_secret=self.layout.data["secrets"]["registry_http"],
            # A host *name*: newer clients refuse token realms that are loopback address literals.
            realm=f"{scheme}://localhost:{port}/registry/token", service=self.service,
            certificate=self.layout.keys / "registry.crt",
            events=f"{scheme}://127.0.0.1:{port}/registry/events",
            hook_secret=self.layout.data["secrets"]["registry_hook"]), 0o600)
        trust = self.layout.tls.environment() if self.layout.has_tls else None  # It notifies the control plane.
        self.process.start([program, "serve", config], env=trust)

    def _answers(self):
        answer = http_get(self.layout.ports["registry"], "/v2/")
        return answer is not None and answer[0] == 401

    def stop(self):
        return self.process.stop()
