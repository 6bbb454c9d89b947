"""What the first round begins with: a starting point from a file, kept in the run directory and pinned by its hash."""

from __future__ import annotations

import copy
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from byzantiny.experiment.config import Experiment, parse_experiment
from byzantiny.experiment.opening import read_named
from byzantiny.experiment.rundir import START, RunError
from byzantiny.records import Manifest
from byzantiny_models.deploy.files import read_file
from byzantiny_models.errors import InvalidValueError
from byzantiny_models.networks import Network
from byzantiny_models.starts import MOST_BYTES, Start, read_start

PINNED = "start_sha256"
"""Its key in the manifest's `task`."""


@dataclass(frozen=True, eq=False)
class PinnedStart:
    """A starting point and the hash of its file."""

    start: Start
    sha256: str

    def described(self) -> dict[str, str]:
        """Return what the manifest keeps of it."""
        return {PINNED: self.sha256, "start_source": str(self.start.provenance.get("source", ""))[:120]}


def pin_start(experiment: Experiment, run_dir: Path, network: Network, before: Manifest | None) -> PinnedStart | None:
    """Return the starting point of a run, None if the seed draws the model; a run that begins gets its copy of the file.

    Raises:
        ConfigError: `model.start` names no starting point of the task's network.
        RunError: the copy of a run that goes on is missing or is not what it began with.
    """
    named = experiment.base.model.start
    if named is None:
        return None
    if before is not None:
        data = copied(run_dir, before)
        return PinnedStart(read_start(data, network, str(run_dir / START)), hashlib.sha256(data).hexdigest())
    start, data = read_named(named, network)
    temporary = run_dir / f"{START}.tmp"
    temporary.write_bytes(data)
    os.replace(temporary, run_dir / START)  # noqa: PTH105 - atomic, and Path.replace says nothing more
    return PinnedStart(start, hashlib.sha256(data).hexdigest())


def copied(run_dir: Path, manifest: Manifest) -> bytes:
    """Return the run's own copy of its starting point. Raises RunError if it is missing or was changed."""
    path, pinned = run_dir / START, manifest.task.get(PINNED)
    try:
        data = read_file(path, MOST_BYTES)
    except InvalidValueError as error:
        raise RunError(f"{error}; restore it, the run cannot go on without") from None
    found = hashlib.sha256(data).hexdigest()
    if found != pinned:
        raise RunError(
            f"{path} has SHA-256 {found[:12]}, the run began with {str(pinned)[:12]}; restore it, or start a new run"
        )
    return data


def from_copy(experiment: Experiment, run_dir: Path, manifest: Manifest | None) -> Experiment:
    """Return the experiment with the run's own copy as its start, so that a replay needs nothing else. Raises RunError."""
    if experiment.base.model.start is None or manifest is None:
        return experiment
    copied(run_dir, manifest)
    source = copy.deepcopy(experiment.source)
    source["model"] = {**source.get("model", {}), "start": str((run_dir / START).resolve())}
    return parse_experiment(source)
