"""CAF, the covariance-bound-agnostic filter: rows lose weight along the direction in which the rows spread most.

Allouah, Guerraoui, Stephan. Towards trustworthy federated learning with untrusted participants. ICML 2025,
arXiv 2505.01874.
Differs from the paper: the mean of all is evaluated even with f = 0, where the paper's loop never starts, and rows
without any spread end it (ByzFL then returns None, and an IndexError). The largest tau is taken among the rows that
still have weight, so that each step ends at least one of them; rows already out would otherwise slow the filter
without bound (117 steps for three rows on a line). The eigenvector is one random step of the power method in ByzFL;
here it is found to the last bits, the same ones everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny import kernels
from byzantiny.aggregators.eigen import largest_eigenpair
from byzantiny.updates import AnyAggregate, Diagnostics, FloatAggregate, UpdateBatch, squared_distances
from byzantiny.updates.rules import RuleInfo, require_clients, require_count
from byzantiny_models.networks import Layout


@dataclass(frozen=True, slots=True)
class CAF:
    """Return the weighted mean with the least spread among those of a filter that runs until 2f of weight are gone.

    From `c_i = 1`, while `sum c > n - 2f`: `mu = sum c_i x_i / sum c`, v the unit eigenvector of the largest eigenvalue
    of the weighted covariance, `tau_i = ((x_i - mu) . v)^2`, `c_i <- c_i (1 - tau_i / max tau)`. The mu of the least
    eigenvalue is the aggregate. All of it follows from the distances; d enters twice. The sums are floats in a fixed
    order. Where two directions spread alike, v is one of them, chosen by the order of the rows.

    >>> batch = UpdateBatch.from_rows(np.array([[1, 0], [-1, 0], [0, 2], [0, -2]], dtype=np.int8))
    >>> aggregate, _ = CAF(f=1).apply(batch, None, rng=np.random.default_rng(0))
    >>> (aggregate.values + 0.0).tolist()
    [0.0, 0.0]
    """

    f: int

    name: ClassVar[str] = "caf"
    info: ClassVar[RuleInfo] = RuleInfo(
        name="caf",
        formula="weighted mean of least spread; weights fall by 1 - tau_i / max tau along the top eigenvector",
        limit="n >= 2f + 1",
        breakdown="f / n as declared, below 1/2",
        cost="O(n^2 d + f n^3)",
        paper="Allouah et al., ICML 2025, arXiv 2505.01874",
        keeps=frozenset({"permutation-up-to-ties", "identity", "translation", "negation", "scale", "mean", "convex"}),
    )

    def __post_init__(self) -> None:
        require_count(self.name, "f", self.f)

    @property
    def min_clients(self) -> int:
        """`2f + 1`."""
        return 2 * self.f + 1

    def init(self, layout: Layout) -> None:
        """No state is kept between rounds."""

    def apply(self, batch: UpdateBatch, state: None, rng: np.random.Generator) -> tuple[AnyAggregate, None]:  # noqa: ARG002
        """Return the weighted mean; a row is kept if it has weight, its score is its squared distance to the mean."""
        require_clients(self.name, batch.n, self.min_clients, f"f = {self.f} needs n >= 2f + 1")
        squared = squared_distances(batch).astype(np.float64)
        weights, value, steps = filter_weights(squared, self.f)
        share = weights / _total(weights)
        values = kernels.float_weighted_sum(batch.rows, weights) / _total(weights)
        diagnostics = Diagnostics(
            self.name,
            kept=weights > 0,
            weight=share,
            score=np.maximum(_products_about_mean(squared, share).diagonal(), 0.0),
            details={"eigenvalue": value, "steps": float(steps)},
        )
        return FloatAggregate(values, diagnostics), state


def filter_weights(distances: NDArray[Any], f: int) -> tuple[NDArray[np.float64], float, int]:
    """Return the weights c of the best mean, the eigenvalue there, and the steps the filter made.

    >>> weights, value, steps = filter_weights(np.array([[0, 1, 81], [1, 0, 64], [81, 64, 0]]), 1)
    >>> weights.round(3).tolist(), steps
    ([0.654, 0.83, 0.0], 2)
    """
    n = len(distances)
    squared = distances.astype(np.float64)
    weights = np.ones(n)
    best, least, steps = weights, np.inf, 0
    while True:
        share = weights / _total(weights)
        root = np.sqrt(share)
        about_mean = _products_about_mean(squared, share)
        value, vector = largest_eigenpair(about_mean * root[:, None] * root[None, :])
        if value < least:
            best, least = weights, value
        # The eigenvector of the covariance is sum_j root_j u_j (x_j - mu), up to its length.
        along = kernels.float_row_sum(about_mean * (root * vector))
        tau = np.where(weights > 0, along * along, 0.0)
        steps += 1
        if value <= 0 or tau.max() <= 0:
            return best, max(float(least), 0.0), steps
        weights = weights * (1 - tau / tau.max())
        if _total(weights) <= n - 2 * f:
            return best, float(least), steps


def _products_about_mean(squared: NDArray[np.float64], share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `(x_i - mu) . (x_j - mu)` from squared distances: nothing of the rows' common offset has to cancel."""
    to_all = kernels.float_row_sum(squared * share)
    return -0.5 * (squared - to_all[:, None] - to_all[None, :] + _total(share * to_all))


def _total(values: NDArray[np.float64]) -> float:
    return float(kernels.float_row_sum(values[None, :])[0])
