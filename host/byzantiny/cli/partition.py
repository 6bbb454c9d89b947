"""`byzantiny partition`: who holds what in an experiment, as a table and a picture, before anything is run."""

from __future__ import annotations

from pathlib import Path

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from byzantiny.charts.shares import shares_chart
from byzantiny.charts.style import Spec, Theme
from byzantiny.cli.encoding import carried
from byzantiny.cli.study import finish, say_where, study
from byzantiny.experiment.config import ConfigError, Experiment, RunConfig
from byzantiny.experiment.data import load_data
from byzantiny.experiment.shares import Shares, find_shares
from byzantiny.report.text import printable
from byzantiny.suggest import unknown_name

MOST_ROWS = 40
"""Clients in the terminal's table; a larger fleet is in the object of --json."""


def show_partition(experiment: Experiment, *, arm: str | None, seed: int | None, json: bool, out: Path | None) -> None:
    """Print who holds what, and draw it if a file is named. Raises ConfigError, PartitionError and RobustnessError."""
    run = _arm(experiment, arm)
    chosen = run.seeds[0] if seed is None else seed
    with study("partition", json=json, out=out):
        shares = find_shares(run, chosen, load_data(run))

    def chart(theme: Theme) -> Spec:
        return shares_chart(shares, theme)

    console = finish(json, shares.record(), out, chart, "Who holds what")
    if console is not None:
        print_shares(shares, console)
        say_where(console, out)


def _arm(experiment: Experiment, name: str | None) -> RunConfig:
    if name is None:
        return experiment.base
    if name not in experiment.arms:
        raise ConfigError(unknown_name("arm", name, experiment.arms))
    return experiment.arms[name]


def print_shares(shares: Shares, console: Console) -> None:
    """Print a row a client: a column a class where they fit, else how many classes there are and the largest one's share."""
    console.print(Text(shares.sentence, style="bold"), soft_wrap=True)
    console.print(shares_table(shares, width=console.width, encoding=console.encoding))
    left_out = len(shares.clients) - MOST_ROWS
    if left_out > 0:
        console.print(Text(f"and {left_out} more clients; --json has all", style="dim"), soft_wrap=True)
    if shares.byzantine:
        console.print(Text("*: Byzantine", style="dim"), soft_wrap=True)


def shares_table(shares: Shares, *, width: int, encoding: str = "utf-8") -> Table:
    """The table of at most MOST_ROWS clients, no wider than `width` where that can be."""
    shown = range(min(len(shares.clients), MOST_ROWS))
    headers, columns = (
        ["client", "samples"],
        [
            [shares.clients[i] + ("*" if shares.clients[i] in shares.byzantine else "") for i in shown],
            [str(int(shares.samples[i])) for i in shown],
        ],
    )
    if shares.keys is not None:
        headers.append("keys")
        columns.append([str(shares.keys[i]) for i in shown])
    if shares.drifts:
        drifts = [shares.drifts[shares.clients[i]] for i in shown]
        headers += ["bias", "gain/128"]
        columns += [[f"{one.bias_steps:+d}" for one in drifts], [str(128 + one.gain_128ths) for one in drifts]]
    classes = [
        (printable(name, 12), [str(int(shares.counts[i, c])) for i in shown]) for c, name in enumerate(shares.classes)
    ]
    used = sum(2 + _widest(header, column) for header, column in zip(headers, columns, strict=True))
    if used + sum(2 + _widest(name, column) for name, column in classes) <= width:
        headers += [name for name, _ in classes]
        columns += [column for _, column in classes]
    else:
        headers += ["classes", "largest"]
        columns += [[str(int((shares.counts[i] > 0).sum())) for i in shown], [_largest(shares, i) for i in shown]]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for number, header in enumerate(headers):
        table.add_column(Text(carried(header, encoding)), justify="right" if number else "left", no_wrap=True)
    for row in zip(*columns, strict=True):
        table.add_row(*(Text(carried(cell, encoding)) for cell in row))
    return table


def _largest(shares: Shares, i: int) -> str:
    c, n = int(shares.counts[i].argmax()), int(shares.samples[i])
    return f"{printable(shares.classes[c], 18)} {100 * int(shares.counts[i, c]) / max(1, n):.0f} %"


def _widest(header: str, column: list[str]) -> int:
    return max(cell_len(header), *map(cell_len, column))
