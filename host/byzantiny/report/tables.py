"""The tables under the charts: the same numbers, for readers who want them as numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from byzantiny.charts.style import thin
from byzantiny.report.arms import ArmSummary
from byzantiny.report.charts.accuracy import mean_curve
from byzantiny.report.charts.traffic import traffic_curve
from byzantiny.report.grid import adapted
from byzantiny.report.metric import metric_heading, metric_name
from byzantiny.report.norms import norm_curve
from byzantiny.report.run import Run
from byzantiny.report.targets import percent
from byzantiny.report.units import grouped
from byzantiny.report.verdicts import KINDS, client_verdicts, refusal_reasons

MOST_ROUNDS = 250
MOST_CLIENTS = 500
_KIND = ("honest", "▲ Byzantine")


@dataclass(frozen=True)
class Table:
    """Rows of text under a header; the first column names the row. `note` says what was left out."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def accuracy_table(run: Run, arms: Sequence[ArmSummary]) -> Table:
    """The task's metric per round and arm, mean over the seeds."""
    curves = [{number: percent(value) for number, value in mean_curve(run, arm.info.name)} for arm in arms]
    return _round_table(
        run,
        f"{metric_heading(metric_name(run.manifest))} per round, mean over seeds",
        ["round", *map(_title, arms)],
        curves,
    )


def traffic_table(run: Run, arms: Sequence[ArmSummary]) -> Table:
    """Bytes up and down per round and arm, mean over the seeds."""
    header, columns = ["round"], list[dict[int, str]]()
    for arm in arms:
        curve = traffic_curve(run, arm.info.name)
        header += [f"{_title(arm)}: up, bytes", f"{_title(arm)}: down, bytes"]
        columns += [{n: grouped(up) for n, up, _ in curve}, {n: grouped(down) for n, _, down in curve}]
    return _round_table(run, "Bytes per round, mean over seeds", header, columns)


def norm_table(run: Run, arms: Sequence[ArmSummary]) -> Table:
    """Median norm per round, arm and group."""
    header, columns = ["round"], list[dict[int, str]]()
    for arm in arms:
        for byzantine in (False, True):
            curve = norm_curve(run, arm.info.name, byzantine=byzantine)
            if curve:
                header.append(f"{_title(arm)}: {_KIND[byzantine]}")
                columns.append({point.round_num: f"{point.median:.0f}" for point in curve})
    return _round_table(run, "Median update norm per round, in grid steps", header, columns)


def grid_table(run: Run, arms: Sequence[ArmSummary]) -> Table:
    """How far every tensor's grid moved in the arms where it adapts, over all seeds."""
    rows = []
    for _, arm, paths in adapted(run, arms):
        for path in paths:
            shifts = [shift for seed in path.seeds for shift in seed]
            last = sorted({seed[-1] for seed in path.seeds})
            numbers = (path.seeds[0][0], _span(last, same=str(last[0])), _span(shifts, same=str(shifts[0])), path.moves)
            rows.append((_title(arm), path.tensor, *map(str, numbers)))
    header = ("arm", "tensor", "shift in round 1", "in the last round", "lowest to highest", "moves")
    return Table("Shifts by tensor, over all seeds", header, tuple(rows))


def verdict_table(run: Run, arms: Sequence[ArmSummary]) -> Table:
    """Rounds by client and kind, over all seeds."""
    rows = [
        (_title(arm), client.client_id, _KIND[client.byzantine], *(str(client.counts[kind]) for kind in KINDS))
        for arm in arms
        for client in client_verdicts(run, arm.info.name)
    ]
    note = f"{len(rows) - MOST_CLIENTS} more rows are in clients.csv." if len(rows) > MOST_CLIENTS else ""
    header = ("arm", "client", "kind", "accepted", "set aside by the defence", "refused", "missing")
    return Table("Rounds by client and verdict, over all seeds", header, tuple(rows[:MOST_CLIENTS]), note)


def reason_table(run: Run, arms: Sequence[ArmSummary]) -> Table:
    """Refusals by reason and arm, honest and Byzantine apart."""
    reasons = refusal_reasons(run, [arm.info.name for arm in arms])
    columns = [(index, group) for index, arm in enumerate(arms) for group in ((0, 1) if arm.attacked else (0,))]
    rows = tuple((reason, *(str(cells[index][group]) for index, group in columns)) for reason, cells in reasons)
    header = (f"{_title(arms[index])}: {_KIND[group]}" for index, group in columns)
    return Table("Refusals by reason, over all seeds", ("reason", *header), rows)


def client_table(run: Run, arms: Sequence[ArmSummary]) -> Table:
    """Every client of the manifest: what it is, and what its local training cost where that was counted."""
    counted: dict[str, list[int]] = {}
    for row in (row for rows in run.clients.values() for row in rows):
        if row.instructions is not None:
            counted.setdefault(row.client_id, []).append(row.instructions)
    liars = {client_id for arm in arms for client_id in arm.info.byzantine}
    rows = []
    for client in run.manifest.clients[:MOST_CLIENTS]:
        client_id = str(client.get("client_id", ""))
        counts = counted.get(client_id, [])
        cost = (grouped(float(np.median(counts))), _span(counts)) if counts else ("not counted", "")
        kind = _KIND[client_id in liars or bool(client.get("byzantine"))]
        facts = (str(client.get(name, "–")) for name in ("body", "transport", "samples"))
        rows.append((client_id, *facts, kind, *cost))
    more = len(run.manifest.clients) - len(rows)
    header = ("client", "body", "transport", "samples", "kind", "instructions (emulated), median", "lowest to highest")
    return Table("Clients", header, tuple(rows), f"{more} more clients are in clients.csv." if more else "")


def firmware_table(run: Run) -> Table:
    """Every image that was run, with its footprint where known."""

    def known(value: float | None) -> str:
        return "–" if value is None else grouped(value)

    rows = tuple(
        (
            image.name,
            image.compiler or "–",
            *map(known, (image.flash_bytes, image.ram_bytes, image.instructions_per_step)),
            image.sha256[:12],
        )
        for image in run.manifest.firmware
    )
    numbers = ("flash, bytes", "RAM, bytes", "instructions (emulated) a step")
    return Table("Firmware", ("image", "compiler", *numbers, "SHA-256"), rows)


def _span(counts: Sequence[int], same: str = "the same every round") -> str:
    low, high = min(counts), max(counts)
    return f"{grouped(low)} – {grouped(high)}" if low != high else same


def _title(arm: ArmSummary) -> str:
    return arm.info.title or arm.info.name


def _round_table(run: Run, title: str, header: Sequence[str], columns: Sequence[dict[int, str]]) -> Table:
    last = max((max(column, default=0) for column in columns), default=0)
    chosen = [index + 1 for index in thin(last, MOST_ROUNDS)]
    rows = tuple((str(number), *(column.get(number, "–") for column in columns)) for number in chosen)
    step = math.ceil(last / MOST_ROUNDS) if last else 1
    note = f"Every {step}th of {run.manifest.rounds} rounds; all are in rounds.csv." if step > 1 else ""
    return Table(title, tuple(header), rows, note)
