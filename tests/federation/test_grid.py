"""The grid follows the honest clients: f liars cannot move it alone, cannot hold it, and cannot make it swing."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byzantiny.federation import GridPolicy, GridState, Scales, measure
from byzantiny.updates import AggregationError, InvalidBatchError, Layout, TensorSpec, UpdateBatch

LAYOUT = Layout((TensorSpec("w", (40, 5), "int16", 14), TensorSpec("b", (10,), "int32", 12)))
ONE = Layout((TensorSpec("w", (200,), "int16", 14),))
SIZES = [t.elements for t in LAYOUT.tensors]


def policy_of(layout=LAYOUT, first=(6, 4), **changes):
    return GridPolicy(layout, first, **changes)


def scales_of(rows, layout=LAYOUT):
    return Scales.stack([measure(np.asarray(row, np.int8), layout) for row in rows], layout)


def rounded(x, rng):
    """Codes of real values in steps: stochastic rounding, saturated."""
    x = np.clip(x, -127, 127)
    return np.clip(np.floor(x + rng.random(x.shape)), -127, 127).astype(np.int8)


LIES = {
    "saturate": lambda own, rng: np.full(own.shape, 127, np.int8),
    "zeros": lambda own, rng: np.zeros(own.shape, np.int8),
    "ones": lambda own, rng: np.sign(own),
    "just below": lambda own, rng: np.full(own.shape, 62, np.int8),
    "noise": lambda own, rng: rng.integers(-127, 128, own.shape).astype(np.int8),
    "one code": lambda own, rng: np.eye(1, own.size, dtype=np.int8)[0] * 127,
    "honest": lambda own, rng: own,
}


# What is measured, and what it asks for


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.3, 2.0, 20.0, 200.0]))
def test_what_is_measured_is_what_plain_integers_count(seed, spread):
    row = rounded(np.random.default_rng(seed).normal(0, spread, LAYOUT.d), np.random.default_rng(seed))
    squares, large, saturated = measure(row, LAYOUT).tolist()
    for t, where in enumerate(LAYOUT.slices):
        codes = [int(code) for code in row[where]]
        assert squares[t] == sum(code * code for code in codes)
        assert large[t] == sum(abs(code) >= 63 for code in codes)
        assert saturated[t] == sum(abs(code) == 127 for code in codes)


def test_a_batch_is_measured_as_its_rows_are():
    rows = np.random.default_rng(0).integers(-127, 128, (5, LAYOUT.d)).astype(np.int8)
    whole, parts = Scales.of(UpdateBatch.from_rows(rows, LAYOUT, (6, 4))), scales_of(rows)
    assert whole.n == 5
    for name in ("squares", "large", "saturated"):
        assert np.array_equal(getattr(whole, name), getattr(parts, name))
    with pytest.raises(InvalidBatchError, match="float64"):
        Scales.of(UpdateBatch.from_rows(rows.astype(np.float64), LAYOUT, (6, 4)))


@given(
    st.lists(st.tuples(*[st.integers(0, 127)] * 4), min_size=1, max_size=3),
    st.integers(1, 20), st.integers(0, 80),
)  # fmt: skip
def test_a_client_asks_by_the_mean_square_and_the_shares_of_its_codes(rows, low, gap):
    layout, high = Layout((TensorSpec("w", (4,), "int16", 14),)), min(2 * low + 3 + gap, 127)
    ballots = policy_of(layout, (6,), low_steps=low, high_steps=high).votes(scales_of(rows, layout)).ravel().tolist()
    for row, ballot in zip(rows, ballots, strict=True):
        mean_square = Fraction(sum(code * code for code in row), 4)
        coarser = mean_square >= high**2 or Fraction(row.count(127), 4) > Fraction(1, 64)
        finer = mean_square <= low**2 and not any(code >= 63 for code in row)
        assert not (coarser and finer)
        assert ballot == (1 if coarser else -1 if finer else 0)


@pytest.mark.parametrize(("saturated", "large", "ballot"), [(0, 2, -1), (0, 3, 0), (4, 0, 0), (5, 0, 1)])
def test_a_64th_may_saturate_and_a_128th_may_be_large(saturated, large, ballot):
    layout = Layout((TensorSpec("w", (256,), "int16", 14),))
    row = np.array([-127] * saturated + [63] * large + [1] * (256 - saturated - large))
    assert policy_of(layout, (6,), low_steps=16, high_steps=127).votes(scales_of([row], layout)) == ballot


@settings(max_examples=300)
@given(
    changes=st.lists(st.integers(-(2**19), 2**19), min_size=1, max_size=8),
    shift=st.integers(0, 11),
    up=st.lists(st.booleans(), min_size=16, max_size=16),
    low=st.integers(1, 62),
)
def test_one_change_never_asks_for_a_move_and_then_for_its_undoing_however_it_is_rounded(changes, shift, up, low):
    """Every coordinate is rounded either way on either grid, at the closest thresholds that are allowed."""
    layout = Layout((TensorSpec("w", (len(changes),), "int16", 14),))
    policy = policy_of(layout, (6,), low_steps=low, high_steps=2 * low + 3)
    fine, coarse = (
        [
            max(-127, min(127, -(-change >> s) if ceil else change >> s))
            for change, ceil in zip(changes, ups, strict=False)
        ]
        for s, ups in ((shift, up[:8]), (shift + 1, up[8:]))
    )
    fine = [max(-(127 << shift), min(127 << shift, c)) for c in fine]
    asked = policy.votes(scales_of([fine, coarse], layout)).ravel().tolist()
    assert asked != [1, -1]


@pytest.mark.parametrize("low", [1, 4, 20, 61])
def test_thresholds_one_closer_would_let_a_rounding_undo_a_move(low):
    """A change of almost low + 1 steps is rounded to low; on a grid twice as fine it may become 2 low + 2."""
    layout = Layout((TensorSpec("w", (1,), "int16", 14),))
    change = 16 * (low + 1) - 1
    below, above = change >> 4, -(-change >> 3)
    assert policy_of(layout, (6,), low_steps=low, high_steps=127).votes(scales_of([[below]], layout)) == -1
    assert above == 2 * low + 2
    assert policy_of(layout, (6,), low_steps=low, high_steps=2 * low + 3).votes(scales_of([[above]], layout)) == 0
    with pytest.raises(AggregationError, match=f"high_steps is {2 * low + 2}"):
        policy_of(layout, (6,), low_steps=low, high_steps=2 * low + 2)


# What a majority is


@st.composite
def electorates(draw):
    """Clients, liars among them in a minority, rounds; what the honest send and how the liars lie in each round."""
    n = draw(st.integers(1, 9))
    f = draw(st.integers(0, (n - 1) // 2))
    rounds = draw(st.integers(1, 24))
    spreads = draw(
        st.lists(st.sampled_from([0.1, 1.0, 4.0, 5.0, 12.0, 31.0, 33.0, 90.0]), min_size=n - f, max_size=n - f)
    )
    lies = draw(
        st.lists(st.lists(st.sampled_from(sorted(LIES)), min_size=f, max_size=f), min_size=rounds, max_size=rounds)
    )
    return n, f, spreads, lies, draw(st.integers(1, 4)), draw(st.integers(0, 2**32 - 1))


@settings(deadline=None, max_examples=150)
@given(electorates())
def test_a_move_was_asked_for_by_honest_clients_in_every_round_of_its_streak(electorate):
    """Whatever f < n / 2 liars send: at least k - f >= 1 honest ones asked, and where k of them ask it is done."""
    n, f, spreads, lies, every, seed = electorate
    rng, majority = np.random.default_rng(seed), n // 2 + 1
    policy, state = policy_of(f=f, every_rounds=every), policy_of().init()
    asked: list[list] = [[], []]  # by tensor, the honest ballots of the rounds that said something since its last move
    for how in lies:
        honest = [
            np.concatenate([rounded(rng.normal(0, wide * s, size), rng) for size, s in zip(SIZES, (1, 3), strict=True)])
            for wide in spreads
        ]
        scales = scales_of([*honest, *(LIES[name](honest[0], rng) for name in how)])
        before, state = state, policy.adapt(state, scales)
        ballots = policy.votes(scales_of(honest))
        for t in range(2):
            if scales.squares[:, t].any():
                asked[t].append(ballots[:, t])
            streak, moved = asked[t][-every:], state.shifts[t] - before.shifts[t]
            wanted = {way: min((np.count_nonzero(b == way) for b in streak), default=0) for way in (-1, 1)}
            assert moved in (-1, 0, 1)
            if moved:
                assert len(streak) == every, "one step in so many rounds"
                assert wanted[moved] >= majority - f >= 1
                asked[t].clear()
                continue
            for way in (-1, 1):
                if len(streak) == every and wanted[way] >= majority:
                    target = tuple(shift + way * (i == t) for i, shift in enumerate(state.shifts))
                    assert not policy.legal(target), "what k honest clients ask for is done where it may be announced"


def ballots_of(changes, shift, policy, rounding):
    """What clients ask for when every coordinate of their changes is rounded away from zero, or towards it."""
    steps = [np.minimum(rounding(np.abs(change) / 2.0**shift), 127).astype(np.int8) for change in changes]
    return policy.votes(scales_of(steps, ONE))[:, 0]


@settings(deadline=None, max_examples=60)
@given(
    scales=st.lists(st.floats(3.0, 15.0), min_size=2, max_size=6),
    f=st.integers(0, 5),
    first=st.integers(0, 12),
    lies=st.lists(st.sampled_from(sorted(LIES)), min_size=1, max_size=8),
    every=st.integers(1, 3),
    seed=st.integers(0, 2**32 - 1),
)
def test_liars_cannot_take_the_grid_where_no_honest_client_would_have_it(scales, f, first, lies, every, seed):
    """Honest changes that stay the same, their scales up to 4,096 apart: every shift lies within their own wishes."""
    f, rng = min(f, len(scales) - 1), np.random.default_rng(seed)
    needed = (len(scales) + f) // 2 + 1 - f
    policy = policy_of(ONE, (first,), f=f, every_rounds=every)
    changes = [np.rint(rng.normal(0, 2.0**scale, ONE.d)) for scale in scales]
    may_coarsen = [s for s in range(12) if np.sum(ballots_of(changes, s, policy, np.ceil) == 1) >= needed]
    may_refine = [s for s in range(1, 13) if np.sum(ballots_of(changes, s, policy, np.floor) == -1) >= needed]
    state, path = policy.init(), [first]
    for number in range(60):
        honest = [rounded(change / 2.0 ** state.shifts[0], rng) for change in changes]
        lie = LIES[lies[number % len(lies)]](honest[0], rng)
        state = policy.adapt(state, scales_of([*honest, *[lie] * f], ONE))
        path.append(state.shifts[0])
    assert max(path) <= max([first, *(s + 1 for s in may_coarsen)])
    assert min(path) >= min([first, *(s - 1 for s in may_refine)])
    last = path[-1]
    assert last == 12 or not (ballots_of(changes, last, policy, np.floor) == 1).all(), "all ask, whatever the rounding"
    assert last == 0 or not (ballots_of(changes, last, policy, np.ceil) == -1).all()


@settings(deadline=None, max_examples=40)
@given(
    scale=st.floats(5.0, 12.0),
    honest=st.integers(1, 5),
    f=st.integers(0, 4),
    off=st.integers(-4, 4),
    lies=st.lists(st.sampled_from(sorted(LIES)), min_size=1, max_size=9),
    every=st.integers(1, 4),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_stationary_noisy_population_moves_the_grid_at_most_once_after_it_has_settled(
    scale, honest, f, off, lies, every, seed
):
    """Fresh changes in every round, their lengths within a factor of 2: no liar makes the grid swing, however it turns."""
    f, rng = min(f, honest - 1), np.random.default_rng(seed)
    suitable = round(scale - math.log2(10))
    policy = policy_of(ONE, (max(0, min(12, suitable + off)),), f=f, every_rounds=every)
    state, path = policy.init(), []
    for number in range(140):
        widths = 2.0**scale * rng.uniform(0.85, 1.18, (honest, 1))
        rows = rounded(rng.normal(0, widths, (honest, ONE.d)) / 2.0 ** state.shifts[0], rng)
        lie = LIES[lies[number % len(lies)]](rows[0], rng)
        state = policy.adapt(state, scales_of([*rows, *[lie] * f], ONE))
        path.append(state.shifts[0])
    settled = path[6 * every + 6 :]
    assert np.count_nonzero(np.diff(settled)) <= 1
    moves = np.sign(np.diff(path))
    assert not ({-1, 1} <= set(moves.tolist())), "no move is ever undone"


# What is never done


@settings(deadline=None, max_examples=60)
@given(
    first=st.tuples(st.integers(0, 12), st.integers(0, 12)).filter(lambda s: abs((s[0] - 14) - (s[1] - 12)) <= 12),
    bound=st.sampled_from([0, 1, 800, 2**20 - 1]),
    lies=st.lists(st.tuples(st.sampled_from(sorted(LIES)), st.sampled_from(sorted(LIES))), min_size=5, max_size=60),
)
def test_every_grid_may_be_announced_even_if_all_clients_lie(first, bound, lies):
    policy = policy_of(first=first, every_rounds=1, l2_bound=bound)
    rng, state = np.random.default_rng(1), policy.init()
    for pair in lies:
        row = np.concatenate([LIES[name](np.ones(size, np.int8), rng) for name, size in zip(pair, SIZES, strict=True)])
        state = policy.adapt(state, scales_of([row] * 3))
        exponents = LAYOUT.exponents(state.shifts)  # raises for a grid beyond SPEC 3's limits
        now = policy.bound(state.shifts)
        assert now < 2**20
        assert (now > 0) == (bound > 0)
        real, before = (b * Fraction(2) ** e for b, e in ((now, min(exponents)), (bound, min(LAYOUT.exponents(first)))))
        assert 0 <= real - before < Fraction(2) ** min(exponents), "the bound keeps its real length, up to a step"


def test_a_move_that_may_not_be_announced_is_made_once_it_may():
    """The weights want a coarser step, the biases a finer one, and the exponents may lie 12 apart."""
    policy = policy_of(first=(11, 0), every_rounds=2)
    wide = np.concatenate([np.full(200, 127), np.zeros(10)])
    state = policy.init()
    for _ in range(6):
        state = policy.adapt(state, scales_of([wide] * 3))
    assert state == GridState((12, 0), (2, 0)), "exponents -2 and -12; the next coarser shift is 13"
    finest = policy_of(ONE, (6,), every_rounds=1, l2_bound=2**19)
    state = finest.init()
    for _ in range(3):
        state = finest.adapt(state, scales_of([np.ones(200)] * 3, ONE))
    assert state == GridState((6,), (-1,)), "on a finer grid the bound would be 2^20 steps"
    assert finest.adapt(state, scales_of([np.full(200, 127)] * 3, ONE)) == GridState((7,), (0,))


def test_too_few_clients_for_the_declared_liars_say_nothing():
    policy = policy_of(f=2, every_rounds=1)
    rows = [np.ones(LAYOUT.d)] * 5
    state = policy.init()
    assert policy.adapt(state, scales_of(rows[:4])) == state
    assert policy.adapt(state, scales_of(rows)) == GridState((5, 3), (0, 0))


def test_half_of_the_clients_are_no_majority():
    policy = policy_of(every_rounds=1)
    for n in (2, 4, 6):
        rows = [np.ones(LAYOUT.d)] * (n // 2) + [np.full(LAYOUT.d, 10)] * (n // 2)
        assert policy.adapt(policy.init(), scales_of(rows)) == policy.init()


def test_a_streak_that_is_broken_begins_anew():
    policy = policy_of(every_rounds=3)
    fine, coarse, good = ([np.full(LAYOUT.d, code)] * 3 for code in (127, 1, 10))
    state = policy.init()
    for rows, streak in ((fine, 1), (fine, 2), (good, 0), (fine, 1), (fine, 2), (coarse, -1), (coarse, -2)):
        state = policy.adapt(state, scales_of(rows))
        assert state == GridState((6, 4), (streak, streak))
    assert policy.adapt(state, scales_of(coarse)) == GridState((5, 3), (0, 0))


def test_a_tensor_of_zeros_says_nothing_and_one_liar_in_it_says_no_more():
    policy = policy_of(every_rounds=2)
    frozen = np.concatenate([np.full(200, 10), np.zeros(10)])
    state = GridState((6, 4), (0, -1))
    assert policy.adapt(state, scales_of([frozen] * 5)) == state
    loud = frozen.copy()
    loud[200:] = 127
    moved = policy.adapt(state, scales_of([frozen] * 4 + [loud]))
    assert moved == GridState((6, 3), (0, 0)), "towards finer, where it does no harm: zeros are the majority's word"


def test_thresholds_and_counts_out_of_range_are_refused():
    for changes, said in (
        ({"f": -1}, "f is -1"), ({"every_rounds": 0}, "every_rounds is 0"), ({"low_steps": 0}, "low_steps is 0"),
        ({"high_steps": 10}, "it lies in 11"), ({"high_steps": 128}, "high_steps is 128"),
        ({"first": (13, 4)}, "no grid to begin with"), ({"first": (6,)}, "no grid to begin with"),
        ({"l2_bound": 2**20}, "no grid to begin with"),
    ):  # fmt: skip
        with pytest.raises(AggregationError, match=said):
            policy_of(**changes)
