"""Partitions: which client holds which samples. Every sample is held exactly once.

`dirichlet` is the label skew of M. Yurochkin et al., ICML 2019 (arXiv 1905.12022), as Q. Li et al., ICDE 2022 (arXiv
2102.02079) use it: per class, the clients' shares are drawn from Dir(alpha). What differs: a partition that leaves a
client below the minimum is drawn again as a whole, a bounded number of times, and then refused instead of repaired.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from byzantiny_models.errors import PartitionError

ATTEMPTS = 1000
"""Draws before `dirichlet` gives up."""

ALPHAS = (1e-3, 1e6)
"""Concentrations outside lose their meaning in float64 before they change a partition."""

Parts = list[NDArray[np.int64]]


def iid(rng: np.random.Generator, labels: ArrayLike, n: int) -> Parts:
    """Return n parts of a random permutation, sizes equal up to one; each part is sorted, int64.

    Raises:
        PartitionError: n outside 1 .. number of samples.

    >>> parts = iid(np.random.default_rng(0), np.zeros(10), 3)
    >>> [len(part) for part in parts], sorted(np.concatenate(parts).tolist()) == list(range(10))
    ([4, 3, 3], True)
    """
    samples = len(_checked(labels, n, 1))
    return [np.sort(part) for part in np.array_split(rng.permutation(samples), n)]


def dirichlet(rng: np.random.Generator, labels: ArrayLike, n: int, alpha: float, min_samples: int = 1) -> Parts:
    """Return n parts with label skew: small alpha, few classes per client; each part is sorted, int64.

    Per class c: `p ~ Dir(alpha, ..., alpha)`; client i gets the samples from `floor(n_c * (p_0 + .. + p_{i-1}))` to
    `floor(n_c * (p_0 + .. + p_i))` of a permutation of the class.

    Raises:
        PartitionError: n, alpha or min_samples impossible for these labels, or no partition in 1,000 draws that gives
            every client min_samples.

    >>> labels = np.repeat(np.arange(10), 20)
    >>> parts = dirichlet(np.random.default_rng(0), labels, 4, alpha=0.5, min_samples=5)
    >>> sum(len(part) for part in parts), min(len(part) for part in parts) >= 5
    (200, True)
    """
    y = _checked(labels, n, min_samples)
    if not ALPHAS[0] <= alpha <= ALPHAS[1]:
        raise PartitionError(
            f"alpha {alpha} is outside {ALPHAS[0]} .. {ALPHAS[1]}; 0.1 is a strong skew, 100 almost none"
        )
    classes = [np.flatnonzero(y == label) for label in np.unique(y)]
    smallest = 0
    for _ in range(ATTEMPTS):
        owner = np.empty(len(y), dtype=np.int64)
        for members in classes:
            shares = np.cumsum(rng.dirichlet(np.full(n, alpha)))[:-1]
            cuts = np.floor(shares * len(members)).astype(np.int64)
            owner[rng.permutation(members)] = np.searchsorted(cuts, np.arange(len(members)), side="right")
        counts = np.bincount(owner, minlength=n)
        if int(counts.min()) >= min_samples:
            return [np.flatnonzero(owner == client) for client in range(n)]
        smallest = max(smallest, int(counts.min()))
    raise PartitionError(
        f"no Dirichlet partition in {ATTEMPTS} draws gives each of {n} clients {min_samples} samples (best: "
        f"{smallest}); raise alpha above {alpha}, or lower n or min_samples"
    )


def _checked(labels: ArrayLike, n: int, min_samples: int) -> NDArray[Any]:
    y = np.asarray(labels)
    if y.ndim != 1:
        raise PartitionError(f"labels of shape {y.shape}: need one label per sample; flatten them")
    if n < 1 or min_samples < 0 or n * max(min_samples, 1) > len(y):
        raise PartitionError(
            f"{n} clients with at least {min_samples} samples each need {n * max(min_samples, 1)}, there are {len(y)}; "
            "lower n or min_samples"
        )
    return y
