"""Sign flip and label flip against numbers that others computed, and no knowledge beyond what is granted."""

from __future__ import annotations

import numpy as np
import pytest

from byzantiny.aggregators import Median
from byzantiny.attacks import ATTACKS, AttackContext, AttackError, LabelFlip, SignFlip, SteerGrid, craft
from byzantiny.updates import UpdateBatch, quantize_rows

X3 = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]])


def context(**fields):
    return AttackContext(**({"honest": None, "n": 4, "f": 1, "rng": np.random.default_rng(0)} | fields))


def test_the_omniscient_sign_flip_is_byzfl_s():
    """ByzFL SignFlipping docstring: X3 -> [-4, -5, -6]."""
    assert craft(SignFlip(knowledge="omniscient"), context(honest=X3)).tolist() == [[-4, -5, -6]]


def test_the_scaled_sign_flip_is_byzpy_s_empire():
    """ByzPy test of EmpireAttack(scale=-2): [1,5], [2,3], [3,1] -> [-4, -6]; colluders that know just these rows."""
    own = np.array([[1, 5], [2, 3], [3, 1]])
    assert craft(SignFlip(scale=2, knowledge="colluding"), context(own=own, n=9, f=3)).tolist() == [[-4, -6]] * 3


def test_sign_flip_beside_x3_leaves_the_median_at_byzfl_s_trimmed_mean():
    """ByzFL README: trimmed mean (f=1) of X3 and [-4,-5,-6] is [2.5,3.5,4.5]; of four rows that is the median."""
    flipped = quantize_rows(craft(SignFlip(knowledge="omniscient"), context(honest=X3)))
    batch = UpdateBatch.from_rows(np.concatenate([X3.astype(np.int8), flipped]))
    aggregate, _ = Median(f=1).apply(batch, None, rng=np.random.default_rng(0))
    assert aggregate.values.tolist() == [2.5, 3.5, 4.5]


def test_the_own_sign_flip_flips_each_attacker_s_own_update():
    own = np.array([[1, -2], [127, 0]], dtype=np.int8)
    rows = craft(SignFlip(scale=3.0), context(own=own, f=2))
    assert rows.tolist() == [[-3, 6], [-381, 0]]
    assert quantize_rows(rows).tolist() == [[-3, 6], [-127, 0]]


@pytest.mark.parametrize("knowledge", ["own", "colluding"])
def test_what_is_not_granted_is_not_there(knowledge):
    seen = context(honest=X3, own=X3[:1], defence="median").granted(knowledge)
    assert seen.honest is None
    assert seen.defence is None
    assert context(defence="median").granted(knowledge, defence=True).defence == "median"
    with pytest.raises(ValueError, match="read-only"):
        seen.own[0, 0] = 1


def test_an_attack_without_the_knowledge_it_needs_says_which():
    with pytest.raises(AttackError, match="sign-flip needs `own`"):
        craft(SignFlip(), context(honest=X3))
    with pytest.raises(AttackError, match="sign-flip needs `honest`"):
        craft(SignFlip(knowledge="omniscient"), context(own=X3[:1]))


def test_rows_of_the_wrong_shape_are_refused():
    with pytest.raises(AttackError, match=r"need float64 \(2, 3\)"):
        craft(SignFlip(), context(own=X3[:1], f=2))
    with pytest.raises(AttackError, match="at least 1 attacker"):
        craft(SignFlip(), context(own=X3[:1], f=0))


@pytest.mark.parametrize("arguments", [{"scale": 0.0}, {"scale": -1.0}, {"scale": np.inf}, {"knowledge": "all"}])
def test_parameters_out_of_range_are_refused(arguments):
    with pytest.raises(AttackError):
        SignFlip(**arguments)


def test_steering_asks_for_one_step_or_the_other_in_turn():
    own = np.array([[3, -2, 0]])
    saturated, nothing = [[-127.0, 127.0, 127.0]], [[0.0, 0.0, 0.0]]
    assert craft(SteerGrid(), context(own=own)).tolist() == saturated
    assert craft(SteerGrid(towards="fine"), context(own=own)).tolist() == nothing
    turns = SteerGrid(towards="both", period=2)
    sent = [craft(turns, context(own=own, round_num=number)).tolist() for number in range(1, 7)]
    assert sent == [saturated, saturated, nothing, nothing, saturated, saturated]
    with pytest.raises(AttackError, match="no `round_num`"):
        craft(turns, context(own=own))
    for wrong, said in (({"towards": "up"}, "towards is 'up'"), ({"period": 0}, "period is 0")):
        with pytest.raises(AttackError, match=said):
            SteerGrid(**wrong)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_label_flip_mirrors_the_classes(dtype):
    """ByzFL and ByzPy LabelFlip(num_classes=K): i -> K - 1 - i."""
    x, y = np.zeros((10, 3), dtype=np.int8), np.arange(10, dtype=dtype)
    flipped_x, flipped = LabelFlip().poison(x, y, 10, np.random.default_rng(0))
    assert flipped.tolist() == list(range(9, -1, -1))
    assert flipped.dtype == dtype
    assert flipped_x is not x


def test_label_flip_of_a_pair_leaves_the_other_classes():
    y = np.array([3, 8, 3, 1], dtype=np.uint8)
    _, flipped = LabelFlip(source=3, target=8).poison(np.zeros((4, 1)), y, 10, np.random.default_rng(0))
    assert flipped.tolist() == [8, 8, 8, 1]


def test_labels_and_classes_out_of_range_are_refused():
    x, y = np.zeros((2, 1)), np.array([0, 10])
    with pytest.raises(AttackError, match=r"labels 0 \.\. 10"):
        LabelFlip().poison(x, y, 10, np.random.default_rng(0))
    with pytest.raises(AttackError, match="target is 12"):
        LabelFlip(source=1, target=12).poison(x, y[:1], 10, np.random.default_rng(0))
    for pair in ({"source": 1}, {"target": 1}, {"source": 2, "target": 2}):
        with pytest.raises(AttackError, match="two different classes"):
            LabelFlip(**pair)


def test_attacks_are_found_under_their_own_name():
    assert all(attack.name == name == attack.info.name for name, attack in ATTACKS.items())
