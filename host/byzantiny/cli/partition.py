"""`byzantiny partition`: who would hold what, as a table in the terminal and as a picture, before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from byzantiny.charts.partition import MOST_DRAWN, Panel, Row, partition_chart
from byzantiny.charts.style import Spec, Theme
from byzantiny.cli.study import finish, say_where, study
from byzantiny.experiment.config import ConfigError, load_experiment
from byzantiny.experiment.data import open_task
from byzantiny.experiment.holdings import Division, Holding, divisions, record
from byzantiny_models.drift import UNIT
from byzantiny_models.tasks import load_tasks

MOST_COLUMNS = 12
"""Classes that a terminal has room for; of more, the row says how many a client has."""
MOST_ROWS = 48
"""Clients that the table names; of more, the smallest and the largest are told."""


def show_partition(
    path: Path, *, arm: str | None, seed: int | None, overrides: Mapping[str, Any], json: bool, out: Path | None
) -> None:
    """Print who holds what in an experiment, and draw it where `out` is given. Raises ConfigError and PartitionError."""
    experiment = load_experiment(path, overrides)
    with study("partition", json=json, out=out):
        task = open_task(experiment)
        found = divisions(experiment, task, arm=arm, seed=seed)
    if out is not None and len(found[0].clients) > MOST_DRAWN:
        raise ConfigError(
            f"--out {out}: {len(found[0].clients)} clients; a picture shows at most {MOST_DRAWN}, --json has them all"
        )
    chosen = experiment.base.seeds[0] if seed is None else seed
    title = f"{task.name}: who holds what"
    subtitle = f"{len(task.train_y):,} training samples, {len(found[0].clients)} clients, seed {chosen}"
    key = load_tasks()[task.name].key
    panels = [Panel(each.title, tuple(_row(holding, key) for holding in each.clients)) for each in found]

    def chart(theme: Theme) -> Spec:
        return partition_chart(panels, task.class_names, title, subtitle, theme)

    console = finish(json, record(experiment, task, chosen, found), out, chart, title)
    if console is None:
        return
    console.print(Text(f"{title}; {subtitle}", style="bold"), soft_wrap=True)
    for division in found:
        _print(division, task.class_names, key, console)
    say_where(console, out)


def note(holding: Holding, key: str = "") -> str:
    """Return what else is to be said of a client's samples: through which sensor, or from how many devices (or writers ..).

    >>> from byzantiny_models.drift import Drift
    >>> note(Holding("dev-01", 9, (9,), 2, None), "writer"), note(Holding("dev-01", 9, (9,), 2, Drift(-3, 8)), "device")
    ('2 writers', 'gain 72/64, bias -3')
    """
    if holding.drift is not None:
        return f"gain {UNIT + holding.drift.gain_64ths}/{UNIT}, bias {holding.drift.bias_steps:+d}"
    return "" if holding.keys is None else f"{holding.keys} {key}{'' if holding.keys == 1 else 's'}"


def _row(holding: Holding, key: str) -> Row:
    return Row(holding.client_id, holding.counts, holding.samples, note(holding, key))


def _print(division: Division, names: Sequence[str], key: str, console: Console) -> None:
    console.print()
    console.print(Text(f"{division.title}  ({', '.join(division.arms)})", style="bold"), soft_wrap=True)
    wide = len(names) > MOST_COLUMNS
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("client")
    table.add_column("samples", justify="right")
    for name in ["classes"] if wide else names:
        table.add_column(Text(name), justify="right", no_wrap=True)
    table.add_column("")
    for holding in division.clients[:MOST_ROWS]:
        held = sum(count > 0 for count in holding.counts)
        cells = [f"{held} of {len(holding.counts)}"] if wide else [str(count or "·") for count in holding.counts]
        table.add_row(holding.client_id, str(holding.samples), *cells, Text(note(holding, key), style="dim"))
    console.print(table)
    left = len(division.clients) - MOST_ROWS
    if left > 0:
        sizes = [holding.samples for holding in division.clients]
        said = f"and {left} more; {min(sizes)} to {max(sizes)} samples a client (--json has all)"
        console.print(Text(said, style="dim"), soft_wrap=True)
