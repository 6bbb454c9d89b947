"""The tables of a grid file as strict structs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from byzantiny.experiment.schema import NAME, Stage
from byzantiny_models.deploy.arithmetic import Arithmetic

Name = Annotated[str, Meta(pattern="^[a-z0-9+-]{1,40}$")]
Seed = Annotated[int, Meta(ge=0, le=(1 << 62))]


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A strict table."""


class Axes(_Table, frozen=True, kw_only=True):
    """What the cells are a product of, beside attacks, defences and wires; an empty list leaves it to the base."""

    task: list[str] = []
    alpha: list[Annotated[float, Meta(gt=0)]] = []
    f: Annotated[list[Annotated[int, Meta(ge=0)]], Meta(min_length=1)] = msgspec.field(default_factory=lambda: [0])
    f_declared: Annotated[list[Literal["f"] | Annotated[int, Meta(ge=0)]], Meta(min_length=1)] = msgspec.field(
        default_factory=lambda: ["f"]
    )
    seeds: Annotated[list[Seed], Meta(min_length=1)] = msgspec.field(default_factory=lambda: [1])
    tuning_seeds: list[Seed] = []


class AttackEntry(_Table, frozen=True, kw_only=True):
    """An attack as in an experiment, without who lies; its name defaults to the entry's."""

    name: Annotated[str, Meta(pattern=NAME)] | None = None
    attackers: Literal["fixed", "resampled"] = "fixed"
    start_round: Annotated[int, Meta(ge=1)] = 1
    stop_round: Annotated[int, Meta(ge=1)] | None = None
    knowledge: Literal["own", "colluding", "omniscient"] | None = None
    defence_known: bool = False
    history: bool = False
    params: dict[str, Any] = {}


class DefenceEntry(_Table, frozen=True, kw_only=True):
    """A defence as in an experiment; `f_declared` here wins over the axis."""

    pipeline: Annotated[list[Stage], Meta(min_length=1)]
    f_declared: Annotated[int, Meta(ge=0)] | None = None


class WireEntry(_Table, frozen=True, kw_only=True):
    """The update grid of a column: the int8 wire, or parts of it; `shift` and `adapt` as of an experiment."""

    training: Literal["int8", "float"] = "int8"
    box: bool = True
    rounding: Literal["sr", "nearest", "none"] = "sr"
    shift: Annotated[int, Meta(ge=3, le=12)] | None = None
    adapt: bool = False


class GridFile(_Table, frozen=True, kw_only=True):
    """A grid file."""

    schema: Literal["byzantiny.sweep/1"] = "byzantiny.sweep/1"
    name: Annotated[str, Meta(pattern=NAME)] = "sweep"
    title: str = ""
    base: dict[str, Any] = {}
    axes: Axes = Axes()
    attacks: dict[Name, AttackEntry] = {}
    defences: Annotated[dict[Name, DefenceEntry], Meta(min_length=1)]
    wires: dict[Name, WireEntry] = {}
    arithmetics: list[Arithmetic] = []
    exclude: list[dict[str, Any]] = []
