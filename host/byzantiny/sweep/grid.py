"""A grid file to its cells: the product of its axes, each with the whole config of its run."""

from __future__ import annotations

import hashlib
import itertools
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from byzantiny.attacks import load_attacks
from byzantiny.experiment.config import ConfigError, parse_experiment
from byzantiny.experiment.opening import named_sha256
from byzantiny.experiment.schema import RunConfig
from byzantiny.experiment.wires import Wire
from byzantiny.scores.records import Cell
from byzantiny.scores.tables import CLEAN, CONTROL
from byzantiny.suggest import nearest, unknown_name
from byzantiny.sweep.errors import SweepError
from byzantiny.sweep.schema import AttackEntry, GridFile, WireEntry
from byzantiny_models.tasks import Task, load_task

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover - the backport has the same interface
    import tomli as tomllib

EngineName = Literal["inprocess", "frames", "ray"]
RESULTS_VERSION = 1
"""Part of every run's hash: raised when the same config would give another result record."""
_GIVEN = ("arms", "attack", "defence", "seeds", "name", "title", "target", "schema")
"""Keys of an experiment that a grid gives itself."""
_AXES = ("task", "alpha", "wire", "defence", "attack", "f", "f_declared", "seed")


@dataclass(frozen=True, slots=True)
class Job:
    """One run: everything that decides its result, and the hash of it."""

    run: str
    table: dict[str, Any]
    config: RunConfig
    wire: Wire
    frames: bool
    arithmetics: tuple[str, ...] = ()
    start_sha256: str | None = None
    """Of the file that `model.start` names."""

    @property
    def seed(self) -> int:
        """Its one seed."""
        return self.config.seeds[0]


@dataclass(frozen=True, slots=True)
class Grid:
    """A grid file, checked, with its cells and the distinct runs that they need."""

    file: GridFile
    cells: list[Cell]
    jobs: dict[str, Job]


def engine_named(name: str) -> EngineName:
    """Return an engine by its name. Raises SweepError naming the nearest.

    >>> engine_named("inprocess")
    'inprocess'
    """
    for engine in get_args(EngineName):
        if engine == name:
            return engine  # type: ignore[no-any-return]
    raise SweepError(unknown_name("engine", name, get_args(EngineName)))


def load_grid(path: Path, engine: EngineName = "inprocess", overrides: Mapping[str, Any] | None = None) -> Grid:
    """Read a grid file. Raises SweepError."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SweepError(f"{path}: no such grid file; `ls experiments/` shows those that come with it") from error
    except (OSError, UnicodeDecodeError) as error:
        raise SweepError(f"{path}: cannot be read ({error})") from error
    except tomllib.TOMLDecodeError as error:
        raise SweepError(f"{path}: not valid TOML: {error}") from error
    table.setdefault("name", re.sub(r"[^a-z0-9-]+", "-", path.stem.lower()).strip("-")[:40] or "sweep")
    for dotted, value in (overrides or {}).items():
        _set(table, dotted, value)
    return parse_grid(table, where=str(path), engine=engine)


def parse_grid(table: Mapping[str, Any], *, where: str = "grid", engine: EngineName = "inprocess") -> Grid:
    """Check a grid given as a table, and lay it out.

    >>> grid = parse_grid({"axes": {"f": [0, 2]}, "base": {"clients": [{"count": 6}]},
    ...                    "attacks": {"sign-flip": {}}, "defences": {"mean": {"pipeline": [{"name": "mean"}]}}})
    >>> [(cell.attack, cell.f, cell.f_declared) for cell in grid.cells], len(grid.jobs)
    ([('none', 0, 0), ('none', 2, 2), ('sign-flip', 2, 2)], 3)
    """
    file = _convert(table, where)
    for key in file.base:
        if key in _GIVEN:
            raise SweepError(f"{where}: base.{key}: a grid gives it itself, by its axes and entries; leave it out")
    if CLEAN in file.attacks:
        raise SweepError(f"{where}: attacks.{CLEAN}: every grid has the runs that nobody attacks; leave it out")
    overlap = set(file.axes.seeds) & set(file.axes.tuning_seeds)
    if overlap:
        raise SweepError(
            f"{where}: axes.tuning_seeds: {min(overlap)} is scored too; the worst attack is chosen on others"
        )
    cells: list[Cell] = []
    jobs: dict[str, Job] = {}
    wires = _wires(file)
    settings: dict[tuple[Any, ...], _Setting] = {}
    for place in _places(file, wires, where):
        named = tuple(value for axis, value in place.items() if axis not in ("seed", "tuning"))
        if named not in settings:
            settings[named] = _setting(file, place, wires[place["wire"]], engine, where)
        job = settings[named].job(place["seed"])
        jobs.setdefault(job.run, job)
        cells.append(Cell(**place, bypass=not job.wire.real, run=job.run))
    if not cells:
        raise SweepError(f"{where}: every cell is excluded; leave some")
    return Grid(file, cells, jobs)


def task_of(config: RunConfig) -> Task:
    """Load a run's task, its files where the config says."""
    return load_task(config.task, Path(config.data) if config.data else None)


def _convert(table: Mapping[str, Any], where: str) -> GridFile:
    try:
        return msgspec.convert(dict(table), GridFile)
    except msgspec.ValidationError as error:
        said = str(error).replace("`$.", "`")
        found = re.search(r"unknown field `(\w+)`", said)
        near = nearest(found.group(1), _known_keys()) if found else None
        raise SweepError(f"{where}: {said}" + (f"; did you mean `{near}`?" if near else "")) from error


def _known_keys() -> list[str]:
    from byzantiny.sweep import schema

    kinds = (schema.GridFile, schema.Axes, schema.AttackEntry, schema.DefenceEntry, schema.WireEntry)
    return sorted({field.name for kind in kinds for field in msgspec.structs.fields(kind)})


def _set(table: dict[str, Any], dotted: str, value: Any) -> None:
    *path, last = dotted.split(".")
    for key in path:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            raise SweepError(f"--set {dotted}: `{key}` is not a table")
    table[last] = value


def _wires(file: GridFile) -> dict[str, WireEntry]:
    """The columns; a grid that takes the wire apart always has float training with the same box beside it."""
    wires = dict(file.wires) or {"int8": WireEntry()}
    apart = [wire for wire in wires.values() if not Wire(wire.training, wire.box, wire.rounding).real]
    control = WireEntry(training="float", box=True, rounding="none")
    if apart and CONTROL not in wires:
        wires[CONTROL] = control
    return wires


def _places(file: GridFile, wires: Mapping[str, WireEntry], where: str) -> Iterator[dict[str, Any]]:
    axes = file.axes
    seeds = [(seed, True) for seed in axes.tuning_seeds] + [(seed, False) for seed in axes.seeds]
    for rule in file.exclude:
        _check_rule(rule, file, wires, where)
    alphas: list[float | None] = [*axes.alpha] or [None]
    product = itertools.product(
        axes.task or [str(file.base.get("task", "digits"))],
        alphas,
        wires,
        file.defences,
        sorted(set(axes.f)),
        axes.f_declared,
        [CLEAN, *file.attacks],
        seeds,
    )
    seen = set()
    for task, alpha, wire, defence, f, declared, attack, (seed, tuning) in product:
        if attack != CLEAN and (f == 0 or (tuning and _acts_on_wire(attack, file.attacks[attack]))):
            continue  # an attack on the wire is no candidate for the worst one
        own = file.defences[defence].f_declared
        told = own if own is not None else f if declared == "f" else declared
        place = {
            "task": task, "alpha": alpha, "wire": wire, "defence": defence, "attack": attack, "f": f, "f_declared": told,
            "seed": seed, "tuning": tuning,
        }  # fmt: skip
        key = tuple(place.values())
        if key in seen or any(_matches(rule, place) for rule in file.exclude):
            continue
        seen.add(key)
        yield place


def _check_rule(rule: Mapping[str, Any], file: GridFile, wires: Mapping[str, WireEntry], where: str) -> None:
    names = {"wire": wires, "defence": file.defences, "attack": {CLEAN: None, **file.attacks}}
    for key, value in rule.items():
        if key not in _AXES:
            near = nearest(key, _AXES)
            raise SweepError(
                f"{where}: exclude: unknown axis `{key}`; " + (f"did you mean `{near}`?" if near else ", ".join(_AXES))
            )
        for each in value if isinstance(value, list) else [value]:
            if key in names and each not in names[key]:
                near = nearest(str(each), names[key])
                raise SweepError(
                    f"{where}: exclude: unknown {key} `{each}`; "
                    + (f"did you mean `{near}`?" if near else f"known: {', '.join(names[key])}")
                )


def _matches(rule: Mapping[str, Any], place: Mapping[str, Any]) -> bool:
    return all(place[key] in (value if isinstance(value, list) else [value]) for key, value in rule.items())


@dataclass(frozen=True, slots=True)
class _Setting:
    """What the jobs of all seeds share."""

    table: dict[str, Any]
    config: RunConfig
    wire: Wire
    frames: bool
    arithmetics: tuple[str, ...]
    start_sha256: str | None

    def job(self, seed: int) -> Job:
        config = msgspec.structs.replace(self.config, seeds=[seed])
        content = {
            "version": RESULTS_VERSION,
            "config": config,
            "wire": self.wire,
            "frames": self.frames,
            "arithmetics": self.arithmetics,
        }
        if self.start_sha256 is not None:  # its path is in the config; what the file holds decides the result
            content["start_sha256"] = self.start_sha256
        digest = hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()
        table = {**self.table, "seeds": [seed]}
        return Job(digest[:24], table, config, self.wire, self.frames, self.arithmetics, self.start_sha256)


def _setting(file: GridFile, place: Mapping[str, Any], wire: WireEntry, engine: EngineName, where: str) -> _Setting:
    base = file.base
    table: dict[str, Any] = {**base, "task": place["task"], "seeds": [place["seed"]]}
    table["training"] = {**base.get("training", {}), **({} if wire.shift is None else {"shift": wire.shift})}
    table["grid"] = {**base.get("grid", {}), **({"adapt": True} if wire.adapt else {})}
    if place["alpha"] is not None:
        table["partition"] = {**base.get("partition", {}), "name": "dirichlet", "alpha": place["alpha"]}
    if place["attack"] != CLEAN:
        table["attack"] = _attack(place["attack"], file.attacks[place["attack"]], place["f"])
    table["defence"] = {"pipeline": file.defences[place["defence"]].pipeline, "f_declared": place["f_declared"]}
    try:
        config = parse_experiment(table, where=f"{where}: {describe(place)}").base
        start = None if config.model.start is None else named_sha256(config.model.start)
    except ConfigError as error:
        raise SweepError(str(error)) from error
    parts = Wire(wire.training, wire.box, wire.rounding)
    frames = parts.real and (engine == "frames" or on_wire(config.attack.name))
    return _Setting(table, config, parts, frames, tuple(sorted(file.arithmetics)), start)


def on_wire(name: str) -> bool:
    """Whether an attack acts on frames: it goes through them whatever the engine, which changes no model (P1).

    >>> on_wire("slow-loris"), on_wire("sign-flip"), on_wire("none")
    (True, False, False)
    """
    known = load_attacks().get(name)
    return known is not None and bool(known.info.on_wire)  # type: ignore[attr-defined]


def _acts_on_wire(entry_name: str, entry: AttackEntry) -> bool:
    return on_wire(entry.name or entry_name) and entry.params.get("enrolment") != "open"


def _attack(entry_name: str, entry: AttackEntry, f: int) -> dict[str, Any]:
    table = {key: value for key, value in msgspec.to_builtins(entry).items() if value is not None}
    return {**table, "name": entry.name or entry_name, "byzantine": f}


def describe(place: Mapping[str, Any] | Cell) -> str:
    """Return a cell in words, without its seed.

    >>> describe({"task": "digits", "alpha": 0.5, "wire": "int8", "defence": "krum", "attack": "alie", "f": 4, "f_declared": 4})
    'krum against alie, f = 4, int8, digits, alpha 0.5'
    """
    of = place if isinstance(place, Mapping) else msgspec.structs.asdict(place)
    told = "" if of["f_declared"] == of["f"] else f" (declared {of['f_declared']})"
    alpha = "" if of["alpha"] is None else f", alpha {of['alpha']:g}"
    return f"{of['defence']} against {of['attack']}, f = {of['f']}{told}, {of['wire']}, {of['task']}{alpha}"
