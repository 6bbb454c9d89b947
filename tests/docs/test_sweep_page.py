"""docs/sweep.md: its grid is one, its tables have the keys that the code has."""

import re
import sys
from pathlib import Path

import msgspec

from byzantiny.scores.records import Cell, Result, Sweep
from byzantiny.sweep.grid import parse_grid
from byzantiny.sweep.schema import Axes, WireEntry

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "sweep.md").read_text(encoding="utf-8")


def test_the_grid_of_the_page_is_one_and_leaves_out_what_it_says():
    (block,) = re.findall(r"^```toml\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    grid = parse_grid(tomllib.loads(block))
    assert {cell.attack for cell in grid.cells} == {"none", "alie", "sign-flip-x4"}
    assert {(cell.f, cell.defence) for cell in grid.cells} == {(0, "median"), (2, "median")}
    assert {cell.f_declared for cell in grid.cells} == {0, 2}


def test_every_axis_and_every_part_of_a_wire_is_explained():
    for record, form in ((Axes, r"^{} = "), (WireEntry, r"^\| `{}` \|")):
        for field in msgspec.structs.fields(record):
            assert re.search(form.format(field.name), TEXT, re.MULTILINE), f"{record.__name__}.{field.name}"


def test_the_schemas_of_the_files_are_named():
    for record in (Sweep, Cell, Result):
        schema = next(field.default for field in msgspec.structs.fields(record) if field.name == "schema")
        assert f"`{schema}`" in TEXT
