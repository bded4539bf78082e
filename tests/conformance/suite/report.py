"""What came out: the table, the sum, JSON and JUnit."""

import collections
import json
import textwrap
import xml.etree.ElementTree as xml

from .rows import CLIENTS, ROWS

SIGNS = {"pass": "ok", "fail": "FAIL", "not run": "-", "missing": "MISS", "": ""}
HEADS = {"http": "http", "python1": "py1", "python2": "py2", "js": "js", "go": "go", "go-0.21": "go21",
         "go-0.23": "go23", "cli": "cli", "terraform": "tf"}
TEXT_WIDTH = 50


class Report:
    """`asked`: (rows, clients) that were to be run; `reasons`: client -> why none of its checks could be."""

    def __init__(self, results, asked, reasons):
        self.results = results
        self.rows, self.clients = asked
        self.reasons = reasons
        self.broken = []  # Drivers that ended badly, and how.
        by_cell = collections.defaultdict(list)
        for result in results:
            by_cell[result.row, result.client].append(result)
        self.cells = {(row, client): self._cell(by_cell[row, client], row, client)
                      for row in self.rows for client in self.clients}

    def _cell(self, results, row, client):
        """(status, why) of one row and client."""
        for status in ("fail", "not run", "pass"):
            found = [result for result in results if result.status == status]
            if found:
                return status, "; ".join(f"{r.check}: {r.detail}" for r in found if r.detail)
        if client not in ROWS[row].clients:
            return "", ""
        if client in self.reasons:
            return "not run", self.reasons[client]
        return "missing", "this client has no check of this row"

    def row_status(self, row):
        """A row passes when every check of it that could be made does; the tools' own programs may be absent."""
        statuses = [self.cells[row, client][0] for client in self.clients]
        if "fail" in statuses or "missing" in statuses:
            return "fail"
        needed = [self.cells[row, client][0] for client in self.clients
                  if client in ROWS[row].clients and client not in ("cli", "terraform")]
        if not any(status == "pass" for status in statuses):
            return "not run" if any(statuses) else ""
        return "not run" if "not run" in needed else "pass"

    @property
    def has_failed(self):
        return bool(self.broken) or any(self.row_status(row) == "fail" for row in self.rows)

    def table(self):
        heads = [HEADS[client] for client in self.clients]
        lines = [f"{'row':>3}  {'result':<7}  {'area':<11} {'requirement':<{TEXT_WIDTH}} " +
                 " ".join(f"{head:<4}" for head in heads)]
        for number in self.rows:
            row, cells = ROWS[number], [self.cells[number, client] for client in self.clients]
            text = textwrap.shorten(row.requirement, TEXT_WIDTH, placeholder="...")
            lines.append(f"{number:>3}  {self.row_status(number):<7}  {row.area:<11} {text:<{TEXT_WIDTH}} " +
                         " ".join(f"{SIGNS[status]:<4}" for status, _ in cells).rstrip())
            for client, (status, why) in zip(self.clients, cells):
                if status in ("fail", "missing") or (status == "not run" and client not in self.reasons):
                    lines += textwrap.wrap(f"{client}: {why}", 150, initial_indent=" " * 14,
                                           subsequent_indent=" " * 16)
        return "\n".join(lines)

    def summary(self):
        rows = collections.Counter(self.row_status(row) for row in self.rows)
        cells = collections.Counter(status for status, _ in self.cells.values() if status)
        lines = [f"{rows['pass']} of {len(self.rows)} rows pass, {rows['fail']} fail, {rows['not run']} were not run "
                 f"({len(self.results)} checks: {cells['pass']} pairs of row and client pass, {cells['fail']} fail, "
                 f"{cells['not run']} not run, {cells['missing']} missing)"]
        lines += [f"driver {problem}" for problem in self.broken]
        lines += [f"{client} was not run: {why}" for client, why in self.reasons.items() if client in self.clients]
        return "\n".join(lines)

    def as_json(self):
        rows = [{"row": row, "area": ROWS[row].area, "requirement": ROWS[row].requirement,
                 "status": self.row_status(row),
                 "clients": {client: {"status": status, "detail": why}
                             for client in self.clients for status, why in [self.cells[row, client]] if status}}
                for row in self.rows]
        return json.dumps({"rows": rows, "checks": [vars(result) for result in self.results]}, indent=1)

    def as_junit(self):
        suite = xml.Element("testsuite", name="conformance")
        for row in self.rows:
            for client in CLIENTS:
                status, why = self.cells.get((row, client), ("", ""))
                if not status:
                    continue
                case = xml.SubElement(suite, "testcase", classname=f"row_{row:03}", name=client)
                if status in ("fail", "missing"):
                    xml.SubElement(case, "failure", message=why)
                elif status == "not run":
                    xml.SubElement(case, "skipped", message=why)
        return xml.tostring(suite, encoding="unicode")
