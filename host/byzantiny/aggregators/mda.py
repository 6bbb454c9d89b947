"""Minimum diameter averaging: the mean of the n - f rows that lie closest together.

Rousseeuw. Multivariate estimation with high breakdown point. 1985; El Mhamdi, Guerraoui, Guirguis, Hoang, Rouault.
Genuinely distributed Byzantine machine learning. PODC 2020, arXiv 1905.03853.
Differs from the paper: subsets are not enumerated. A subset of diameter D leaves out one row of every pair further
apart than D, so the least D with such a leaving-out of f rows is found by bisection and a bounded search for vertex
covers: the same subset, of 10^10 at n = 50, f = 10, in milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.aggregators import kappas
from byzantiny.aggregators.selection import mean_of_rows
from byzantiny.updates import AnyAggregate, PipelineError, UpdateBatch, squared_distances
from byzantiny.updates.rules import Kappa, RuleInfo, require_clients, require_count
from byzantiny_models.networks import Layout

MOST_F = 20
"""The combinatorial cap: a search for covers of f rows branches about 1.47^f times, 2,100 for f = 20, at each of
n + 2 log2 n questions."""


@dataclass(frozen=True, slots=True)
class MDA:
    """Return the mean of the `n - f` rows with the least diameter, `max ||x_i - x_j||`; exact for int8 rows.

    Of several subsets of the least diameter (any that hold the pair which sets it) it takes the first in lexicographic
    order of the indices, so that the order of the ids can matter.

    Raises: PipelineError, for f above 20: the search is exponential in f.

    >>> batch = UpdateBatch.from_rows(np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [100, 100]], dtype=np.int8))
    >>> aggregate, _ = MDA(f=1).apply(batch, None, rng=np.random.default_rng(0))
    >>> aggregate.numerator.tolist(), int(aggregate.denominator), aggregate.diagnostics.details["squared_diameter"]
    ([0, 1], 4, 4.0)
    """

    f: int

    name: ClassVar[str] = "mda"
    info: ClassVar[RuleInfo] = RuleInfo(
        name="mda",
        formula="mean of the n - f rows with the least max ||x_i - x_j||",
        limit=f"n >= 2f + 1; f <= {MOST_F}",
        breakdown="f / n as declared, below 1/2",
        cost="O(n^2 d + 1.47^f n^2)",
        paper="El Mhamdi et al., PODC 2020, arXiv 1905.03853",
        keeps=frozenset({"exact", "identity", "translation", "negation", "scale", "mean", "convex"}),
        kappa=Kappa("8 f^2 / (n - f)", kappas.OURS, kappas.mda),
    )

    def __post_init__(self) -> None:
        require_count(self.name, "f", self.f)
        if self.f > MOST_F:
            raise PipelineError(
                f"mda: f is {self.f}; the search for the subset is exponential in f, its cap is {MOST_F}; "
                "use multi-krum or nnm for more"
            )

    @property
    def min_clients(self) -> int:
        """`2f + 1`."""
        return 2 * self.f + 1

    def init(self, layout: Layout) -> None:
        """No state is kept between rounds."""

    def apply(self, batch: UpdateBatch, state: None, rng: np.random.Generator) -> tuple[AnyAggregate, None]:  # noqa: ARG002
        """Return the mean of the subset; a row's score is its largest squared distance to a row of the subset."""
        require_clients(self.name, batch.n, self.min_clients, f"f = {self.f} needs n >= 2f + 1")
        distances = squared_distances(batch)
        kept = smallest_diameter(distances, batch.n - self.f)
        diameter = float(distances[np.ix_(kept, kept)].max())
        scores = distances[:, kept].max(axis=1)
        return mean_of_rows(self.name, batch, kept, scores, squared_diameter=diameter), state


def smallest_diameter(distances: NDArray[Any], count: int) -> NDArray[np.bool_]:
    """Return the mask of the first subset, lexicographically, of `count` rows with the least largest distance.

    >>> smallest_diameter(np.array([[0, 9, 1], [9, 0, 1], [1, 1, 0]]), 2).tolist()
    [True, False, True]
    """
    n = len(distances)
    values = np.unique(distances)
    low, high = 0, len(values) - 1
    while low < high:
        middle = (low + high) // 2
        if _covered(_conflicts(distances > values[middle]), n - count):
            high = middle
        else:
            low = middle + 1
    conflicts = _conflicts(distances > values[low])
    kept = np.zeros(n, dtype=np.bool_)
    budget = n - count
    for i in range(n):
        if kept.sum() == count:
            break
        if i not in conflicts:
            continue
        # Keeping i means leaving out all it conflicts with; if that cannot be afforded, i is left out.
        rest = _without(conflicts, {i} | conflicts[i])
        if len(conflicts[i]) <= budget and _covered(rest, budget - len(conflicts[i])):
            kept[i] = True
            budget -= len(conflicts[i])
            conflicts = rest
        else:
            budget -= 1
            conflicts = _without(conflicts, {i})
    return kept


def _conflicts(apart: NDArray[np.bool_]) -> dict[int, set[int]]:
    return {i: set(np.flatnonzero(row).tolist()) for i, row in enumerate(apart)}


def _without(graph: dict[int, set[int]], gone: set[int]) -> dict[int, set[int]]:
    return {i: edges - gone for i, edges in graph.items() if i not in gone}


def _covered(graph: dict[int, set[int]], budget: int) -> bool:
    """Whether taking out `budget` rows can leave no conflict: the most conflicting row goes, or all its opponents."""
    edges = {i: opponents for i, opponents in graph.items() if opponents}
    if not edges:
        return True
    for i, opponents in edges.items():
        if len(opponents) == 1:  # taking out the opponent of such a row is never worse
            return budget > 0 and _covered(_without(edges, {i} | opponents), budget - 1)
    most = max(edges, key=lambda i: len(edges[i]))
    if sum(map(len, edges.values())) > 2 * budget * len(edges[most]):
        return False
    if _covered(_without(edges, {most}), budget - 1):
        return True
    return len(edges[most]) <= budget and _covered(_without(edges, {most} | edges[most]), budget - len(edges[most]))
