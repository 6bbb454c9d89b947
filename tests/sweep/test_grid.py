"""A grid file to cells: the product, what it leaves out, what it refuses and how it says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from byzantiny.experiment.config import parse_experiment
from byzantiny.sweep.checks import check_grid
from byzantiny.sweep.errors import SweepError
from byzantiny.sweep.grid import load_grid, parse_grid

ROOT = Path(__file__).parents[2]
BASE = {"rounds": 2, "clients": [{"count": 8}], "partition": {"min_samples": 2}}


def grid(**changes):
    table = {
        "base": BASE,
        "axes": {"f": [0, 2]},
        "attacks": {"sign-flip": {}, "x4": {"name": "sign-flip", "params": {"scale": 4.0}}},
        "defences": {"mean": {"pipeline": [{"name": "mean"}]}, "median": {"pipeline": [{"name": "median"}]}},
    }
    return parse_grid(table | changes)


def test_the_cells_are_the_product_and_nobody_attacks_with_nobody():
    cells = grid(axes={"f": [0, 2, 3], "alpha": [100.0, 0.5], "seeds": [1, 2]}).cells
    assert len(cells) == 2 * 2 * 2 * (1 + 3 + 3), "2 alphas, 2 seeds, 2 defences; f = 0 has `none` alone"
    assert {(cell.attack, cell.f) for cell in cells} == {("none", 0)} | {
        (attack, f) for attack in ("none", "sign-flip", "x4") for f in (2, 3)
    }


def test_a_clean_cell_is_told_what_the_attacked_ones_are_and_has_no_liar():
    made = grid()
    clean = next(cell for cell in made.cells if (cell.attack, cell.f, cell.defence) == ("none", 2, "median"))
    config = made.jobs[clean.run].config
    assert (clean.f_declared, config.defence.f_declared, config.attack.byzantine) == (2, 2, 0)


def test_a_run_is_named_by_all_that_decides_it_and_by_nothing_else():
    one, again = grid(), grid(title="another title", name="another")
    assert [cell.run for cell in one.cells] == [cell.run for cell in again.cells]
    longer = grid(axes={"f": [0, 2], "seeds": [1, 2]})
    assert set(one.jobs) < set(longer.jobs), "more seeds leave the runs of the others as they are"
    for changed in (grid(base=BASE | {"rounds": 3}), grid(wires={"fine": {"shift": 5}}), grid(arithmetics=["ruy"])):
        assert not set(one.jobs) & set(changed.jobs)


def test_equal_configs_are_one_run():
    made = grid(axes={"f": [0, 2], "f_declared": [0]})
    clean = [cell for cell in made.cells if cell.attack == "none" and cell.defence == "mean"]
    assert len(clean) == 2
    assert len({cell.run for cell in clean}) == 1


def test_taking_the_wire_apart_brings_float_with_the_same_box_and_says_what_is_past_the_wire():
    made = grid(wires={"int8": {}, "no-box": {"box": False}})
    assert {(cell.wire, cell.bypass) for cell in made.cells} == {
        ("int8", False), ("no-box", True), ("float+box", True),
    }  # fmt: skip
    assert {cell.wire for cell in grid(wires={"int8": {}, "coarse": {"shift": 8}}).cells} == {"int8", "coarse"}


def test_what_is_excluded_is_not_there():
    cells = grid(exclude=[{"defence": "median", "f": [2]}, {"attack": "x4"}]).cells
    assert {(c.defence, c.f, c.attack) for c in cells} == {
        ("mean", 0, "none"), ("mean", 2, "none"), ("mean", 2, "sign-flip"), ("median", 0, "none"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"axis": {}}, "unknown field `axis`.*did you mean `axes`"),
        ({"axes": {"f": [-1]}}, "Expected `int` >= 0"),
        ({"base": {"attack": {}}}, r"base\.attack: a grid gives it itself"),
        ({"base": {"ronds": 3}}, "unknown key `ronds`; did you mean `rounds`"),
        ({"attacks": {"none": {}}}, "every grid has the runs that nobody attacks"),
        ({"exclude": [{"defense": "mean"}]}, "unknown axis `defense`; did you mean `defence`"),
        ({"exclude": [{"defence": "medain"}]}, "unknown defence `medain`; did you mean `median`"),
        ({"axes": {"seeds": [1, 2], "tuning_seeds": [2]}}, "tuning_seeds: 2 is scored too"),
        ({"exclude": [{"f": [0, 2]}]}, "every cell is excluded"),
    ],
)
def test_a_grid_that_cannot_be_is_refused_with_what_would_do(changes, said):
    with pytest.raises(SweepError, match=said):
        grid(**changes)


@pytest.mark.usefixtures("digits")
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"attacks": {"alei": {}}}, "mean against alei.*unknown attack `alei`; did you mean `alie`"),
        ({"attacks": {"alie": {"params": {"zz": 1}}}}, "unknown parameter of alie `zz`"),
        (
            {"axes": {"f": [3]}, "defences": {"krum": {"pipeline": [{"name": "krum"}]}}},
            "krum against none, f = 3.*9 clients",
        ),
        ({"axes": {"f": [8]}}, "leaves nobody honest"),
        ({"attacks": {"alie": {"knowledge": "own"}}}, "alie needs to be omniscient, the experiment grants 'own'"),
        ({"axes": {"task": ["digit"]}}, "unknown task `digit`; did you mean `digits`"),
        ({"base": BASE | {"partition": {"min_samples": 500}}}, "min_samples"),
        ({"base": BASE | {"link": {"drop": 0.1}}}, "choose the engine `frames`"),
        (
            {"wires": {"no-box": {"box": False}}, "defences": {"sr": {"pipeline": [{"name": "sr-median"}]}}},
            "sr against none, f = 0, no-box.*sr-median on float rows",
        ),
    ],
)
def test_impossible_cells_are_named_before_anything_runs(changes, said):
    with pytest.raises(
        SweepError, match="(?s)cells cannot be run; nothing was.*" + said if "digit`" not in said else said
    ):
        check_grid(grid(**changes))


@pytest.mark.usefixtures("digits")
@pytest.mark.parametrize("name", [pytest.param("suite-1", marks=pytest.mark.soak), "matrix"])
def test_the_grids_that_come_with_the_project_can_run(name):
    made = load_grid(ROOT / "experiments" / f"{name}.toml")
    check_grid(made)
    assert {"mean", "median", "krum", "multi-krum", "trimmed-mean"} <= {cell.defence for cell in made.cells}
    assert all(parse_experiment(job.table).base == job.config for job in list(made.jobs.values())[:3])
