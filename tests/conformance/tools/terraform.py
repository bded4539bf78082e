"""The real Terraform provider: the program that MIMEO_TERRAFORM_PROVIDER names, driven by MIMEO_TERRAFORM
(else the terraform of PATH)."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from suite import checks  # noqa: E402
from suite.checks import contains, equal, expect  # noqa: E402
from suite.wire import main_wire  # noqa: E402

LIMIT_S = 120
CONFIGURATION = """
terraform {{
  required_providers {{
    replicate = {{ source = "replicate/replicate" }}
  }}
}}
provider "replicate" {{
  api_token = "{token}"
  base_url  = "{url}/v1"
}}
data "replicate_hardware" "all" {{}}
output "hardware" {{
  value = data.replicate_hardware.all
}}
resource "replicate_deployment" "it" {{
  owner         = "{owner}"
  name          = "{name}"
  model         = "{owner}/hello"
  version       = "{version}"
  hardware      = "{hardware}"
  min_instances = {low}
  max_instances = {high}
}}
"""


class Workspace:
    """A folder with one deployment as its resource."""

    def __init__(self, site, name):
        self.site, self.name = site, name
        self.folder = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.folder.name)
        provider = pathlib.Path(os.environ["MIMEO_TERRAFORM_PROVIDER"]).absolute()
        (self.path / "plugins").mkdir()
        (self.path / "plugins" / "terraform-provider-replicate").symlink_to(provider)
        (self.path / "terraform.rc").write_text(
            f'provider_installation {{\n  dev_overrides {{\n    "replicate/replicate" = "{self.path}/plugins"\n  }}\n'
            "  direct {}\n}\n")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.folder.cleanup()

    def write(self, token=None, **values):
        given = {"low": 0, "high": 1, "hardware": "cpu", "version": self.site.versions["hello"], **values}
        (self.path / "main.tf").write_text(CONFIGURATION.format(
            token=token or self.site["token"], url=self.site["url"], owner=self.site.owner, name=self.name, **given))

    def run(self, *arguments, codes=(0,)):
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.path), "SSL_CERT_FILE": self.site["authority"],
                       "TF_CLI_CONFIG_FILE": str(self.path / "terraform.rc"), "CHECKPOINT_DISABLE": "1",
                       "TF_IN_AUTOMATION": "1"}
        done = subprocess.run([os.environ.get("MIMEO_TERRAFORM", "terraform"), *arguments, "-no-color"], text=True,
                              capture_output=True, check=False, cwd=self.path, env=environment, timeout=LIMIT_S)
        expect(done.returncode in codes, f"terraform {arguments[0]} gives {done.returncode}: {done.stdout}{done.stderr}")
        return done

    def apply(self, codes=(0,)):
        return self.run("apply", "-auto-approve", "-input=false", codes=codes)

    def is_clean(self):
        """A plan that has nothing to do: what came back is what was sent."""
        self.run("plan", "-detailed-exitcode", "-input=false")


def _release(site, name):
    return main_wire(site).ok("GET", f"/v1/deployments/{site.owner}/{name}")["current_release"]


def row_074_create(site):
    with Workspace(site, site.unique("tf")) as work:
        work.write(low=0, high=0)
        work.apply()
        work.is_clean()
        equal(_release(site, work.name)["number"], 1, "the release")
        work.run("destroy", "-auto-approve")


def row_075_bounds(site):
    with Workspace(site, site.unique("tf")) as work:
        for values in ({"low": 6, "high": 10}, {"high": 21}, {"hardware": "gpu-none"}, {"version": "0" * 64}):
            work.write(**values)
            work.apply(codes=(1,))
            equal(main_wire(site).get(f"/v1/deployments/{site.owner}/{work.name}").status, 404, f"after {values}")


def row_076_update(site):
    with Workspace(site, site.unique("tf")) as work:
        work.write()
        work.apply()
        work.write(high=3)
        work.apply()
        work.is_clean()
        release = _release(site, work.name)
        equal((release["number"], release["configuration"]["max_instances"]), (2, 3), "the release")
        work.run("destroy", "-auto-approve")


def row_078_destroy(site):
    with Workspace(site, site.unique("tf")) as work:
        work.write()
        work.apply()
        path = f"/v1/deployments/{site.owner}/{work.name}"
        main_wire(site).ok("POST", f"{path}/predictions", {"input": {"text": "x"}}, {"Prefer": "wait"})
        refused = work.run("destroy", "-auto-approve", codes=(1,))
        contains(refused.stdout + refused.stderr, "15 minutes", "the refusal of one that was just used")


def row_086_hardware(site):
    with Workspace(site, site.unique("tf")) as work:
        work.write()
        work.apply()
        shown = json.loads(work.run("output", "-json").stdout)
        contains(json.dumps(shown), '"cpu"', "the hardware")
        work.run("destroy", "-auto-approve")
        work.write(token="r8_" + "x" * 37)
        work.apply(codes=(1,))


def row_103_life_of_a_resource(site):
    with Workspace(site, site.unique("tf")) as work:
        work.write()
        work.apply()
        work.is_clean()
        work.run("state", "rm", "replicate_deployment.it")
        work.run("import", "replicate_deployment.it", f"{site.owner}/{work.name}")
        work.is_clean()
        work.write(high=2)
        work.apply()
        work.is_clean()
        work.run("destroy", "-auto-approve")
        equal(main_wire(site).get(f"/v1/deployments/{site.owner}/{work.name}").status, 404, "the status after destroy")


if __name__ == "__main__":
    checks.run("terraform", [sys.modules["__main__"]])
