"""The adaptive clip follows an honest quantile whoever steers; zeroing is exact at its threshold; sparse rows are."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from byzantiny.aggregators import Mean
from byzantiny.federation import Federation, ServerState, build_pipeline
from byzantiny.preaggregators import AdaptiveNormClip, NormClip, TopCoordinates, Zeroing
from byzantiny.preaggregators.adaptive_norm_clip import _bound
from byzantiny.updates import (
    BeyondLimitError,
    Diagnostics,
    InvalidBatchError,
    PipelineError,
    UpdateBatch,
    weighted_squared_norms,
)
from byzantiny_models.networks import Layout, TensorSpec

X7 = [
    [10, -3, 7, 0, 25],
    [12, -5, 9, 1, 22],
    [9, -4, 6, -2, 27],
    [11, -2, 8, 3, 24],
    [13, -6, 10, -1, 21],
    [-40, 60, -80, 100, -120],
    [-38, 63, -77, 97, -118],
]
TWO = Layout((TensorSpec("w", (2,), "int16", 14), TensorSpec("b", (2,), "int32", 12)))
ROWS = hnp.arrays(np.int8, st.tuples(st.integers(1, 9), st.just(4)), elements=st.integers(-127, 127))


def rng(seed=0):
    return np.random.default_rng(seed)


def batch_of(rows, layout=None, shifts=None):
    return UpdateBatch.from_rows(np.array(rows, dtype=np.int8), layout, shifts)


def apply(rule, rows, state=None, layout=None, shifts=None):
    batch = batch_of(rows, layout, shifts)
    return rule.apply(batch, rule.init(batch.layout) if state is None else state, rng=rng())


def with_norms(norms, d=100):
    """Rows of nearly these norms, up to 127 sqrt(d)."""
    return np.clip(np.rint(np.asarray(norms, dtype=float)[:, None] / math.sqrt(d) * np.ones(d)), -127, 127)


# adaptive-norm-clip


@pytest.mark.parametrize("rung", [0, 1, 63, 64, 65, 200, 640, 1001, 2560])
def test_a_rung_is_the_floor_of_its_power_of_two(rung):
    bound = _bound(rung)
    assert bound**64 <= 2**rung < (bound + 1) ** 64


@pytest.mark.parametrize("bound", [1, 2, 20, 800, 123_456])
def test_the_first_bound_is_the_one_given_and_clips_as_norm_clip_does(bound):
    rows = rng(1).integers(-127, 128, (9, 300))
    adaptive, _ = apply(AdaptiveNormClip(bound=bound), rows)
    reached = int(adaptive.trace[-1].details["bound"])
    assert bound * 0.989 - 1 < reached <= bound
    static, _ = apply(NormClip(bound=reached), rows)
    assert np.array_equal(adaptive.rows, static.rows)
    assert adaptive.trace[-1].clipped.tolist() == static.trace[-1].clipped.tolist()


def test_without_a_bound_it_begins_at_the_announced_default():
    """16 ceil(sqrt d), as `round.l2_bound = "default"`."""
    assert apply(AdaptiveNormClip(), np.zeros((1, 2410)))[0].trace[-1].details["bound"] in range(790, 801)


@pytest.mark.parametrize("share", [0, 0.3, 0.5, 0.52, 0.8, 1])
@pytest.mark.parametrize(("gamma", "eta"), [(0.5, 0.2), (0.7, 0.2), (0.9, 1.0), (0.5, 0.05)])
def test_a_round_moves_the_bound_by_the_paper_s_factor(share, gamma, eta):
    """C exp(-eta (b - gamma)), to half a rung: 2^(1/128)."""
    below = round(50 * share)
    norms = [100] * below + [1000] * (50 - below)
    rule = AdaptiveNormClip(gamma=gamma, eta=eta, bound=500)
    _, first = apply(rule, with_norms(norms, 400))
    begin = 500
    after = apply(rule, with_norms(norms, 400), first)[0].trace[-1].details["bound"]
    expected = begin * math.exp(-eta * (share - gamma))
    assert abs(math.log2(after / expected)) < 1 / 128 + 1 / 64 + 0.004  # half a rung, the first rung, floors
    if abs(share - gamma) * eta * 64 / math.log(2) < 0.49:
        assert after == apply(rule, with_norms(norms, 400))[0].trace[-1].details["bound"]


def test_it_finds_the_quantile_of_the_norms():
    norms = np.exp(rng(3).normal(5, 0.5, (400, 60)))
    for gamma in (0.3, 0.5, 0.8):
        rule, state = AdaptiveNormClip(gamma=gamma, bound=20), None
        for row in norms:
            clipped, state = apply(rule, with_norms(row, 200), state)
        reached = clipped.trace[-1].details["bound"]
        assert abs(math.log(reached / np.quantile(norms, gamma))) < 0.12


@pytest.mark.parametrize("lie", [0, 127])
@pytest.mark.parametrize("f", [4, 12, 19])
def test_steering_clients_cannot_take_the_bound_out_of_the_honest_quantiles(lie, f):
    """f of 40 send nothing, or saturate; the bound rests between the quantiles of the honest that the page names."""
    n, d = 40, 200
    rule, state = AdaptiveNormClip(f=f, bound=150), None
    honest = np.exp(rng(f).normal(5, 0.5, (300, n - f)))
    bounds = []
    for row in honest:
        rows = np.concatenate([with_norms(row, d), np.full((f, d), lie)])
        clipped, state = apply(rule, rows, state)
        bounds.append(clipped.trace[-1].details["bound"])
    low, high = ((0.5 * n - f) / (n - f), 0.5 * n / (n - f))
    settled = np.array(bounds[200:])
    assert settled.min() >= np.quantile(honest, max(low - 0.05, 0)) * 0.9
    assert settled.max() <= np.quantile(honest, min(high + 0.05, 1)) * 1.1


@given(ROWS, st.integers(0, 9))
def test_one_round_moves_the_bound_by_at_most_eta_whatever_comes(rows, seed):
    rule = AdaptiveNormClip(eta=0.3, bound=100)
    _, first = apply(rule, rows)
    _, second = apply(rule, rng(seed).integers(-127, 128, (5, 4)), first)
    assert abs(second["rung"] - first["rung"]) <= 0.5 * 0.3 * 64 / math.log(2) + 0.5


def test_the_bound_that_clips_comes_from_past_rounds_only():
    """What this round sends cannot choose its own bound."""
    rule = AdaptiveNormClip(bound=100)
    for rows in (with_norms([10] * 5), with_norms([1000] * 5)):
        assert apply(rule, rows)[0].trace[-1].details["bound"] == 100


def test_a_change_of_the_grid_leaves_the_bound_where_it_is_in_real_units():
    rule = AdaptiveNormClip(bound=512)
    rows = np.full((4, 4), 60)
    _, state = apply(rule, rows, layout=TWO, shifts=(5, 3))
    finer = apply(rule, rows, state, layout=TWO, shifts=(4, 2))[0].trace[-1].details["bound"]
    same = apply(rule, rows, state, layout=TWO, shifts=(5, 3))[0].trace[-1].details["bound"]
    assert finer in (2 * same, 2 * same + 1)


@pytest.mark.parametrize("shifts", [(6, 4), (5, 3), (4, 3), (7, 2)])
def test_a_norm_clip_told_its_unit_clips_to_the_same_real_length_on_any_grid(shifts):
    """One code is 2^-8 of either tensor at shifts 6 and 4, and 20 of those are the bound."""
    real = np.array([[24, -12, 12, 24], [2, 2, 2, 2], [0, 0, 0, 30]])  # in steps of 2^-8
    worth = np.repeat([2.0 ** (6 - shifts[0]), 2.0 ** (4 - shifts[1])], [t.elements for t in TWO.tensors])
    codes = np.rint(real * worth)
    clipped = apply(NormClip(bound=20, finest=-8), codes.astype(int), layout=TWO, shifts=shifts)[0]
    lengths = np.linalg.norm(real, axis=1)
    expected = real * np.minimum(1, 20 / lengths)[:, None]
    assert (np.abs(clipped.rows / worth - expected) <= 1.01 / worth + 0.02).all(), "rounded to codes, and cut"
    assert [factor < 1 for factor in clipped.trace[-1].clipped] == [length > 20 for length in lengths]


def test_the_state_is_plain_and_a_resumed_run_goes_on_alike():
    layout = Layout((TensorSpec("w", (40,), "int16", 14),))
    federation = Federation(layout, build_pipeline([{"name": "adaptive-norm-clip", "bound": 90}, {"name": "mean"}], 2))
    state = resumed = federation.init(np.zeros(40, dtype=np.int32))
    for seed in range(6):
        batch = batch_of(rng(seed).integers(-40, 41, (7, 40)), layout, (3,))
        state, _ = federation.apply(state, batch, rng())
        resumed, _ = federation.apply(ServerState.from_bytes(resumed.to_bytes()), batch, rng())
    assert state.to_bytes() == resumed.to_bytes()
    assert isinstance(state.stages[0]["rung"], int)


def test_the_adaptive_clip_s_limit_is_where_the_honest_quantile_ceases():
    assert AdaptiveNormClip(gamma=0.5, f=3).min_clients == 7
    assert AdaptiveNormClip(gamma=0.75, f=3).min_clients == 13
    with pytest.raises(BeyondLimitError, match=r"f = 3 needs f < n min\(gamma, 1 - gamma\), gamma = 0\.5, that is 7"):
        apply(AdaptiveNormClip(f=3), np.zeros((6, 4)))


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        (partial(AdaptiveNormClip, gamma=0), "gamma is 0; it is a quantile"),
        (partial(AdaptiveNormClip, gamma=1.0), "between 0 and 1"),
        (partial(AdaptiveNormClip, gamma=math.nan), "gamma is nan"),
        (partial(AdaptiveNormClip, eta=0), "eta is 0; it is a rate"),
        (partial(AdaptiveNormClip, eta=math.inf), "at most 1"),
        (partial(AdaptiveNormClip, bound=0), "bound is 0; it is in grid steps"),
        (partial(AdaptiveNormClip, bound=2.5), "bound is 2.5"),
        (partial(AdaptiveNormClip, f=-1), "count of clients"),
        (partial(NormClip, bound=9, finest=65), "finest is 65; it is e of a step of 2\\^e"),
        (partial(NormClip, bound=9, finest=1.0), "finest is 1.0"),
        (partial(Zeroing, z=0.9), "z is 0.9; it multiplies the median norm"),
        (partial(Zeroing, z=math.inf), "z is inf"),
        (partial(Zeroing, z=math.nan), "z is nan"),
        (partial(Zeroing, f=1.5), "count of clients"),
        (partial(TopCoordinates, k=0), "k is 0; it is a count of coordinates"),
        (partial(TopCoordinates, k=1.0), "k is 1.0"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(factory, message):
    with pytest.raises(PipelineError, match=message):
        factory()


# zeroing


def test_zeroing_takes_the_two_malicious_rows_out():
    """attacks_and_defences.md 2.5, X7: the median norm is 27.982137, the mean of rows 1-5 [11, -4, 8, .2, 23.8]."""
    left, _ = apply(Zeroing(f=2), X7)
    diagnostics = left.trace[-1]
    assert diagnostics.kept.tolist() == [True] * 5 + [False] * 2
    assert diagnostics.details == {"dropped_rows": 2.0, "median_norm": pytest.approx(27.982137)}
    assert diagnostics.reasons[5] == "norm 189.7 above 3 times the median norm 28.0"
    assert diagnostics.reasons[:5] == ("",) * 5
    aggregate, _ = Mean().apply(left, None, rng=rng())
    np.testing.assert_allclose(aggregate.values, [11, -4, 8, 0.2, 23.8])
    assert aggregate.diagnostics.for_clients(left.mixing).kept.tolist() == [True] * 5 + [False] * 2


@given(ROWS, st.sampled_from([1.0, 1.5, 3.0, 0.1 + 0.9, 2.2, 1e9]))
def test_zeroing_compares_exactly(rows, z):
    left, _ = apply(Zeroing(z=z), rows)
    squared = [int(s) for s in weighted_squared_norms(batch_of(rows))]
    middle = sorted(squared)[(len(rows) - 1) // 2]
    kept = [Fraction(s) <= Fraction(z) ** 2 * middle for s in squared]
    assert left.trace[-1].kept.tolist() == kept
    assert np.array_equal(left.rows, rows[kept])
    assert left.n >= Zeroing(z=z).rows_out(len(rows))


def test_a_row_at_the_threshold_stays_and_one_beyond_goes():
    assert apply(Zeroing(z=3), [[3, 4], [3, 4], [9, 12]])[0].n == 3
    assert apply(Zeroing(z=3), [[3, 4], [3, 4], [9, 13]])[0].n == 2


def test_where_most_rows_are_zeros_every_other_row_goes():
    """A median norm of 0 leaves no room; the trace says so, nobody falls in silence."""
    left, _ = apply(Zeroing(), [[0, 0], [0, 0], [0, 0], [1, 0]])
    assert left.n == 3
    assert left.trace[-1].reasons[3] == "norm 1.0 above 3 times the median norm 0.0"


def test_stages_after_zeroing_are_held_to_what_is_sure_to_be_left():
    """Of 9 rows 5 are sure; a trimmed mean with f = 2 needs 5."""
    pipeline = build_pipeline([{"name": "zeroing"}, {"name": "trimmed-mean"}], f_declared=2)
    assert pipeline.min_clients == 9
    assert build_pipeline([{"name": "zeroing"}, {"name": "mean"}], f_declared=2).min_clients == 5


def test_zeroing_beyond_its_limit_raises():
    with pytest.raises(BeyondLimitError, match=r"zeroing of 4 rows: f = 2 needs n >= 2f \+ 1, that is 5"):
        apply(Zeroing(f=2), np.zeros((4, 2)))


@pytest.mark.parametrize("rule", [Zeroing(), AdaptiveNormClip(bound=9)])
def test_norms_are_measured_in_the_common_unit_and_on_codes(rule):
    """A bias four times coarser counts sixteenfold; float rows have no exact norm."""
    passed, _ = apply(rule, [[3, 0, 1, 0]], layout=TWO, shifts=(5, 5))
    assert passed.trace[-1].score.tolist() == [5.0]
    with pytest.raises(InvalidBatchError, match="before the mixing one"):
        rule.apply(UpdateBatch.from_rows(np.ones((2, 2))), {"rung": None}, rng=rng())


def test_zeroing_after_a_stage_that_mixed_keeps_the_way_back_to_the_clients():
    batch = batch_of([[1, 1], [2, 2], [90, 90]])
    kept = np.array([True, False, True])
    screened = batch.select(kept, Diagnostics("screen", kept))
    left, _ = Zeroing(z=2).apply(screened, None, rng=rng())
    assert left.row_ids == ("c00000",)
    assert left.trace[-1].kept.tolist() == [True, False, False]


# top-coordinates


@given(ROWS, st.integers(1, 4), st.sampled_from([(5, 3), (5, 5), (4, 6), (8, 3)]), st.booleans())
def test_the_largest_coordinates_stay_and_ties_go_to_the_lowest_index(rows, k, shifts, floats):
    rule = TopCoordinates(k=k)
    batch = UpdateBatch.from_rows(rows.astype(np.float64) if floats else rows, TWO, shifts)
    sparse, _ = rule.apply(batch, None, rng=rng())
    exponents = [shifts[0] - 14] * 2 + [shifts[1] - 12] * 2
    for before, after in zip(rows.tolist(), sparse.rows.tolist(), strict=True):
        largest = sorted(range(4), key=lambda j: (-abs(before[j]) * Fraction(2) ** exponents[j], j))[:k]
        assert after == [x if j in largest else 0 for j, x in enumerate(before)]
    assert sparse.stored.dtype == batch.stored.dtype


def test_more_coordinates_than_there_are_is_refused():
    with pytest.raises(InvalidBatchError, match="k = 9 of 4 coordinates; choose k up to 4"):
        apply(TopCoordinates(k=9), [[1, 2, 3, 4]])
    assert apply(TopCoordinates(k=4), [[1, 2, 3, -127]])[0].rows.tolist() == [[1, 2, 3, -127]]
