"""What a terminal shows of a study: a coarse phase picture in letters, and tables."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from byzantiny.cli.encoding import carried
from byzantiny.robustness.bias import BiasCurve
from byzantiny.robustness.breakdown import BreakdownCurve
from byzantiny.robustness.kappa import KappaRow
from byzantiny.robustness.phase import HIGH, LOW, Panel, Phase

MOST_ROWS = 13
"""Rows of a phase picture in letters; of a finer one every so many are shown."""
LETTERS = (
    "0-9: cosine in tenths; -: below 0, the step goes the wrong way; .: the aggregate is 0, no step; blank: refused"
)


def letter(cosine: float, *, stuck: bool) -> str:
    """One cell of a phase picture.

    >>> [letter(c, stuck=False) for c in (0.97, 1.0, 0.04, -0.3, float("nan"))], letter(0.0, stuck=True)
    (['9', '9', '0', '-', ' '], '.')
    """
    if math.isnan(cosine):
        return " "
    if stuck:
        return "."
    return "-" if cosine < 0 else str(min(int(10 * cosine), 9))


def print_phase(phase: Phase, console: Console) -> None:
    """Print the panels side by side as far as they fit, then what the letters mean."""
    width = max(line.cell_len for panel in phase.panels for line in _panel(phase, panel)) + 3
    fit = max(1, (console.width + 3) // width)
    for start in range(0, len(phase.panels), fit):
        blocks = [_panel(phase, panel) for panel in phase.panels[start : start + fit]]
        for lines in zip(*blocks, strict=True):
            row = Text("")
            for line in lines:
                row.append_text(line)
                row.append(" " * (width - line.cell_len))
            row.rstrip()
            console.print(row, soft_wrap=True)
        console.print()
    console.print(Text("x: honest spread / step from 1/32 to 16; y: f / n", style="dim"), soft_wrap=True)
    console.print(Text(LETTERS, style="dim"), soft_wrap=True)
    for panel in phase.panels:
        if panel.refused:
            console.print(Text(f"{panel.rule}: {panel.refused}", style="yellow"), soft_wrap=True)


def _panel(phase: Phase, panel: Panel) -> list[Text]:
    study = phase.study
    step = -(-len(study.liars) // MOST_ROWS)
    lines = [Text(f"      {panel.rule}", style="bold")]
    for j in reversed(range(0, len(study.liars), step)):
        line = Text(f"{study.liars[j] / study.n:5.2f} ", style="dim")
        for cosine, stuck in zip(panel.cosine[j].tolist(), panel.stuck[j].tolist(), strict=True):
            line.append(letter(cosine, stuck=stuck), style=_tone(cosine, stuck))
        lines.append(line)
    ticks = [" "] * len(study.spreads)
    for octave, label in ((LOW, "1/32"), (0, "1"), (HIGH - 1, "8")):
        at = (octave - LOW) * study.per_octave
        ticks[at : at + len(label)] = label
    lines.append(Text("      " + "".join(ticks)[: len(study.spreads)].ljust(len(study.spreads)), style="dim"))
    return lines


def _tone(cosine: float, stuck: bool) -> str:
    if math.isnan(cosine) or stuck:
        return "dim"
    return "red" if cosine < 0 else "blue" if cosine >= 0.5 else "cyan"


def bias_table(curves: Sequence[BiasCurve], *, width: int, encoding: str) -> Table:
    """A row a defence: the two breakdowns, then the bias at as many f / n as fit."""
    longest = max(curves, key=lambda curve: len(curve.points)).points
    name = max(cell_len(curve.defence) for curve in curves)
    fit = max(2, (width - name - 22) // 7)
    step = -(-len(longest) // fit)
    shown = [point.f for point in longest][::step]
    table = _table("defence", "sign flip", "anything", *(f"{f / curves[0].n:.2f}" for f in shown))
    for curve in curves:
        cells = {point.f: point for point in curve.points}
        table.add_row(
            carried(curve.defence, encoding),
            share(curve.sign_flip_breakdown),
            share(curve.any_breakdown),
            *(_bias(cells.get(f)) for f in shown),
        )
    return table


def _bias(point: object) -> str:
    bias = getattr(point, "bias", math.nan)
    if math.isnan(bias):
        return "-"
    return f"{bias:.2f}" + ("" if getattr(point, "exact", False) else "~")


def share(value: float | None) -> str:
    """An f / n at which something happens.

    >>> share(0.35), share(None)
    ('0.35', 'none')
    """
    return "none" if value is None else f"{value:.2f}"


def breakdown_table(curve: BreakdownCurve) -> Table:
    """A row an attack, a column an f / n."""
    table = _table(curve.defence, *(f"{f / curve.model.n:.2f}" for f in curve.liars))
    for attack, errors in curve.error.items():
        table.add_row(attack, *("-" if math.isnan(error) else f"{error:.2f}" for error in errors))
    return table


def kappa_table(rows: Sequence[KappaRow]) -> Table:
    """A row a defence: declared, measured, and the one as a part of the other."""
    table = _table("defence", "declared", "measured", "measured / declared")
    for row in rows:
        both = row.declared is not None and row.measured is not None and 0 < row.declared < math.inf
        ratio = f"{row.measured / row.declared:.2f}" if both else ""  # type: ignore[operator]
        table.add_row(row.defence, kappa(row.declared), "refused" if row.refused else kappa(row.measured), ratio)
    return table


def kappa(value: float | None) -> str:
    """A kappa in a table.

    >>> kappa(1 / 3), kappa(float("inf")), kappa(None)
    ('0.333', 'unbounded', 'not declared')
    """
    if value is None:
        return "not declared"
    return "unbounded" if math.isinf(value) else f"{value:#.3g}"


def _table(*headers: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for number, header in enumerate(headers):
        table.add_column(header, justify="right" if number else "left", no_wrap=True)
    return table
