"""Plain HTTP, without any client library."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import rows_accounts  # noqa: E402
import rows_catalog  # noqa: E402
import rows_create  # noqa: E402
import rows_deployments  # noqa: E402
import rows_errors  # noqa: E402
import rows_events  # noqa: E402
import rows_files  # noqa: E402
import rows_lifecycle  # noqa: E402
import rows_lists  # noqa: E402
import rows_trainings  # noqa: E402
import rows_transport  # noqa: E402
import rows_webhooks  # noqa: E402
from suite import checks  # noqa: E402

checks.run("http", [rows_accounts, rows_catalog, rows_create, rows_deployments, rows_errors, rows_events, rows_files,
                    rows_lifecycle, rows_lists, rows_trainings, rows_transport, rows_webhooks])
