"""Partitions: which client holds which samples. Every sample is held exactly once.

`shards`: B. McMahan et al., AISTATS 2017 (arXiv 1602.05629), the pathological split. `quantity`: Q. Li et al. (below), quantity
skew. `gamma_similarity`: S. P. Karimireddy et al., SCAFFOLD, ICML 2020 (arXiv 1910.06378), as ByzFL names it. `natural`: by who
recorded what. `dirichlet` is the label skew of M. Yurochkin et al., ICML 2019 (arXiv 1905.12022), as Q. Li et al., ICDE 2022 (arXiv
2102.02079) use it: per class, the clients' shares are drawn from Dir(alpha). What differs: a partition that leaves a
client below the minimum is drawn again as a whole, a bounded number of times, and then refused instead of repaired.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    _check_alpha(alpha)
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


def shards(rng: np.random.Generator, labels: ArrayLike, n: int, shards_per_client: int = 2) -> Parts:
    """Return n parts of `shards_per_client` runs of the samples sorted by label: a client sees few classes.

    The n s shards have equal sizes up to one, so a shard may hold the end of one class and the beginning of the next.

    Raises:
        PartitionError: more shards than samples, or none.

    >>> parts = shards(np.random.default_rng(0), np.repeat(np.arange(10), 20), 10)
    >>> [len(part) for part in parts] == [20] * 10, max(len(set(part // 20)) for part in parts)
    (True, 2)
    """
    if shards_per_client < 1:
        raise PartitionError(f"shards_per_client {shards_per_client}: a client holds at least 1; 2 is the paper's")
    y = _checked(labels, n, shards_per_client)
    runs = np.array_split(np.argsort(y, kind="stable"), n * shards_per_client)
    dealt = rng.permutation(len(runs)).reshape(n, shards_per_client)
    return [np.sort(np.concatenate([runs[run] for run in hand])) for hand in dealt]


def quantity(rng: np.random.Generator, labels: ArrayLike, n: int, alpha: float, min_samples: int = 1) -> Parts:
    """Return n parts of a random permutation whose sizes are drawn from Dir(alpha): all alike, some small.

    Every client first gets min_samples; the rest is shared out by the drawn proportions.

    Raises:
        PartitionError: n, alpha or min_samples impossible for these labels.

    >>> parts = quantity(np.random.default_rng(0), np.zeros(100), 4, alpha=0.5, min_samples=5)
    >>> sum(len(part) for part in parts), min(len(part) for part in parts) >= 5
    (100, True)
    """
    samples = len(_checked(labels, n, min_samples))
    _check_alpha(alpha)
    shares = np.cumsum(rng.dirichlet(np.full(n, alpha)))[:-1]
    cuts = np.floor(shares * (samples - n * min_samples)).astype(np.int64) + min_samples * np.arange(1, n)
    return [np.sort(part) for part in np.split(rng.permutation(samples), cuts)]


def gamma_similarity(rng: np.random.Generator, labels: ArrayLike, n: int, gamma: float) -> Parts:
    """Return n parts: a share gamma of the samples dealt at random, the rest sorted by label and cut; 1 is iid.

    Raises:
        PartitionError: gamma outside 0 .. 1, n outside 1 .. number of samples.

    >>> labels = np.repeat(np.arange(4), 10)
    >>> [np.unique(labels[part]).tolist() for part in gamma_similarity(np.random.default_rng(0), labels, 4, 0.0)]
    [[0], [1], [2], [3]]
    """
    y = _checked(labels, n, 1)
    if not 0 <= gamma <= 1:
        raise PartitionError(f"gamma {gamma} is outside 0 .. 1; 0 is sorted by label, 1 is iid")
    order = rng.permutation(len(y))
    shared, rest = np.split(order, [round(gamma * len(y))])
    ranked = rest[np.argsort(y[rest], kind="stable")]
    # The two remainders go to different clients, so that sizes stay equal up to two.
    hands = zip(np.array_split(shared, n), reversed(np.array_split(ranked[::-1], n)), strict=True)
    return [np.sort(np.concatenate(hand)) for hand in hands]


def natural(rng: np.random.Generator, keys: Sequence[str], n: int, min_samples: int = 1) -> Parts:
    """Return n parts by who recorded what: no key is cut; with fewer clients than keys, a client holds several.

    The keys, in random order, are dealt to the clients like cards.

    Raises:
        PartitionError: more clients than keys, a client with fewer than min_samples.

    >>> [part.tolist() for part in natural(np.random.default_rng(1), ["b", "a", "b", "c"], 3)]
    [[1], [0, 2], [3]]
    """
    owners = np.asarray(keys)
    _checked(owners, n, min_samples)
    names = np.unique(owners)
    if n > len(names):
        raise PartitionError(f"{n} clients for {len(names)} natural keys ({names[0]} .. {names[-1]}); lower n")
    hand = np.empty(len(names), dtype=np.int64)
    hand[rng.permutation(len(names))] = np.arange(len(names)) % n
    client = hand[np.searchsorted(names, owners)]
    parts = [np.flatnonzero(client == i) for i in range(n)]
    smallest = min(range(n), key=lambda i: len(parts[i]))
    if len(parts[smallest]) < min_samples:
        raise PartitionError(
            f"client {smallest} would hold {len(parts[smallest])} samples, the minimum is {min_samples}; lower n or "
            "min_samples"
        )
    return parts


def label_counts(parts: Sequence[NDArray[np.int64]], labels: ArrayLike, classes: int) -> NDArray[np.int64]:
    """Return how many samples of each class every client holds, int64 (clients, classes): what a picture shows.

    >>> label_counts([np.array([0, 1]), np.array([2])], [0, 1, 1], 2).tolist()
    [[1, 1], [0, 1]]
    """
    y = np.asarray(labels)
    return np.stack([np.bincount(y[part], minlength=classes) for part in parts]).astype(np.int64)


def _check_alpha(alpha: float) -> None:
    if not ALPHAS[0] <= alpha <= ALPHAS[1]:
        raise PartitionError(
            f"alpha {alpha} is outside {ALPHAS[0]} .. {ALPHAS[1]}; 0.1 is a strong skew, 100 almost none"
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
