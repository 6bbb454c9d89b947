"""`byzantiny board ...`: list the boards, check one, run the conformance set on one. Thin: it parses, calls, prints."""

from __future__ import annotations

import json as json_module
import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Boards, real and emulated: list them, check one, run the conformance set.", no_args_is_help=True
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Boards = Annotated[Path | None, typer.Option("--boards", help="The map of boards; default: see docs/hil.md.")]
LogDir = Annotated[Path | None, typer.Option("--logdir", help="Folder that receives the log of every frame.")]
Name = Annotated[str, typer.Argument(help="A board of the map.", metavar="NAME")]


@app.command("list")
def list_(boards: Boards = None, json: Json = False) -> None:
    """List the boards of the map, and the serial ports that are here."""
    from byzantiny_hil.inventory import inventory, text_of

    found = inventory(boards)
    if json:
        sys.stdout.write(json_module.dumps(found, indent=2) + "\n")
    else:
        text_of(found)


@app.command()
def check(name: Name, boards: Boards = None, json: Json = False, logdir: LogDir = None) -> None:
    """Open a board, ask who it is, what it has counted and how long it takes; status 2 if it does not answer."""
    from byzantiny_hil.check import check_board, text_of

    found = check_board(name, boards, logdir=logdir)
    sys.stdout.write((json_module.dumps(found, indent=2) if json else text_of(found)) + "\n")


@app.command("run-conformance")
def run_conformance(name: Name, boards: Boards = None, logdir: LogDir = None) -> None:
    """Run the conformance set on a board, with pytest; its exit status is pytest's."""
    from byzantiny_hil.check import run_conformance as run

    raise typer.Exit(run(name, boards, logdir=logdir))
