"""The example models: built as images, pushed to the registry, checked to have become versions."""

import subprocess

from .console import StackError
from .process import wait_until

EXAMPLES = ("hello", "edges", "stream-text", "noop")
# Predictions at once, for the examples that take more than one (it becomes a label of the image).
CONCURRENCY = {"noop": 64}


class Models:
    def __init__(self, layout, docker):
        self.layout = layout
        self.docker = docker

    def is_current(self, name):
        """This very build of the example was pushed. Asks nobody."""
        return self.layout.data.get("examples", {}).get(name) == self._fingerprint(name)

    def _fingerprint(self, name):
        stat = self.layout.program_of_example(name).stat()
        return f"{stat.st_mtime_ns}-{stat.st_size}"

    def ensure(self, name, api):
        """Builds and pushes the example unless the registry has this very build. Returns a note."""
        fingerprint = self._fingerprint(name)
        known = self.layout.data.setdefault("examples", {})
        owner = self.layout.data["owner"]
        if known.get(name) == fingerprint and self._latest(api, owner, name):
            return "unchanged"
        before = self._latest(api, owner, name)
        image = f"{self.layout.registry_addr}/{owner}/{name}"
        if self.layout.data["runtime"] == "docker":
            self._build(name, image, DOCKER_HOST=f"unix://{self.docker.socket}")
            self._push(image, owner)
            wait_until(lambda: self._latest(api, owner, name) not in (None, *((before,) if before else ())) or
                       self._is_same_image(api, owner, name, image), 30,
                       f"the push of {name} did not become a version", log=self._control_plane_log)
        else:
            version = self._push_archive(name, image, owner)
            wait_until(lambda: self._latest(api, owner, name) == version, 30,
                       f"the push of {name} did not become a version", log=self._control_plane_log)
        known[name] = fingerprint
        self.layout.save()
        return "pushed"

    def _latest(self, api, owner, name):
        status, model = api.call("GET", f"/v1/models/{owner}/{name}")
        if status != 200 or not model.get("latest_version"):
            return None
        return model["latest_version"]["id"]

    def _is_same_image(self, api, owner, name, image):
        digests = self.docker.cli("image", "inspect", "--format", "{{join .RepoDigests \" \"}}", image,
                                  check=False).stdout
        latest = self._latest(api, owner, name)
        return bool(latest) and latest in digests

    def _build(self, name, image, *arguments, **environment):
        script = self.layout.checkout / "examples" / "build-image"
        result = subprocess.run(
            [str(script), name, str(self.layout.program_of_example(name)), image, "--concurrency",
             str(CONCURRENCY.get(name, 0)), *arguments],
            text=True, check=False, capture_output=True, env=self.layout.environment(**environment))
        if result.returncode != 0:
            raise StackError(f"building the image of {name} failed", log=result.stderr + result.stdout)

    def _push(self, image, owner):
        token = self.layout.data["secrets"]["token"]
        self.docker.cli("login", "-u", owner, "--password-stdin", self.layout.registry_addr, stdin=token)
        self.docker.cli("push", image)

    def _push_archive(self, name, image, owner):
        """Builds and pushes without Docker; the id of the version that this becomes."""
        archive = self.layout.state / f"example-{name}.tar"
        script = self.layout.checkout / "examples" / "push-image"
        try:
            self._build(name, image, "--output", str(archive))
            trust = self.layout.tls.environment() if self.layout.has_tls else {}
            result = subprocess.run([str(script), str(archive), "--user", owner, "--password-stdin"], text=True,
                                    check=False, capture_output=True, input=self.layout.data["secrets"]["token"],
                                    env=self.layout.environment(**trust))
        finally:
            archive.unlink(missing_ok=True)
        if result.returncode != 0:
            raise StackError(f"pushing the image of {name} failed", log=result.stderr)
        return result.stdout.strip().removeprefix("sha256:")

    def _control_plane_log(self):
        path = self.layout.logs / "control-plane.log"
        return path.read_text(errors="replace")[-4000:] if path.exists() else ""
