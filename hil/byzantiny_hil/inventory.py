"""What `byzantiny board list` knows: the boards of the map, and the serial ports of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from serial.tools import list_ports

from byzantiny_hil.boardmap import Mapped, Wired, load_map

BY_ID = Path("/dev/serial/by-id")


def inventory(boards: Path | None = None) -> dict[str, Any]:
    """Return the map's file, its boards and the ports here, as JSON's types; opens none of them. Raises HilError.

    >>> from byzantiny_hil.boardmap import PACKAGED
    >>> inventory(PACKAGED)["boards"][0]["name"]
    'emulated-m4f'
    """
    found = load_map(boards)
    mapped = {Path(board.entry.port).resolve() for board in found.all() if isinstance(board.entry, Wired)}
    stable = {path.resolve(): str(path) for path in sorted(BY_ID.glob("*"))}
    return {
        "file": str(found.path),
        "boards": [_board(board) for board in found.all()],
        "ports": [
            {
                "port": stable.get(Path(port.device).resolve(), port.device),
                "description": port.description,
                "mapped": Path(port.device).resolve() in mapped,
            }
            for port in sorted(list_ports.comports(), key=lambda port: str(port.device))
            if port.hwid != "n/a"  # the on-board UARTs that a PC always has
        ],
    }


def text_of(found: dict[str, Any]) -> None:
    """Print an inventory as tables."""
    console = Console()
    console.print(f"boards of {found['file']}", soft_wrap=True, highlight=False)
    for rows in (found["boards"], found["ports"]):
        if not rows:
            continue
        table = Table(show_edge=False, pad_edge=False)
        for column in rows[0]:
            table.add_column(column.replace("_", " "), overflow="fold")
        for row in rows:
            table.add_row(*("yes" if value is True else "no" if value is False else value for value in row.values()))
        console.print(table)
        console.print()


def _board(board: Mapped) -> dict[str, str]:
    entry = board.entry
    where = f"{entry.port} at {entry.baud} baud" if isinstance(entry, Wired) else f"image {entry.image}"
    return {
        "name": board.name,
        "kind": entry.kind,
        "where": where,
        "device_id": board.device_id,
        "network": entry.network,
        "notes": entry.notes,
    }
