"""Partitions: every sample exactly once, the skew that was asked for, and refusals that say why."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from byzantiny_models.errors import PartitionError
from byzantiny_models.partitions import dirichlet, iid
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
