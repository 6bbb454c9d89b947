"""`byzantiny list`: every zoo with its cards."""

from __future__ import annotations

import dataclasses
import json as json_module
import math
import sys
from collections.abc import Callable
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from byzantiny.aggregators import load_aggregators
from byzantiny.attacks import load_attacks
from byzantiny.bodies.ports import port_names
from byzantiny.bodies.registry import body_names
from byzantiny.experiment.config import ConfigError
from byzantiny.preaggregators import load_preaggregators
from byzantiny.screening import load_screening
from byzantiny.suggest import unknown_name
from byzantiny.updates.rules import Kappa
from byzantiny_models.networks import NETWORKS
from byzantiny_models.tasks import TASKS

Rows = list[dict[str, str]]

REFERENCE = (20, 4)
"""The n and f at which a listing compares the rules' kappas; every rule of the zoo accepts them."""


def _cards(zoo: dict[str, Callable[..., Any]]) -> Rows:
    cards = [rule.info for rule in zoo.values()]  # type: ignore[attr-defined]
    return [{field.name: _text(getattr(card, field.name)) for field in dataclasses.fields(card)} for card in cards]


def _text(value: object) -> str:
    """Return a card's field as text: a set in order, what does not apply as nothing, a kappa with a value to compare.

    >>> _text(frozenset({"b", "a"})), _text(None), _text("O(n d)")
    ('a, b', '', 'O(n d)')
    >>> _text(Kappa("f / (n - 2f)", "this project", lambda n, f: f / (n - 2 * f)))
    '0.333 at n = 20, f = 4: f / (n - 2f) (this project)'
    """
    if isinstance(value, Kappa):
        number = value.of(*REFERENCE)
        at = f"{number:.3g} at n = {REFERENCE[0]}, f = {REFERENCE[1]}: " if math.isfinite(number) else ""
        return f"{at}{value.formula} ({value.source})"
    if isinstance(value, frozenset | set | tuple | list):
        return ", ".join(sorted(map(str, value)))
    return "" if value is None else str(value)


def _networks() -> Rows:
    return [
        {
            "name": network.name,
            "parameters": str(network.layout.d),
            "model bytes": str(network.layout.model_bytes),
            "features": str(network.features),
            "classes": str(network.classes),
        }
        for network in NETWORKS.values()
    ]


KINDS: dict[str, Callable[[], Rows]] = {
    "aggregators": lambda: _cards(load_aggregators()),
    "preaggregators": lambda: _cards(load_preaggregators()),
    "screening": lambda: _cards(load_screening()),
    "attacks": lambda: _cards(load_attacks()),
    "tasks": lambda: [{"name": name} for name in TASKS],
    "networks": _networks,
    "bodies": lambda: [{"name": name} for name in body_names()],
    "ports": lambda: [{"name": name} for name in port_names()],
}


def print_listing(what: str | None, *, json: bool) -> None:
    """Print one kind, or all. Raises ConfigError naming the nearest kind."""
    if what is not None and what not in KINDS:
        raise ConfigError(unknown_name("kind", what, KINDS))
    chosen = {name: rows() for name, rows in KINDS.items() if what in (None, name)}
    if json:
        sys.stdout.write(json_module.dumps(chosen, indent=2) + "\n")
        return
    console = Console(highlight=False)
    for number, (name, rows) in enumerate(chosen.items()):
        if number:
            console.print()
        console.print(Text(name, style="bold underline"))
        if not rows:
            console.print("  none yet")
        labels = max((cell_len(key) for row in rows for key in row if key != "name"), default=0)
        for row in rows:
            console.print(Text("  ").append(row["name"], style="bold"))
            console.print(_fields(row, labels), end="")


def _fields(row: dict[str, str], labels: int) -> Table:
    """One field a line: as a table, a dozen columns would fold every word on a terminal of 80."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, min_width=labels + 4)
    table.add_column(overflow="fold")
    for key, value in row.items():
        if key != "name" and value:
            table.add_row(Text(f"    {key.replace('_', ' ')}"), Text(value))
    return table
