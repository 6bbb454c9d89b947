"""What the studies' commands share: where the picture goes, progress, Ctrl-C, and the object or the tables at the end."""

from __future__ import annotations

import json as json_module
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from byzantiny.charts.style import Spec, Theme
from byzantiny.cli.errors import EXIT_SUSPENDED
from byzantiny.cli.progress import Patience
from byzantiny.robustness.pictures.save import check_target, save

Chart = Callable[[Theme], Spec]


@contextmanager
def study(what: str, *, json: bool, out: Path | None = None) -> Iterator[Patience]:
    """Check where the picture goes before anything is computed for it, show progress, and end quietly on Ctrl-C."""
    if out is not None:
        check_target(out)
    try:
        with Patience(what, enabled=not json) as patience:
            yield patience
    except KeyboardInterrupt:
        sys.stderr.write("stopped; nothing was written\n")
        raise SystemExit(EXIT_SUSPENDED) from None


def finish(json: bool, record: Any, out: Path | None = None, chart: Any = None, title: str = "") -> Console | None:
    """Write the picture; print the object, or return the console for people."""
    if out is not None:
        save(out, chart, title=title, command=command(), record=record)
    if json:
        sys.stdout.write(json_module.dumps(record) + "\n")
        return None
    return Console(highlight=False)


def say_where(console: Console, out: Path | None) -> None:
    """Say which file was written, if one was."""
    if out is not None:
        console.print(Text(f"wrote {out}"), soft_wrap=True)


def command() -> str:
    """The command as it was typed, for the picture's page."""
    return "byzantiny " + shlex.join(sys.argv[1:])
