"""The tables, in plain text that is Markdown as well."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.results import FLOWER, Result
from harness.targets import Verdict

PEERS = ("flower", "flower-app", "byzfl", "byzfl-torch", "byzpy")
HEADER = ("rule", "n, d", "ours ms", "kernel ms", "reads", *(f"{p} ms" for p in PEERS), "x best", "x Flower", "MB")


def lines(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as an aligned table, the first one its head; columns but the first two to the right.

    >>> lines([["a", "b", "c"], ["1", "2", "30"]])
    ['| a | b |  c |', '|---|---|---:|', '| 1 | 2 | 30 |']
    """
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]

    def line(row: Sequence[str]) -> str:
        cells = (c.ljust(w) if i < 2 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
        return "| " + " | ".join(cells) + " |"

    rule = "|" + "|".join("-" * (w + 2) if i < 2 else "-" * (w + 1) + ":" for i, w in enumerate(widths)) + "|"
    return [line(rows[0]), rule, *map(line, rows[1:])]


def number(value: float | None, digits: int = 3) -> str:
    """Three digits, no exponent; empty for nothing.

    >>> number(1234.5), number(0.012345), number(None)
    ('1234', '0.0123', '')
    """
    if value is None:
        return ""
    return f"{value:.0f}" if value >= 100 else f"{value:.{digits}g}"


def size(n: int, d: int) -> str:
    """(100, 300000) as `100, 300k`."""
    return f"{n}, {d // 1000}k" if d % 1000 == 0 else f"{n}, {d}"


def table(results: Iterable[Result], repeats: int) -> tuple[list[str], list[str]]:
    """The table, and a note for every contestant that did not run or gave another result; fewer turns are marked."""
    rows: list[Sequence[str]] = [HEADER]
    notes: list[str] = []
    for result in results:
        cells = [_cell(result, name, notes, repeats) for name in ("ours", "kernel")]
        peers = [_cell(result, name, notes, repeats) for name in PEERS]
        beyond = result.beyond_output_bytes
        rows.append(
            (
                result.rule,
                size(result.n, result.d),
                *cells,
                number(result.reads),
                *peers,
                number(result.ratio_to_best),
                number(result.ratio_to(FLOWER)),
                "" if beyond is None else f"{beyond / 1e6:.1f}",
            )
        )
    return lines(rows), notes


def _cell(result: Result, name: str, notes: list[str], repeats: int) -> str:
    entry = result.entry(name)
    if entry is None:
        return ""
    where = f"{result.rule} ({size(result.n, result.d)}), {name}"
    if entry.seconds is None:
        notes.append(f"{where}: not run: {entry.reason}")
        return f"- [{len(notes)}]"
    marks = ""
    if entry.excess > 1:
        notes.append(f"{where}: its result is off by {entry.excess:.3g} tolerances; no ratio is taken to it")
        marks += f" [{len(notes)}]"
    if entry.samples < repeats:
        marks += f" ({entry.samples}x)"
    return number(entry.seconds * 1e3) + marks


def verdict_lines(verdicts: Sequence[Verdict]) -> list[str]:
    """One line a target, and a sum."""
    words = [verdict.word for verdict in verdicts]
    counts = ", ".join(f"{words.count(word)} {word}" for word in ("met", "missed", "not measured"))
    return [*(f"{word:12}  {v.sentence}" for word, v in zip(words, verdicts, strict=True)), f"targets: {counts}"]
