"""The official Python client 1.x, unmodified. It reads REPLICATE_BASE_URL, REPLICATE_API_TOKEN and
REPLICATE_POLL_INTERVAL when it is imported."""

import importlib.metadata
import sys

import rows_files
import rows_models
import rows_predictions
import rows_streams
from suite import checks

WANTED = "1.0.7"

if importlib.metadata.version("replicate") != WANTED:
    sys.exit(f"this is not replicate {WANTED}")
checks.run("python1", [rows_files, rows_models, rows_predictions, rows_streams])
