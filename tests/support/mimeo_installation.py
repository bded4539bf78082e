"""Installations of a test's own, made with the command that `make up` runs, for tests of that command.

They are below MIMEO_TEST_STATE, use free ports and the programs of MIMEO_TEST_BUILD.
"""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from mimeo_testing import CHECKOUT, Console, Layout, Stack  # noqa: E402

COMMAND = str(CHECKOUT / "deploy" / "local" / "stack")
PROGRAMS = ("control-plane/mimeo-control-plane", "scheduler/mimeo-scheduler", "worker/mimeo-worker",
            "worker/shim/mimeo-shim", "worker/launch/mimeo-launch", "cli/mimeo", "examples/example-hello", "examples/example-edges",
            "examples/example-stream-text", "examples/example-noop")
OURS = ("MIMEO_", "REPLICATE_", "DOCKER_")


def scratch():
    folder = pathlib.Path(os.environ.get("MIMEO_TEST_STATE") or tempfile.gettempdir())
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class Installation:
    """`build` is a folder of links to the programs, so that a test can put others in their place."""

    def __init__(self, name, state=None, **environment):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"{name}-", dir=scratch()))
        self.folder.chmod(0o755)  # Postgres' user must get through.
        self.state = state or self.folder / "state"
        self.build = self.folder / "build"
        self.programs = pathlib.Path(os.environ.get("MIMEO_TEST_BUILD") or CHECKOUT / "build" / "release")
        for program in PROGRAMS:
            (self.build / program).parent.mkdir(parents=True, exist_ok=True)
            (self.build / program).symlink_to(self.programs / program)
        clean = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        # No engine answers there, so `up` starts its own unless the test says otherwise.
        self.environment = {**clean, "MIMEO_PORT_BASE": "0", "DOCKER_HOST": f"unix://{self.folder}/no-engine",
                            **environment}

    # -- commands -------------------------------------------------------------------------------

    def argv(self, command, *options):
        return [sys.executable, COMMAND, command, "--state", str(self.state), "--build", str(self.build), *options]

    def run(self, command, *options, prefix=(), **environment):
        """The finished command, with .returncode, .stdout and .stderr."""
        return subprocess.run([*prefix, *self.argv(command, *options)], text=True, capture_output=True, timeout=240,
                              stdin=subprocess.DEVNULL, env={**self.environment, **environment}, check=False)

    def begin(self, command, *options):
        """The running command, with its progress to read from .stderr."""
        return subprocess.Popen(self.argv(command, *options), text=True, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.environment)

    # -- looking inside -------------------------------------------------------------------------

    @property
    def stack(self):
        return Stack(Layout(CHECKOUT, self.state, self.build).load(), Console(quiet=True))

    def pids(self):
        """The pid of each part, by name."""
        return {part.name: part.pid for part in self.stack.parts()}

    def processes(self):
        """'pid command line' of every process that has to do with this installation."""
        layout = Layout(CHECKOUT, self.state, self.build)
        places = (f"{layout.state}/", f"{layout.sockets}/")
        found = []
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                text = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                works_in = os.readlink(folder / "cwd")
            except OSError:
                continue
            if any(place in f"{text}\n{works_in}/" for place in places):
                found.append(f"{folder.name} {text}")
        return found

    # -- other programs in the place of ours --------------------------------------------------------

    def program(self, name):
        return next(self.build / program for program in PROGRAMS if program.endswith(f"/{name}"))

    def replace_program(self, name, script):
        self.program(name).unlink()
        self.program(name).write_text(f"#!/bin/sh\n{script}\n")
        self.program(name).chmod(0o755)

    def rebuild_program(self, name):
        """The same program in a new file, as after a build."""
        path = self.program(name)
        original = path.resolve()
        path.unlink()
        shutil.copy(original, path)

    def restore_program(self, name):
        path = self.program(name)
        path.unlink()
        path.symlink_to(self.programs / path.relative_to(self.build))

    # -- the end --------------------------------------------------------------------------------

    def destroy(self):
        """Whatever state it is in: nothing of it remains."""
        if self.state.exists():
            self.stack.destroy()
        for line in self.processes():  # Only after a failed test.
            os.kill(int(line.split()[0]), signal.SIGKILL)
        shutil.rmtree(self.folder)
