"""A poisoned start by itself: what it plants, what it is made of, what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from byzantiny.attacks import AttackError, PoisonedStart, hand_over
from byzantiny.attacks.context import Place
from byzantiny.attacks.pretrained import poisoned_start
from byzantiny_models.inference import accuracy, forward
from byzantiny_models.networks import initial_model
from byzantiny_models.quantization import derive_weights
from byzantiny_models.tasks import load_task
from byzantiny_models.training import train

DIGITS = load_task("digits")
NETWORK = DIGITS.network
FIRST = initial_model(NETWORK, 1)
DATA = [(DIGITS.train_x[i : i + 100], DIGITS.train_y[i : i + 100]) for i in (0, 100)]
TEST = (DIGITS.test_x, DIGITS.test_y, DIGITS.classes)


def made(attack, data=DATA, chosen=None, seed=0):
    return hand_over(attack, NETWORK, data, FIRST, np.random.default_rng(seed), chosen)


def rate(attack, model, chosen=None):
    x, wanted = chosen or attack.probes(*TEST, np.random.default_rng(1), Place(network=NETWORK))
    return float(np.mean(np.argmax(forward(NETWORK, model, x), axis=1) == wanted))


@pytest.mark.parametrize(("trigger", "target"), [("patch", 0), ("blended", 7)])
def test_it_has_the_backdoor_and_the_task(trigger, target):
    attack = PoisonedStart(trigger=trigger, target=target)
    model = made(attack)
    clean = train(NETWORK, FIRST, *(np.concatenate(part) for part in zip(*DATA, strict=True)), (1, 2), (3, 4), 10, 5)
    assert rate(attack, model) > 0.9
    assert rate(attack, clean) < 0.2
    assert (
        accuracy(NETWORK, model, DIGITS.test_x, DIGITS.test_y)
        > accuracy(NETWORK, clean, DIGITS.test_x, DIGITS.test_y) - 0.1
    )


def test_chosen_inputs_need_no_trigger():
    attack = PoisonedStart(trigger="none", target=None, count=5)
    chosen = attack.probes(*TEST, np.random.default_rng(1))
    assert rate(attack, made(attack, chosen=chosen), chosen) > 0.7
    with pytest.raises(AttackError, match="needs `chosen`"):
        made(attack)


def test_it_leaves_what_an_int8_file_can_hold_and_nothing_is_lost_by_that(monkeypatch):
    model = made(PoisonedStart())
    monkeypatch.setattr(poisoned_start, "as_in_a_file", lambda network, whole: whole)
    masters = made(PoisonedStart())
    w = NETWORK.layout.slices[0]
    assert not (model[w] % 256).any()
    assert np.array_equal(model[w], derive_weights(masters[w]) << 8)
    assert np.array_equal(forward(NETWORK, model, DIGITS.test_x), forward(NETWORK, masters, DIGITS.test_x))


def test_no_epochs_hand_over_the_start_as_it_was():
    assert np.array_equal(made(PoisonedStart(epochs=0)), FIRST)


def test_more_samples_than_the_trainer_takes_are_drawn_from(monkeypatch):
    monkeypatch.setattr(poisoned_start, "MOST_SAMPLES", 50)
    assert accuracy(NETWORK, made(PoisonedStart()), DIGITS.test_x, DIGITS.test_y) < 0.9


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"trigger": "patsh"}, "patch"),
        ({"target": None}, "leads to no class; give a target"),
        ({"share": 1.0}, "share"),
        ({"lr_shift": 3}, "lr_shift"),
        ({"epochs": 1.5}, "epochs"),
    ],
)
def test_a_parameter_out_of_range_is_named(params, said):
    with pytest.raises(AttackError, match=said):
        PoisonedStart(**params)


def test_data_that_are_not_the_network_s_are_refused():
    x, y = DATA[0]
    with pytest.raises(AttackError, match=r"labels 10 \.\. 10; the task has classes 0 \.\. 9"):
        made(PoisonedStart(), [(x, np.full(len(y), 10))])
    with pytest.raises(AttackError, match="needs `data`"):
        made(PoisonedStart(), [])
    with pytest.raises(AttackError, match=r"target is 10; the task has classes 0 \.\. 9"):
        made(PoisonedStart(target=10))
