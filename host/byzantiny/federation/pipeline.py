"""A defence as entered in a table: screens, then pre-aggregators, then one aggregator, built from names."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from byzantiny.aggregators import Aggregator, load_aggregators
from byzantiny.preaggregators import PreAggregator, RowWise, load_preaggregators
from byzantiny.screening import Screen, load_screening
from byzantiny.suggest import nearest
from byzantiny.updates import PipelineError

Kind = Literal["screening", "pre-aggregator", "aggregator"]

MOST_CLIENTS = 65_536
"""Where the search for a pipeline's smallest n gives up."""


@dataclass(frozen=True)
class Pipeline:
    """The stages before the aggregator in order, and the aggregator."""

    stages: tuple[Screen | PreAggregator, ...]
    aggregator: Aggregator

    @property
    def name(self) -> str:
        """The names of the rules, in order.

        >>> build_pipeline([{"name": "norm-clip", "bound": 900}, {"name": "median"}]).name
        'norm-clip + median'
        """
        return " + ".join(rule.name for rule in self.rules)

    @property
    def rules(self) -> tuple[Screen | PreAggregator | Aggregator, ...]:
        """Every rule in order, the aggregator last."""
        return (*self.stages, self.aggregator)

    @property
    def streams(self) -> bool:
        """Whether a round can be aggregated from counts: stages row by row, and an aggregator by coordinate.

        >>> build_pipeline([{"name": "norm-clip", "bound": 900}, {"name": "median"}]).streams
        True
        >>> build_pipeline([{"name": "nnm", "f": 1}, {"name": "median"}]).streams
        False
        """
        return all(isinstance(stage, RowWise) for stage in self.stages) and self.aggregator.info.streams == "counts"

    @property
    def min_clients(self) -> int:
        """The fewest updates with which every stage gets as many rows as it needs.

        Raises:
            PipelineError: no number of clients up to 65,536 satisfies every stage.

        >>> build_pipeline([{"name": "norm-clip", "bound": 900}, {"name": "median"}], f_declared=3).min_clients
        7
        """
        for n in range(1, MOST_CLIENTS + 1):
            if self._enough(n):
                return n
        raise PipelineError(f"{self.name}: no cohort of up to {MOST_CLIENTS} satisfies every stage; lower f_declared")

    def _enough(self, n: int) -> bool:
        rows = n
        for stage in self.stages:
            if rows < stage.min_clients:
                return False
            rows = stage.rows_out(rows)
        return rows >= self.aggregator.min_clients


Zoos = Mapping[Kind, Mapping[str, Callable[..., Any]]]
"""The rules of each kind by name."""


def load_zoos() -> Zoos:
    """Return all rules, built in and from entry points, which takes the time of three walks over what is installed."""
    return {"screening": load_screening(), "pre-aggregator": load_preaggregators(), "aggregator": load_aggregators()}


def build_pipeline(
    stages: Sequence[Mapping[str, Any]],
    f_declared: int | None = None,
    finest: int | None = None,
    zoos: Zoos | None = None,
) -> Pipeline:
    """Build a defence from `{"name": ..., parameter: value, ...}` records.

    A rule with a parameter `f` gets `f_declared` unless its record gives one; one with a parameter `finest`, which
    says in which steps its lengths are given, gets `finest`. `zoos` are `load_zoos()` for whoever builds many.

    Raises:
        PipelineError: an unknown name or parameter, a value the rule refuses, stages out of order, no aggregator.

    >>> build_pipeline([{"name": "medain"}])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    byzantiny.updates.errors.PipelineError: unknown rule 'medain'; did you mean 'median'? Known: ...
    """
    zoos = load_zoos() if zoos is None else zoos
    kinds: list[Kind] = []
    rules: list[Any] = []
    for record in stages:
        kind, factory = _find(record, zoos)
        kinds.append(kind)
        rules.append(_make(record, factory, {"f": f_declared, "finest": finest}))
    ranks = [list(zoos).index(kind) for kind in kinds]
    if kinds.count("aggregator") != 1 or ranks != sorted(ranks):
        found = ", ".join(f"{rule.name} ({kind})" for rule, kind in zip(rules, kinds, strict=True)) or "nothing"
        raise PipelineError(f"a pipeline of {found}: need screening, then pre-aggregators, then exactly 1 aggregator")
    return Pipeline(tuple(rules[:-1]), rules[-1])


def _find(record: Mapping[str, Any], zoos: Zoos) -> tuple[Kind, Callable[..., Any]]:
    name = str(record.get("name"))
    for kind, zoo in zoos.items():
        if name in zoo:
            return kind, zoo[name]
    known = sorted(rule for zoo in zoos.values() for rule in zoo)
    raise PipelineError(f"unknown rule {name!r}{_nearest(name, known)} Known: {', '.join(known)}")


def _make(record: Mapping[str, Any], factory: Callable[..., Any], told: Mapping[str, int | None]) -> Any:
    known = inspect.signature(factory).parameters
    given = {key: value for key, value in record.items() if key != "name"}
    for key in given:
        if key not in known:
            raise PipelineError(
                f"{record['name']} has no parameter {key!r}{_nearest(key, list(known))} "
                f"Known: {', '.join(known) or 'none'}"
            )
    for key, value in told.items():
        if key in known and value is not None:
            given.setdefault(key, value)
    missing = [key for key, p in known.items() if p.default is inspect.Parameter.empty and key not in given]
    if missing:
        raise PipelineError(f"{record['name']} needs {', '.join(missing)}; add it to the stage")
    return factory(**given)


def _nearest(name: str, known: Sequence[str]) -> str:
    near = nearest(name, known)
    return f"; did you mean {near!r}?" if near else ";"
