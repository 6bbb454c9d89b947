"""What every contestant has to give: computed here in plain NumPy, on a sample of the coordinates.

Not by our kernels, so ours are checked as well. A benchmark of a wrong result is worth nothing; a known difference of
definition has a name, and its own right answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from byzantiny.kernels.reference import geometry
from harness.inputs import CLIPS, NU, STEPS, Inputs

SAMPLE = 4096
FLOAT32, RELATIVE = 0.002, 1e-4
"""What float32 arithmetic may be off: grid steps, for sums of 1000 values, plus a share of the value, for norms (torch's of
300,000 coordinates are off by up to 8e-5, measured)."""


@dataclass(frozen=True, slots=True)
class Range:
    """Where each number must lie; a range is what a rule leaves open about ties."""

    low: NDArray[Any]
    high: NDArray[Any]
    tolerance: Any

    def excess(self, numbers: NDArray[Any]) -> float:
        """How far beyond its range the worst number is, in tolerances: up to 1 is agreement."""
        if numbers.shape != self.low.shape:
            return float("inf")
        beyond = np.maximum(self.low - numbers, numbers - self.high)
        if not np.isfinite(beyond).all():
            return float("inf")
        return float(np.max(np.maximum(beyond, 0) / self.tolerance))


class Expected:
    """The right answers for one size, by rule and convention."""

    def __init__(self, inputs: Inputs) -> None:
        self.inputs = inputs
        self.columns = np.unique(np.linspace(0, inputs.d - 1, min(SAMPLE, inputs.d)).astype(np.int64))
        self.codes = inputs.codes[:, self.columns].astype(np.float64)
        self.sorted = np.sort(self.codes, axis=0)

    @cached_property
    def gram(self) -> NDArray[np.int64]:
        """All inner products, exact."""
        return geometry.gram(self.inputs.codes, [slice(0, self.inputs.d)], np.ones(1, dtype=np.int64))

    @cached_property
    def distances(self) -> NDArray[np.int64]:
        squares = self.gram.diagonal()
        return np.asarray(squares[:, None] + squares[None, :] - 2 * self.gram)

    def excess(self, rule: str, convention: str, values: NDArray[Any]) -> float:
        """How far a contestant's numbers are from the right ones, in tolerances."""
        return self.range(rule, convention).excess(np.asarray(values)[..., self.columns].astype(np.float64))

    def range(self, rule: str, convention: str) -> Range:
        """The right answer of a rule under a convention, at the sampled coordinates."""
        rules: dict[str, Callable[[str], Range]] = {
            "mean": lambda _: exactly(self.codes.mean(axis=0)),
            "median": lambda c: exactly(self._median(lower=c == "lower")),
            "trimmed-mean": lambda _: exactly(self.sorted[self.inputs.f : self.inputs.n - self.inputs.f].mean(axis=0)),
            "meamed": self._meamed,
            "krum": lambda c: exactly(self._krum(c, 1)),
            "multi-krum": lambda c: exactly(self._krum(c, self.inputs.n - self.inputs.f)),
            "bulyan": self._bulyan,
            "nnm": lambda _: self._nnm(),
            "geometric-median": self._geometric_median,
            "centered-clipping": self._centered_clipping,
            "norm-clip": self._norm_clip,
        }
        return rules[rule](convention)

    def _median(self, lower: bool) -> NDArray[np.float64]:
        lo, hi = self.sorted[(self.inputs.n - 1) // 2], self.sorted[self.inputs.n // 2]
        return lo if lower else (lo + hi) / 2

    def _meamed(self, convention: str) -> Range:
        return around(self.sorted, self._median("lower" in convention), self.inputs.n - self.inputs.f, convention)

    def _krum(self, convention: str, keep: int) -> NDArray[np.float64]:
        neighbours = self.inputs.n - self.inputs.f - (1 if convention else 2)
        scores = krum_scores(self.distances, neighbours)
        return np.asarray(self.codes[np.argsort(scores, kind="stable")[:keep]].mean(axis=0))

    def _bulyan(self, convention: str) -> Range:
        n, f = self.inputs.n, self.inputs.f_bulyan
        theta = n - 2 * f
        if "at once" in convention:
            chosen = np.argsort(krum_scores(self.distances, n - f - 2), kind="stable")[:theta]
        else:
            left = list(range(n))
            for _ in range(theta):
                scores = krum_scores(self.distances[np.ix_(left, left)], max(1, len(left) - f - 2))
                left.pop(int(np.argmin(scores)))
            chosen = np.setdiff1d(np.arange(n), left)
        ranked = np.sort(self.codes[chosen], axis=0)
        centre = (ranked[(theta - 1) // 2] + ranked[theta // 2]) / 2
        return around(ranked, centre, theta - 2 * f, convention)

    def _nnm(self) -> Range:
        """A loud row's nearest rows are a near-tie, so one may be another: off by two codes' difference over n - f."""
        count = self.inputs.n - self.inputs.f
        distances = self.distances.copy()
        np.fill_diagonal(distances, -1)
        nearest = np.argsort(distances, axis=1, kind="stable")[:, :count]
        members = np.zeros(distances.shape)
        np.put_along_axis(members, nearest, 1.0, axis=1)
        mixed = members @ self.codes / count
        return Range(mixed, mixed, np.where(self.inputs.loud, 254 / count, FLOAT32)[:, None])

    def _geometric_median(self, convention: str) -> Range:
        """Every point of the iteration is a sum of rows, so the Gram matrix has all its distances."""
        gram = self.gram.astype(np.float64)
        weights = np.full(self.inputs.n, 1 / self.inputs.n if convention else 0.0)
        for _ in range(STEPS):
            squared = gram.diagonal() - 2 * (gram @ weights) + weights @ gram @ weights
            pulls = 1 / np.maximum(NU, np.sqrt(np.maximum(squared, 0)))
            weights = pulls / pulls.sum()
        return exactly(weights @ self.codes)

    def _centered_clipping(self, convention: str) -> Range:
        if CLIPS != 1:
            raise NotImplementedError(f"{CLIPS} steps: the answer is worked out for one; extend it here")
        v = np.zeros(self.inputs.d) if convention else self.inputs.momentum
        products = np.zeros(self.inputs.n)
        for start in range(0, self.inputs.d, 1 << 14):
            part = slice(start, start + (1 << 14))
            products += self.inputs.codes[:, part].astype(np.float64) @ v[part]
        lengths = np.sqrt(self.gram.diagonal() - 2 * products + v @ v)
        factors = self.inputs.tau / np.maximum(self.inputs.tau, lengths)
        at = v[self.columns]
        return exactly(at + (factors @ self.codes - factors.sum() * at) / self.inputs.n)

    def _norm_clip(self, convention: str) -> Range:
        """Ours rounds to codes, so it may be half a step off, and its factor is a fraction of 4096."""
        factors = np.minimum(1.0, self.inputs.bound / np.sqrt(self.gram.diagonal()))
        clipped = self.codes * factors[:, None]
        return exactly(clipped) if convention else Range(clipped, clipped, 0.5 + 127 / 2048)


def exactly(values: NDArray[Any], high: NDArray[Any] | None = None) -> Range:
    """One right answer, or a range of them, as far as float32 can give it."""
    return Range(values, values if high is None else high, FLOAT32 + RELATIVE * np.abs(values))


def krum_scores(distances: NDArray[np.int64], neighbours: int) -> NDArray[np.int64]:
    """The sum of each row's `neighbours + 1` least distances: one of them is the 0 to itself."""
    if neighbours + 1 < len(distances):
        distances = np.partition(distances, neighbours, axis=1)
    return np.asarray(distances[:, : neighbours + 1].sum(axis=1))


def around(ranked: NDArray[np.float64], centre: NDArray[np.float64], keep: int, convention: str) -> Range:
    """The mean of the `keep` values nearest to a centre; "any tie" may take the lower or the higher of two as near."""
    low = nearest_mean(ranked, centre, keep)
    return exactly(low, -nearest_mean(-ranked, -centre, keep) if "any tie" in convention else low)


def nearest_mean(codes: NDArray[np.float64], centre: NDArray[np.float64], keep: int) -> NDArray[np.float64]:
    """Sorted by distance, then by value: of two as near the lower is kept."""
    keys = np.abs(2 * codes - 2 * centre).astype(np.int64) * 256 + (codes.astype(np.int64) + 128)
    kept = np.sort(keys, axis=0)[:keep] % 256 - 128
    return np.asarray(kept.mean(axis=0))
