"""What a grid cannot run, found before anything runs: every impossible cell is named."""

from __future__ import annotations

from collections.abc import Callable, Container, Hashable

import msgspec

from byzantiny.attacks import load_attacks
from byzantiny.errors import ByzantinyError
from byzantiny.experiment.adversary import check_adversary
from byzantiny.experiment.cast import make_cast
from byzantiny.experiment.inprocess import check_inprocess
from byzantiny.experiment.opening import open_first, poisons_start
from byzantiny.experiment.resolve import check_pipeline, check_training
from byzantiny.experiment.wires import check_wire
from byzantiny.suggest import unknown_name
from byzantiny.sweep.errors import SweepError
from byzantiny.sweep.grid import Grid, Job, describe, task_of
from byzantiny_models.errors import ModelsError
from byzantiny_models.tasks import Task, load_tasks

_NAMED = 12
"""Impossible cells that the error names; of more it says how many."""


def check_grid(grid: Grid) -> None:
    """Try every distinct combination once, on made-up updates. Raises SweepError naming the cells."""
    tasks = load_tasks()
    for name in sorted({cell.task for cell in grid.cells}):
        if name not in tasks:
            raise SweepError(unknown_name("task", name, tasks))
    starts = frozenset(name for name, factory in load_attacks().items() if poisons_start(factory))
    loaded: dict[tuple[str, str | None], Task] = {}
    found: dict[Hashable, str | None] = {}
    wrong: dict[str, str] = {}
    looked: set[str] = set()
    for cell in grid.cells:
        job, name = grid.jobs[cell.run], describe(cell)
        source = (job.config.task, job.config.data)
        if source not in loaded:
            loaded[source] = task_of(job.config)
        checks = [_shares(job, loaded[source])]
        if name not in looked:
            looked.add(name)
            checks = [*_checks(job, loaded[source], starts), *checks]
        for key, check in checks:
            if key not in found:
                found[key] = _said(check)
            said = found[key]
            if said is not None:
                wrong.setdefault(name, said)
                break
    if wrong:
        lines = [f"  {cell}: {said}" for cell, said in list(wrong.items())[:_NAMED]]
        more = f"\n  and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
        raise SweepError(
            f"{len(wrong)} cells cannot be run; nothing was. Change them, or leave them out with [[exclude]]:\n"
            + "\n".join(lines)
            + more
        )


Check = tuple[Hashable, Callable[[], object]]
"""A check, after everything that it depends on."""


def _checks(job: Job, task: Task, starts: Container[str]) -> list[Check]:
    """The checks of a setting, whatever its seed; `starts` are the attacks that make the first model."""
    run = job.config
    plain = msgspec.structs.replace(run, seeds=[1], partition=type(run.partition)())
    attack, defence = msgspec.json.encode(run.attack), msgspec.json.encode(run.defence)
    rest = msgspec.json.encode(msgspec.structs.replace(plain, attack=type(run.attack)(), defence=type(run.defence)()))

    def scoped() -> Task:
        return check_training("cell", run, task)

    return [
        (("training", rest), scoped),
        (("pipeline", rest, defence), lambda: check_pipeline("cell", run, scoped().network.layout)),
        (
            ("attack", rest, attack, defence if run.attack.defence_known else b""),
            lambda: check_adversary("cell", run, scoped()),
        ),
        (("wire", rest, defence, job.wire), lambda: check_wire(job.wire, run, "cell", scoped())),
        (("engine", rest, job.frames), lambda: None if job.frames else check_inprocess(run, "cell")),
        (("start", rest, attack if run.attack.name in starts else b""), lambda: open_first(run, job.seed, task)),
        (("poison", rest, attack, msgspec.json.encode(run.partition)), lambda: make_cast(run, job.seed, scoped())),
    ]


def _shares(job: Job, task: Task) -> Check:
    """Whether the data can be dealt with this seed."""
    run = job.config
    nobody = msgspec.structs.replace(run, attack=type(run.attack)())
    key = ("shares", run.task, job.seed, msgspec.json.encode(run.partition), len(run.client_ids()))
    return key, lambda: make_cast(nobody, job.seed, task)


def _said(check: Callable[[], object]) -> str | None:
    try:
        check()
    except (ByzantinyError, ModelsError) as error:
        return str(error).removeprefix("arms.cell: ")
    return None
