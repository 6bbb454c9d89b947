"""The int8 wire taken apart: with everything on it is the real one; each factor does what its name says and no more."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from byzantiny.experiment import wires
from byzantiny.experiment.config import ConfigError, parse_experiment
from byzantiny.experiment.opening import Opening
from byzantiny.experiment.wires import Wire, check_wire, run_on
from byzantiny_models.tasks import load_task

BASE = {
    "rounds": 4,
    "clients": [{"count": 10}],
    "round": {"l2_bound": "off"},
    "attack": {"name": "alie", "byzantine": 3, "params": {"z": 1.5}},
    "defence": {"pipeline": [{"name": "trimmed-mean"}], "f_declared": 3},
}


@pytest.mark.parametrize("shift", [5, 6])
def test_past_the_wire_with_everything_on_is_the_wire(monkeypatch, shift):
    """The same formula in floats gives the codes of the integer encoder, saturated ones too (shift 5)."""
    run, task = parse_experiment(BASE | {"training": {"shift": shift, "epochs": 3}}).base, load_task("digits")
    real, _, _ = run_on(Wire(), run, 1, task)
    monkeypatch.setattr(wires.Wire, "real", property(lambda self: False))
    past, _, _ = run_on(Wire(), run, 1, task)
    assert [row.model_sha256 for row in past.rows] == [row.model_sha256 for row in real.rows]


FACTORS = list(itertools.product(("int8", "float"), (True, False), ("sr", "nearest", "none")))


@pytest.mark.parametrize(("training", "box", "rounding"), FACTORS)
def test_every_combination_of_the_factors_runs_and_learns(training, box, rounding):
    table = BASE | {"attack": {}, "rounds": 3, "clients": [{"count": 8}]}
    done, _, _ = run_on(Wire(training, box, rounding), parse_experiment(table).base, 1, load_task("digits"))
    assert [row.outcome for row in done.rows] == ["aggregated"] * 3
    assert done.rows[-1].accuracy > 0.5


def test_the_box_bounds_a_row_and_its_absence_does_not():
    rows, half = np.array([[500.0, -500.0, 3.25]]), np.full((1, 3), 0.5)
    assert Wire(rounding="none").put(rows, half).tolist() == [[127.0, -127.0, 3.25]]
    assert Wire(box=False).put(rows, half).tolist() == [[500.0, -500.0, 3.0]]
    crafted = Wire(box=False, rounding="none").put_crafted(rows, np.random.default_rng(0))
    assert crafted.tolist() == rows.tolist()
    assert Wire().put_crafted(rows, np.random.default_rng(0)).dtype == np.int8


def test_a_rule_that_counts_codes_is_refused_on_float_rows_and_so_is_a_grid_that_adapts():
    task = load_task("digits")
    run = parse_experiment(BASE | {"defence": {"pipeline": [{"name": "sr-median"}], "f_declared": 3}}).base
    check_wire(Wire(rounding="nearest"), run, "cell", task)
    with pytest.raises(ConfigError, match="sr-median on float rows"):
        check_wire(Wire(box=False), run, "cell", task)
    with pytest.raises(ConfigError, match=r"grid\.adapt looks at codes"):
        check_wire(Wire(training="float"), parse_experiment(BASE | {"grid": {"adapt": True}}).base, "cell", task)


@pytest.mark.parametrize("wire", [Wire(), Wire(rounding="nearest"), Wire("float", box=False, rounding="none")])
def test_whoever_watches_sees_what_was_crafted_before_the_wire_and_changes_nothing(wire):
    run, task = (
        parse_experiment(BASE | {"attack": {"name": "sign-flip", "byzantine": 3, "params": {"scale": 90.0}}}).base,
        load_task("digits"),
    )
    seen = []
    watched, _, _ = run_on(wire, run, 1, task, watch=seen.append)
    plain, _, _ = run_on(wire, run, 1, task)
    assert [row.model_sha256 for row in watched.rows] == [row.model_sha256 for row in plain.rows]
    assert sum(len(rows) for rows in seen) == 3 * 4
    assert max(float(np.abs(rows).max()) for rows in seen) > 127


def test_a_run_begins_with_the_opening_it_is_given():
    run, task = parse_experiment(BASE).base, load_task("digits")
    first, _, _ = run_on(Wire(), run, 1, task)
    later, _, _ = run_on(Wire(), run, 1, task, opening=Opening(task, first.model))
    assert later.rows[0].accuracy > first.rows[0].accuracy
