"""Runs the programs of docs/guides as their readers would: what a guide shows as output is what comes out.

In a guide, a fenced block whose info string has `file=NAME` is (a part of) that file, `sh run` is executed in the
folder of the files, and the `text output` block behind it is compared with its standard output, where `…` stands
for any text.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from mimeo_testing import CHECKOUT, InstallationTest, striped_png  # noqa: E402

GUIDES = CHECKOUT / "docs" / "guides"
BLOCK = re.compile(r"^```(\w+)(?: ([^\n]*))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CLIENTS = ("python1", "js")


def client_folders():
    """Where tests/conformance/run keeps the official clients; installs them if they are not there."""
    build = pathlib.Path(os.environ.get("MIMEO_TEST_BUILD") or CHECKOUT / "build")
    cache = pathlib.Path(os.environ.get("MIMEO_CLIENT_CACHE") or build / "clients")
    for client in CLIENTS:
        subprocess.run([CHECKOUT / "tests" / "conformance" / "run", "prepare", client], check=True, timeout=300)
    return [cache / client for client in CLIENTS]


class Guide:
    """The files and the runs (command, expected output or None) of one page."""

    def __init__(self, path):
        self.files, self.runs = {}, []
        for language, info, text in BLOCK.findall(path.read_text()):
            if info.startswith("file="):
                name = info.removeprefix("file=")
                self.files[name] = self.files.get(name, "") + text
            elif info == "run":
                self.runs.append([text, None])
            elif info == "output":
                self.runs[-1][1] = text


def matches(expected, actual):
    pattern = ".*".join(map(re.escape, expected.strip("\n").split("…")))
    return re.fullmatch(pattern, actual.strip("\n"), re.DOTALL) is not None


class Guides(InstallationTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.python, cls.js = client_folders()
        cls.stack.models.ensure("trainable", cls.api)

    def check(self, name):
        guide = Guide(GUIDES / f"{name}.md")
        self.assertTrue(guide.runs, "the guide runs nothing")
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            for file, text in guide.files.items():
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                (folder / file).write_text(text)
            (folder / "picture.png").write_bytes(striped_png(64, 64))
            (folder / "node_modules").symlink_to(self.js / "node_modules")
            environment = {**os.environ, "REPLICATE_BASE_URL": self.stack.layout.base_url,
                           "REPLICATE_API_TOKEN": self.api.token, "REPLICATE_POLL_INTERVAL": "0.1",
                           "PATH": f"{self.python / 'bin'}:{os.environ['PATH']}"}
            for command, expected in guide.runs:
                done = subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=folder, env=environment,
                                      text=True, capture_output=True, timeout=240, check=False)
                said = f"{command}--- stdout\n{done.stdout}--- stderr\n{done.stderr}"
                self.assertEqual(done.returncode, 0, said)
                if expected is not None:
                    self.assertTrue(matches(expected, done.stdout), f"{said}--- expected\n{expected}")

    def test_every_guide_is_in_the_list_and_has_a_test(self):
        names = {path.stem for path in GUIDES.glob("*.md")}
        listed = set(re.findall(r"\(guides/([\w-]+)\.md\)", (CHECKOUT / "docs" / "api.md").read_text()))
        tested = {name.removeprefix("test_guide_").replace("_", "-") for name in dir(self) if "test_guide_" in name}
        self.assertEqual(names, listed)
        self.assertEqual(names, tested)

    def test_guide_python(self):
        self.check("python")

    def test_guide_nodejs(self):
        self.check("nodejs")

    def test_guide_notebook(self):
        self.check("notebook")

    def test_guide_nextjs(self):
        self.check("nextjs")

    def test_guide_bot(self):
        self.check("bot")

    def test_guide_streaming(self):
        self.check("streaming")

    def test_guide_files(self):
        self.check("files")

    def test_guide_webhooks(self):
        self.check("webhooks")

    def test_guide_fine_tuning(self):
        self.check("fine-tuning")


if __name__ == "__main__":
    unittest.main(verbosity=2)
