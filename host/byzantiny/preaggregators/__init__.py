"""Pre-aggregators: one file per rule, one dictionary by name, and an entry-point group for rules from elsewhere."""

from __future__ import annotations

from collections.abc import Callable

from byzantiny.preaggregators.adaptive_norm_clip import AdaptiveNormClip
from byzantiny.preaggregators.arc import ARC
from byzantiny.preaggregators.base import PreAggregator, RowWise
from byzantiny.preaggregators.bucketing import Bucketing
from byzantiny.preaggregators.nnm import NNM
from byzantiny.preaggregators.norm_clip import NormClip
from byzantiny.preaggregators.top_coordinates import TopCoordinates
from byzantiny.preaggregators.zeroing import Zeroing
from byzantiny.updates.rules import load_zoo

PREAGGREGATORS: dict[str, Callable[..., PreAggregator]] = {
    "norm-clip": NormClip,
    "adaptive-norm-clip": AdaptiveNormClip,
    "zeroing": Zeroing,
    "top-coordinates": TopCoordinates,
    "arc": ARC,
    "nnm": NNM,
    "bucketing": Bucketing,
}
"""The pre-aggregators of this package, by the name used in configurations."""


def load_preaggregators() -> dict[str, Callable[..., PreAggregator]]:
    """Return the built-in pre-aggregators and those of the entry-point group `byzantiny.preaggregators`."""
    return load_zoo(PREAGGREGATORS, "byzantiny.preaggregators")


__all__ = [
    "ARC",
    "NNM",
    "PREAGGREGATORS",
    "AdaptiveNormClip",
    "Bucketing",
    "NormClip",
    "PreAggregator",
    "RowWise",
    "TopCoordinates",
    "Zeroing",
    "load_preaggregators",
]
