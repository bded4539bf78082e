"""The class of hardware that `make up` adds for this machine's GPU. No installation: a driver that is a script, and
commands that are written down."""

import json
import pathlib
import sys
import tempfile
import unittest
import unittest.mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from mimeo_testing import CHECKOUT, Console, Layout, Stack  # noqa: E402
from mimeo_local import gpus  # noqa: E402


class Gpus(unittest.TestCase):
    def driver(self, text, exit_code=0):
        """The path of a program that answers like nvidia-smi."""
        path = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())) / "nvidia-smi"
        path.write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\nexit {exit_code}\n")
        path.chmod(0o755)
        return str(path)

    def stack(self, hardware, runtime="docker"):
        """A stack whose `mimeo` has these classes of hardware (name: GPUs); `ran` is what else it was told."""
        layout = Layout(CHECKOUT, self.enterContext(tempfile.TemporaryDirectory()), None)
        layout.data["runtime"] = runtime
        self.ran = []

        def cli(*arguments):
            if arguments[:2] == ("hardware", "list"):
                return json.dumps([{"sku": sku, "gpus": gpus} for sku, gpus in hardware.items()])
            self.ran.append(arguments)
            hardware[arguments[2]] = int(arguments[arguments.index("--gpus") + 1])
            return ""
        layout.cli = cli
        layout.program = str
        stack = Stack(layout, Console(quiet=True))
        stack.worker.stop = lambda: self.ran.append("worker.stop")
        return stack

    def settle(self, stack, found):
        with unittest.mock.patch.object(gpus, "find", return_value=found):
            return stack._settle_hardware()

    def offered(self, stack):
        """What the worker is told when it is started."""
        commands = []
        stack.layout.data["ports"] = {"worker_metrics": 1}
        stack.worker.process.start = commands.append
        stack.layout.keys.mkdir(parents=True)
        (stack.layout.keys / "worker.token").touch()
        stack.worker.start(wait=False)
        return commands[0][commands[0].index("--skus") + 1]

    def test_the_driver_is_asked_for_names_and_memory(self):
        path = self.driver("NVIDIA L40S, 46068\nTesla T4, 15360\nNVIDIA, odd, [N/A]")
        self.assertEqual(gpus.find(path), [("NVIDIA L40S", 46068), ("Tesla T4", 15360)])
        self.assertEqual(gpus.find(self.driver("No devices were found", exit_code=6)), [])
        self.assertEqual(gpus.find("no-such-program-anywhere"), [])

    def test_classes_have_the_names_that_clients_know(self):
        for name, memory, sku in (("Tesla T4", 15360, "gpu-t4"), ("NVIDIA L40S", 46068, "gpu-l40s"),
                                  ("NVIDIA H100 80GB HBM3", 81559, "gpu-h100"),
                                  ("NVIDIA A100-SXM4-80GB", 81920, "gpu-a100-large"),
                                  ("A100-PCIE-40GB", 40960, "gpu-a100"),
                                  ("NVIDIA GeForce RTX 4090", 24564, "gpu-rtx-4090"), ("???", 1, "gpu-any")):
            self.assertEqual(gpus.hardware_of(name, memory)[0], sku)
        self.assertEqual(gpus.hardware_of("NVIDIA GeForce RTX 4090", 24564)[1], "Nvidia RTX 4090 GPU")

    def test_a_new_installation_gets_one_class_for_its_gpu(self):
        stack = self.stack({"cpu": 0})
        note = self.settle(stack, [("Tesla T4", 15360), ("NVIDIA L40S", 46068)])
        self.assertEqual(self.ran, [("hardware", "set", "gpu-t4", "--name", "Nvidia T4 GPU", "--gpus", "1"), "worker.stop"])
        self.assertIn("mimeo hardware set gpu-t4", note)
        self.assertEqual(self.offered(stack), "cpu,gpu-t4")

    def test_the_worker_offers_what_the_machine_has_the_gpus_for(self):
        stack = self.stack({"cpu": 0, "large": 0, "one": 1, "two": 2, "three": 3})
        two = [("Tesla T4", 15360)] * 2
        self.assertEqual(self.settle(stack, two), "")
        self.assertEqual(self.ran, ["worker.stop"], "what runs offers less")
        self.assertEqual(self.offered(stack), "cpu,large,one,two")
        self.settle(stack, two)
        self.assertEqual(self.ran, ["worker.stop"], "nothing changed")
        stack = self.stack({"cpu": 0, "one": 1}, "process")
        self.settle(stack, two)
        self.assertEqual(self.offered(stack), "cpu", "containers of that runtime have no GPUs")

    def test_what_is_there_is_left_alone(self):
        for hardware, runtime, found in (({"cpu": 0, "mine": 1}, "docker", [("Tesla T4", 15360)]), ({"cpu": 0}, "docker", []),
                                         ({"cpu": 0}, "process", [("Tesla T4", 15360)])):
            stack = self.stack(hardware, runtime)
            self.assertEqual(self.settle(stack, found), "")
            self.assertEqual([one for one in self.ran if one != "worker.stop"], [])
            self.assertEqual(self.offered(stack), ",".join(one for one, count in hardware.items() if count <= len(found)))


if __name__ == "__main__":
    unittest.main(verbosity=2)
