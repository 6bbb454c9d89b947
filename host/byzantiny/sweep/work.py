"""One run of a sweep, in whichever process: a job in, a result out; an error is a result too."""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from byzantiny.experiment import provenance, rundir
from byzantiny.experiment.accounts import Account, account, minority_of
from byzantiny.experiment.cast import Cast, make_cast
from byzantiny.experiment.config import parse_experiment
from byzantiny.experiment.engine import Engine
from byzantiny.experiment.events import ignore
from byzantiny.experiment.opening import named_sha256, open_first
from byzantiny.experiment.wires import run_on
from byzantiny.records import ClientRow, RoundRow
from byzantiny.scores.records import Result, Series
from byzantiny.sweep.errors import SweepError
from byzantiny.sweep.grid import Job, task_of
from byzantiny_models.inference import forward
from byzantiny_models.networks import initial_model
from byzantiny_models.tasks import Task

_INTEGERS = {"deployed": False, "per_client": False, "bits": []}
Answers = Callable[[npt.NDArray[np.int32], npt.NDArray[np.int8]], npt.NDArray[np.int8]]


def run_job(job: Job) -> Result:
    """Run one job; whatever goes wrong in it becomes a result that says so."""
    started, cpu = time.perf_counter(), time.process_time()
    common: dict[str, Any] = {
        "run": job.run,
        "engine": "frames" if job.frames else "inprocess",
        "config": msgspec.to_builtins(job.config),
        "wire": msgspec.to_builtins(job.wire),
        "version": provenance.version(),
    }
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            _same_start(job)
            fields = _frames(job) if job.frames else _inprocess(job)
        said = sorted({str(each.message) for each in caught if issubclass(each.category, UserWarning)})
        result = Result(**common, status="done", **fields | {"notes": [*fields["notes"], *said]})
    except Exception as error:  # the sweep goes on, and the cell says why it did not
        result = Result(**common, status="failed", error=f"{type(error).__name__}: {error}")
    return msgspec.structs.replace(
        result, wall_s=round(time.perf_counter() - started, 4), cpu_s=round(time.process_time() - cpu, 4)
    )


def _same_start(job: Job) -> None:
    """Refuse a starting point that is not the file the run is named by."""
    named = job.config.model.start
    if named is not None and named_sha256(named) != job.start_sha256:
        raise SweepError(f"{named} has changed since the grid was read; run the sweep again")


def _inprocess(job: Job) -> dict[str, Any]:
    opening = open_first(job.config, job.seed, task_of(job.config))
    task = opening.task
    done, cast, answers = run_on(job.wire, job.config, job.seed, task, opening=opening)
    return _fields(job, task, cast, done.rows, done.accounts, answers) | {
        "model_sha256": done.rows[-1].model_sha256,
        "deployed": _deployed(job, task, done.model),
        "notes": done.notes,
    }


def _frames(job: Job) -> dict[str, Any]:
    """The coordinator with its frames, its ledger in memory and its run directory in a temporary one."""
    task = open_first(job.config, job.seed, task_of(job.config)).task
    cast = make_cast(job.config, job.seed, task)
    notes: list[str] = []
    with TemporaryDirectory(prefix="byzantiny-sweep-") as folder:
        # What a sweep scores is the integer model; the last round's other evaluations would take most of the time.
        experiment = parse_experiment({"evaluation": _INTEGERS, **job.table})
        path = rundir.create(Path(folder), "run", experiment)
        Engine(ignore, in_memory=True).run(experiment, path)
        arm = rundir.arm_dir(path, "main", job.seed)
        rows = [msgspec.json.decode(line, type=RoundRow) for line in (arm / "rounds.jsonl").read_bytes().splitlines()]
        clients = [
            msgspec.json.decode(line, type=ClientRow) for line in (arm / "clients.jsonl").read_bytes().splitlines()
        ]
    few = minority_of(cast, task.classes)
    accounts = [_account(row, clients, few) for row in rows]
    network = task.network
    return _fields(job, task, cast, rows, accounts, lambda model, x: forward(network, model, x)) | {
        "model_sha256": rows[-1].model_sha256,
        **_on_frames(rows, clients, cast),
        "bytes_up": sum(row.bytes_up for row in rows),
        "bytes_down": sum(row.bytes_down for row in rows),
        "notes": notes,
    }


def _on_frames(rows: list[RoundRow], clients: list[ClientRow], cast: Cast) -> dict[str, Any]:
    """What became of updates by name, and how long rounds were open."""
    refusals = Counter[str]()
    for each in clients:
        refusals.update(each.refusals)
        if each.verdict == "missing":
            refusals["missing"] += 1
    info = None if cast.attack is None or not cast.byzantine else cast.attack.info
    return {
        "leaves": "" if info is None else info.leaves,
        "answer": [] if info is None else list(info.answer),
        "refusals": dict(sorted(refusals.items())),
        "open_s": float(np.median([row.open_s for row in rows])),
    }


def _account(row: RoundRow, clients: list[ClientRow], few: frozenset[str]) -> Account:
    mine = [each for each in clients if each.round_num == row.round_num and each.verdict == "accepted"]
    kept = np.array([bool(each.kept) for each in mine], np.bool_)
    return account([each.client_id for each in mine], kept, {each.client_id for each in mine if each.byzantine}, few)


def _fields(
    job: Job, task: Task, cast: Cast, rows: list[RoundRow], accounts: list[Account], answers: Answers
) -> dict[str, Any]:
    counts = np.bincount(task.test_y)
    chance = float(counts.max() / counts.sum()) if task.metric == "accuracy" else 0.5  # of an area under the curve
    floor = None
    if cast.chosen is not None:
        x, labels = cast.chosen
        first = initial_model(task.network, job.seed)
        floor = float(np.mean(np.argmax(answers(first, x), axis=1) == labels)) if len(labels) else None
    return {
        "clients": len(cast.roles),
        "cohort": rows[0].cohort,
        "chance": chance,
        "attack_start": job.config.attack.start_round if cast.byzantine else None,
        "asr_floor": floor,
        "series": Series(
            accuracy=[row.accuracy for row in rows],
            asr=[row.asr for row in rows],
            aggregated=[row.outcome == "aggregated" for row in rows],
            accepted=[row.accepted for row in rows],
            **{
                name: [getattr(each, name) for each in accounts]
                for name in ("spread_steps", "honest", "honest_kept", "minority", "minority_kept")
            },
            byzantine=[each.byzantine for each in accounts],
            byzantine_kept=[each.byzantine_kept for each in accounts],
        ),
    }


def _deployed(job: Job, task: Task, model: npt.NDArray[np.int32]) -> dict[str, float]:
    """Accuracy of the last model as each runtime's arithmetic answers."""
    if not job.arithmetics:
        return {}
    from byzantiny_models.deploy.interpreter import run
    from byzantiny_models.deploy.model_file import parse_model
    from byzantiny_models.deploy.template import load_template, patch, shown

    exported = parse_model(patch(load_template(task.network.name), task.network, model))
    x = shown(task.network, task.test_x)
    found = {}
    for arithmetic in job.arithmetics:
        answers = run(exported, x, arithmetic).reshape(len(x), -1)  # type: ignore[arg-type]
        found[arithmetic] = float(np.mean(np.argmax(answers, axis=1) == task.test_y))
    return found
