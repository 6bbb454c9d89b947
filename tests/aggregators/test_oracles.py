"""What else others computed, and what must hold without numbers (attacks_and_defences.md 2.3, 2.4, 2.10, 3.3)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from byzantiny import kernels
from byzantiny.aggregators import AGGREGATORS, CenteredClipping, Krum, Mean
from byzantiny.federation import Federation, build_pipeline
from byzantiny.preaggregators import ARC, NNM, PREAGGREGATORS, NormClip
from byzantiny.updates import Layout, TensorSpec, UpdateBatch

X3 = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]


def rng():
    return np.random.default_rng(0)


def applied(rule, rows, dtype=np.int8):
    batch = UpdateBatch.from_rows(np.asarray(rows, dtype=dtype))
    return rule.apply(batch, rule.init(batch.layout), rng=rng())[0]


# Vectors of peers.


def test_the_norm_clip_is_byzpy_s_on_its_own_vector():
    """ByzPy test of Clipping(1.0): [3, 0], [0, .5] -> [1, 0], [0, .5]; in tenths, so that the codes are integers."""
    assert applied(NormClip(bound=10), [[30, 0], [0, 5]]).rows.tolist() == [[10, 0], [0, 5]]


def test_the_norm_clip_rounds_where_byzfl_truncates():
    """ByzFL's Clipping(2.0) writes .53, 1.07, 1.60 into the caller's int8 array as 0, 1, 1; the first row ends shorter
    than half its length. To nearest it is [1, 1, 2], and the caller's array stays as it was.
    """
    rows = np.array(X3, dtype=np.int8)
    clipped = applied(NormClip(bound=2), rows)
    assert clipped.rows.tolist() == [[1, 1, 2], [1, 1, 1], [1, 1, 1]]
    assert rows.tolist() == X3


# (values, reference, beta, expected mean, where from): Flower aggregate_test.py and strategy_utils_test.py, in tenths.
FLOWER_NEAREST = [
    ([10, 11, 12, 13], 10, 2, 10.5, "ref 1.0 of {1, 1.1, 1.2, 1.3}"),
    ([20, 21, 22, 25], 20, 2, 20.5, "ref 2.0 of {2, 2.1, 2.2, 2.5}"),
    ([10, 11, 12, 9], 10, 2, 9.5, "ref 1.0 of {1, 1.1, 1.2, .9}: .9 and 1.1 are as near, the lower is kept"),
    ([30, 31, 32, 34], 30, 2, 30.5, "ref 3.0 of {3, 3.1, 3.2, 3.4}"),
    ([40, 41, 42, 38], 40, 2, 40.5, "ref 4.0 of {4, 4.1, 4.2, 3.8}"),
    ([10, 20, 5], 10, 2, 7.5, "ref 1.0 of {1, 2, .5}"),
    ([10, -5, 100], 0, 1, -5, "ref 0 of {1, -.5, 10}"),
    ([11, 9, 50], 11, 2, 10, "{1.1, .9, 5}, the two nearest"),
    ([21, 19, 50], 21, 2, 20, "{2.1, 1.9, 5}, the two nearest"),
]


@pytest.mark.parametrize(("values", "reference", "beta", "expected", "source"), FLOWER_NEAREST)
def test_the_values_nearest_to_a_reference_are_flower_s(values, reference, beta, expected, source):
    tiles = kernels.to_tiles(np.array(values, dtype=np.int8)[:, None])
    total = kernels.nearest_sum(tiles, 1, len(values) - beta, np.array([reference]), 1)
    assert total.tolist() == [expected * beta], source


def test_distances_far_from_the_origin_do_not_cancel():
    """Flower's Multi-Krum takes ||x||^2 + ||y||^2 - 2 x.y in floats (3.3): far out it loses every digit of the distance."""
    near = np.array([[0, 0], [1, 0], [0, 1], [1, 1], [0, 2], [9, 9], [8, 9]], dtype=np.float64)
    far = near + 2.0**28
    scores = applied(Krum(f=2), near, np.float64).diagnostics.score.tolist()
    assert applied(Krum(f=2), far, np.float64).diagnostics.score.tolist() == scores
    squares = (far * far).sum(axis=1)
    cancelled = squares[:, None] + squares[None, :] - 2 * far @ far.T
    exact = ((near[:, None] - near[None]) ** 2).sum(axis=-1)
    assert np.abs(cancelled - exact).max() >= 8


@pytest.mark.parametrize("f", [1, 2, 3, 5, 8, 13, 21, 34])
def test_arc_clips_the_floor_of_the_product_as_byzfl_s_float_arithmetic_happens_to(f):
    """k = floor(2 f (n - f) / n). ByzFL truncates a float product, which could fall short of an integer; up to n = 200 it
    never does, so the two do not disagree.
    """
    for n in range(2 * f + 1, min(4 * f + 9, 128)):
        clipped = applied(ARC(f=f), np.arange(1, n + 1)[:, None]).trace[-1].details["clipped_rows"]
        assert clipped == int((2 * f / n) * (n - f))


def test_what_clients_send_are_updates_and_are_added_to_the_model():
    """FLPoison asks `"FedSGD" or "FedOpt" in algorithm`, which is always true: the weights of FedAvg count as gradients
    (3.3). Here a cohort that agrees on an update moves any model by that update, under every rule that keeps equal rows.
    """
    layout = Layout((TensorSpec("w", (3,), "int16", 14),))
    update, model = np.array([5, -7, 0], dtype=np.int8), np.array([1000, -2000, 30], dtype=np.int32)
    batch = UpdateBatch.from_rows(np.tile(update, (11, 1)), layout, (4,))
    stages = [name for name in AGGREGATORS if "identity" in CARDS[name]]
    assert len(stages) > 15
    for name in stages:
        parameters = {"rlr": {"theta": 5}, "weighted-mean": {"default": 1}}.get(name, {})
        federation = Federation(layout, build_pipeline([{"name": name, **parameters}], f_declared=2))
        state, _ = federation.apply(federation.init(model), batch, rng())
        assert state.model.tolist() == (model + 16 * update.astype(np.int32)).tolist(), name


# Properties that need no numbers: 2.10.

TRANSLATE = {"mean", "median", "trimmed-mean", "geometric-median", "krum", "mda", "smea", "caf", "nnm"}
KEEP_A_LENGTH = {"norm-clip", "adaptive-norm-clip", "arc", "centered-clipping"}
NOT_SCALED = {"norm-clip", "adaptive-norm-clip", "centered-clipping", "sign-majority-vote"}
MEAN_WITHOUT_LIARS = {"trimmed-mean", "multi-krum", "mda", "meamed", "smea", "monna"}
ORDER_MATTERS = {"monna", "bucketing"}
CARDS = {name: rule.info.keeps for name, rule in {**AGGREGATORS, **PREAGGREGATORS}.items()}


def test_the_cards_claim_what_the_literature_says_and_the_suite_then_tests_it():
    assert all("translation" in CARDS[name] for name in TRANSLATE)
    assert not any("translation" in CARDS[name] for name in KEEP_A_LENGTH)
    assert not any("scale" in CARDS[name] for name in NOT_SCALED)
    assert all("mean" in CARDS[name] for name in MEAN_WITHOUT_LIARS)
    assert not any("permutation" in CARDS[name] for name in ORDER_MATTERS)


def test_every_rule_that_leaves_the_order_open_says_why():
    """2.10 has permutation invariance for all but MoNNA and bucketing. Ties are why more rules cannot claim it: mda and
    bulyan always have them; median-of-means draws its groups by place; weighted-mean goes by the client's name.
    """
    never = {name for name, keeps in CARDS.items() if not keeps & {"permutation", "permutation-up-to-ties"}}
    assert never == {*ORDER_MATTERS, "mda", "bulyan", "median-of-means", "weighted-mean"}


@pytest.mark.parametrize("name", ["norm-clip", "arc"])
def test_a_clip_does_not_translate(name):
    rule = {"norm-clip": NormClip(bound=5), "arc": ARC(f=1)}[name]
    rows = np.array([[3, 0], [0, 4], [6, 0], [0, 8]])
    moved = applied(rule, rows + 50).rows.astype(int)
    assert not np.array_equal(moved, applied(rule, rows).rows.astype(int) + 50)


def test_centered_clipping_does_not_translate_nor_scale_while_tau_is_fixed():
    rows = np.array([[3, 0], [0, 4], [6, 0], [0, 8]])
    values = applied(CenteredClipping(tau=3.0), rows).values
    assert not np.allclose(applied(CenteredClipping(tau=3.0), rows + 50).values, values + 50)
    assert not np.allclose(applied(CenteredClipping(tau=3.0), rows * 2).values, values * 2)
    np.testing.assert_allclose(applied(CenteredClipping(tau=6.0), rows * 2).values, values * 2)


@given(hnp.arrays(np.int8, (6, 3), elements=st.integers(-127, 127)), st.integers(1, 200))
def test_one_step_of_centered_clipping_from_zero_is_the_mean_of_clipped_rows(rows, tau):
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1)
    clipped = rows * np.minimum(1, tau / np.maximum(lengths, 1e-300))[:, None]
    values = applied(CenteredClipping(tau=tau), rows).values
    np.testing.assert_allclose(values, clipped.mean(axis=0), rtol=1e-12, atol=1e-12)
    # The norm clip stays on the grid: half a step, a length rounded up (SPEC 3: |x| tau / ||x||^2 <= 1), 12 bits of factor.
    on_grid = applied(Mean(), applied(NormClip(bound=tau), rows).rows).values
    assert np.abs(on_grid - values).max() <= 0.5 + 1 + 127 / 4096


@given(hnp.arrays(np.int8, (5, 3), elements=st.integers(-127, 127)))
def test_nnm_without_liars_gives_every_row_the_mean(rows):
    mixed = applied(NNM(f=0), rows).rows
    assert mixed.tolist() == [(rows.sum(axis=0, dtype=int) / 5).tolist()] * 5
