"""Run a run directory again and compare the global model and its scores after every round (P10).

The accepted set of every round is replayed; bodies and transport may differ, because P1 says that they do not matter:
everything runs on the memory transport, on the native body where it is installed and knows the trainer. Exported models are
answered by NumPy in the arithmetic that was recorded, whichever interpreter had it. Outside: times, interpreters' names, the
float control and mean confidences, which a BLAS or an exponential decides.
"""

from __future__ import annotations

import copy
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from byzantiny.bodies.registry import body_names
from byzantiny.experiment import rundir
from byzantiny.experiment.config import Evaluation, Experiment, parse_experiment
from byzantiny.experiment.data import reopen_task
from byzantiny.experiment.engine import Engine
from byzantiny.experiment.events import Listener
from byzantiny.experiment.starting import from_copy
from byzantiny.fleet import HubStore
from byzantiny.ledger import Ledger
from byzantiny_models.deploy.arithmetic import ARITHMETICS
from byzantiny_models.trainers import TRAINERS
from byzantiny_models.trainers.base import ONE_MACHINE


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
            return f"identical: {self.rounds} rounds, every global model the same bytes, every score the same number"
        return f"different: {self.first_difference}"


_SCORES = (
    "accuracy", "asr", "clients_mean", "clients_p10", "clients_min", "honest_mean", "honest_p10", "honest_min",
)  # fmt: skip
_UNMEASURED: dict[str, Any] = {"deployed": False, "per_client": False, "bits": []}
"""The table of a run of which only the models are wanted."""
_EXPORTED = ("accuracy_exported", "asr_exported", "recall")
"""Equal where the arithmetic is."""


@dataclass(frozen=True, slots=True)
class _Recorded:
    rows: dict[int, dict[str, Any]]
    cohorts: dict[int, tuple[str, ...]]
    known: dict[int, list[str]]

    @property
    def arithmetic(self) -> str:
        """The arithmetic in force in the last round that has one; empty where nothing exported was run."""
        return next((row["arithmetic"] for row in reversed(self.rows.values()) if row.get("arithmetic")), "")


def reproduce(run_dir: Path, listener: Listener) -> Reproduction:
    """Run again in a temporary directory and compare every closed round. Raises RunError and ConfigError."""
    experiment = began = rundir.load_config(run_dir)
    experiment = from_copy(experiment, run_dir, rundir.begun(run_dir, experiment))
    recorded = {
        (arm, seed): _read(rundir.arm_dir(run_dir, arm, seed))
        for seed in experiment.base.seeds
        for arm in experiment.arms
        if (rundir.arm_dir(run_dir, arm, seed) / "ledger.sqlite").exists()
    }
    if not any(each.rows for each in recorded.values()):
        raise rundir.RunError(
            f"{run_dir} has no closed round to compare; go on with it first: byzantiny resume {run_dir}"
        )
    task = reopen_task(began, run_dir)
    rounds = 0
    with tempfile.TemporaryDirectory(prefix="byzantiny-reproduce-") as folder:
        for (arm, seed), before in recorded.items():
            if not before.rows:
                continue
            measured = _evaluation(experiment.arms[arm].evaluation, before.arithmetic)
            again = _in_memory(experiment, arm, seed, len(before.rows), measured)
            path = rundir.create(Path(folder), f"{arm}-{seed}", again)
            which = (arm, seed)
            Engine(listener, cohorts={which: before.cohorts}, known={which: before.known}, task=task).run(again, path)
            now = _read(rundir.arm_dir(path, arm, seed)).rows
            for round_num in sorted(now):
                different = _difference(before.rows[round_num], now[round_num])
                if different is not None:
                    what = "" if different == "model_sha256" else f": {different}"
                    where = f"{arm}, seed {seed}, round {round_num}{what}"
                    return Reproduction(False, rounds, where + _bound(experiment.arms[arm].training.trainer))
                rounds += 1
    return Reproduction(True, rounds, None)


def _bound(trainer: str) -> str:
    """Return what a reader of a difference has to know of the trainer.

    >>> _bound("int8-only"), _bound("float32")
    ('', ' (trainer float32 gives the same bytes on one machine only)')
    """
    one = TRAINERS[trainer].info.same_bytes == ONE_MACHINE
    return f" (trainer {trainer} gives the same bytes {ONE_MACHINE} only)" if one else ""


def _difference(before: dict[str, Any], now: dict[str, Any]) -> str | None:
    """Return the first field of a round that is not as recorded; what was not recorded is not compared.

    >>> row = {"model_sha256": "a", "accuracy": 0.5, "arithmetic": "ruy", "accuracy_exported": 0.5}
    >>> _difference(row, row | {"arithmetic": "mixed", "accuracy_exported": 0.25})
    >>> _difference(row, row | {"accuracy": 0.25})
    'accuracy'
    """
    same = before.get("arithmetic") == now.get("arithmetic")
    fields = ("model_sha256", *_SCORES, *(_EXPORTED if same else ()))
    return next((name for name in fields if before.get(name) not in (None, []) and before[name] != now.get(name)), None)


def replay(run_dir: Path, arm: str, seed: int, rounds: int, listener: Listener) -> bytes:
    """Run one arm and seed again up to a round and return its model object; whether it is the recorded one is for the caller.

    Raises RunError and ConfigError.
    """
    experiment = rundir.load_config(run_dir)
    task = reopen_task(experiment, run_dir)
    experiment = from_copy(experiment, run_dir, rundir.begun(run_dir, experiment))
    before = _read(rundir.arm_dir(run_dir, arm, seed))
    with tempfile.TemporaryDirectory(prefix="byzantiny-replay-") as folder:
        again = _in_memory(experiment, arm, seed, rounds, _UNMEASURED)
        path = rundir.create(Path(folder), f"{arm}-{seed}", again)
        Engine(listener, cohorts={(arm, seed): before.cohorts}, task=task).run(again, path)
        with Ledger.open(rundir.arm_dir(path, arm, seed) / rundir.LEDGER) as ledger:
            closed = ledger.last_closed()
    if closed is None or closed.round_num != rounds:
        raise rundir.RunError(f"{run_dir}: {arm}, seed {seed} cannot be replayed to round {rounds}; restore its files")
    return closed.model


def _in_memory(experiment: Experiment, arm: str, seed: int, rounds: int, evaluation: dict[str, Any]) -> Experiment:
    """Return one arm and seed of an experiment, without boards, brokers and faults, and with as many rounds as it has."""
    source: dict[str, Any] = copy.deepcopy(experiment.source)
    core = TRAINERS[experiment.arms[arm].training.trainer].info.core
    body = "native" if core and "native" in body_names() else "numpy"
    for group in source.get("clients", []):
        group.update(body=body, transport="memory")
    if source.get("arms"):
        source["arms"] = {arm: source["arms"][arm]}
        source["arms"][arm].pop("link", None)
        source["arms"][arm].pop("evaluation", None)
    source.pop("link", None)
    source["evaluation"] = evaluation
    return parse_experiment({**source, "seeds": [seed], "rounds": rounds})


def _evaluation(asked: Evaluation, arithmetic: str) -> dict[str, Any]:
    """Return the table of a replay: the last model's axes are left out, and who answers is NumPy."""
    known = arithmetic in ARITHMETICS
    return {
        "every_rounds": asked.every_rounds,
        "per_client": asked.per_client,
        "deployed": known,
        "arithmetic": arithmetic if known else "auto",
        "bits": [],
    }


def _read(folder: Path) -> _Recorded:
    with rundir.naming_damage(folder), Ledger.open(folder / rundir.LEDGER) as ledger:
        rows = ledger.rows("round")
        accepted: dict[int, list[str]] = {int(row["round_num"]): [] for row in rows}
        for client in ledger.rows("client"):
            if client["verdict"] == "accepted":
                accepted[int(client["round_num"])].append(str(client["client_id"]))
    return _Recorded(
        rows={int(row["round_num"]): row for row in rows},
        cohorts={number: tuple(sorted(ids)) for number, ids in accepted.items()},
        known=HubStore(folder).partial(),
    )
