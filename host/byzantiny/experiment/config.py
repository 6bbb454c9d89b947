"""An experiment as a checked TOML file: every key is known, every value in range, or the error says what would be.

schema = "byzantiny.experiment/1"
task = "digits"
rounds = 40
[[clients]]
prefix = "dev"
count = 8
[arms.median-attacked]          # an arm overrides any key of the base
attack = { name = "sign-flip", byzantine = ["dev-01"], params = { scale = 4 } }
defence = { pipeline = [{ name = "median" }] }
"""

from __future__ import annotations

import copy
import hashlib
import re
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from byzantiny.experiment.checks import check_run
from byzantiny.experiment.enrolment import let_in
from byzantiny.experiment.errors import ConfigError
from byzantiny.experiment.schema import (
    NAME,
    Attack,
    ClientGroup,
    Defence,
    Evaluation,
    Grid,
    Link,
    Model,
    Mqtt,
    Partition,
    Round,
    RunConfig,
    Training,
)
from byzantiny.suggest import nearest

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover - the backport has the same interface
    import tomli as tomllib


__all__ = [
    "Attack",
    "ClientGroup",
    "ConfigError",
    "Defence",
    "Evaluation",
    "Experiment",
    "Grid",
    "Link",
    "Model",
    "Mqtt",
    "Partition",
    "Round",
    "RunConfig",
    "Training",
    "load_experiment",
    "parse_experiment",
]


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """All arms of one file; they differ only in what their table overrides."""

    arms: dict[str, RunConfig]
    source: dict[str, Any]
    """The resolved table, with its arms: what the run directory keeps."""

    @property
    def base(self) -> RunConfig:
        """The first arm, for what all arms share."""
        return next(iter(self.arms.values()))

    @property
    def sha256(self) -> str:
        """Hash of the resolved table: two runs with the same hash are the same experiment.

        Where the data lie is left out: what they are is pinned file by file in the manifest, and they may move.
        """
        table = {key: value for key, value in self.source.items() if key != "data"}
        return hashlib.sha256(msgspec.json.encode(table, order="deterministic")).hexdigest()


_SHARED = ("name", "task", "data", "seeds", "clients", "mqtt", "rounds", "model")
"""Keys an arm may not override: the arms of a run share its clients, its task, its seeds and its start."""


def load_experiment(path: Path, overrides: Mapping[str, Any] | None = None) -> Experiment:
    """Read and check an experiment file; `overrides` are dotted keys. Raises ConfigError."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(
            f"{path}: no such experiment file; `ls experiments/` shows those that come with it"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    table.setdefault("name", re.sub(r"[^a-z0-9-]+", "-", path.stem.lower()).strip("-")[:40] or "experiment")
    return parse_experiment(table, where=str(path), overrides=overrides, folder=path.parent)


def parse_experiment(
    table: Mapping[str, Any],
    *,
    where: str = "experiment",
    overrides: Mapping[str, Any] | None = None,
    folder: Path | None = None,
) -> Experiment:
    """Check an experiment given as a table; its `data` is relative to `folder`, by default the working directory.

    >>> parse_experiment({"rounds": 3}).base.rounds
    3
    >>> parse_experiment({"ronds": 3})
    Traceback (most recent call last):
    ...
    byzantiny.experiment.errors.ConfigError: experiment: unknown key `ronds`; did you mean `rounds`?
    """
    base = copy.deepcopy(dict(table))
    for dotted, value in (overrides or {}).items():
        _set_dotted(base, dotted, value)
    if isinstance(base.get("data"), str):
        base["data"] = str((folder or Path()).resolve() / base["data"])  # a run directory may be resumed from anywhere
    arms = base.pop("arms", {})
    if not isinstance(arms, dict) or not all(isinstance(arm, dict) for arm in arms.values()):
        raise ConfigError(f"{where}: `arms` must be a table of tables, e.g. [arms.median]")
    resolved = {}
    for name, arm in (arms or {"main": {}}).items():
        if not re.fullmatch(NAME, name):
            raise ConfigError(f"{where}: arm `{name}`: a name is 1-40 characters of a-z, 0-9 and -, and names a folder")
        at = f"{where}: arms.{name}" if arms else where
        shared = [key for key in arm if key in _SHARED]
        if shared:
            raise ConfigError(f"{at}: `{shared[0]}` is shared by all arms; set it outside [arms]")
        resolved[name] = let_in(_convert(_merge(base, arm), at), at)
        if len(arms) > 1 and resolved[name].clients != next(iter(resolved.values())).clients:
            raise ConfigError(
                f"{at}: open enrolment changes the clients, which all arms share; make it a run of its own"
            )
    for name, run in resolved.items():
        check_run(run, f"{where}: arms.{name}" if arms else where)
    return Experiment(arms=resolved, source={**base, "arms": arms})


def _set_dotted(table: dict[str, Any], dotted: str, value: Any) -> None:
    *path, last = dotted.split(".")
    for key in path:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            raise ConfigError(f"--set {dotted}: `{key}` is not a table")
    table[last] = value


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = copy.deepcopy(dict(base))
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _convert(table: dict[str, Any], where: str) -> RunConfig:
    for path, unknown, known in _unknown_keys(table, RunConfig):
        near = nearest(unknown, known)
        hint = f"did you mean `{near}`?" if near else f"known keys: {', '.join(sorted(known))}"
        raise ConfigError(f"{where}: unknown key `{'.'.join((*path, unknown))}`; {hint}")
    try:
        return msgspec.convert(table, RunConfig)
    except msgspec.ValidationError as error:
        said = str(error).replace("`$.", "`")
        choices = _choices_at(str(error).rpartition("$")[2])
        raise ConfigError(f"{where}: {said}" + (f"; choose one of {', '.join(choices)}" if choices else "")) from error


def _choices_at(path: str) -> list[str]:
    """Return what a key takes where it takes one of a few words; `path` is msgspec's, `.clients[0].transport`.

    >>> _choices_at(".clients[0].transport`")
    ['memory', 'mqtt', 'serial']
    """
    kind: Any = RunConfig
    for key in re.findall(r"\.(\w+)", path):
        struct = _struct_of(kind)
        fields = {} if struct is None else {field.name: field.type for field in msgspec.structs.fields(struct)}
        kind = fields.get(key)
    return _literals(kind)


def _literals(kind: Any) -> list[str]:
    if typing.get_origin(kind) is Literal:
        return [str(value) for value in typing.get_args(kind)]
    if typing.get_origin(kind) in (Annotated, typing.Union, types.UnionType):
        return [word for argument in typing.get_args(kind) for word in _literals(argument)]
    return []


def _unknown_keys(
    table: Any, kind: Any, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], str, list[str]]]:
    """Keys no struct has, with the path to them and the keys that were possible there."""
    kind = _struct_of(kind)
    if isinstance(table, list):
        for item in table:
            yield from _unknown_keys(item, kind, path)
    if kind is None or not isinstance(table, dict):
        return
    fields = {field.name: field.type for field in msgspec.structs.fields(kind)}
    for key, value in table.items():
        if key not in fields:
            yield path, key, list(fields)
        else:
            yield from _unknown_keys(value, fields[key], (*path, key))


def _struct_of(kind: Any) -> type[msgspec.Struct] | None:
    """The struct inside Annotated, list and union types, if there is one."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind
    origin = typing.get_origin(kind)
    if origin in (Annotated, list, typing.Union, types.UnionType):
        for argument in typing.get_args(kind):
            found = _struct_of(argument)
            if found is not None:
                return found
    return None
