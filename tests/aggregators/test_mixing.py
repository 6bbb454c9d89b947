"""ARC, NNM and bucketing: others' numbers, exact where integers allow, every client counted once, limits in a chain."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from byzantiny.aggregators import AGGREGATORS, Krum, Mean
from byzantiny.federation import Federation, build_pipeline
from byzantiny.preaggregators import ARC, NNM, Bucketing
from byzantiny.updates import BeyondLimitError, InvalidBatchError, PipelineError, UpdateBatch, all_kept
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
ARC_6 = [-6.2039413995, 9.3059120993, -12.4078827991, 15.5098534988, -18.6118241986]
ARC_7 = [-6.0052944677, 9.9561460912, -12.1686230003, 15.3293042991, -18.6480196629]

# (stage, rows, expected, where the numbers come from)
VECTORS = [
    (ARC(f=1), X3, [*X3[:2], [4.41004009, 5.04004582, 5.67005155]], "ByzFL ARC(1) docstring; ByzPy test_arc.py"),
    (ARC(f=2), X7, [*X7[:5], ARC_6, ARC_7], "ARC(2), run"),
    (NNM(f=1), X3, [[2.5, 3.5, 4.5], [2.5, 3.5, 4.5], [5.5, 6.5, 7.5]], "ByzFL NNM(1) docstring"),
    (NNM(f=2), X7, [[11, -4, 8, 0.2, 23.8]] * 5 + [[-9, 22.6, -26.6, 40.2, -33.4]] * 2, "NNM(2), run"),
    (
        Bucketing(s=2, permutation=(2, 0, 4, 1, 3)),
        [[1], [2], [3], [4], [5]],
        [[2], [3.5], [4]],
        "ByzPy test of Bucketing",
    ),
]


def rng(seed=0):
    return np.random.default_rng(seed)


def staged(stage, rows, dtype=np.int8, seed=0):
    return stage.apply(UpdateBatch.from_rows(np.array(rows, dtype=dtype)), None, rng=rng(seed))[0]


@pytest.mark.parametrize(("stage", "rows", "expected", "source"), VECTORS)
def test_published_vectors(stage, rows, expected, source):
    np.testing.assert_allclose(staged(stage, rows, np.float64).rows, expected, rtol=1e-8, atol=1e-8, err_msg=source)
    # Codes: the mixing stages give the same; ARC stays on the grid, half a step and the factor's 2^-12 away.
    slack = 0.5 + 127 / 4096 if stage.name == "arc" else 1e-12
    np.testing.assert_allclose(staged(stage, rows).rows, expected, rtol=0, atol=slack, err_msg=source)


def test_arc_of_codes_is_codes_and_its_input_stays_as_it_was():
    """ByzFL's ARC writes into the caller's array, and into an int8 one it truncates (3.3)."""
    rows = np.array(X7, dtype=np.int8)
    before = rows.copy()
    batch = UpdateBatch.from_rows(rows)
    clipped, _ = ARC(f=2).apply(batch, None, rng())
    assert clipped.exact
    assert np.array_equal(rows, before)
    assert np.array_equal(batch.rows, before)
    assert clipped.rows[5].tolist() == [-6, 9, -12, 16, -19]
    floats = np.array(X7, dtype=np.float64)
    staged(ARC(f=2), floats, np.float64)
    assert floats.tolist() == X7


@given(st.integers(1, 12), st.data())
def test_arc_is_the_formula_in_python_integers(n, data):
    f = data.draw(st.integers(0, (n - 1) // 2))
    rows = data.draw(hnp.arrays(np.int8, (n, 4), elements=st.integers(-127, 127)))
    clipped = staged(ARC(f=f), rows)
    squared = [sum(c * c for c in row) for row in rows.tolist()]
    k = math.floor(Fraction(2 * f, n) * (n - f))
    limit = sorted(squared, reverse=True)[k]
    assert clipped.trace[-1].details["bound"] == math.sqrt(limit)
    for i, row in enumerate(rows.tolist()):
        expected = row
        if squared[i] > limit:
            factor = math.isqrt(limit * 4096**2 // squared[i])
            expected = [int(math.copysign((2 * abs(c) * factor + 4096) // 8192, c)) for c in row]
            assert 0 <= math.sqrt(limit / squared[i]) - clipped.trace[-1].clipped[i] <= 1 / 4096
        assert clipped.rows[i].tolist() == expected
        assert (clipped.trace[-1].reasons[i] != "") == (squared[i] > limit)
    assert np.count_nonzero(np.array(squared) > limit) <= k


def test_arc_without_liars_clips_nobody():
    assert staged(ARC(f=0), X7).rows.tolist() == X7
    assert staged(ARC(f=2), X7).trace[-1].details["clipped_rows"] == 2


def test_arc_measures_in_the_common_unit():
    layout = Layout((TensorSpec("w", (1,), "int16", 14), TensorSpec("b", (1,), "int32", 12)))
    rows = np.array([[3, 4], [4, 3], [5, 1]], dtype=np.int8)
    for dtype in (np.int8, np.float64):
        batch = UpdateBatch.from_rows(rows.astype(dtype), layout, (5, 4))  # the bias counts double
        norms = ARC(f=1).apply(batch, None, rng())[0].trace[-1].score
        assert norms.tolist() == [math.sqrt(9 + 64), math.sqrt(16 + 36), math.sqrt(25 + 4)]


@given(st.integers(1, 9), st.data())
def test_nnm_is_the_definition_and_its_numerators_are_exact(n, data):
    f = data.draw(st.integers(0, (n - 1) // 2))
    rows = data.draw(hnp.arrays(np.int8, (n, 3), elements=st.integers(-5, 5)))
    mixed = staged(NNM(f=f), rows)
    wide = rows.astype(int)
    for i in range(n):
        apart = ((wide - wide[i]) ** 2).sum(axis=1)
        chosen = sorted(range(n), key=lambda j: (j != i, apart[j], j))[: n - f]
        sums = wide[chosen].sum(axis=0)
        assert (np.rint(mixed.rows[i] * (n - f)) == sums).all()
        assert mixed.rows[i].tolist() == (sums / (n - f)).tolist()
        assert np.flatnonzero(mixed.mixing[i]).tolist() == sorted(chosen)
    np.testing.assert_allclose(mixed.mixing @ rows, mixed.rows, rtol=1e-12, atol=1e-12)
    floats = staged(NNM(f=f), rows, np.float64)
    assert floats.rows.tolist() == mixed.rows.tolist()
    assert mixed.trace[-1].score.tolist() == np.count_nonzero(mixed.mixing, axis=0).tolist()


def test_nnm_without_liars_makes_every_row_the_mean():
    mixed = staged(NNM(f=0), X4 := [[1, 2], [3, 4], [8, 0], [1, 1]])
    assert mixed.rows.tolist() == [np.mean(X4, axis=0).tolist()] * 4


@given(st.integers(1, 40), st.integers(1, 7), st.integers(0, 99))
def test_every_client_is_in_exactly_one_bucket(n, s, seed):
    """FLPoison shuffles a matrix with `random.shuffle`, which repeats rows: 24.5 of 50 clients are lost (3.3)."""
    rows = np.arange(n)[:, None] + np.zeros((1, 3), dtype=int)
    bucketed = staged(Bucketing(s=s), rows, seed=seed)
    assert bucketed.n == math.ceil(n / s) == Bucketing(s=s).rows_out(n)
    assert (np.count_nonzero(bucketed.mixing, axis=0) == 1).all()
    filled = np.count_nonzero(bucketed.mixing, axis=1)
    assert filled.tolist() == [s] * (n // s) + ([n % s] if n % s else [])
    assert (bucketed.rows[:, 0] * filled).round().sum() == n * (n - 1) / 2
    np.testing.assert_allclose(bucketed.mixing @ rows, bucketed.rows, rtol=1e-12, atol=1e-12)


def test_buckets_come_from_the_generator_alone():
    first, second, other = (staged(Bucketing(), X7, seed=seed) for seed in (1, 1, 2))
    assert first.rows.tobytes() == second.rows.tobytes() != other.rows.tobytes()
    assert first.origin.tobytes() == second.origin.tobytes()
    floats = staged(Bucketing(), X7, np.float64, seed=1)
    assert floats.rows.tolist() == first.rows.tolist()


def test_a_bucket_of_one_is_the_row_itself():
    assert staged(Bucketing(s=1, permutation=(6, 5, 4, 3, 2, 1, 0)), X7).rows.tolist() == X7[::-1]


@pytest.mark.parametrize(
    ("permutation", "message"),
    [((0, 0, 1), "once each"), ((1, 2, 3), "once each"), ((0, 1), "a permutation of 2 for 7 rows")],
)
def test_a_permutation_that_is_none_is_refused(permutation, message):
    with pytest.raises((PipelineError, BeyondLimitError), match=message):
        staged(Bucketing(permutation=permutation), X7)


@pytest.mark.parametrize("stage", [ARC(f=4), NNM(f=4), Bucketing(s=2, f=2)])
def test_beyond_the_limit_they_raise(stage):
    assert stage.min_clients == 9
    staged(stage, np.zeros((9, 2)))
    with pytest.raises(BeyondLimitError, match=rf"{stage.name} of 8 rows: .* that is 9; raise the quorum"):
        staged(stage, np.zeros((8, 2)))


@pytest.mark.parametrize(
    "make", [lambda: ARC(f=-1), lambda: NNM(f=1.0), lambda: Bucketing(s=0), lambda: Bucketing(f=-2)]
)
def test_parameters_that_are_no_counts_are_refused(make):
    with pytest.raises(PipelineError):
        make()


def test_each_stage_checks_what_is_left():
    """Bucketing turns n into ceil(n / s): Krum's 2f + 3 buckets need (2f + 2) s + 1 clients, and one fewer raises."""
    pipeline = build_pipeline([{"name": "bucketing", "s": 3}, {"name": "krum"}], f_declared=2)
    assert pipeline.min_clients == 19
    assert build_pipeline([{"name": "arc"}, {"name": "nnm"}, {"name": "bulyan"}], f_declared=2).min_clients == 11
    layout = Layout((TensorSpec("w", (3,), "int16", 14),))
    federation = Federation(layout, pipeline)
    state = federation.init(np.zeros(3, dtype=np.int32))
    codes = rng().integers(-9, 10, (19, 3)).astype(np.int8)
    federation.apply(state, UpdateBatch.from_rows(codes, layout, (0,)), rng())
    with pytest.raises(BeyondLimitError, match=r"krum of 6 rows: f = 2 needs n >= 2f \+ 3, that is 7"):
        federation.apply(state, UpdateBatch.from_rows(codes[1:], layout, (0,)), rng())


def test_a_pipeline_says_of_every_client_what_became_of_it():
    """ARC, NNM, then Krum: three entries, all by client; the weights are the chosen row's, and they sum to one."""
    layout = Layout((TensorSpec("w", (5,), "int16", 14),))
    federation = Federation(layout, build_pipeline([{"name": "arc"}, {"name": "nnm"}, {"name": "krum"}], f_declared=2))
    batch = UpdateBatch.from_rows(np.array(X7, dtype=np.int8), layout, (0,))
    _, diagnostics = federation.apply(federation.init(np.zeros(5, dtype=np.int32)), batch, rng())
    arc, nnm, krum = diagnostics.stages
    assert [stage.rule for stage in diagnostics.stages] == ["arc", "nnm", "krum"]
    assert (arc.clipped < 1).tolist() == [False] * 5 + [True] * 2
    assert nnm.score.sum() == 7 * 5
    assert krum.weight.sum() == pytest.approx(1)
    assert krum.kept.tolist() == [True] * 5 + [False] * 2
    assert len(diagnostics.records()) == 21


def test_mixing_after_mixing_keeps_the_clients_shares():
    batch = UpdateBatch.from_rows(np.array(X7, dtype=np.int8))
    bucketed, _ = Bucketing(s=2, permutation=(6, 5, 4, 3, 2, 1, 0)).apply(batch, None, rng())
    mixed, _ = NNM(f=1).apply(bucketed, None, rng())
    assert mixed.mixing.shape == (4, 7)
    np.testing.assert_allclose(mixed.mixing @ np.array(X7), mixed.rows, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(mixed.mixing.sum(axis=1), 1, rtol=1e-12)
    assert [stage.rule for stage in mixed.trace] == ["bucketing", "nnm"]
    mean = Mean().apply(mixed, None, rng())[0]
    np.testing.assert_allclose(mean.diagnostics.for_clients(mixed.mixing).weight @ np.array(X7), mean.values)


def test_krum_on_mixed_rows_scores_floats_in_a_fixed_order():
    mixed = staged(NNM(f=2), X7)
    first = Krum(f=2).apply(mixed, None, rng())[0]
    assert first.values.tolist() == mixed.rows[0].tolist()
    assert first.values.tobytes() == Krum(f=2).apply(mixed, None, rng())[0].values.tobytes()


@pytest.mark.parametrize("stage", [ARC(f=1), NNM(f=1), Bucketing()])
def test_rows_that_are_not_finite_never_reach_a_stage(stage):
    with pytest.raises(InvalidBatchError, match="nan or infinity"):
        staged(stage, [[1.0], [np.nan], [2.0]], np.float64)


def test_a_liar_within_nnm_s_limit_is_in_no_more_than_n_minus_f_means():
    """f liars far away: every honest row mixes with honest rows only."""
    honest = rng(3).integers(-9, 10, (9, 20))
    mixed = staged(NNM(f=4), np.concatenate([honest, np.full((4, 20), 127)]))
    assert not mixed.mixing[:9, 9:].any()


@pytest.mark.parametrize("stored", ["rows", "tiles"])
def test_rows_that_are_means_are_the_same_read_by_block_all_at_once_and_after_a_screen(stored):
    codes = np.random.default_rng(5).integers(-127, 128, (9, 40_000)).astype(np.int8)
    batch = UpdateBatch.from_rows(codes)
    if stored == "tiles":
        batch = replace(batch, stored=batch.tiles)
    mixed, _ = NNM(f=2).apply(batch, None, np.random.default_rng(0))
    blocks = [(part, values.copy()) for part, values in mixed.blocks()]
    assert len(blocks) > 1
    assert [part.start for part, _ in blocks] == [0, *(part.stop for part, _ in blocks[:-1])]
    kept = np.arange(9) != 4
    screened = mixed.select(kept, all_kept("screen", 9))
    exact = np.array([[codes[m].astype(np.int64).sum(axis=0) for m in mixed.members]])[0] / 7
    assert np.array_equal(np.concatenate([values for _, values in blocks], axis=1), exact)
    assert np.array_equal(mixed.rows, exact)
    assert np.array_equal(screened.rows, exact[kept])
    assert np.array_equal(screened.mixing, mixed.mixing[kept])
    assert (mixed.exact, mixed.dtype, mixed.n, screened.n) == (False, np.float64, 9, 8)


BY_COORDINATE = ("median", "trimmed-mean", "meamed", "phocas", "median-of-means", "sign-majority-vote")


@pytest.mark.parametrize("rule", [Mean(), *(AGGREGATORS[name](f=2) for name in BY_COORDINATE)], ids=lambda r: r.name)
def test_rules_by_coordinate_do_not_hold_all_rows_that_are_means(rule):
    codes = np.random.default_rng(6).integers(-127, 128, (11, 30_000)).astype(np.int8)
    mixed, _ = NNM(f=2).apply(UpdateBatch.from_rows(codes), None, np.random.default_rng(0))
    held = UpdateBatch.from_rows(
        np.array([codes[members].astype(np.int64).sum(axis=0) / 9 for members in mixed.members])
    )
    aggregate, _ = rule.apply(mixed, None, np.random.default_rng(0))
    expected, _ = rule.apply(held, None, np.random.default_rng(0))
    assert np.array_equal(aggregate.values, expected.values)
    assert "rows" not in mixed.__dict__


def test_members_that_cannot_be_are_refused_by_name():
    batch = UpdateBatch.from_rows(np.ones((3, 2), dtype=np.int8))
    for members in (np.zeros((2, 3), np.bool_), np.ones((2, 2), np.bool_)):
        with pytest.raises(InvalidBatchError, match=r"members \(2, \d\) of 3 rows of int8: need .* at least 1 member"):
            replace(batch, members=members, mixing=np.full((2, 3), 1 / 3))
