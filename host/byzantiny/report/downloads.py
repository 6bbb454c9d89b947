"""The rounds and the clients of a run as CSV, to go into the report itself."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from byzantiny.records import ClientRow, RoundRow
from byzantiny.report.run import Run

_NESTED = ("schema", "last")
"""Fields that no cell holds; `last` is in final.json."""
MOST_EMBEDDED_BYTES = 600_000
"""A larger file is written beside the report, which then links to it: the report stays a page one can mail."""


@dataclass(frozen=True)
class Download:
    """One link: the file's name, its size, and where it is (a data URI, or the name of the file beside the report)."""

    name: str
    n_bytes: int
    rows: int
    href: str
    embedded: bool


def downloads(run: Run) -> list[Download]:
    """Links to rounds.csv and clients.csv; what is too large to embed is written into the run directory."""
    rounds = [row for rows in run.rounds.values() for row in rows]
    clients = [row for rows in run.clients.values() for row in rows]
    return [
        _download(run.path, "rounds.csv", to_csv(rounds, RoundRow), len(rounds)),
        _download(run.path, "clients.csv", to_csv(clients, ClientRow), len(clients)),
    ]


def _download(folder: Path, name: str, text: str, rows: int) -> Download:
    data = text.encode()
    if len(data) <= MOST_EMBEDDED_BYTES:
        return Download(name, len(data), rows, "data:text/csv;base64," + base64.b64encode(data).decode(), embedded=True)
    (folder / name).write_bytes(data)
    return Download(name, len(data), rows, name, embedded=False)


def to_csv(rows: Iterable[RoundRow | ClientRow], kind: type[RoundRow | ClientRow]) -> str:
    """Rows as CSV with a header; None is empty, or `-` in a list; `reason=count` joined by semicolons, lists by spaces."""
    names = [field.name for field in msgspec.structs.fields(kind) if field.name not in _NESTED]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([cell(getattr(row, name)) for name in names] for row in rows)
    return text.getvalue()


def cell(value: object) -> str | int | float:
    """One value as a CSV cell; text a spreadsheet would run as a formula is quoted with an apostrophe.

    >>> cell("=HYPERLINK()"), cell(True), cell({"tag": 2, "round": 1}), cell(None)
    ("'=HYPERLINK()", 'true', 'round=1;tag=2', '')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return value
    if isinstance(value, dict):
        value = ";".join(f"{key}={count}" for key, count in sorted(value.items()))
    if isinstance(value, list):
        value = " ".join("-" if each is None else str(each) for each in value)
    text = str(value)
    return "'" + text if text.startswith(("=", "+", "@", "\t", "\r")) else text
