"""The literature's effects on the float wire, on the int8 wire and on those between them (docs/float-and-int8.md).

    python benchmarks/study_effects.py factors                one shot, and MPAF, with the wire taken apart (1 minute of CPU)
    python benchmarks/study_effects.py effects --seeds 5      attacks that stay, on four wires (6 minutes)
    python benchmarks/study_effects.py alie                   ALIE with the wire taken apart (2 minutes)
    python benchmarks/study_effects.py bound                  the same on int8 with the default L2 bound (1 minute)
    python benchmarks/study_effects.py start                  a poisoned start, and honest rounds after it (1 minute)

Digits, 64-32-10, 20 clients (100 where a table says so), iid to all purposes (Dirichlet 100), two epochs a round. Every run
begins with one model, that of 30 honest rounds on the int8 wire (or "from scratch"), and is honest in its first round; then the
attackers lie in every round. Seeds 1, 2, ... up to --seeds. A number is the interquartile mean over the seeds with its 95 %
bootstrap interval. No L2 bound is announced unless a table is about it. `--json` prints the numbers of every seed.
"""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from effects.runs import EFFECTS, FACTORS, WIRES, alie_row, effect_row, factor_row, start_row
from effects.tables import print_alie, print_effects, print_factors, print_start


def study(name: str, seeds: int) -> tuple[list[dict[str, Any]], str]:
    """The rows of a table, and the table."""
    if name == "factors":
        rows = [factor_row(parts, seeds) for parts in FACTORS]
        return rows, print_factors(rows)
    if name == "alie":
        rows = [alie_row(parts, seeds) for parts in FACTORS]
        return rows, print_alie(rows)
    if name == "start":
        places = [("int8", f, "mean") for f in (1, 2, 4)] + [("int8", 2, "median"), ("float", 2, "mean")]
        rows = [start_row(wire, f, rule, seeds) for wire, f, rule in places]
        return rows, print_start(rows)
    effects = EFFECTS
    if name == "bound":
        effects = tuple(replace(effect, l2_bound="default") for effect in EFFECTS if effect.l2_bound == "off")
    wires = ("int8",) if name == "bound" else tuple(WIRES)
    rows = [effect_row(wire, effect, seeds) for effect in effects for wire in wires]
    return rows, print_effects(rows)


def put(page: Path, name: str, text: str) -> None:
    """Write a table between `<!-- table: NAME -->` and `<!-- table: end -->`."""
    old = page.read_text(encoding="utf-8")
    mark = rf"(<!-- table: {name} -->\n).*?(<!-- table: end -->)"
    new, count = re.subn(mark, lambda found: f"{found[1]}{text}\n{found[2]}", old, flags=re.DOTALL)
    if count != 1:
        raise SystemExit(
            f"{page}: {count} places for the table {name}; it needs one, between <!-- table: {name} --> and its end"
        )
    page.write_text(new, encoding="utf-8")


def main(arguments: list[str] | None = None) -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=("factors", "effects", "alie", "bound", "start"))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--into", type=Path, help="a page that has the table between its marks, to be written anew")
    given = parser.parse_args(arguments)
    rows, text = study(given.table, given.seeds)
    if given.into is not None:
        put(given.into, given.table, text)
    print(json.dumps({"table": given.table, "seeds": given.seeds, "rows": rows}) if given.json else text)


if __name__ == "__main__":
    main()
