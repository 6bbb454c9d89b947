"""Aggregators: one file per rule, one dictionary by name, and an entry-point group for rules from elsewhere."""

from __future__ import annotations

from collections.abc import Callable

from byzantiny.aggregators.base import Aggregator
from byzantiny.aggregators.bulyan import Bulyan
from byzantiny.aggregators.caf import CAF
from byzantiny.aggregators.centered_clipping import CenteredClipping
from byzantiny.aggregators.cge import CGE
from byzantiny.aggregators.geometric_median import GeometricMedian
from byzantiny.aggregators.grouped_median import GroupedMedian
from byzantiny.aggregators.krum import Krum
from byzantiny.aggregators.mda import MDA
from byzantiny.aggregators.meamed import Meamed
from byzantiny.aggregators.mean import Mean
from byzantiny.aggregators.median import Median
from byzantiny.aggregators.median_of_means import MedianOfMeans
from byzantiny.aggregators.monna import MoNNA
from byzantiny.aggregators.multi_krum import MultiKrum
from byzantiny.aggregators.phocas import Phocas
from byzantiny.aggregators.rlr import RLR
from byzantiny.aggregators.sign_majority_vote import SignMajorityVote
from byzantiny.aggregators.smea import SMEA
from byzantiny.aggregators.sr_median import SRMedian
from byzantiny.aggregators.trimmed_mean import TrimmedMean
from byzantiny.aggregators.weighted_mean import WeightedMean
from byzantiny.updates.rules import load_zoo

AGGREGATORS: dict[str, Callable[..., Aggregator]] = {
    "mean": Mean,
    "median": Median,
    "grouped-median": GroupedMedian,
    "sr-median": SRMedian,
    "trimmed-mean": TrimmedMean,
    "meamed": Meamed,
    "phocas": Phocas,
    "median-of-means": MedianOfMeans,
    "sign-majority-vote": SignMajorityVote,
    "rlr": RLR,
    "weighted-mean": WeightedMean,
    "krum": Krum,
    "multi-krum": MultiKrum,
    "bulyan": Bulyan,
    "geometric-median": GeometricMedian,
    "mda": MDA,
    "smea": SMEA,
    "caf": CAF,
    "monna": MoNNA,
    "cge": CGE,
    "centered-clipping": CenteredClipping,
}
"""The aggregators of this package, by the name used in configurations."""


def load_aggregators() -> dict[str, Callable[..., Aggregator]]:
    """Return the built-in aggregators and those of the entry-point group `byzantiny.aggregators`."""
    return load_zoo(AGGREGATORS, "byzantiny.aggregators")


__all__ = [
    "AGGREGATORS",
    "CAF",
    "CGE",
    "MDA",
    "RLR",
    "SMEA",
    "Aggregator",
    "Bulyan",
    "CenteredClipping",
    "GeometricMedian",
    "GroupedMedian",
    "Krum",
    "Meamed",
    "Mean",
    "Median",
    "MedianOfMeans",
    "MoNNA",
    "MultiKrum",
    "Phocas",
    "SRMedian",
    "SignMajorityVote",
    "TrimmedMean",
    "WeightedMean",
    "load_aggregators",
]
