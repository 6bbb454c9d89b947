"""The global model of a run directory, after any of its rounds."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from byzantiny.experiment import rundir
from byzantiny.experiment.config import Experiment
from byzantiny.experiment.data import reopen_task
from byzantiny.experiment.errors import ConfigError
from byzantiny.experiment.events import Listener
from byzantiny.experiment.opening import open_first
from byzantiny.experiment.reproduce import replay
from byzantiny.experiment.rundir import RunError
from byzantiny.experiment.starting import pin_start
from byzantiny.ledger import Ledger
from byzantiny.suggest import unknown_name
from byzantiny_models.networks import Network
from byzantiny_models.tasks import Task


@dataclass(frozen=True, eq=False)
class RunModel:
    """A global model int32 (d,) of the whole network, frozen parts too; its task, and where in the run it was."""

    network: Network
    task: Task
    model: NDArray[np.int32]
    arm: str
    seed: int
    round_num: int
    model_sha256: str
    replayed: bool


def load_run_model(
    run_dir: Path, *, arm: str | None, seed: int | None, round_num: int | None, listener: Listener
) -> RunModel:
    """Return a run's model: the newest from its ledger; of an earlier round, which keeps the hash alone, by running it again.

    Raises:
        RunError: no run directory, no such round, a model that is not the recorded one.
        ConfigError: an arm or a seed that is not the run's, or none where there are several arms.
    """
    experiment = rundir.load_config(run_dir)
    manifest = rundir.begun(run_dir, experiment)
    arm, seed = _chosen(experiment, arm, seed)
    folder = rundir.arm_dir(run_dir, arm, seed)
    with rundir.naming_damage(folder), Ledger.open(folder / rundir.LEDGER) as ledger:
        closed = ledger.last_closed()
        recorded = {record.round_num: record.next_model_sha256 for record in ledger.rounds()}
    if closed is None:
        raise RunError(f"{run_dir}: {arm}, seed {seed} has no closed round; go on with it: byzantiny resume {run_dir}")
    wanted = closed.round_num if round_num is None else round_num
    if not 1 <= wanted <= closed.round_num:
        raise RunError(
            f"{run_dir}: round {wanted} of {arm}, seed {seed} is not one of 1 .. {closed.round_num}; name one of them"
        )
    blob, replayed = closed.model, wanted != closed.round_num
    if replayed:
        blob = replay(run_dir, arm, seed, wanted, listener)
    found = hashlib.sha256(blob).digest()
    if found != recorded[wanted]:
        kept = (recorded[wanted] or b"").hex()[:12]
        raise RunError(
            f"{run_dir}: the model of {arm}, seed {seed}, round {wanted} has SHA-256 {found.hex()[:12]}, recorded is {kept}; "
            "see byzantiny reproduce"
        )
    task = reopen_task(experiment, run_dir)
    start = pin_start(experiment, run_dir, task.network, manifest)
    network = open_first(experiment.arms[arm], seed, task, None if start is None else start.start.model).task.network
    model = network.merge(network.layout.unpack(blob))
    return RunModel(network.whole, task, model, arm, seed, wanted, found.hex(), replayed)


def _chosen(experiment: Experiment, arm: str | None, seed: int | None) -> tuple[str, int]:
    arms, seeds = list(experiment.arms), list(experiment.base.seeds)
    if arm is None:
        if len(arms) > 1:
            raise ConfigError(f"the run has {len(arms)} arms; name one with --arm: {', '.join(arms)}")
        arm = arms[0]
    if arm not in arms:
        raise ConfigError(unknown_name("arm", arm, arms))
    if seed is not None and seed not in seeds:
        raise ConfigError(f"seed {seed} is not one of the run's: {', '.join(map(str, seeds))}")
    return arm, seeds[0] if seed is None else seed
