"""Partitions: every sample exactly once, the skew that was asked for, and refusals that say why."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from byzantiny_models.errors import PartitionError
from byzantiny_models.partitions import (
    dirichlet,
    gamma_similarity,
    iid,
    label_counts,
    natural,
    quantity,
    shards,
)
from byzantiny_models.rng import Stream, rng_for

LABELS = np.arange(1437) % 10


@given(seed=st.integers(0, 2**32 - 1), samples=st.integers(1, 300), data=st.data())
def test_iid_uses_every_sample_once_in_equal_parts(seed, samples, data):
    n = data.draw(st.integers(1, samples))
    parts = iid(np.random.default_rng(seed), np.zeros(samples), n)
    assert len(parts) == n
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(samples))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 20), alpha=st.sampled_from([0.05, 0.5, 5.0, 1000.0]))
def test_dirichlet_uses_every_sample_once(seed, n, alpha):
    parts = dirichlet(np.random.default_rng(seed), LABELS, n, alpha, min_samples=0)
    assert len(parts) == n
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(len(LABELS)))


def test_dirichlet_keeps_the_minimum():
    for seed in range(20):
        parts = dirichlet(np.random.default_rng(seed), LABELS, 10, 0.3, min_samples=20)
        assert min(map(len, parts)) >= 20


def test_a_smaller_alpha_skews_more():
    def largest_share(alpha):
        parts = dirichlet(np.random.default_rng(3), LABELS, 10, alpha)
        return np.mean([np.bincount(LABELS[part]).max() / len(part) for part in parts])

    shares = [largest_share(alpha) for alpha in (0.1, 1.0, 100.0)]
    assert shares[0] > 0.5 > shares[1] > shares[2]
    assert shares[2] < 0.17


def test_partitions_are_pinned():
    # Cut points come from float64 sums: this hash is how a platform that sums differently would show.
    digest = hashlib.sha256()
    for part in dirichlet(rng_for(1, Stream.PARTITION), LABELS, 10, 0.5, min_samples=10):
        digest.update(part.astype("<i8").tobytes())
    for part in iid(rng_for(1, Stream.PARTITION), LABELS, 10):
        digest.update(part.astype("<i8").tobytes())
    assert digest.hexdigest()[:16] == "bd5aca3641c46f1b"


def test_a_minimum_that_no_draw_meets_is_refused_after_a_bounded_search():
    with pytest.raises(PartitionError, match=r"1000 draws.*100 samples.*best: .*raise alpha"):
        dirichlet(np.random.default_rng(0), np.arange(1000) % 2, 10, 0.01, min_samples=100)


@pytest.mark.parametrize(
    ("n", "alpha", "min_samples"),
    [(0, 1.0, 1), (11, 1.0, 1), (2, 1.0, 6), (2, 0.0, 1), (2, -1.0, 1), (2, float("nan"), 1), (2, float("inf"), 1)],
)
def test_the_impossible_is_refused_at_once(n, alpha, min_samples):
    with pytest.raises(PartitionError):
        dirichlet(np.random.default_rng(0), np.zeros(10), n, alpha, min_samples)


def test_labels_that_are_no_list_are_refused():
    with pytest.raises(PartitionError, match="shape"):
        iid(np.random.default_rng(0), np.zeros((2, 2)), 2)


SKEWED = {
    "shards": lambda rng, n: shards(rng, LABELS, n, 2),
    "quantity": lambda rng, n: quantity(rng, LABELS, n, 0.5, 3),
    "gamma": lambda rng, n: gamma_similarity(rng, LABELS, n, 0.3),
    "natural": lambda rng, n: natural(rng, [f"w{i % 40}" for i in range(len(LABELS))], n, 3),
}


@pytest.mark.parametrize("name", SKEWED)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 40))
def test_every_partition_uses_every_sample_once_and_is_repeated_by_its_generator(name, seed, n):
    parts = SKEWED[name](np.random.default_rng(seed), n)
    assert len(parts) == n
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(len(LABELS)))
    again = SKEWED[name](np.random.default_rng(seed), n)
    assert all(np.array_equal(a, b) for a, b in zip(parts, again, strict=True))
    assert all(np.array_equal(part, np.sort(part)) for part in parts)


def test_a_client_of_two_shards_sees_at_most_four_classes_and_most_see_two():
    seen = (label_counts(shards(np.random.default_rng(0), LABELS, 50, 2), LABELS, 10) > 0).sum(axis=1)
    assert seen.max() <= 4
    assert np.median(seen) == 2


@pytest.mark.parametrize("gamma", [0.0, 0.25, 0.5, 1.0])
def test_gamma_is_the_share_that_is_alike_everywhere(gamma):
    """With 10 clients and 10 equal classes, 1 - gamma of a client's samples are of its own class, the rest spread."""
    labels = np.repeat(np.arange(10), 2000)
    counts = label_counts(gamma_similarity(np.random.default_rng(0), labels, 10, gamma), labels, 10)
    own = counts.max(axis=1) / counts.sum(axis=1)
    assert abs(own.mean() - (1 - gamma + gamma / 10)) < 0.05
    assert (counts.sum(axis=1) == 2000).all()


@pytest.mark.parametrize(("gamma", "n"), [(0.33, 7), (0.5, 9), (0.1, 11)])
def test_gamma_parts_are_equal_up_to_two(gamma, n):
    sizes = [len(part) for part in gamma_similarity(np.random.default_rng(1), LABELS, n, gamma)]
    assert max(sizes) - min(sizes) <= 2


def test_quantity_skews_sizes_and_not_classes():
    parts = quantity(np.random.default_rng(2), LABELS, 10, 0.3, 20)
    sizes = np.array([len(part) for part in parts])
    assert sizes.min() >= 20
    assert sizes.max() > 3 * np.median(sizes)
    largest = label_counts(parts, LABELS, 10)[np.argmax(sizes)]
    assert largest.min() > 0.6 * largest.mean()


def test_nobody_s_recordings_are_on_two_clients():
    keys = np.array([f"w{i % 23}" for i in range(500)])
    parts = natural(np.random.default_rng(3), keys.tolist(), 5)
    owners = [set(keys[part]) for part in parts]
    assert sum(map(len, owners)) == 23
    assert max(map(len, owners)) - min(map(len, owners)) == 1


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda rng: shards(rng, LABELS, 10, 0), "shards_per_client 0"),
        (lambda rng: shards(rng, LABELS, 1000, 2), "need 2000, there are 1437"),
        (lambda rng: quantity(rng, LABELS, 10, 0.0), "alpha 0.0 is outside"),
        (lambda rng: quantity(rng, LABELS, 10, 1.0, 200), "need 2000, there are 1437"),
        (lambda rng: gamma_similarity(rng, LABELS, 10, 1.5), "gamma 1.5 is outside 0 .. 1"),
        (lambda rng: natural(rng, ["a", "b", "a"], 3), "3 clients for 2 natural keys"),
        (lambda rng: natural(rng, ["a", "b", "a", "a"], 2, 2), "would hold 1 samples, the minimum is 2"),
    ],
)
def test_a_skew_that_cannot_be_is_refused(make, said):
    with pytest.raises(PartitionError, match=said):
        make(np.random.default_rng(0))
