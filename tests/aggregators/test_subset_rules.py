"""MDA, SMEA, CAF, MoNNA, CGE, the weighted mean, and the eigen-solver: others' numbers and brute force."""

from __future__ import annotations

import math
import tracemalloc
from dataclasses import replace
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from byzantiny.aggregators import AGGREGATORS, CAF, CGE, MDA, SMEA, MoNNA, WeightedMean, smea
from byzantiny.aggregators.caf import filter_weights
from byzantiny.aggregators.eigen import largest_eigenpair, largest_eigenvalues
from byzantiny.aggregators.mda import MOST_F, smallest_diameter
from byzantiny.aggregators.smea import least_spread
from byzantiny.federation import build_pipeline
from byzantiny.testing import check_aggregator
from byzantiny.updates import (
    Aggregate,
    BeyondLimitError,
    Diagnostics,
    InvalidBatchError,
    PipelineError,
    UpdateBatch,
    UpdateBuffer,
)
from byzantiny_models.networks import Layout, TensorSpec

X3 = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
X7 = [
    [10, -3, 7, 0, 25],
    [12, -5, 9, 1, 22],
    [9, -4, 6, -2, 27],
    [11, -2, 8, 3, 24],
    [13, -6, 10, -1, 21],
    [-40, 60, -80, 100, -120],
    [-38, 63, -77, 97, -118],
]
HONEST = [11, -4, 8, 0.2, 23.8]
"""The mean of the five honest rows of X7."""

# (rule, rows, expected, where the numbers come from)
VECTORS = [
    (MDA(f=1), X3, [2.5, 3.5, 4.5], "ByzFL MDA(1) docstring"),
    (SMEA(f=1), X3, [2.5, 3.5, 4.5], "ByzFL SMEA(1) docstring"),
    (MoNNA(f=1, idx=1), X3, [2.5, 3.5, 4.5], "ByzFL MoNNA(1, idx=1) docstring"),
    (CAF(f=1), X3, [4, 5, 6], "ByzFL CAF(1) docstring"),
    *[(rule, X7, HONEST, "all libraries, run") for rule in (MDA(f=2), SMEA(f=2), MoNNA(f=2), CGE(f=2))],
    (MDA(f=1), [[0, 0], [0.1, 0], [-0.1, 0], [0, 0.1], [100, 100]], [0, 0.025], "ByzPy test of MDA"),
    (MoNNA(f=1), [[0, 0], [10, 0], [0, 10]], [5, 0], "ByzPy test of MoNNA, reference 0"),
    (MoNNA(f=1, idx=1), [[0, 0], [10, 0], [0, 10]], [5, 0], "ByzPy test of MoNNA, reference 1"),
    (SMEA(f=1), [[0, 0], [1, 0], [0, 1], [6, 6]], [1 / 3, 1 / 3], "ByzPy test of SMEA"),
    (CAF(f=1), [[1, 0], [-1, 0], [0, 1], [0, -1]], [0, 0], "ByzPy test of CAF"),
]


def aggregate(rule, rows, dtype=np.int8, client_ids=None):
    batch = UpdateBatch.from_rows(np.array(rows, dtype=dtype), client_ids=client_ids)
    return rule.apply(batch, rule.init(batch.layout), rng=np.random.default_rng(0))[0]


def distances_of(rows):
    wide = np.asarray(rows).astype(np.int64)
    return ((wide[:, None] - wide[None, :]) ** 2).sum(axis=-1)


@pytest.mark.parametrize(("rule", "rows", "expected", "source"), VECTORS)
def test_published_vectors(rule, rows, expected, source):
    dtypes = [np.float64] if any(isinstance(x, float) for row in rows for x in row) else [np.int8, np.float64]
    for dtype in dtypes:
        np.testing.assert_allclose(
            aggregate(rule, rows, dtype).values, expected, rtol=1e-12, atol=1e-12, err_msg=source
        )


@pytest.mark.parametrize("rule", [MDA(f=2), SMEA(f=2), MoNNA(f=2), CGE(f=2)])
def test_the_mean_of_a_subset_is_an_exact_fraction(rule):
    result = aggregate(rule, X7)
    assert isinstance(result, Aggregate)
    assert (result.numerator.tolist(), int(result.denominator)) == ([55, -20, 40, 1, 119], 5)
    assert result.diagnostics.kept.tolist() == [True] * 5 + [False] * 2


@pytest.mark.parametrize("name", ["mda", "smea", "caf", "monna", "cge"])
@pytest.mark.parametrize("f", [0, 1, 2])
def test_identical_rows_give_that_row(name, f):
    """ByzFL's CAF returns None with f = 0 and an IndexError on identical rows, as does its SMEA (3.3)."""
    row = [3, -127, 127, 0, 55]
    for dtype in (np.int8, np.float64):
        assert aggregate(AGGREGATORS[name](f=f), [row] * (2 * f + 3), dtype).values.tolist() == row


@pytest.mark.parametrize("name", ["mda", "smea", "caf", "monna", "cge"])
@pytest.mark.parametrize("f", [1, 3])
def test_half_liars_are_refused(name, f):
    """ByzPy raises a ValueError for CAF with 2f >= n; here all of these do, with the value, the limit, the remedy."""
    with pytest.raises(BeyondLimitError, match=rf"{name} of {2 * f} rows: f = {f} needs n >= 2f \+ 1"):
        aggregate(AGGREGATORS[name](f=f), np.zeros((2 * f, 3)))


@pytest.mark.parametrize("name", ["mda", "smea", "caf", "monna", "cge"])
@pytest.mark.parametrize("f", [-1, 0.5, True])
def test_an_f_that_is_no_count_is_refused(name, f):
    with pytest.raises(PipelineError, match="is an integer from 0"):
        AGGREGATORS[name](f=f)


@given(st.integers(1, 7), st.data())
def test_mda_is_the_definition_by_brute_force(n, data):
    """Every subset, in lexicographic order; small codes make many ties."""
    f = data.draw(st.integers(0, (n - 1) // 2))
    rows = data.draw(hnp.arrays(np.int8, (n, 2), elements=st.integers(-3, 3)))
    distances = distances_of(rows)
    best = min(combinations(range(n), n - f), key=lambda s: max(distances[i, j] for i in s for j in s))
    assert np.flatnonzero(smallest_diameter(distances, n - f)).tolist() == list(best)
    result = aggregate(MDA(f=f), rows)
    assert np.flatnonzero(result.diagnostics.kept).tolist() == list(best)
    assert result.diagnostics.details["squared_diameter"] == max(distances[i, j] for i in best for j in best)


@settings(max_examples=25)
@given(st.integers(8, 11), st.integers(0, 2**32 - 1))
def test_mda_searches_rather_than_enumerates_and_finds_the_same(n, seed):
    distances = distances_of(np.random.default_rng(seed).integers(-20, 21, (n, 6)))
    for f in range(1, (n - 1) // 2 + 1):
        best = min(combinations(range(n), n - f), key=lambda s: distances[np.ix_(s, s)].max())
        assert np.flatnonzero(smallest_diameter(distances, n - f)).tolist() == list(best)


def test_mda_at_fifty_clients():
    """10^10 subsets; the ten liars sit together, each nearer to some honest row than the honest are spread."""
    generator = np.random.default_rng(4)
    rows = generator.integers(-5, 6, (50, 100))
    liars = generator.choice(50, 10, replace=False)
    rows[liars] += 20
    assert set(np.flatnonzero(~aggregate(MDA(f=10), rows).diagnostics.kept)) == set(liars)


def test_the_caps_are_enforced_and_say_what_to_do():
    with pytest.raises(PipelineError, match=rf"mda: f is {MOST_F + 1}; .* its cap is {MOST_F}; use multi-krum or nnm"):
        MDA(f=MOST_F + 1)
    assert math.comb(30, 5) > smea.MOST_SUBSETS
    with pytest.raises(BeyondLimitError, match="142506 subsets, the cap is 50000; lower the cohort, or use mda or caf"):
        aggregate(SMEA(f=5), np.zeros((30, 2)))


def covariance(rows, weights=None):
    rows = np.asarray(rows, dtype=float)
    weights = np.ones(len(rows)) if weights is None else weights
    centred = rows - (weights[:, None] * rows).sum(axis=0) / weights.sum()
    return (centred.T * weights) @ centred / weights.sum()


@settings(max_examples=40)
@given(st.integers(3, 7), st.integers(0, 2**32 - 1))
def test_smea_is_the_definition_by_brute_force(n, seed):
    """LAPACK on the d x d covariance of every subset; random rows, so that no two eigenvalues are within 1e-9."""
    rows = np.random.default_rng(seed).integers(-127, 128, (n, 4))
    for f in range((n - 1) // 2 + 1):
        values = {s: np.linalg.eigvalsh(covariance(rows[list(s)]))[-1] for s in combinations(range(n), n - f)}
        best = min(values, key=values.__getitem__)
        kept, value = least_spread(distances_of(rows), n - f)
        assert np.flatnonzero(kept).tolist() == list(best)
        assert value == pytest.approx(values[best], rel=1e-10, abs=1e-9)


def test_subsets_that_tie_go_to_the_first_in_order_whatever_the_chunks(monkeypatch):
    """The corners of a square: every three of them spread alike."""
    corners = [[1, 1], [1, -1], [-1, 1], [-1, -1], [60, 60]]
    expected, _ = least_spread(distances_of(corners), 3)
    assert expected.tolist() == [True, True, True, False, False]
    rows = np.random.default_rng(0).integers(-127, 128, (9, 5))
    whole = least_spread(distances_of(rows), 6)
    monkeypatch.setattr(smea, "_SCRATCH", 36 * 7)
    chunked = least_spread(distances_of(rows), 6)
    assert whole[0].tolist() == chunked[0].tolist()
    assert whole[1] == chunked[1]
    assert least_spread(distances_of(corners), 3)[0].tolist() == expected.tolist()


def test_smea_and_caf_give_the_same_bytes_every_time():
    """ByzFL starts a power method at random and takes one step of it (3.3)."""
    rows = np.random.default_rng(6).integers(-127, 128, (9, 30))
    for rule in (SMEA(f=2), CAF(f=2)):
        results = {aggregate(rule, rows).values.tobytes() for _ in range(3)}
        assert len(results) == 1


def caf_of_lapack(rows, f):
    """The filter on the d x d covariance, with LAPACK's eigenvectors."""
    rows = np.asarray(rows, dtype=float)
    n, c = len(rows), np.ones(len(rows))
    best, least = None, math.inf
    while True:
        values, vectors = np.linalg.eigh(covariance(rows, c))
        mean = (c[:, None] * rows).sum(axis=0) / c.sum()
        if values[-1] < least:
            best, least = mean, values[-1]
        tau = np.where(c > 0, ((rows - mean) @ vectors[:, -1]) ** 2, 0)
        if tau.max() < 1e-9:
            return best
        c = c * (1 - tau / tau.max())
        if c.sum() <= n - 2 * f:
            return best


@pytest.mark.parametrize("f", [0, 1, 2, 4])
@pytest.mark.parametrize("dtype", [np.int8, np.float64])
def test_caf_is_the_filter_on_the_covariance_itself(f, dtype):
    for seed in range(5):
        rows = np.random.default_rng(seed).integers(-127, 128, (11, 6))
        np.testing.assert_allclose(aggregate(CAF(f=f), rows, dtype).values, caf_of_lapack(rows, f), rtol=1e-9)
    np.testing.assert_allclose(aggregate(CAF(f=2), X7, dtype).values, caf_of_lapack(X7, 2), rtol=1e-9)


def test_caf_says_who_lost_its_weight():
    result = aggregate(CAF(f=2), X7)
    assert not result.diagnostics.kept[5:].all()
    assert result.diagnostics.weight.sum() == pytest.approx(1)
    np.testing.assert_allclose(result.diagnostics.weight @ np.array(X7), result.values, rtol=1e-12)
    apart = ((np.array(X7) - result.values) ** 2).sum(axis=1)
    np.testing.assert_allclose(result.diagnostics.score, apart, rtol=1e-9, atol=1e-9)


def test_every_step_of_caf_ends_a_row():
    """Without that, three rows on a line take 117 steps: a row already out keeps the largest tau."""
    _, _, steps = filter_weights(distances_of([[0], [1], [9]]), 1)
    assert steps == 2
    for seed in range(5):
        rows = np.random.default_rng(seed).integers(-127, 128, (15, 3))
        assert filter_weights(distances_of(rows), 7)[2] <= 15


def test_caf_of_rows_far_from_the_origin():
    """The filter works on differences: an offset common to all rows costs no digits."""
    rows = np.random.default_rng(8).integers(-3, 4, (9, 5)).astype(np.float64)
    near, far = aggregate(CAF(f=2), rows, np.float64), aggregate(CAF(f=2), rows + 2.0**30, np.float64)
    np.testing.assert_allclose(far.values - 2.0**30, near.values, rtol=0, atol=1e-6)


@given(st.integers(1, 12), st.integers(0, 2**32 - 1), st.sampled_from([1e-6, 1.0, 1e9]))
def test_the_eigen_solver_agrees_with_lapack(m, seed, scale):
    generator = np.random.default_rng(seed)
    factor = generator.integers(-3, 4, (m, generator.integers(1, m + 1))) * scale  # often of low rank
    matrix = factor @ factor.T
    values, vectors = np.linalg.eigh(matrix)
    value, vector = largest_eigenpair(matrix)
    size = max(abs(values[-1]), 1e-300)
    assert abs(value - values[-1]) <= 1e-12 * size
    assert np.linalg.norm(vector) == pytest.approx(1)
    assert np.abs(matrix @ vector - value * vector).max() <= 1e-10 * size
    top = vectors[:, values > values[-1] - 1e-6 * size]
    assert np.linalg.norm(top.T @ vector) == pytest.approx(1, abs=1e-5)


def test_the_eigen_solver_does_not_depend_on_the_company():
    """One matrix, alone or among others, gives the same bytes: chunks must not change a choice."""
    generator = np.random.default_rng(9)
    matrices = generator.normal(size=(17, 17, 40))
    matrices = matrices + matrices.transpose(1, 0, 2)
    together = largest_eigenvalues(matrices)
    alone = [float(largest_eigenvalues(matrices[:, :, [i]])[0]) for i in range(40)]
    assert together.tolist() == alone
    np.testing.assert_allclose(together, [np.linalg.eigvalsh(matrices[:, :, i])[-1] for i in range(40)], rtol=1e-12)


def test_smea_keeps_its_scratch_bounded():
    distances = distances_of(np.random.default_rng(1).integers(-127, 128, (22, 40)))
    tracemalloc.start()
    least_spread(distances, 18)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200e6


@given(st.integers(1, 9), st.data())
def test_monna_and_cge_are_the_definition(n, data):
    f = data.draw(st.integers(0, (n - 1) // 2))
    idx = data.draw(st.integers(0, n - 1))
    rows = data.draw(hnp.arrays(np.int8, (n, 2), elements=st.integers(-3, 3)))
    distances, norms = distances_of(rows)[idx], (rows.astype(int) ** 2).sum(axis=1)
    nearest = sorted(range(n), key=lambda i: (i != idx, distances[i], i))[: n - f]
    shortest = sorted(range(n), key=lambda i: (norms[i], i))[: n - f]
    for rule, chosen, score in ((MoNNA(f=f, idx=idx), nearest, distances), (CGE(f=f), shortest, norms)):
        result = aggregate(rule, rows)
        assert np.flatnonzero(result.diagnostics.kept).tolist() == sorted(chosen)
        assert result.diagnostics.score.tolist() == score.tolist()
        expected = [Fraction(sum(column), n - f) for column in rows[chosen].astype(int).T.tolist()]
        assert [Fraction(int(x), int(result.denominator)) for x in result.numerator] == expected


def test_monna_trusts_a_client_by_its_name():
    ids = ["dev-1", "dev-2", "dev-3"]
    rows = [[0, 0], [10, 0], [0, 30]]
    assert aggregate(MoNNA(f=1, trusted="dev-2"), rows, client_ids=ids).values.tolist() == [5, 0]
    assert aggregate(MoNNA(f=1, trusted="dev-3"), rows, client_ids=ids).diagnostics.details["trusted"] == 2
    with pytest.raises(BeyondLimitError, match=r"'dev-9' has no row among 3; .* wait for it, or trust another"):
        aggregate(MoNNA(f=1, trusted="dev-9"), rows, client_ids=ids)
    with pytest.raises(BeyondLimitError, match=r"idx = 3 needs n >= idx \+ 1"):
        aggregate(MoNNA(f=1, idx=3), rows)
    with pytest.raises(PipelineError, match="name the trusted row once"):
        MoNNA(f=1, idx=1, trusted="dev-2")


def test_cge_does_not_see_directions():
    """What breaks it: a liar that is as short as the honest stays."""
    honest = [[10, 0], [9, 1], [10, -1], [11, 0]]
    kept = aggregate(CGE(f=1), [*honest, [-9, 0]]).diagnostics.kept
    assert kept.tolist() == [True, True, True, False, True]


@given(
    st.lists(st.integers(0, 1000), min_size=3, max_size=3), hnp.arrays(np.int8, (3, 4), elements=st.integers(-127, 127))
)
def test_the_weighted_mean_is_the_exact_fraction(weights, rows):
    ids = ["a", "b", "c"]
    rule = WeightedMean(weights=dict(zip(ids, weights, strict=True)))
    if not any(weights):
        with pytest.raises(BeyondLimitError, match="weights that sum to 0"):
            aggregate(rule, rows, client_ids=ids)
        return
    result = aggregate(rule, rows, client_ids=ids)
    for j, column in enumerate(rows.T.tolist()):
        expected = Fraction(sum(w * x for w, x in zip(weights, column, strict=True)), sum(weights))
        assert Fraction(int(result.numerator[j]), int(result.denominator)) == expected
    assert result.diagnostics.kept.tolist() == [w > 0 for w in weights]
    floats = aggregate(rule, rows, np.float64, client_ids=ids)
    np.testing.assert_allclose(floats.values, result.values, rtol=1e-12, atol=1e-12)


def test_weights_follow_the_client_not_the_place():
    rule = WeightedMean(weights={"dev-1": 1, "dev-2": 3})
    rows, ids = np.array([[4], [8]]), ["dev-2", "dev-1"]
    assert aggregate(rule, rows, client_ids=ids).values.tolist() == [5.0]
    assert aggregate(rule, rows[::-1], client_ids=ids[::-1]).values.tolist() == [5.0]


def test_a_client_nobody_weighed_is_not_counted_by_accident():
    rows, ids = np.array([[4], [8]]), ["dev-1", "dev-2"]
    with pytest.raises(BeyondLimitError, match="no weight for 'dev-2', no default"):
        aggregate(WeightedMean(weights={"dev-1": 1}), rows, client_ids=ids)
    assert aggregate(WeightedMean(weights={"dev-1": 1}, default=0), rows, client_ids=ids).values.tolist() == [4]
    with pytest.raises(BeyondLimitError, match="2\\^55"):
        aggregate(WeightedMean(weights={}, default=1 << 55), rows)
    with pytest.raises(PipelineError, match="weight of 'dev-1' is -1"):
        WeightedMean(weights={"dev-1": -1})


def test_a_client_s_own_word_counts_only_where_the_experiment_says_so():
    """What breaks it: a liar that claims a thousand samples is the aggregate."""
    layout = Layout((TensorSpec("w", (2,), "int16", 14),))
    buffer = UpdateBuffer(layout, (0,), ["dev-1", "dev-2", "dev-3"])
    for client_id, codes, claim in (("dev-3", [99, 99], 998), ("dev-1", [1, 2], 1), ("dev-2", [3, 4], 1)):
        buffer.put(client_id, np.array(codes, dtype=np.int8), claim)
    batch = buffer.batch()
    assert batch.claimed == (1, 1, 998)
    generator = np.random.default_rng(0)
    word = WeightedMean(self_reported=True).apply(batch, None, generator)[0]
    assert (word.numerator.tolist(), int(word.denominator)) == ([4 + 998 * 99, 6 + 998 * 99], 1000)
    own = WeightedMean(default=1).apply(batch, None, generator)[0]
    assert own.values.tolist() == [103 / 3, 105 / 3]
    screened = batch.select(np.array([True, True, False]), Diagnostics("screen", np.array([True, True, False])))
    assert WeightedMean(self_reported=True).apply(screened, None, generator)[0].values.tolist() == [2.0, 3.0]
    with pytest.raises(BeyondLimitError, match="no claim"):
        aggregate(WeightedMean(self_reported=True), [[1, 2]])
    with pytest.raises(InvalidBatchError, match="1 claimed sample counts for 3 clients"):
        replace(batch, claimed=(1,))


@pytest.mark.parametrize(
    "parameters", [{}, {"weights": ["dev-1"]}, {"self_reported": True, "default": 1}, {"weights": {}}]
)
def test_weights_must_come_from_one_place(parameters):
    with pytest.raises(PipelineError, match="weights by client id or a default, or else self_reported"):
        WeightedMean(**parameters)


def test_weights_of_mixed_rows_are_refused():
    """After bucketing a row is nobody's, so no weight is its own."""
    pipeline = build_pipeline([{"name": "bucketing", "s": 2}, {"name": "weighted-mean", "weights": {}, "default": 1}])
    batch = UpdateBatch.from_rows(np.array(X7, dtype=np.int8))
    mixed, _ = pipeline.stages[0].apply(batch, None, np.random.default_rng(0))
    with pytest.raises(InvalidBatchError, match="mix several clients"):
        pipeline.aggregator.apply(mixed, None, np.random.default_rng(0))


def test_a_trusted_name_conforms_too():
    check_aggregator(lambda: MoNNA(f=2, trusted="c00000"), honest_first=True)


def test_a_row_that_lies_moves_no_subset_rule_out_of_reach():
    """f liars anywhere on the wire's box: the aggregate stays within the honest rows' own diameter of their mean."""
    generator = np.random.default_rng(12)
    honest = generator.integers(-5, 6, (7, 30))
    reach = np.sqrt(distances_of(honest).max())
    lies = [np.full(30, 127), np.full(30, -127), honest.max(axis=0), -3 * honest.mean(axis=0).round().astype(int)]
    for name in ("mda", "smea", "caf", "monna"):
        for lie in lies:
            values = aggregate(AGGREGATORS[name](f=2), np.concatenate([honest, [lie, lie]])).values
            assert np.linalg.norm(values - honest.mean(axis=0)) <= reach, name
