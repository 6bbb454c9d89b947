"""Whole experiments with rounds that are counted as they arrive: the same files, and through `kill -9` the same models."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from byzantiny.experiment import rundir
from byzantiny.experiment.config import parse_experiment
from byzantiny.federation.streaming import STREAM_ABOVE

KILLED = -9
TIMES = {"wall_s", "server_ms", "evaluation_ms"}


def test_an_experiment_leaves_the_same_rows_whether_rounds_are_streamed(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an attack, the default L2 bound, a tighter one, and a grid that follows the clients."""
    table = {
        "rounds": 3,
        "clients": [{"prefix": "dev", "count": 9}],
        "training": {"shift": 9, "epochs": 1},
        "grid": {"adapt": True, "every_rounds": 2},
        "attack": {"name": "sign-flip", "byzantine": ["dev-02"], "params": {"scale": 4.0}},
        "defence": {"pipeline": [{"name": "norm-clip", "bound": 60}, {"name": "meamed"}], "f_declared": 1},
    }
    plain = run(table, "plain")
    monkeypatch.setattr("byzantiny.federation.STREAM_ABOVE", 8)
    streamed = run(table, "streamed")
    for name in ("rounds", "clients"):
        rows = [
            [{k: v for k, v in row.items() if k not in TIMES} for row in each.rows(name)] for each in (plain, streamed)
        ]
        assert rows[0] == rows[1]
    assert len(set(map(str, (row["shifts"] for row in streamed.rows())))) > 1, "the grid never moved"
    assert any(row["clip_factor"] < 1 for row in streamed.rows("clients"))


@pytest.mark.soak
def test_kills_of_a_coordinator_of_600_clients_change_no_model_and_lose_no_receipt(
    tmp_path: Path,
    nursery: Any,
    model_hashes: Callable[[Path], list[bytes | None]],
    check_exactly_once: Callable[[Path, int], Counter[str]],
) -> None:
    """The counts die with the process; every accepted update is counted again from the ledger, once."""
    clients, rounds = STREAM_ABOVE + 88, 3
    experiment = parse_experiment(
        {
            "rounds": rounds,
            "partition": {"name": "iid"},
            "training": {"epochs": 1},
            "clients": [{"prefix": "dev", "count": clients}],
            "defence": {"pipeline": [{"name": "trimmed-mean"}], "f_declared": 60},
        }
    )
    whole = rundir.create(tmp_path, "whole", experiment)
    started = time.monotonic()
    assert nursery.order("engine", kill_after_s=None, run_dir=str(whole), broker=None) == 0, "".join(nursery.said)
    longest_s = time.monotonic() - started
    expected = model_hashes(rundir.arm_dir(whole, "main", 1) / "ledger.sqlite")

    run_dir = rundir.create(tmp_path, "killed", experiment)
    ledger = rundir.arm_dir(run_dir, "main", 1) / "ledger.sqlite"
    chance, kills, status = random.Random(7), 0, KILLED
    while status == KILLED:
        after_s = chance.uniform(0.1, 0.6) * longest_s if kills < 6 else None
        status = nursery.order("engine", kill_after_s=after_s, run_dir=str(run_dir), broker=None)
        kills += status == KILLED
    assert status == 0, "".join(nursery.said)
    assert kills >= 2
    assert model_hashes(ledger) == expected
    assert check_exactly_once(ledger, rounds)["ACCEPTED"] == clients * rounds
