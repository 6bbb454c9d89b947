"""Run a run directory again and compare the global model after every round (P10).

The accepted set of every round is replayed; bodies and transport may differ, because P1 says that they do not matter:
everything runs on the memory transport, on the native body where it is installed and knows the trainer.
"""

from __future__ import annotations

import copy
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from byzantiny.bodies.registry import body_names
from byzantiny.experiment import rundir
from byzantiny.experiment.config import Experiment, parse_experiment
from byzantiny.experiment.data import load_data, refuse_changed
from byzantiny.experiment.engine import Engine
from byzantiny.experiment.events import Listener
from byzantiny.ledger import Ledger
from byzantiny_models.trainers import TRAINERS


@dataclass(frozen=True, slots=True)
class Reproduction:
    """The verdict; `first_difference` names arm, seed and round."""

    identical: bool
    rounds: int
    first_difference: str | None

    @property
    def sentence(self) -> str:
        """For people."""
        if self.identical:
            return f"identical: {self.rounds} rounds, every global model the same bytes"
        return f"different: {self.first_difference}"


@dataclass(frozen=True, slots=True)
class _Recorded:
    models: dict[int, str]
    cohorts: dict[int, tuple[str, ...]]


def reproduce(run_dir: Path, listener: Listener) -> Reproduction:
    """Run again in a temporary directory and compare every closed round. Raises RunError and ConfigError."""
    experiment = rundir.load_config(run_dir)
    manifest = rundir.begun(run_dir, experiment)
    recorded = {
        (arm, seed): _read(rundir.arm_dir(run_dir, arm, seed))
        for seed in experiment.base.seeds
        for arm in experiment.arms
        if (rundir.arm_dir(run_dir, arm, seed) / "ledger.sqlite").exists()
    }
    if not any(each.models for each in recorded.values()):
        raise rundir.RunError(
            f"{run_dir} has no closed round to compare; go on with it first: byzantiny resume {run_dir}"
        )
    if manifest is not None:
        refuse_changed(manifest, load_data(experiment.base), run_dir)
    rounds = 0
    with tempfile.TemporaryDirectory(prefix="byzantiny-reproduce-") as folder:
        for (arm, seed), before in recorded.items():
            if not before.models:
                continue
            again = _in_memory(experiment, arm, seed, len(before.models))
            path = rundir.create(Path(folder), f"{arm}-{seed}", again)
            Engine(listener, cohorts={(arm, seed): before.cohorts}).run(again, path)
            now = _read(rundir.arm_dir(path, arm, seed)).models
            for round_num in sorted(now):
                if before.models.get(round_num) != now[round_num]:
                    return Reproduction(False, rounds, f"{arm}, seed {seed}, round {round_num}")
                rounds += 1
    return Reproduction(True, rounds, None)


def _in_memory(experiment: Experiment, arm: str, seed: int, rounds: int) -> Experiment:
    """Return one arm and seed of an experiment, without boards, brokers and faults, and with as many rounds as it has."""
    source: dict[str, Any] = copy.deepcopy(experiment.source)
    core = TRAINERS[experiment.arms[arm].training.trainer].info.core
    body = "native" if core and "native" in body_names() else "numpy"
    for group in source.get("clients", []):
        group.update(body=body, transport="memory")
    if source.get("arms"):
        source["arms"] = {arm: source["arms"][arm]}
        source["arms"][arm].pop("link", None)
    source.pop("link", None)
    return parse_experiment({**source, "seeds": [seed], "rounds": rounds})


def _read(folder: Path) -> _Recorded:
    with rundir.naming_damage(folder), Ledger.open(folder / rundir.LEDGER) as ledger:
        rows = ledger.rows("round")
        accepted: dict[int, list[str]] = {int(row["round_num"]): [] for row in rows}
        for client in ledger.rows("client"):
            if client["verdict"] == "accepted":
                accepted[int(client["round_num"])].append(str(client["client_id"]))
    return _Recorded(
        models={int(row["round_num"]): str(row["model_sha256"]) for row in rows},
        cohorts={number: tuple(sorted(ids)) for number, ids in accepted.items()},
    )
