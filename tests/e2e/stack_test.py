"""`make up`, `make down` and `make status` as people meet them, on a machine without a Docker Engine:
from nothing, again, interrupted, after a crash, beside other programs. stack_failures_test.py has
what cannot work."""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from mimeo_installation import Installation  # noqa: E402
from mimeo_testing import CHECKOUT, eventually  # noqa: E402

HELLO = ("--examples", "hello")
CAN_START_DOCKER = os.getuid() == 0 and shutil.which("dockerd", path=f"{os.environ['PATH']}:/usr/sbin")


def shell(script, **environment):
    """Standard output of a shell that knows nothing but these variables."""
    return subprocess.run(["sh", "-eu", "-c", script], text=True, capture_output=True, check=True,
                          env={"PATH": os.environ["PATH"], **environment}).stdout


def first_curl_of_readme():
    return re.search(r"```sh\n(curl .*?)```", (CHECKOUT / "README.md").read_text(), re.DOTALL).group(1)


def is_alive(process):
    return process.poll() is None


@unittest.skipUnless(CAN_START_DOCKER, "needs root and dockerd")
class Running(unittest.TestCase):
    """One installation for all; each test leaves it running."""

    @classmethod
    def setUpClass(cls):
        cls.one = Installation("running")
        cls.addClassCleanup(cls.one.destroy)
        cls.first = cls.one.run("up", *HELLO)
        if cls.first.returncode != 0:
            raise AssertionError(cls.first.stderr)

    def up(self):
        result = self.one.run("up", *HELLO)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result

    def call(self, method, path, body=None, headers=None):
        return self.one.stack.api.call(method, path, body, headers)

    def predict(self, text):
        status, body = self.call("POST", "/v1/models/demo/hello/predictions", {"input": {"text": text}},
                                 {"Prefer": "wait=30"})
        self.assertEqual((status, body["output"]), (201, f"Hello {text}!"), body)
        return body["id"]

    def foreign_process(self, **options):
        """A process that has nothing to do with Mimeo."""
        process = subprocess.Popen(["sleep", "1000"], cwd="/", **options)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def test_up_shows_its_progress_and_a_curl_line_that_works_when_pasted(self):
        for step in ("Docker Engine", "PostgreSQL", "control plane", "image registry", "scheduler", "worker",
                     "example model demo/hello", "one prediction"):
            self.assertRegex(self.first.stderr, rf"✓ {step}.* \d+\.\d s")
        self.assertIn(self.one.stack.layout.base_url, self.first.stdout)
        curl = re.search(r"^ +(curl .*?)\n\n", self.first.stdout, re.DOTALL | re.MULTILINE).group(1)
        self.assertEqual(json.loads(shell(curl))["output"], "Hello Alice!")

    def test_the_env_file_is_private_and_all_that_a_client_needs(self):
        env_file = self.one.state / "env"
        self.assertEqual(stat.S_IMODE(env_file.stat().st_mode), 0o600)
        answer = shell(f". '{env_file}'\n{first_curl_of_readme()}")
        self.assertEqual(json.loads(answer)["output"], "Hello Alice!")
        found = shell(f". '{env_file}'; echo $MIMEO_REGISTRY; docker version -f '{{{{.Server.Version}}}}'; "
                      "curl -sf $MIMEO_SCHEDULER_METRICS_URL | head -n 1; curl -sf $MIMEO_WORKER_METRICS_URL | head -n 1")
        self.assertEqual(len(found.splitlines()), 4, found)

    def test_a_second_up_finds_everything_running_and_says_the_same(self):
        before = self.one.pids()
        again = self.up()
        self.assertIn("Everything is running already.", again.stderr)
        self.assertEqual(again.stdout, self.first.stdout)
        self.assertEqual(self.one.pids(), before)

    def test_status_tells_what_died_and_up_mends_it(self):
        whole = self.one.run("status")
        self.assertEqual(whole.returncode, 0, whole.stdout)
        self.assertEqual(len(re.findall("^ +running ", whole.stdout, re.MULTILINE)), 6, whole.stdout)
        self.one.stack.worker.process.kill()
        broken = self.one.run("status")
        self.assertEqual(broken.returncode, 1, broken.stdout)
        self.assertRegex(broken.stdout, r"died +worker")
        self.assertIn("worker had ended by itself", self.up().stderr)
        self.assertEqual(self.one.run("status").returncode, 0)

    def test_a_part_that_was_built_anew_is_restarted_and_no_other(self):
        self.addCleanup(self.up)  # Last, with the program as it was.
        self.addCleanup(self.one.restore_program, "mimeo-control-plane")
        before = self.one.pids()
        self.one.rebuild_program("mimeo-control-plane")
        self.assertRegex(self.one.run("status").stdout, "old build +control-plane")
        self.assertIn("stop control-plane: it was built anew", self.up().stderr)
        after = self.one.pids()
        self.assertEqual([name for name in before if before[name] != after[name]], ["control-plane"])

    def test_a_part_that_does_not_start_is_shown_with_the_end_of_its_log(self):
        self.one.replace_program("mimeo-scheduler", "echo 'scheduler: these are my last words' >&2; exit 3")
        result = self.one.run("up", *HELLO)
        self.one.restore_program("mimeo-scheduler")
        self.assertEqual(result.returncode, 1)
        self.assertIn("scheduler ended with exit code 3 while starting", result.stderr)
        self.assertIn("these are my last words", result.stderr)
        self.up()

    def test_down_stops_all_of_it_and_nothing_else_and_data_survives(self):
        prediction = self.predict("before")
        foreign = self.foreign_process()
        record = json.loads((self.one.state / "run" / "worker.pid").read_text())
        port = self.one.stack.layout.ports["http"]

        down = self.one.run("down")
        self.assertEqual(down.returncode, 0, down.stderr)
        eventually(lambda: not self.one.processes(), what=f"the end of {self.one.processes()}")
        self.assertNotIn(self.one.stack.docker.bridge, os.listdir("/sys/class/net"))
        self.assertEqual(self.one.run("status").returncode, 3)

        # A pid of ours that somebody else has now.
        (self.one.state / "run" / "worker.pid").write_text(json.dumps({**record, "pid": foreign.pid}))
        self.assertIn("Nothing was running", self.one.run("down").stderr)
        self.assertTrue(is_alive(foreign))

        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(("127.0.0.1", port))
            taken.listen()
            self.assertIn(f"port {port}, for the API, is taken by process {os.getpid()}",
                          self.one.run("up", *HELLO).stderr)

        self.assertIn("demo/hello (unchanged)", self.up().stderr)
        status, body = self.call("GET", f"/v1/predictions/{prediction}")
        self.assertEqual((status, body["output"]), (200, "Hello before!"))
        self.predict("after")

    def test_up_after_a_machine_that_was_killed(self):
        prediction = self.predict("before")
        stack = self.one.stack
        postmaster = stack.postgres.data / "postmaster.pid"
        lines = postmaster.read_text().splitlines()
        records = {path: path.read_text() for path in (self.one.state / "run").glob("*.pid")}
        for line in self.one.processes():
            os.kill(int(line.split()[0]), signal.SIGKILL)
        eventually(lambda: not self.one.processes(), what="the end of all processes")

        # Meanwhile the pids went to others, one of them Postgres' own user's.
        other, postgres = self.foreign_process(), self.foreign_process(user="postgres")
        postmaster.write_text("\n".join([str(postgres.pid), *lines[1:]]) + "\n")
        for path, text in records.items():
            path.write_text(json.dumps({**json.loads(text), "pid": other.pid}))
        for path in (stack.layout.sockets / "docker.pid", stack.docker.exec_root / "containerd" / "containerd.pid"):
            path.write_text(str(other.pid))
        self.assertTrue((stack.layout.sockets / "docker.sock").is_socket())  # They were left behind.

        self.up()
        self.assertTrue(is_alive(other) and is_alive(postgres))
        self.assertEqual(self.call("GET", f"/v1/predictions/{prediction}")[1]["output"], "Hello before!")
        self.predict("after")


@unittest.skipUnless(CAN_START_DOCKER, "needs root and dockerd")
class Interrupted(unittest.TestCase):
    def setUp(self):
        self.one = Installation("interrupted")
        self.addCleanup(self.one.destroy)

    def begin_until(self, progress):
        """An `up` that just printed this."""
        running = self.one.begin("up", *HELLO)
        self.addCleanup(running.stdout.close)
        self.addCleanup(running.stderr.close)
        seen = ""
        for line in running.stderr:
            seen += line
            if progress in line:
                return running
        raise AssertionError(f"'{progress}' never came:\n{seen}")

    def test_up_goes_on_from_wherever_it_was_interrupted(self):
        # The kill comes in the middle of the step that follows: starting dockerd, initdb, and so on.
        for progress, number, code in (("✓ state directory", signal.SIGKILL, -9),
                                       ("✓ Docker Engine", signal.SIGKILL, -9),
                                       ("✓ PostgreSQL", signal.SIGINT, 130),
                                       ("✓ image registry", signal.SIGTERM, 143),
                                       ("✓ worker", signal.SIGKILL, -9)):
            with self.subTest(progress):
                running = self.begin_until(progress)
                running.send_signal(number)
                said = running.stderr.read()
                self.assertEqual(running.wait(), code, said)
                if code > 0:
                    self.assertIn("interrupted", said)
        self.check_a_part_that_dies_meanwhile()
        self.check_two_at_once()
        self.assertEqual(self.one.run("down").returncode, 0)
        eventually(lambda: not self.one.processes(), what=f"the end of {self.one.processes()}")

    def check_a_part_that_dies_meanwhile(self):
        running = self.begin_until("✓ worker")
        self.one.stack.worker.process.kill()  # The example's push is still to come, and the prediction.
        said = running.stderr.read()
        self.assertEqual(running.wait(), 1, said)
        self.assertIn("worker ended by itself meanwhile", said)
        self.assertIn("worker started", said.split("last lines of its log")[1])

    def check_two_at_once(self):
        first = self.begin_until("✓ state directory")
        first.send_signal(signal.SIGSTOP)
        for command in ("up", "down"):
            second = self.one.run(command, *HELLO)
            self.assertEqual(second.returncode, 1)
            self.assertRegex(second.stderr, rf"another `up` is at work in .*: process {first.pid}, for \d+ s")
        first.send_signal(signal.SIGCONT)
        said = first.stderr.read()
        self.assertEqual(first.wait(), 0, said)
        self.assertIn("it answered 'Hello world!'", said)


if __name__ == "__main__":
    unittest.main(verbosity=2)
