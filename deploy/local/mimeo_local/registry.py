"""The image registry: CNCF distribution with token authentication by our control plane."""

import http.client
import shutil

from .console import StackError
from .process import ManagedProcess

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
    service = "mimeo-registry"

    def __init__(self, layout):
        self.layout = layout
        self.process = ManagedProcess("registry", layout)

    def start(self):
        if self.process.pid:
            return
        program = shutil.which("docker-registry") or shutil.which("registry")
        if not program:
            raise StackError("docker-registry is not installed", "Run scripts/install-deps.")
        port = self.layout.ports["http"]
        config = self.layout.registry / "config.yml"
        config.write_text(CONFIG.format(
            data=self.layout.registry / "data", addr=self.layout.registry_addr,
            http_secret=self.layout.data["secrets"]["registry_http"],
            # A host *name*: newer clients refuse token realms that are loopback address literals.
            realm=f"http://localhost:{port}/registry/token", service=self.service,
            certificate=self.layout.keys / "registry.crt",
            events=f"http://127.0.0.1:{port}/registry/events",
            hook_secret=self.layout.data["secrets"]["registry_hook"]))
        config.chmod(0o600)
        self.process.start([program, "serve", config])
        self.process.wait_ready(self._answers, 20)

    def _answers(self):
        try:
            connection = http.client.HTTPConnection(*self.layout.registry_addr.split(":"), timeout=2)
            connection.request("GET", "/v2/")
            return connection.getresponse().status == 401
        except OSError:
            return False

    def stop(self):
        return self.process.stop()
