"""P2 and P1 through `kill -9`: the coordinator dies at any instant, is started again, and nothing tells the difference.

The instants are drawn from a seed, over everything a run does: its first file, a round half collected, a commit, a change
of arms, its last file. Every second one is counted from a round's beginning, however slowly the machine comes to it.
What counts is read from the ledger afterwards.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from byzantiny.experiment import rundir
from byzantiny.experiment.config import Experiment, parse_experiment
from byzantiny.ledger import Ledger

Hashes = Callable[[Path], list[bytes | None]]
Check = Callable[[Path, int], Counter[str]]

KILLS = 50
ROUNDS = 12
KILLED = -9
LONGEST_SHARE = 0.45
"""Of an undisturbed run's time: the latest instant of a kill, so that a run is killed several times on its way."""


def small(transport: str, **more: Any) -> Experiment:
    """Six clients, one of them a sign flipper behind a relay, two arms, in one of which the grid moves."""
    return parse_experiment(
        {
            "name": "kill",
            "rounds": ROUNDS,
            "evaluation": {"interpreter": "numpy"},  # fifty starts of another process would be most of the time
            "training": {"epochs": 1},
            "clients": [{"prefix": "dev", "count": 6, "transport": transport}],
            "attack": {"name": "sign-flip", "byzantine": ["dev-02"], "params": {"scale": 4.0}},
            "arms": {
                "median": {
                    "defence": {"pipeline": [{"name": "median"}], "f_declared": 1},
                    "training": {"shift": 10},
                    "grid": {"adapt": True, "every_rounds": 2},
                },
                "mean": {"attack": {"start_round": 4}},
            },
            **more,
        }
    )


def ledgers_of(experiment: Experiment, run_dir: Path) -> dict[str, Path]:
    return {arm: rundir.arm_dir(run_dir, arm, 1) / "ledger.sqlite" for arm in experiment.arms}


def stage_of(paths: dict[str, Path]) -> str:
    """Where the kill hit, for the test to know that it hit everywhere."""
    for path in paths.values():
        if not path.exists():
            return "before the ledger"
        with Ledger.open(path) as ledger:
            opening = ledger.open_round_record()
            if opening is not None:
                return f"{len(ledger.accepted(opening.round_num))} accepted"
            if not (path.parent / "final.json").exists():
                return "between rounds"
    return "at the end"


@pytest.mark.parametrize("transport", ["memory", "mqtt"])
def test_fifty_kills_of_the_coordinator_change_no_model_and_lose_no_receipt(
    transport: str,
    tmp_path: Path,
    nursery: Any,
    model_hashes: Hashes,
    check_exactly_once: Check,
    request: pytest.FixtureRequest,
) -> None:
    broker = request.getfixturevalue("broker") if transport == "mqtt" else None
    experiment = small(transport)
    whole = rundir.create(tmp_path, "whole", experiment)
    started = time.monotonic()
    assert nursery.order("engine", kill_after_s=None, run_dir=str(whole), broker=broker) == 0, nursery.said
    longest_s = LONGEST_SHARE * (time.monotonic() - started)
    expected = {arm: model_hashes(path) for arm, path in ledgers_of(experiment, whole).items()}
    with Ledger.open(ledgers_of(experiment, whole)["median"]) as ledger:
        assert len({tuple(row["shifts"]) for row in ledger.rows("round")}) > 3, "the grid is meant to move"

    chance = random.Random(2024)
    stages: Counter[str] = Counter()
    runs = kills = 0
    while kills < KILLS:
        run_dir = rundir.create(tmp_path, f"killed-{runs}", experiment)
        runs += 1
        status = KILLED
        while status == KILLED:
            after_s = chance.uniform(0.0, longest_s) / (1 + 3 * (kills % 2)) if kills < KILLS else None
            status = nursery.order(
                "engine", kill_after_s=after_s, within_a_round=kills % 2, run_dir=str(run_dir), broker=broker
            )
            if status == KILLED:
                kills += 1
                stages[stage_of(ledgers_of(experiment, run_dir))] += 1
        assert status == 0, f"run {runs}, after {kills} kills: {''.join(nursery.said)}"
        for arm, path in ledgers_of(experiment, run_dir).items():
            assert model_hashes(path) == expected[arm], f"run {runs}, {arm}: another model"
            check_exactly_once(path, ROUNDS)
            final = rundir.load_final(path.parent)
            assert final is not None
            assert final.model_sha256 == (expected[arm][-1] or b"").hex()
            assert final.accepted == 6 * ROUNDS
    within = sum(count for stage, count in stages.items() if stage.endswith("accepted"))
    assert within >= KILLS // 5, f"the kills hit too few rounds to test anything: {stages}"


def test_fifty_kills_of_the_coordinator_alone_find_the_fleet_where_it_was(
    tmp_path: Path,
    nursery: Any,
    second_nursery: Any,
    broker: str,
    model_hashes: Hashes,
    check_exactly_once: Check,
) -> None:
    experiment = small("mqtt", arms={}, rounds=5 * ROUNDS)
    whole = rundir.create(tmp_path, "whole", experiment)
    started = time.monotonic()
    assert nursery.order("engine", kill_after_s=None, run_dir=str(whole), broker=broker) == 0, nursery.said
    longest_s = (time.monotonic() - started) / 15
    (expected,) = (model_hashes(path) for path in ledgers_of(experiment, whole).values())

    run_dir = rundir.create(tmp_path, "killed", experiment)
    (path,) = ledgers_of(experiment, run_dir).values()
    ready = tmp_path / "ready"
    second_nursery.give("fleet", kill_after_s=None, run_dir=str(run_dir), broker=broker, ready=str(ready))
    try:
        until = time.monotonic() + 20
        while not ready.exists() and time.monotonic() < until:
            time.sleep(0.02)
        chance = random.Random(1492)
        stages: Counter[str] = Counter()
        status, kills = KILLED, 0
        while status == KILLED:
            after_s = chance.uniform(0.0, longest_s) / (1 + 3 * (kills % 2)) if kills < KILLS else None
            status = nursery.order(
                "coordinator", kill_after_s=after_s, within_a_round=kills % 2, run_dir=str(run_dir), broker=broker
            )
            if status == KILLED:
                kills += 1
                stages[stage_of({"main": path})] += 1
        assert status == 0, f"after {kills} kills: {''.join(nursery.said)}"
    finally:
        ready.unlink(missing_ok=True)
    assert second_nursery.status() == 0, second_nursery.said
    assert model_hashes(path) == expected
    assert check_exactly_once(path, 5 * ROUNDS)["ACCEPTED"] == 6 * 5 * ROUNDS
    assert sum(count for stage, count in stages.items() if stage.endswith("accepted")) >= kills // 5, stages


def test_a_ledger_whose_creation_was_interrupted_is_begun_again(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite.new").write_bytes(b"half a header")
    (tmp_path / "ledger.sqlite.new-wal").write_bytes(b"half a page")
    with rundir.open_ledger(tmp_path, keep_updates=False) as ledger:
        assert ledger.last_closed() is None
    assert [path.name for path in tmp_path.iterdir()] == ["ledger.sqlite"]
