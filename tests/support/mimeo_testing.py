"""What the end-to-end tests share: the installation under test, its API, and waiting for conditions.

The installation is made by tests/e2e/installation (a CTest fixture) on free ports in the build folder.
"""

import concurrent.futures
import json
import os
import pathlib
import struct
import sys
import time
import unittest
import zlib

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT / "deploy" / "local"))
from mimeo_local.api import Api  # noqa: E402
from mimeo_local.console import Console, StackError  # noqa: E402
from mimeo_local.layout import Layout  # noqa: E402
from mimeo_local.stack import Stack  # noqa: E402
sys.path.insert(0, str(CHECKOUT / "tests" / "support"))
import openapi_check  # noqa: E402

TERMINAL = ("succeeded", "failed", "canceled", "aborted")


def open_stack(quiet=True):
    """The installation named by MIMEO_TEST_STATE and MIMEO_TEST_BUILD, or the one of `make up`."""
    layout = Layout(CHECKOUT, os.environ.get("MIMEO_TEST_STATE"), os.environ.get("MIMEO_TEST_BUILD")).load()
    return Stack(layout, Console(quiet))


def eventually(condition, limit=30, what="it", every=0.02):
    """Polls until `condition()` is true and returns its value; fails the test after `limit` seconds."""
    deadline = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not happen within {limit} s; last: {value!r}")
        time.sleep(every)


def striped_png(width=16, height=16):
    """A picture, half red and half blue."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    half = width // 2
    rows = (b"\0" + bytes([255, 0, 0] * half + [0, 0, 255] * half)) * height
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


class InstallationTest(unittest.TestCase):
    """Base of all: self.stack, self.api, self.owner, and helpers in the words of the API. Every answer that comes
    through Api is held against the API's description."""

    @classmethod
    def setUpClass(cls):
        cls.stack = open_stack()
        cls.owner = cls.stack.layout.data["owner"]
        cls.api = cls.stack.api
        openapi_check.install(Api, cls.api)

    # -- API ------------------------------------------------------------------------------------

    def latest(self, model):
        status, body = self.api.call("GET", f"/v1/models/{self.owner}/{model}")
        self.assertEqual(status, 200, body)
        return body["latest_version"]["id"]

    def create(self, path, text_input, headers=None):
        status, body = self.api.call("POST", path, {"input": text_input}, headers)
        self.assertIn(status, (200, 201, 202), body)
        return body

    def create_many(self, path, inputs, threads=16):
        with concurrent.futures.ThreadPoolExecutor(threads) as pool:
            return list(pool.map(lambda one: self.create(path, one), inputs))

    def get(self, prediction):
        status, body = self.api.call("GET", f"/v1/predictions/{prediction}")
        self.assertEqual(status, 200, body)
        return body

    def try_get(self, prediction):
        """Like get(), but None while the control plane does not answer (fault tests)."""
        try:
            status, body = self.api.call("GET", f"/v1/predictions/{prediction}", timeout=5)
        except OSError:
            return None
        return body if status == 200 else None

    def wait_status(self, prediction, statuses, limit=60):
        def reached():
            body = self.try_get(prediction)
            return body if body and body["status"] in statuses else None
        return eventually(reached, limit, f"{prediction} in {statuses}", every=0.05)

    def wait_terminal(self, predictions, limit=120):
        """The final objects of these ids."""
        done = {}

        def all_done():
            for one in predictions:
                if one not in done:
                    body = self.try_get(one)
                    if body and body["status"] in TERMINAL:
                        done[one] = body
            return len(done) == len(predictions)
        eventually(all_done, limit, f"the end of {len(predictions)} predictions", every=0.1)
        return [done[one] for one in predictions]

    def deploy(self, name, model, minimum, maximum):
        """A deployment of the model's latest version; removed from the way at the end of the test."""
        status, body = self.api.call("POST", "/v1/deployments", {
            "name": name, "model": f"{self.owner}/{model}", "version": self.latest(model), "hardware": "cpu",
            "min_instances": minimum, "max_instances": maximum})
        self.assertEqual(status, 200, body)
        self.addCleanup(self.api.call, "PATCH", f"/v1/deployments/{self.owner}/{name}",
                        {"min_instances": 0, "max_instances": 0})
        return f"/v1/deployments/{self.owner}/{name}"

    # -- inside views, for what no client can see ----------------------------------------------------

    def sql(self, statement):
        return self.stack.postgres.psql("mimeo", statement)

    def instances(self, deployment_name, states):
        """Number of this deployment's instances in these states (numbers of common/domain/instance.h)."""
        listed = ",".join(str(s) for s in states)
        return int(self.sql(
            "SELECT count(*) FROM instances i JOIN targets t ON t.id = i.target_id JOIN deployments d ON "
            f"d.id = t.deployment_id WHERE d.name = '{deployment_name}' AND i.state IN ({listed})"))

    def containers(self):
        """Names of the running containers of this installation's worker."""
        label = f"mimeo.worker={self.stack.layout.data['worker_id']}"
        return self.stack.docker.cli("ps", "--filter", f"label={label}", "--format",
                                     "{{.Names}}").stdout.split()


READY = (40,)
LIVE = (10, 20, 30, 40, 50, 60)

__all__ = ["Api", "InstallationTest", "StackError", "eventually", "json", "open_stack", "striped_png", "READY", "LIVE", "TERMINAL"]
