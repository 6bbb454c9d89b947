"""`byzantiny attack-cost`: what every attack costs a board, measured or modelled, or why it is not on one."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from byzantiny_firmware import attack_cost, build
from byzantiny_firmware.errors import FirmwareError
from byzantiny_firmware.images import CORES
from byzantiny_models.networks import NETWORKS

_WITH_NOTES = 150
"""Columns of a terminal that has room for the notes; --json has them always."""

app = typer.Typer(help="What every attack costs a board, measured on an emulated core.", add_completion=False)


@app.callback(invoke_without_command=True)
def costs(
    core: Annotated[str | None, typer.Option(help=f"Measure on this core: {', '.join(CORES)}.")] = None,
    network: Annotated[str | None, typer.Option(help="Measure for this network.")] = None,
    measure: Annotated[bool, typer.Option("--measure", help="Measure now, instead of showing the record.")] = False,
    write: Annotated[bool, typer.Option("--write", help="Measure, and write the record of this checkout.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
) -> None:
    """Print what every attack costs a board beside honest work: from the record, or measured now."""
    if core is not None and core not in CORES:
        raise FirmwareError(f"there is no image {core!r}; the images are {', '.join(CORES)}")
    if network is not None and network not in NETWORKS:
        raise FirmwareError(f"there is no network {network!r}; there are {', '.join(NETWORKS)}")
    found = _record() if core is None and network is None and not measure and not write else None
    if found is None:
        core, network = core or attack_cost.CORE, network or attack_cost.NETWORK
        rows = [asdict(each) for each in attack_cost.costs(core=core, network=network)]
        if write:
            if (core, network) != (attack_cost.CORE, attack_cost.NETWORK):
                raise FirmwareError(
                    f"--write: the record is of {attack_cost.CORE} and {attack_cost.NETWORK}; leave them out"
                )
            attack_cost.write(attack_cost.costs())
        found = {
            "format": attack_cost.FORMAT,
            "core": core,
            "network": network,
            "samples": attack_cost.SAMPLES,
            "costs": rows,
        }
    if as_json:
        sys.stdout.write(json.dumps(found) + "\n")
        return
    _print(found)


def _record() -> dict[str, Any] | None:
    """The record, if there is one; of other sources it is said to be so."""
    found = attack_cost.record()
    if not found:
        return None
    if build.in_checkout() and found["source_sha256"] != attack_cost.sources_sha256():
        sys.stderr.write(
            "the record is of other C sources than are here; `byzantiny attack-cost --write` measures again\n"
        )
    return found


def _print(found: dict[str, Any]) -> None:
    console = Console()
    title = (
        f"beside honest work: {found['network']} on {found['core']}, {found['samples']} samples, one epoch (emulated)"
    )
    console.print(title, soft_wrap=True, highlight=False)
    notes = console.width >= _WITH_NOTES
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("attack", "where", "flash", "RAM", "instructions", "RAM, modelled", *(["note"] if notes else [])):
        words = name in ("attack", "where", "note")
        table.add_column(name, justify="left" if words else "right", no_wrap=name != "note")
    for row in found["costs"]:
        instructions = "–" if row["instructions"] is None else f"{row['instructions']:+,}"
        numbers = (
            _bytes(row["flash_bytes"]),
            _bytes(row["static_ram_bytes"]),
            instructions,
            _bytes(row["ram_modelled_bytes"]),
        )
        table.add_row(row["attack"], row["where"], *numbers, *([row["note"]] if notes else []))
    console.print(table)


def _bytes(value: int | None) -> str:
    return "–" if value is None else f"{value:+,}"
