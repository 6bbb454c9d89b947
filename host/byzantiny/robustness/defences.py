"""Defences by name: `krum`, `arc+nnm+trimmed-mean`, `bucketing:s=3+median`; and what they make of rows of codes.

A rule that cannot be built without a parameter (a bound, a tau) gets one that fits the honest updates of the study, so
that every rule of the zoo can be asked the same question; what is written in the name goes before it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from byzantiny.federation import Pipeline, Zoos, build_pipeline, load_zoos
from byzantiny.robustness.errors import RobustnessError
from byzantiny.updates import BeyondLimitError, UpdateBatch
from byzantiny_models.rng import Stream, rng_for

PIPELINES = ("nnm+krum", "nnm+trimmed-mean", "arc+nnm+trimmed-mean", "bucketing+median", "norm-clip+mean")
"""Pipelines that are in common use, studied beside the aggregators."""


@dataclass(frozen=True, slots=True)
class Scale:
    """What the parameters of a defence are fitted to: n rows, f of them lies, d coordinates, the honest spread in steps."""

    n: int
    f: int
    d: int
    spread: float


@dataclass(frozen=True)
class Defence:
    """The stages of a defence in order, as they were written, the name they were written under, and where rules are."""

    name: str
    stages: tuple[Mapping[str, Any], ...]
    zoos: Zoos

    def build(self, scale: Scale) -> Pipeline:
        """Return the pipeline that is told f = `scale.f`.

        Raises:
            AggregationError: an unknown rule or parameter; f or n beyond the limit of a stage.

        >>> parse_defence("centered-clipping").build(Scale(n=10, f=2, d=100, spread=4.0)).aggregator.tau
        40.0
        """
        given = [_fitted(str(stage["name"]), scale) | dict(stage) for stage in self.stages]
        pipeline = build_pipeline(given, f_declared=scale.f, zoos=self.zoos)
        least = pipeline.min_clients
        if least > scale.n:
            raise BeyondLimitError(
                f"{self.name} with f = {scale.f} needs {least} clients; there are {scale.n}: lower f or raise n"
            )
        return pipeline


def parse_defence(text: str, zoos: Zoos | None = None) -> Defence:
    """Return the defence of a name: stages joined by `+`, parameters after `:` as `key=value`, joined by commas.

    `zoos` are `load_zoos()` for whoever parses many.

    Raises:
        RobustnessError: an empty stage, or a parameter without a value.

    >>> parse_defence("bucketing:s=3+median").stages
    ({'name': 'bucketing', 's': 3}, {'name': 'median'})
    """
    stages: list[dict[str, Any]] = []
    for part in text.split("+"):
        name, _, parameters = part.strip().partition(":")
        if not name:
            raise RobustnessError(f"defence {text!r} has an empty stage; write names joined by +, e.g. nnm+krum")
        stage: dict[str, Any] = {"name": name}
        for setting in filter(None, parameters.split(",")):
            key, equals, value = setting.partition("=")
            if not equals or not key.strip():
                raise RobustnessError(f"defence {text!r}: {setting!r} is no parameter; write key=value, e.g. s=3")
            stage[key.strip()] = _value(value.strip())
        stages.append(stage)
    return Defence(text, tuple(stages), load_zoos() if zoos is None else zoos)


def aggregate(pipeline: Pipeline, rows: NDArray[Any], seed: int = 0) -> NDArray[np.float64]:
    """Return what a first round makes of the rows, float64 (d,), in grid steps.

    What a rule draws is drawn from the seed, the same in every call: whoever searches for the worst rows knows it.

    Raises:
        AggregationError: the rows are beyond a rule's limit.

    >>> pipeline = parse_defence("median").build(Scale(n=3, f=1, d=1, spread=1.0))
    >>> aggregate(pipeline, np.array([[127], [2], [1]], dtype=np.int8)).tolist()
    [2.0]
    """
    rng = rng_for(seed, Stream.AGGREGATION)
    batch = UpdateBatch.from_rows(rows)
    for stage in pipeline.stages:
        batch, _ = stage.apply(batch, stage.init(batch.layout), rng)
    rule = pipeline.aggregator
    return rule.apply(batch, rule.init(batch.layout), rng)[0].values


def _fitted(name: str, scale: Scale) -> dict[str, Any]:
    """The parameters a rule cannot do without. Lies stand before the honest rows, so row f is the first honest one."""
    length = scale.spread * math.sqrt(scale.d)
    fitted: dict[str, dict[str, Any]] = {
        "rlr": {"theta": scale.f + 1},
        "centered-clipping": {"tau": length},
        "norm-clip": {"bound": max(1, round(length))},
        "adaptive-norm-clip": {"bound": max(1, round(length))},
        "top-coordinates": {"k": max(1, scale.d // 2)},
        "weighted-mean": {"default": 1},
        "monna": {"idx": scale.f},
        "geometric-median": {"tolerance": 1e-6},  # where rows coincide, its last digits take a thousand steps
    }
    return fitted.get(name, {})


def _value(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text, text)
