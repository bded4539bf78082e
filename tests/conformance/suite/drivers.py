"""Prepares and runs the drivers, one process a client, and reads what they report."""

import dataclasses
import json
import os
import pathlib
import subprocess
import threading

RUN = pathlib.Path(__file__).resolve().parents[1] / "run"
LIMIT_S = 540  # Of a whole driver: none of its checks may hang for ever.


@dataclasses.dataclass
class Result:
    row: int
    client: str
    check: str
    status: str  # pass, fail, not run
    detail: str = ""
    seconds: float = 0.0


class Preparing:
    """Installs the clients while the installations come up. Their registries are spoken to with the caller's own
    environment, not with that of the installation."""

    def __init__(self, clients, folder):
        self.logs = {client: open(pathlib.Path(folder) / f"prepare-{client}.log", "w+", encoding="utf-8")
                     for client in clients}
        self.processes = {client: subprocess.Popen([str(RUN), "prepare", client], stdin=subprocess.DEVNULL,
                                                   stdout=log, stderr=log) for client, log in self.logs.items()}

    def wait(self):
        """client -> why it could not be installed."""
        failed = {}
        for client, process in self.processes.items():
            if process.wait() != 0:
                self.logs[client].seek(0)
                failed[client] = self.logs[client].read().strip()[-600:]
            self.logs[client].close()
        return failed


class Driver:
    """One client's process. Its results are complete when the thread has ended."""

    def __init__(self, client, environment, folder, on_result):
        self.client = client
        self.results = []
        self.problem = ""
        self._on_result = on_result
        self._log = open(pathlib.Path(folder) / f"driver-{client}.log", "w+", encoding="utf-8")
        self._process = subprocess.Popen([str(RUN), client], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                         stderr=self._log, text=True, env={**os.environ, **environment})
        self._timer = threading.Timer(LIMIT_S, self._give_up)
        self._timer.start()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _give_up(self):
        self.problem = f"it did not end within {LIMIT_S} s"
        self._process.kill()

    def _read(self):
        for line in self._process.stdout:
            try:
                result = Result(**json.loads(line))
            except (ValueError, TypeError):
                self._log.write(line)  # A client that prints.
                continue
            self.results.append(result)
            self._on_result(result)

    def stop(self):
        """Ends it, whatever it does."""
        self._timer.cancel()
        self._process.kill()

    def wait(self):
        self._thread.join()
        code = self._process.wait()
        self._timer.cancel()
        if code != 0 and not self.problem:
            self._log.flush()
            self._log.seek(0)
            self.problem = f"it ended with exit code {code}: {self._log.read().strip()[-600:]}"
        self._log.close()
        return self
