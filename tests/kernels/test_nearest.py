"""The nearest rows in C are those of NumPy's sorting and of the definition, ties and all, on every variant."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from byzantiny.kernels import native, threads
from byzantiny.kernels.bindings import nearest as bindings
from byzantiny.kernels.bindings.nearest import Nearest
from byzantiny.kernels.reference import nearest as reference

VARIANTS = [v for v in native.supported_variants() if native.library_path(v).exists()]
LIBRARIES = [Nearest(native.load(native.library_path(v))) for v in VARIANTS]


def symmetric(values):
    values = np.triu(values, 1)
    return np.ascontiguousarray(values + values.T).astype(np.int64)


def spreads(n):
    """Distances far apart, all equal, many ties, and at the ends of int64."""
    rng = np.random.default_rng(n)
    yield symmetric(rng.integers(0, 10**9, (n, n)))
    yield symmetric(np.full((n, n), 7))
    yield symmetric(rng.integers(0, 3, (n, n)))
    yield symmetric(rng.choice(np.array([0, 1, 2**62 // n, 2**63 // n - 1]), (n, n)))


@pytest.mark.parametrize("n", [*range(1, 12), 40, 100, 257])
@pytest.mark.parametrize("count", [1, 2, 0.5, 0.8, 1.0])
def test_sums_and_members_are_those_of_sorting(n, count, monkeypatch):
    count = min(n, max(1, int(count * n) if isinstance(count, float) else count))
    monkeypatch.setattr(bindings, "LEAST_NUMBERS", 1)
    for distances in spreads(n):
        sums = np.sort(distances, axis=1)[:, :count].sum(axis=1)
        own = [sorted(range(n), key=lambda k: (k != i, row[k], k))[:count] for i, row in enumerate(distances.tolist())]
        members = np.array([[k in chosen for k in range(n)] for chosen in map(set, own)])
        assert np.array_equal(reference.smallest_sums(distances, count), sums)
        assert np.array_equal(reference.nearest_members(distances, count), members)
        for library in LIBRARIES:
            for number in ("1", "3"):
                monkeypatch.setenv(threads.THREADS_ENV, number)
                assert np.array_equal(library.smallest_sums(distances, count), sums)
                assert np.array_equal(library.nearest_members(distances, count), members)
                assert np.array_equal(library.nearest_members(distances[n // 2 :], count, n // 2), members[n // 2 :])


def test_the_cut_is_found_between_the_ends_of_int64():
    ends = np.array([[2**62, -(2**62), 2**63 - 1, 0, -(2**62), 2**63 - 1]])
    for library in LIBRARIES:
        assert [library.smallest_sums(ends, count).tolist() for count in (1, 2, 3, 4)] == [
            [-(2**62)],
            [-(2**63)],
            [-(2**63)],
            [-(2**62)],
        ]


def python_choice(distances, f, theta):
    """The definition, scored anew in every step."""
    left, scores = list(range(len(distances))), [0] * len(distances)
    kept = []
    for _ in range(theta):
        for i in left:
            nearest = sorted(distances[i][k] for k in left if k != i)[: max(1, len(left) - f - 2)]
            scores[i] = sum(nearest)
        kept.append(min(left, key=lambda i: (scores[i], i)))
        left.remove(kept[-1])
    return sorted(kept), scores


@given(st.integers(1, 12), st.integers(0, 5), st.data())
def test_the_choice_is_the_definition_s(n, f, data):
    theta = data.draw(st.integers(1, n))
    distances = symmetric(
        data.draw(hnp.arrays(np.int64, (n, n), elements=st.integers(0, data.draw(st.sampled_from([1, 4, 10**12])))))
    )
    expected = python_choice(distances.tolist(), f, theta)
    for choose in (reference.choose_by_krum, *(library.choose_by_krum for library in LIBRARIES)):
        kept, scores = choose(distances, f, theta)
        assert (np.flatnonzero(kept).tolist(), scores.tolist()) == expected


@pytest.mark.parametrize("n", [40, 103])
def test_the_choice_among_many_is_numpy_s(n):
    for distances in spreads(n):
        for f, theta in ((0, n), ((n - 3) // 4, n - 2 * ((n - 3) // 4)), (n, n // 2)):
            kept, scores = reference.choose_by_krum(distances, f, theta)
            for library in LIBRARIES:
                assert [part.tolist() for part in library.choose_by_krum(distances, f, theta)] == [
                    kept.tolist(),
                    scores.tolist(),
                ]
