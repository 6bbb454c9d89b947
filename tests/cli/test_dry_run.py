"""`byzantiny sweep --dry-run`: what a sweep would do, and that nothing is left of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


def test_the_command_says_how_much_and_writes_nothing(cli: Callable[..., Any], tmp_path: Path, digits: None) -> None:
    Path("grid.toml").write_text(
        'name = "small"\nbase = { rounds = 3, clients = [{ count = 6 }] }\naxes = { f = [0, 2] }\nattacks = { ipm = {} }\n'
        '[defences.mean]\npipeline = [{ name = "mean" }]\n'
    )
    said = cli("sweep", "grid.toml", "--dry-run", "--jobs", "2")
    assert said.status == 0
    assert "cells     3, with 3 different runs" in said.out
    assert "there     0 in sweeps/small, 3 to run" in said.out
    assert "of CPU" in said.out
    table = json.loads(cli("sweep", "grid.toml", "--dry-run", "--json").out)
    assert table.keys() >= {"sweep", "cells", "runs", "held", "kinds", "cpu_s", "wall_s"}
    assert [path.name for path in tmp_path.iterdir()] == ["grid.toml"]
    assert cli("sweep", "grid.toml", "--jobs", "1").status == 0
    assert "there     3 in sweeps/small, 0 to run" in cli("sweep", "grid.toml", "--dry-run").out
