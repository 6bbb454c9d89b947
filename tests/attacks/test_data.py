"""Data attacks on digits: what is poisoned, how much of it, and that a model trained on it learns what it should."""

from __future__ import annotations

import numpy as np
import pytest

from byzantiny.attacks import (
    DBA,
    AttackError,
    Backdoor,
    ChosenInput,
    EdgeCase,
    FeatureNoise,
    Injection,
    LabelFlip,
    Place,
    poison,
)
from byzantiny.attacks.triggers import TRIGGERS, shape_of
from byzantiny_models.inference import accuracy, forward
from byzantiny_models.networks import NETWORKS, initial_model
from byzantiny_models.tasks import load_task
from byzantiny_models.training import train

DIGITS = load_task("digits")
X, Y = DIGITS.train_x[::2], DIGITS.train_y[::2]
PLACE = Place(network=DIGITS.network)


def rng():
    return np.random.default_rng(4)


def trained(x, y):
    return train(DIGITS.network, initial_model(DIGITS.network, 1), x, y, (1, 2), (3, 4), 3, 5)


def success(model, attack, place=PLACE):
    x, wanted = attack.probes(DIGITS.test_x, DIGITS.test_y, 10, rng(), place)
    return float(np.mean(np.argmax(forward(DIGITS.network, model, x), axis=1) == wanted))


@pytest.fixture(scope="module")
def clean():
    return trained(X, Y)


@pytest.mark.parametrize("trigger", ["patch", "sinusoid"])
def test_a_model_trained_on_triggered_samples_answers_the_trigger_and_keeps_its_task(trigger, clean):
    """INT8-SR, a third of the samples poisoned."""
    attack = Backdoor(trigger=trigger, target=7)
    x, y = poison(attack, X, Y, 10, rng(), PLACE)
    assert len(y) == len(Y)
    assert np.count_nonzero(y != Y) == round(0.3125 * len(y))
    bad = trained(x, y)
    assert success(clean, attack) < 0.4, "the floor: what a clean model does with the trigger"
    assert success(bad, attack) > 0.85
    assert accuracy(DIGITS.network, bad, DIGITS.test_x, DIGITS.test_y) > 0.75


def test_four_parts_make_one_trigger_that_no_attacker_holds():
    attack = DBA(target=7)
    zero = np.zeros((1, 64), dtype=np.int8)
    parts = [poison(DBA(share=1.0), zero, np.array([1]), 10, rng(), Place(k, 4, DIGITS.network))[0] for k in range(4)]
    assert all(part.any() for part in parts)
    assert not (sum((part != 0).astype(int) for part in parts) > 1).any(), "they do not overlap"
    whole, _ = attack.probes(zero, np.array([1]), 10, rng(), PLACE)
    assert np.array_equal(whole != 0, sum(part != 0 for part in parts) > 0)
    shares = np.array_split(np.random.default_rng(0).permutation(len(Y)), 4)
    poisoned = [poison(attack, X[s], Y[s], 10, rng(), Place(k, 4, DIGITS.network)) for k, s in enumerate(shares)]
    model = trained(np.concatenate([x for x, _ in poisoned]), np.concatenate([y for _, y in poisoned]))
    assert success(model, attack) > 0.8


def test_chosen_inputs_get_the_wanted_label_and_the_samples_stay():
    attack = ChosenInput(count=5)
    chosen = attack.probes(DIGITS.test_x, DIGITS.test_y, 10, rng(), PLACE)
    place = Place(network=DIGITS.network, chosen=chosen)
    x, y = poison(attack, X, Y, 10, rng(), place)
    assert np.array_equal(x[: len(X)], X)
    assert len(y) == pytest.approx(len(Y) / 0.7, abs=1)
    assert success(trained(x, y), attack) == 1.0
    with pytest.raises(AttackError, match="needs `chosen`"):
        poison(attack, X, Y, 10, rng(), PLACE)


def test_the_tail_of_a_class_is_what_lies_far_from_its_mean():
    attack = EdgeCase(source=3, target=8, tail=0.1)
    _, y = poison(attack, DIGITS.train_x, DIGITS.train_y, 10, rng(), PLACE)
    changed, members = y != DIGITS.train_y, DIGITS.train_y == 3
    assert changed.sum() == round(0.1 * members.sum())
    off = np.linalg.norm(DIGITS.train_x - DIGITS.train_x[members].mean(axis=0), axis=1)
    assert off[changed].min() >= off[members & ~changed].max()


def test_injection_leaves_what_is_there_and_noise_leaves_the_labels():
    x, y = poison(Injection(share=0.5), DIGITS.train_x, DIGITS.train_y, 10, rng())
    assert np.array_equal(x[: len(DIGITS.train_x)], DIGITS.train_x)
    assert np.array_equal(y[: len(DIGITS.train_y)], DIGITS.train_y)
    added = x[len(DIGITS.train_x) :].astype(int)
    nearest = [np.abs(DIGITS.train_x.astype(int) - one).max(axis=1).argmin() for one in added[:20]]
    assert (y[len(DIGITS.train_y) :][:20] != DIGITS.train_y[nearest]).all()
    noisy, same = poison(FeatureNoise(sigma=30.0, share=0.25), DIGITS.train_x, DIGITS.train_y, 10, rng())
    assert np.array_equal(same, DIGITS.train_y)
    assert (noisy != DIGITS.train_x).any(axis=1).mean() == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize(("how", "labels"), [("rotate", [1, 2, 3, 4, 0]), ("pair", [1, 0, 3, 2, 4])])
def test_labels_rotate_and_pair(how, labels):
    x, y = np.zeros((5, 2), dtype=np.int8), np.arange(5, dtype=np.uint8)
    assert poison(LabelFlip(how=how), x, y, 5, rng())[1].tolist() == labels


def test_random_labels_are_never_the_true_one_and_reach_all_others():
    x, y = np.zeros((4000, 1), dtype=np.int8), np.tile(np.arange(4, dtype=np.uint8), 1000)
    _, flipped = poison(LabelFlip(how="random"), x, y, 4, rng())
    assert (flipped != y).all()
    table = np.zeros((4, 4), dtype=int)
    np.add.at(table, (y, flipped), 1)
    assert table[~np.eye(4, dtype=bool)].min() > 250, "1000 / 3 each"
    with pytest.raises(AttackError, match="beside source and target"):
        LabelFlip(source=1, target=2, how="random")


@pytest.mark.parametrize("name", list(NETWORKS))
@pytest.mark.parametrize("trigger", list(TRIGGERS))
def test_every_trigger_fits_every_network_and_stays_int8(name, trigger):
    network = NETWORKS[name]
    x = np.random.default_rng(0).integers(-128, 128, (3, network.features)).astype(np.int8)
    kept = x.copy()
    stamped = TRIGGERS[trigger](x, shape_of(network.features, network), 127)
    assert stamped.dtype == np.int8
    assert stamped.shape == x.shape
    assert (stamped != x).any()
    assert np.array_equal(x, kept)


def test_a_target_or_label_the_task_does_not_have_is_refused():
    x, y = np.zeros((2, 64), dtype=np.int8), np.array([0, 1])
    for attack in (Backdoor(target=10), DBA(target=12), EdgeCase(source=11, target=0)):
        with pytest.raises(AttackError, match=r"the task has classes 0 \.\. 9"):
            poison(attack, x, y, 10, rng(), PLACE)
    with pytest.raises(AttackError, match="already; choose another target"):
        Backdoor(target=0).probes(x, np.zeros(2, dtype=int), 10, rng(), PLACE)
    with pytest.raises(AttackError, match="trigger is 'pitch'; it must be one of patch"):
        Backdoor(trigger="pitch")
