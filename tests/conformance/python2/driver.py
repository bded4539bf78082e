"""The official Python client 2.x (a beta), unmodified. It reads REPLICATE_BASE_URL, with /v1, and the
token when it is imported."""

import importlib.metadata
import os
import sys

os.environ["REPLICATE_BASE_URL"] = os.environ["REPLICATE_BASE_URL"].rstrip("/") + "/v1"
import rows_resources  # noqa: E402
import rows_running  # noqa: E402
from suite import checks  # noqa: E402

WANTED = "2.0.0b4"

if importlib.metadata.version("replicate") != WANTED:
    sys.exit(f"this is not replicate {WANTED}")
checks.run("python2", [rows_resources, rows_running])
