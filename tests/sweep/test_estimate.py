"""A dry run: it counts what a sweep would do, guesses its time from short runs, and leaves nothing behind."""

from __future__ import annotations

import json

import pytest

from byzantiny.sweep.errors import SweepError
from byzantiny.sweep.estimate import forecast
from byzantiny.sweep.grid import parse_grid
from byzantiny.sweep.run import run_sweep

pytestmark = pytest.mark.usefixtures("digits")
TABLE = {
    "name": "small",
    "base": {"rounds": 10, "clients": [{"count": 8}]},
    "axes": {"f": [0, 2], "seeds": [1, 2]},
    "attacks": {"x4": {"name": "sign-flip", "params": {"scale": 4.0}}, "ipm": {}},
    "defences": {"mean": {"pipeline": [{"name": "mean"}]}, "krum": {"pipeline": [{"name": "krum"}]}},
}


def test_a_forecast_is_what_runs_cost_by_their_kind_and_their_rounds(tmp_path):
    """A made-up clock: a run costs 2 s, a round of it 1 s, and one with Krum 3 s a round."""
    asked = []

    def clock(job):
        asked.append((job.config.attack.name, job.config.rounds, job.config.attack.byzantine))
        return 2.0 + job.config.rounds * (3.0 if job.config.defence.pipeline[0]["name"] == "krum" else 1.0)

    grid = parse_grid(TABLE)
    found = forecast(grid, tmp_path / "s", clock=clock)
    assert (found.cells, found.runs, found.held) == (16, 16, 0)
    assert found.cpu_s == 8 * 12.0 + 8 * 32.0
    assert {rounds for _, rounds, _ in asked} == {1, 4}
    assert all(f == 2 for name, _, f in asked if name != "none")
    assert not (tmp_path / "s").exists()


def test_what_is_there_is_not_counted_again(tmp_path):
    run_sweep(parse_grid(TABLE | {"axes": {"f": [0], "seeds": [1]}}), tmp_path / "s", workers=1)
    found = forecast(parse_grid(TABLE), tmp_path / "s", clock=lambda job: 1.0)
    assert (found.runs, found.held) == (16, 2)
    assert found.cpu_s == 14.0
    run_sweep(parse_grid(TABLE), tmp_path / "s", workers=1)
    done = forecast(parse_grid(TABLE), tmp_path / "s")
    assert (done.runs, done.held, done.cpu_s) == (16, 16, 0.0)


def test_one_round_is_no_slope(tmp_path):
    table = TABLE | {"base": {"rounds": 1, "clients": [{"count": 8}]}}
    assert forecast(parse_grid(table), tmp_path, clock=lambda job: 2.0).cpu_s == 32.0


def test_the_guess_is_of_the_order_of_the_truth(tmp_path):
    table = TABLE | {"base": {"rounds": 40, "clients": [{"count": 20}]}}
    guessed = forecast(parse_grid(table), tmp_path / "s")
    run_sweep(parse_grid(table), tmp_path / "s", workers=1)
    spent = sum(json.loads(path.read_bytes())["cpu_s"] for path in (tmp_path / "s" / "runs").glob("*.json"))
    assert spent / 4 < guessed.cpu_s < 4 * spent


def test_an_impossible_grid_is_refused_as_a_sweep_refuses_it(tmp_path):
    table = TABLE | {"axes": {"f": [4]}}
    with pytest.raises(SweepError, match="3 cells cannot be run; nothing was"):
        forecast(parse_grid(table), tmp_path)
