"""An S3 server of a test's own on a free port, with one bucket; see tests/support/s3-server."""

import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from mimeo_testing import eventually  # noqa: E402

ACCESS_KEY, SECRET_KEY, BUCKET = "testkey", "testsecret123", "bucket"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class S3Server:
    def __init__(self):
        program = subprocess.run([str(pathlib.Path(__file__).with_name("s3-server"))], check=True, text=True,
                                 stdout=subprocess.PIPE).stdout.strip()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="mimeo-s3-"))
        self.data = self.folder / "data" / BUCKET
        self.data.mkdir(parents=True)
        (self.folder / "attributes").mkdir()
        self.port = free_port()
        self.log = open(self.folder / "log", "wb")
        self.process = subprocess.Popen(
            [program, "--port", f"127.0.0.1:{self.port}", "--keep-alive", "posix", "--sidecar",
             str(self.folder / "attributes"), str(self.folder / "data")],
            env={"ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY}, stdin=subprocess.DEVNULL,
            stdout=self.log, stderr=self.log)
        eventually(lambda: answers(self.port), 60, "the S3 server")

    def flags(self, prefix):
        """What makes a control plane use it; its credentials are in `environment`."""
        return ["--files-store", f"s3://{BUCKET}/{prefix}", "--s3-endpoint", f"http://127.0.0.1:{self.port}",
                "--s3-path-style"]

    environment = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}

    def files(self):
        """All files below the bucket: objects and parts of uploads."""
        return [path for path in self.data.rglob("*") if path.is_file()]

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.folder)
