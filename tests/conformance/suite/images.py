"""Images of the conformance model (model/main.cc), pushed as a model's owner pushes them."""

import dataclasses
import os
import pathlib
import subprocess
import tempfile

CHECKOUT = pathlib.Path(__file__).resolve().parents[3]


@dataclasses.dataclass(frozen=True)
class Registry:
    """Where to push, and as whom."""
    program: str  # The built conformance-model.
    address: str
    owner: str
    token: str
    authority: str | None = None

    @classmethod
    def of(cls, site):
        return cls(site["program"], site["registry"], site.owner, site["token"], site["authority"])

    def push(self, name, form, slots=32, **environment):
        """Pushes owner/name; the id of the version that this becomes. `environment` is set in the image: another
        one makes another image."""
        given = {"MIMEO_PROBE": form, "COG_MAX_CONCURRENCY": str(slots), **environment}
        with tempfile.TemporaryDirectory() as folder:
            archive = f"{folder}/image.tar"
            options = [part for key, value in given.items() for part in ("--env", f"{key}={value}")]
            _run([CHECKOUT / "examples" / "build-image", name, self.program,
                  f"{self.address}/{self.owner}/{name}", "--concurrency", str(slots), "--output", archive, *options])
            trust = {"SSL_CERT_FILE": self.authority} if self.authority else {}
            pushed = _run([CHECKOUT / "examples" / "push-image", archive, "--user", self.owner, "--password-stdin"],
                          input=self.token, env={**os.environ, **trust})
        return pushed.strip().removeprefix("sha256:")


def _run(command, **options):
    done = subprocess.run([str(part) for part in command], text=True, capture_output=True, check=False, **options)
    if done.returncode != 0:
        raise RuntimeError(f"{pathlib.Path(command[0]).name} failed: {done.stderr.strip()[-500:]}")
    return done.stdout
