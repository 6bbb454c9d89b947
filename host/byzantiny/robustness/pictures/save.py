"""Writing a picture: SVG or PNG on white paper, or a page with both themes and the numbers; by the name's ending."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from byzantiny.charts.render import engine, png, standalone_svg, svg
from byzantiny.charts.style import DARK, LIGHT, Spec, Theme
from byzantiny.robustness.errors import RobustnessError

ENDINGS = (".svg", ".png", ".html")
PADDING = 14

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ margin: 2rem; font: 16px/1.5 {font}; background: {light.paper}; color: {light.ink}; }}
.dark {{ display: none; }}
pre {{ max-height: 20rem; overflow: auto; }}
svg {{ max-width: 100%; height: auto; }}
@media (prefers-color-scheme: dark) {{
  body {{ background: {dark.paper}; color: {dark.ink}; }}
  .dark {{ display: block; }}
  .light {{ display: none; }}
}}
</style>
<h1>{title}</h1>
<div class="light" role="img" aria-label="{title}">{light_svg}</div>
<div class="dark" role="img" aria-label="{title}">{dark_svg}</div>
<p>Made by <code>{command}</code>.</p>
<details><summary>The numbers</summary><pre>{numbers}</pre></details>
</html>
"""


def check_target(path: Path) -> None:
    """Raise unless a picture can be written there: before anything is computed for it.

    Raises:
        RobustnessError: another ending, or no such folder. ChartError: the engine is missing.
    """
    if path.suffix.lower() not in ENDINGS:
        raise RobustnessError(f"--out {path}: a picture ends in {', '.join(ENDINGS)}; name the file so")
    if not path.parent.is_dir() or path.is_dir():
        what = "is a folder" if path.is_dir() else "is in a folder that does not exist"
        raise RobustnessError(f"--out {path} {what}; name a file in a folder that is there")
    engine()


def save(path: Path, chart: Callable[[Theme], Spec], *, title: str, command: str, record: Any) -> None:
    """Write the picture that `chart` makes of a theme; the page also holds `record` and the command.

    Raises:
        RobustnessError: the file cannot be written. ChartError: the engine is missing.
    """
    ending = path.suffix.lower()
    paper = {**chart(LIGHT), "background": LIGHT.paper, "padding": PADDING}
    if ending == ".png":
        data = png(paper, 1.5)
    elif ending == ".svg":
        data = standalone_svg(paper).encode()
    else:
        data = _page(chart, title, command, record).encode()
    try:
        path.write_bytes(data)
    except OSError as error:
        raise RobustnessError(f"--out {path}: {error.strerror}; check the folder's permissions and space") from error


def _page(chart: Callable[[Theme], Spec], title: str, command: str, record: Any) -> str:
    return _PAGE.format(
        title=html.escape(title),
        font="system-ui, sans-serif",
        light=LIGHT,
        dark=DARK,
        light_svg=svg(chart(LIGHT), "light-"),
        dark_svg=svg(chart(DARK), "dark-"),
        command=html.escape(command),
        numbers=html.escape(json.dumps(record)),
    )
