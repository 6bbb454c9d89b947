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
import difflib
import hashlib
import re
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from byzantiny.errors import ByzantinyError
from byzantiny.wire.messages import UART_PAYLOAD_MAX

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover - the backport has the same interface
    import tomli as tomllib


NAME = "^[a-z0-9-]{1,40}$"
Name = Annotated[str, Meta(pattern=NAME)]
Prefix = Annotated[str, Meta(pattern="^[a-z0-9-]{1,11}$")]
Stage = dict[str, Any]


class ConfigError(ByzantinyError):
    """The experiment file cannot be used as it is."""


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A strict table."""


class Training(_Table, frozen=True, kw_only=True):
    """What every client does in a round; the learning rate is 2^-lr_shift, one code is 2^(shift - 14) of a weight."""

    epochs: Annotated[int, Meta(ge=1, le=255)] = 1
    lr_shift: Annotated[int, Meta(ge=4, le=14)] = 5
    shift: Annotated[int, Meta(ge=3, le=12)] = 6


class Partition(_Table, frozen=True, kw_only=True):
    """How the training set is split over the clients."""

    name: Literal["iid", "dirichlet"] = "dirichlet"
    alpha: Annotated[float, Meta(gt=0)] = 100.0
    min_samples: Annotated[int, Meta(ge=1)] = 8


class Round(_Table, frozen=True, kw_only=True):
    """When a round begins and ends; 0 means the whole (fleet, cohort)."""

    cohort: Annotated[int, Meta(ge=0)] = 0
    quorum: Annotated[int, Meta(ge=0)] = 0
    deadline_s: Annotated[float, Meta(gt=0, le=4_000_000)] = 60.0
    """On the wire it is a u32 of milliseconds."""
    l2_bound: Literal["default", "off"] | Annotated[int, Meta(ge=1, lt=1 << 20)] = "default"
    """Announced to the devices and enforced on the norms the coordinator measured; in steps of the finest tensor."""


class ClientGroup(_Table, frozen=True, kw_only=True):
    """Clients that are alike: `count` of them, named `prefix-01`, `prefix-02`, ..."""

    prefix: Prefix = "dev"
    count: Annotated[int, Meta(ge=1, le=65535)] = 1
    body: Name = "native"
    transport: Literal["memory", "mqtt", "serial"] = "memory"
    payload_bytes: Literal[64, 128, 240, 512, 1024, 2048, 4096] | None = None
    board: str | None = None
    """A board of `boards.toml` (body = "board"); count must be 1."""


class Attack(_Table, frozen=True, kw_only=True):
    """Who is Byzantine and what they do; `params` are the attack's own."""

    name: Name = "none"
    byzantine: Annotated[int, Meta(ge=0)] | list[str] = 0
    """A number f (drawn from the seed) or the client ids."""
    start_round: Annotated[int, Meta(ge=1)] = 1
    params: dict[str, Any] = {}


class Defence(_Table, frozen=True, kw_only=True):
    """The pipeline, in order; its last stage is the aggregator. `f_declared` is what the defence is told."""

    pipeline: list[Stage] = msgspec.field(default_factory=lambda: [{"name": "mean"}])
    f_declared: Annotated[int, Meta(ge=0)] = 0


class Mqtt(_Table, frozen=True, kw_only=True):
    """The broker; without a URL a private one is started."""

    broker: str | None = None
    version: Literal["3.1.1", "5"] = "3.1.1"
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None


class Link(_Table, frozen=True, kw_only=True):
    """Faults injected into the memory transport, as probabilities per frame; drawn from the seed, in virtual time."""

    drop: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    duplicate: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    reorder: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    corrupt: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    delay_s: Annotated[float, Meta(ge=0, le=3600)] = 0.0


class RunConfig(_Table, frozen=True, kw_only=True):
    """One arm, fully resolved."""

    schema: Literal["byzantiny.experiment/1"] = "byzantiny.experiment/1"
    name: Name = "experiment"
    title: str = ""
    target: str = ""
    task: Name = "digits"
    rounds: Annotated[int, Meta(ge=1)] = 40
    seeds: Annotated[list[Annotated[int, Meta(ge=0, le=(1 << 62))]], Meta(min_length=1)] = msgspec.field(
        default_factory=lambda: [1]
    )
    keep_updates: bool = False
    training: Training = Training()
    partition: Partition = Partition()
    round: Round = Round()
    clients: Annotated[list[ClientGroup], Meta(min_length=1)] = msgspec.field(default_factory=lambda: [ClientGroup()])
    attack: Attack = Attack()
    defence: Defence = Defence()
    mqtt: Mqtt = Mqtt()
    link: Link = Link()

    def client_ids(self) -> list[str]:
        """Every client, in the order of the groups."""
        return [client_id for client_id, _ in self.members()]

    def members(self) -> list[tuple[str, ClientGroup]]:
        """Every client with its group."""
        return [
            (f"{group.prefix}-{number:0{max(2, len(str(group.count)))}d}", group)
            for group in self.clients
            for number in range(1, group.count + 1)
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
        """Hash of the resolved table: two runs with the same hash are the same experiment."""
        return hashlib.sha256(msgspec.json.encode(self.source, order="deterministic")).hexdigest()


_SHARED = ("name", "task", "seeds", "clients", "mqtt", "rounds")
"""Keys an arm may not override: the arms of a run share its clients, its task and its seeds."""


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
    table.setdefault("name", path.stem)
    return parse_experiment(table, where=str(path), overrides=overrides)


def parse_experiment(
    table: Mapping[str, Any], *, where: str = "experiment", overrides: Mapping[str, Any] | None = None
) -> Experiment:
    """Check an experiment given as a table.

    >>> parse_experiment({"rounds": 3}).base.rounds
    3
    >>> parse_experiment({"ronds": 3})
    Traceback (most recent call last):
    ...
    byzantiny.experiment.config.ConfigError: experiment: unknown key `ronds`; did you mean `rounds`?
    """
    base = copy.deepcopy(dict(table))
    for dotted, value in (overrides or {}).items():
        _set_dotted(base, dotted, value)
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
        resolved[name] = _convert(_merge(base, arm), at)
    for name, run in resolved.items():
        _check_run(run, f"{where}: arms.{name}" if arms else where)
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
        near = difflib.get_close_matches(unknown, known, n=1, cutoff=0.5)
        hint = f"did you mean `{near[0]}`?" if near else f"known keys: {', '.join(sorted(known))}"
        raise ConfigError(f"{where}: unknown key `{'.'.join((*path, unknown))}`; {hint}")
    try:
        return msgspec.convert(table, RunConfig)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {str(error).replace('`$.', '`')}") from error


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


def _check_run(run: RunConfig, where: str) -> None:
    """What types cannot say."""
    ids = run.client_ids()
    if len(set(ids)) != len(ids):
        raise ConfigError(f"{where}: two groups give the client id `{_first_duplicate(ids)}`; give them other prefixes")
    too_long = next((client_id for client_id in ids if len(client_id) > 16), None)
    if too_long:
        raise ConfigError(f"{where}: client id `{too_long}` has more than 16 characters; shorten the prefix")
    byzantine = run.attack.byzantine
    if isinstance(byzantine, list):
        strangers = [client_id for client_id in byzantine if client_id not in ids]
        if strangers:
            raise ConfigError(
                f"{where}: attack.byzantine names `{strangers[0]}`, which is no client ({ids[0]} .. {ids[-1]})"
            )
    elif byzantine > len(ids):
        raise ConfigError(f"{where}: attack.byzantine = {byzantine}, but there are {len(ids)} clients")
    for key, value, limit in (
        ("cohort", run.round.cohort, len(ids)),
        ("quorum", run.round.quorum, run.round.cohort or len(ids)),
    ):
        if value > limit:
            raise ConfigError(f"{where}: round.{key} = {value} is more than {limit}; 0 means all")
    for group in run.clients:
        if group.body == "board" and (group.board is None or group.count != 1 or group.transport != "serial"):
            raise ConfigError(
                f'{where}: body = "board" needs `board = NAME` of boards.toml, transport = "serial" and count = 1'
            )
        if group.transport == "serial" and (group.payload_bytes or 0) > UART_PAYLOAD_MAX:
            raise ConfigError(
                f"{where}: payload_bytes = {group.payload_bytes} of `{group.prefix}` is more than the"
                f" {UART_PAYLOAD_MAX} of a serial line; lower it"
            )
    if any(vars_ > 0 for vars_ in msgspec.structs.astuple(run.link)) and {g.transport for g in run.clients} != {
        "memory"
    }:
        raise ConfigError(f"{where}: [link] injects faults in virtual time, which only the memory transport has")


def _first_duplicate(items: list[str]) -> str:
    seen: set[str] = set()
    for item in items:
        if item in seen:
            return item
        seen.add(item)
    return ""
