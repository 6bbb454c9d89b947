"""The fixed split into training and test samples."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from byzantiny_models.errors import InvalidValueError


def split_stratified(
    labels: NDArray[np.integer[Any]], test_samples: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return sorted training and test indices, the test set with every class's share of the whole.

    Class c gives `test_samples * n_c / n` of its samples, rounded by largest remainder (a tie goes to the lower class);
    which ones, `Generator(PCG64(0)).permutation(n_c)` says, class after class. The rule has no seed: it never changes.

    Raises:
        InvalidValueError: test_samples outside 1 .. n - 1.

    >>> train, test = split_stratified(np.array([0, 0, 0, 0, 1, 1]), 3)
    >>> len(train), len(test), int((test >= 4).sum())
    (3, 3, 1)
    """
    n = len(labels)
    if not 0 < test_samples < n:
        raise InvalidValueError(f"test_samples {test_samples} is outside 1 .. {n - 1}; choose one within")
    counts = np.bincount(labels)
    shares, remainders = np.divmod(counts * test_samples, n)
    shares[np.argsort(-remainders, kind="stable")[: test_samples - int(shares.sum())]] += 1
    rng = np.random.Generator(np.random.PCG64(0))
    chosen = [
        np.flatnonzero(labels == label)[rng.permutation(count)[:share]]
        for label, (count, share) in enumerate(zip(counts, shares, strict=True))
    ]
    test = np.sort(np.concatenate(chosen))
    return np.setdiff1d(np.arange(n), test), test
