"""kill -9 of each part, and a restart of Postgres, while 50 predictions are queued and running: every
one reaches exactly one terminal state, none is lost, none fails because of it."""

import os
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from mimeo_testing import InstallationTest, eventually  # noqa: E402

COUNT = 50


class Faults(InstallationTest):
    def flood(self, name):
        """A deployment with 50 predictions of about 0.3 s each, some of them running. Returns their ids."""
        path = self.deploy(f"{name}-{os.getpid()}", "stream-text", 0, 2)
        inputs = [{"text": f"w{i} " + "a b c d e f", "delay_ms": 40} for i in range(COUNT)]
        ids = [body["id"] for body in self.create_many(path + "/predictions", inputs)]
        self.assertEqual(len(set(ids)), COUNT)
        finished = f"SELECT count(*) FROM results WHERE id IN ({self.uuids(ids)})"
        eventually(lambda: int(self.sql(finished)) >= 5, 60, "the first five results")
        self.assertLess(int(self.sql(finished)), COUNT, "all were done before the fault: nothing was tested")
        return ids

    def uuids(self, ids):
        """The ids as SQL literals: Crockford base32 to hex."""
        alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
        out = []
        for one in ids:
            number = 0
            for character in one:
                number = number * 32 + alphabet.index(character)
            out.append(f"'{number:032x}'::uuid")
        return ",".join(out)

    def check(self, ids):
        finals = self.wait_terminal(ids, 180)
        for body in finals:
            self.assertEqual(body["status"], "succeeded", body)
            text = "".join(body["output"])
            self.assertEqual(text, body["input"]["text"], "the result belongs to another prediction")
        listed = self.uuids(ids)
        self.assertEqual(int(self.sql(f"SELECT count(*) FROM results WHERE id IN ({listed})")), COUNT)
        self.assertEqual(int(self.sql(f"SELECT count(*) FROM active WHERE id IN ({listed})")), 0)

    def test_scheduler_killed(self):
        ids = self.flood("kill-scheduler")
        self.stack.scheduler.process.kill()
        self.stack.scheduler.start()
        self.check(ids)

    def test_worker_killed(self):
        ids = self.flood("kill-worker")
        self.stack.worker.process.kill()
        self.stack.worker.start()
        self.check(ids)

    def test_control_plane_killed(self):
        ids = self.flood("kill-control-plane")
        self.stack.control_plane.process.kill()
        self.stack.control_plane.start()
        self.check(ids)

    def test_postgres_restarted(self):
        ids = self.flood("restart-postgres")
        self.stack.postgres.stop("immediate")
        self.stack.postgres.start()
        self.check(ids)


if __name__ == "__main__":
    unittest.main(verbosity=2)
