"""What `make up` says when it cannot work: every message names the reason and what to do, and nothing
is left running. Each test makes an installation that does not get far, so these are quick."""

import http.server
import os
import pathlib
import shutil
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import unittest
import unittest.mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from mimeo_installation import Installation, scratch  # noqa: E402
from mimeo_testing import CHECKOUT, Console, Layout, Stack, StackError  # noqa: E402

IS_ROOT = os.getuid() == 0
WITHOUT_CONTAINERS = "MIMEO_RUNTIME=process make up"


class Engine(http.server.BaseHTTPRequestHandler):
    """Enough of a Docker Engine for `up` to go on to the next step."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"Version": "0 of a test"}')

    def address_string(self):
        return "a client"

    def log_message(self, *_):
        pass


class Failures(unittest.TestCase):
    def installation(self, **options):
        one = Installation("failures", **options)
        self.addCleanup(one.destroy)
        return one

    def assert_up_fails(self, one, *texts, **options):
        result = one.run("up", **options)
        self.assertEqual(result.returncode, 1, result.stderr)
        for text in texts:
            self.assertIn(text, result.stderr)
        self.assertEqual(one.processes(), [])
        self.assertNotIn("Traceback", result.stderr)
        return result

    def fake_engine(self, one):
        path = str(one.folder / "engine.sock")
        server = socketserver.ThreadingUnixStreamServer(path, Engine)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return f"unix://{path}"

    def tmpfs(self, size):
        """A small disk, where PostgreSQL's own user may go (a checkout below /root is no such place)."""
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="mimeo-disk-")))
        folder.chmod(0o755)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "none", str(folder)], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", str(folder)], check=True)
        return folder

    def test_a_taken_port(self):
        one = self.installation()
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            self.assert_up_fails(one, f"port {port}, for the API, is taken by process {os.getpid()} (python",
                                 "MIMEO_PORT_BASE=17300 make up", MIMEO_PORT_BASE=str(port),
                                 DOCKER_HOST=self.fake_engine(one))

    def test_a_wrong_setting(self):
        one = self.installation()
        engine = self.fake_engine(one)
        self.assert_up_fails(one, "MIMEO_PORT_BASE is 'http'", MIMEO_PORT_BASE="http", DOCKER_HOST=engine)
        self.assert_up_fails(one, "MIMEO_RUNTIME is 'podman'", MIMEO_RUNTIME="podman", DOCKER_HOST=engine)

    @unittest.skipUnless(IS_ROOT, "needs root, to hide dockerd")
    def test_no_docker_engine_installed(self):
        dockerd = shutil.which("dockerd", path=f"{os.environ['PATH']}:/usr/sbin")
        hide = f"mount --bind /dev/null {dockerd}; " if dockerd else ""
        self.assert_up_fails(self.installation(), "no Docker Engine answers", "is not installed", "scripts/install-deps",
                             WITHOUT_CONTAINERS, prefix=("unshare", "--mount", "sh", "-c", f'{hide}exec "$@"', "sh"))

    @unittest.skipUnless(IS_ROOT, "only root starts an engine")
    def test_a_docker_engine_that_cannot_run_here(self):
        one = self.installation()
        programs = one.folder / "bin"
        programs.mkdir()
        (programs / "dockerd").write_text("#!/bin/sh\necho 'failed to start daemon: Devices cgroup is not mounted' >&2\n"
                                          "exit 1\n")
        (programs / "dockerd").chmod(0o755)
        with socket.socket(socket.AF_UNIX) as mute:  # A socket that is there, and nobody answers.
            mute.bind(str(one.folder / "mute.sock"))
            self.assert_up_fails(one, "dockerd ended with exit code 1 while starting", "Devices cgroup is not mounted",
                                 WITHOUT_CONTAINERS, PATH=f"{programs}:{os.environ['PATH']}",
                                 DOCKER_HOST=f"unix://{one.folder}/mute.sock")
        self.assertEqual(one.run("down").returncode, 0)

    def test_a_docker_engine_on_another_machine(self):
        self.assert_up_fails(self.installation(), "no Docker Engine answers at tcp://192.0.2.1:2375", "Unset DOCKER_HOST",
                             DOCKER_HOST="tcp://192.0.2.1:2375")

    def test_no_docker_engine_and_not_root(self):
        one = self.installation()
        stack = Stack(Layout(CHECKOUT, one.state, one.build), Console(quiet=True))
        with (unittest.mock.patch.dict(os.environ, one.environment), unittest.mock.patch("os.getuid", lambda: 1000),
              self.assertRaisesRegex(StackError, "only root can start one") as caught):
            stack.docker.check_possible()
        self.assertIn("sudo make up", caught.exception.hint)
        self.assertIn(WITHOUT_CONTAINERS, caught.exception.hint)

    @unittest.skipUnless(IS_ROOT, "needs root, to mount a small disk")
    def test_a_disk_that_is_nearly_full(self):
        one = self.installation(state=self.tmpfs("64m") / "state")
        self.assert_up_fails(one, f"the disk of {one.state} is nearly full: only 6", "Mimeo wants 2048 MiB",
                             "MIMEO_STATE_DIR")

    @unittest.skipUnless(IS_ROOT, "needs root, to mount a small disk")
    def test_a_disk_that_fills_up_meanwhile(self):
        one = self.installation(state=self.tmpfs("16m") / "state")
        result = self.assert_up_fails(one, "the disk is full: initdb failed", "No space left on device",
                                      f"MiB are free on the disk of {one.state}. Free some, then repeat",
                                      MIMEO_MINIMUM_FREE_MIB="0", DOCKER_HOST=self.fake_engine(one))
        self.assertIn("✗ PostgreSQL", result.stderr)

    def test_programs_that_are_not_built(self):
        one = self.installation()
        one.program("mimeo-worker").unlink()
        self.assert_up_fails(one, "mimeo-worker is not built", "make build", DOCKER_HOST=self.fake_engine(one))

    def test_a_damaged_state_file(self):
        one = self.installation()
        one.state.mkdir()
        (one.state / "state.json").write_text('{"ports":')
        self.assert_up_fails(one, "state.json is damaged", "down", DOCKER_HOST=self.fake_engine(one))
        self.assertEqual(one.run("down").returncode, 0)
        (one.state / "state.json").unlink()

    def test_nothing_was_ever_started(self):
        one = self.installation()
        self.assertEqual(one.run("status").returncode, 3)
        self.assertEqual(one.run("down").returncode, 0)
        self.assertEqual(one.run("env").returncode, 1)
        self.assertEqual(one.run("sideways").returncode, 2)
        self.assertFalse(one.state.exists())


if __name__ == "__main__":
    unittest.main(verbosity=2)
