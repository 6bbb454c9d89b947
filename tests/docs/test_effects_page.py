"""docs/float-and-int8.md: its tables are those of the study, with the command that makes each; the study runs in a small form."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "float-and-int8.md"
TEXT = PAGE.read_text(encoding="utf-8")
sys.path.insert(0, str(ROOT / "benchmarks"))

import study_effects  # noqa: E402
from effects import runs, tables  # noqa: E402

NAMES = ("factors", "effects", "alie", "bound", "start")
BLOCK = r"    python (benchmarks/study_effects\.py {}[^\n]*)\n\n<!-- table: {} -->\n(.*?)<!-- table: end -->"


def block(name):
    """The command above a table, and the tables."""
    found = re.search(BLOCK.format(name, name), TEXT, re.DOTALL)
    assert found is not None, f"the table {name} with its command above it"
    return found[1], found[2].strip().split("\n\n")


def cells(table):
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()]


def small(name):
    """The study's tables, of one seed and few rows."""
    if name == "factors":
        wires = [("int8", True, "none"), ("int8", True, "sr")]
        return tables.print_factors([runs.factor_row(wire, 1) for wire in wires]).split("\n\n")
    if name == "alie":
        return tables.print_alie([runs.alie_row(("int8", True, how), 1) for how in ("none", "sr")]).split("\n\n")
    if name == "start":
        return [tables.print_start([runs.start_row("int8", 1, "mean", 1)])]
    return [
        tables.print_effects(
            [runs.effect_row("int8", effect, 1, most_f=1) for effect in (runs.EFFECTS[0], runs.EFFECTS[6])]
        )
    ]


@pytest.mark.parametrize("name", NAMES)
def test_a_table_of_the_page_has_the_columns_of_the_study_and_its_command(name):
    command, shown = block(name)
    assert (ROOT / command.split()[0]).is_file()
    made = small(name)
    assert len(shown) == len(made)
    for ours, theirs in zip(shown, made, strict=True):
        rows, fresh = cells(ours), cells(theirs)
        assert rows[0] == fresh[0]
        assert {len(row) for row in rows[2:]} == {len(rows[0])}
        assert all(re.fullmatch(r"[a-z0-9+>.,():% _-]+", cell, re.IGNORECASE) for row in rows[2:] for cell in row)


def test_the_page_has_every_row_of_the_study():
    wires = [(training, "yes" if box else "no", rounding) for training, box, rounding in runs.FACTORS]
    for name in ("factors", "alie"):
        assert [tuple(row[:3]) for row in cells(block(name)[1][0])[2:]] == wires
    effects = [(effect.title, str(effect.f), effect.rule, wire) for effect in runs.EFFECTS for wire in runs.WIRES]
    assert [tuple(row[:4]) for row in cells(block("effects")[1][0])[2:]] == effects
    bound = [(effect.title, str(effect.f), effect.rule, "int8") for effect in runs.EFFECTS if effect.l2_bound == "off"]
    assert [tuple(row[:4]) for row in cells(block("bound")[1][0])[2:]] == bound


def test_the_study_prints_numbers_of_every_seed_and_writes_the_page(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(study_effects, "FACTORS", [("int8", True, "sr")])
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- table: factors -->\nold\n<!-- table: end -->\nafter\n")
    study_effects.main(["factors", "--seeds", "2", "--json", "--into", str(page)])
    said = json.loads(capsys.readouterr().out)
    assert (said["table"], said["seeds"]) == ("factors", 2)
    assert all(len(said["rows"][0][key]) == 2 for key in ("asr", "mpaf"))
    written = page.read_text()
    assert written.startswith("before\n<!-- table: factors -->\n| training |")
    assert written.endswith("<!-- table: end -->\nafter\n")
    assert "old" not in written
    with pytest.raises(SystemExit, match="0 places for the table start"):
        study_effects.put(page, "start", "")
