"""`byzantiny board ...`: the boards of the map. Thin: everything is a function elsewhere."""

from __future__ import annotations

import typer

app = typer.Typer(help="Boards, real and emulated: list them, check them, run the conformance set.", no_args_is_help=True)


@app.callback()
def main() -> None:
    """Boards, real and emulated."""
