"""Usage as accounts and operators see it, against what the rows and the clock say; spend limits."""

import csv
import io
import os
import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from mimeo_testing import LIVE, READY, InstallationTest, eventually, json  # noqa: E402

PRICE = 1000  # Micro-units a second, so nano-units are milliseconds times this.


def covered(intervals):
    """How many milliseconds the intervals cover together."""
    total, end = 0, None
    for begin, finish in sorted(intervals):
        begin = begin if end is None else max(begin, end)
        total += max(0, finish - begin)
        end = finish if end is None else max(end, finish)
    return total


class Usage(InstallationTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.stack.layout.cli("hardware", "set", "cpu", "--price-micros", str(PRICE))

    def setUp(self):
        # A price holds for minutes that begin after it was set.
        eventually(lambda: self.sql("SELECT max(since) <= date_trunc('minute', now()) FROM hardware_prices "
                                    f"WHERE sku = 'cpu' AND micros_per_second = {PRICE}") == "t", 70, "the next minute")

    def usage(self, query):
        status, body = self.api.call("GET", f"/v1/account/usage?{query}")
        self.assertEqual(status, 200, body)
        return body

    def line_of(self, deployment):
        lines = [line for line in self.usage("group_by=deployment,kind,hardware,model")["results"]
                 if line["deployment"] == deployment]
        return lines[0] if len(lines) == 1 else None

    def set_limit(self, micros):
        status, body = self.api.call("PUT", "/v1/account/spend-limit", {"limit_micros": micros})
        self.assertEqual(status, 200, body)
        return body

    def test_a_deployment_pays_for_the_lives_of_its_instances(self):
        name = f"usage-{os.getpid()}"
        began = time.monotonic()
        path = self.deploy(name, "stream-text", 1, 1)
        eventually(lambda: self.instances(name, READY) == 1, 60, "the warm instance")
        ids = [self.create(f"{path}/predictions", {"text": "a b c d e", "delay_ms": 100})["id"] for _ in range(4)]
        self.wait_terminal(ids)
        canceled = self.create(f"{path}/predictions", {"text": "a " * 500, "delay_ms": 100})["id"]
        self.wait_status(canceled, ("processing",))
        self.api.call("POST", f"/v1/predictions/{canceled}/cancel")
        self.api.call("PATCH", path, {"min_instances": 0})
        eventually(lambda: self.instances(name, LIVE) == 0, 60, "scale to zero")
        elapsed_ms = (time.monotonic() - began) * 1000

        def ms(column):
            return f"floor(extract(epoch FROM {column}) * 1000)::bigint"
        instances = [[int(field) for field in row.split("|")] for row in self.sql(
            f"SELECT {ms('i.created_at')}, {ms('i.ready_at')}, {ms('i.state_since')} FROM instances i JOIN targets t ON "
            "t.id = i.target_id JOIN deployments d ON d.id = t.deployment_id WHERE "
            f"d.name = '{name}'").splitlines()]
        runs = [[int(field) for field in row.split("|")] for row in self.sql(
            f"SELECT {ms('r.completed_at')} - r.billed_ms, {ms('r.completed_at')}, r.billed_ms FROM results r JOIN predictions "
            f"p USING (id) JOIN deployments d ON d.id = p.deployment_id WHERE d.name = '{name}'").splitlines()]
        self.assertEqual(len(runs), 5)
        life = sum(end - created for created, _, end in instances)
        setup = sum(ready - created for created, ready, _ in instances)
        active = covered([run[:2] for run in runs])

        deployment = f"{self.owner}/{name}"
        # Counted every few seconds: until the end of the last instance is in it.
        eventually(lambda: self.sql("SELECT (SELECT count(*) FROM instance_meters m JOIN deployments d ON d.id = "
                                    f"m.deployment_id WHERE d.name = '{name}' AND m.is_ended), "
                                    "(SELECT count(*) FROM usage_pending)") == f"{len(instances)}|0", 30, "metering", 0.5)
        line = self.line_of(deployment)
        self.assertEqual(line["predictions"], 5)
        self.assertEqual(line["kind"], "deployment")
        self.assertEqual(line["hardware"], "cpu")
        self.assertEqual(line["model"], f"{self.owner}/stream-text")
        self.assertEqual(line["setup_ms"] + line["idle_ms"] + line["active_ms"], life)
        self.assertEqual(line["active_ms"], active)
        self.assertEqual(line["setup_ms"], setup)
        self.assertEqual(line["run_ms"], sum(run[2] for run in runs))
        self.assertLess(life, elapsed_ms + 1000 * len(instances))
        self.assertGreaterEqual(active, 4 * 400, "four runs of five words with a tenth of a second each")
        self.assertEqual(line["amount_nanos"], life * PRICE)
        self.assertEqual(line["active_nanos"], active * PRICE)

        one = self.api.call("GET", f"/v1/predictions/{ids[0]}/usage")[1]
        self.assertFalse(one["is_charged"], "its instance is")
        self.assertEqual(one["amount_nanos"], one["run_ms"] * PRICE)
        status, text = self.api.call("GET", "/v1/account/usage?group_by=deployment&format=csv")
        self.assertEqual(status, 200)
        rows = [row for row in csv.DictReader(io.StringIO(text)) if row["deployment"] == deployment]
        self.assertEqual(int(rows[0]["amount_nanos"]), life * PRICE)
        told = json.loads(self.stack.layout.cli("usage", "--account", self.owner, "--group-by", "deployment", "--json"))
        self.assertEqual([row["amount_nanos"] for row in told if row["deployment"] == deployment], [life * PRICE])
        self.assertEqual(self.sql("SELECT count(*) FROM usage_pending"), "0")

    def test_at_the_spend_limit_nothing_starts_until_it_is_raised(self):
        self.addCleanup(self.set_limit, None)
        self.addCleanup(self.stack.layout.cli, "spend-limit", "set", self.owner, "none")
        body = {"version": self.latest("hello"), "input": {"text": "x"}}
        status, answer = self.api.call("POST", "/v1/predictions", body, {"Prefer": "wait"})
        self.assertEqual(status, 201, answer)
        eventually(lambda: self.usage("group_by=kind")["total"]["amount_nanos"] > 5000, 60, "a few micro-units of cost")
        self.assertTrue(self.set_limit(5)["is_reached"])
        status, answer = self.api.call("POST", "/v1/predictions", body)
        self.assertEqual(status, 402, answer)
        self.assertEqual(answer["title"], "Insufficient credit")
        self.set_limit(None)
        status, answer = self.api.call("POST", "/v1/predictions", body, {"Prefer": "wait"})
        self.assertEqual(status, 201, answer)
        # The operator's limit is noticed within seconds, without a call to this process.
        self.stack.layout.cli("spend-limit", "set", self.owner, "1")
        eventually(lambda: self.api.call("POST", "/v1/predictions", body)[0] == 402, 30, "402", every=0.5)
        self.set_limit(1_000_000_000)
        self.assertEqual(self.api.call("POST", "/v1/predictions", body)[0], 402, "the lower limit counts")
        self.stack.layout.cli("spend-limit", "set", self.owner, "none")
        eventually(lambda: self.api.call("POST", "/v1/predictions", body)[0] == 201, 5, "201", every=0.2)


if __name__ == "__main__":
    unittest.main()
