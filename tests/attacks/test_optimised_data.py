"""Poisons that are computed: each does what it is optimised for, and its gradient is the difference of what it descends."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from byzantiny.attacks import AttackError, BackGradient, FeatureCollision, Generated, Place, poison
from byzantiny.attacks.data.back_gradient import softmax
from byzantiny.attacks.local import real_units
from byzantiny_models.float_gradients import outputs, scaled_inputs
from byzantiny_models.networks import initial_model
from byzantiny_models.tasks import load_task

DIGITS = load_task("digits")
X, Y = DIGITS.train_x[:300], DIGITS.train_y[:300]
MODEL = initial_model(DIGITS.network, 1)


def rng():
    return np.random.default_rng(2)


def regression(x, y, steps=200, rate=0.5):
    """A softmax regression by plain gradient descent: the victim of the two references."""
    w, targets = np.zeros((x.shape[1], 10)), np.eye(10)[y]
    for _ in range(steps):
        w -= rate * x.T @ (softmax(x @ w) - targets) / len(x)
    return w


def clean_loss(x, y):
    w = regression(x / 64, y, steps=30)
    p = softmax(DIGITS.test_x / 64 @ w)
    return float(-np.log(p[np.arange(len(p)), DIGITS.test_y] + 1e-12).mean())


def test_the_gradient_through_training_is_the_difference_of_the_loss_after_it():
    """Derived anew: train with the poison moved by a hair either way."""
    draw = rng()
    attack = BackGradient(inner=12)
    x, x_val, x_p = (draw.normal(size=(k, 5)) for k in (9, 7, 3))
    t, t_val, t_p = (np.eye(3)[draw.integers(0, 3, k)] for k in (9, 7, 3))

    def after(poison):
        every, wanted, w = np.concatenate([x, poison]), np.concatenate([t, t_p]), np.zeros((5, 3))
        for _ in range(12):
            w = w - 0.5 * every.T @ (softmax(every @ w) - wanted) / len(every)
        return float(-(t_val * np.log(softmax(x_val @ w))).sum(axis=1).mean())

    gradient = attack._back(x, t, x_val, t_val, x_p, t_p)
    for _ in range(5):
        way = draw.normal(size=x_p.shape)
        slope = (after(x_p + 1e-5 * way) - after(x_p - 1e-5 * way)) / 2e-5
        assert slope == pytest.approx(float((gradient * way).sum()), rel=1e-5)


def test_optimised_poisons_harm_more_than_the_same_samples_mislabelled():
    plain = poison(BackGradient(reach=0), X, Y, 10, rng())
    optimised = poison(BackGradient(), X, Y, 10, rng())
    assert np.array_equal(plain[1], optimised[1])
    assert np.abs(plain[0].astype(int) - optimised[0]).max() <= 64
    assert clean_loss(*optimised) > 1.1 * clean_loss(*plain) > 1.1 * clean_loss(X, Y)


def test_a_collision_keeps_labels_and_looks_and_moves_the_features():
    attack = FeatureCollision(share=0.3)
    chosen = attack.probes(DIGITS.test_x, DIGITS.test_y, 10, rng())
    place = Place(network=DIGITS.network, model=MODEL, chosen=chosen)
    x, y = poison(attack, X, Y, 10, rng(), place)
    assert np.array_equal(y, Y), "clean label"
    changed = (x != X).any(axis=1)
    assert changed.any()
    assert (Y[changed] == chosen[1][0]).all()
    assert np.abs(x.astype(int) - X).max() <= attack.reach

    def off(samples):
        flat = MODEL * real_units(DIGITS.network.layout)
        goal = outputs(DIGITS.network, flat, scaled_inputs(DIGITS.network, chosen[0]))[-2]
        return np.linalg.norm(outputs(DIGITS.network, flat, scaled_inputs(DIGITS.network, samples))[-2] - goal, axis=1)

    assert (off(x[changed]) < off(X[changed])).all()
    assert off(x[changed]).mean() < 0.5 * off(X[changed]).mean()
    with pytest.raises(AttackError, match="needs `network` and `model`"):
        poison(attack, X, Y, 10, rng(), Place(chosen=chosen))


def test_a_generator_can_be_told_to_hide_or_to_harm():
    stealth, harm = (poison(replace(Generated(), alpha=alpha), X, Y, 10, rng()) for alpha in (1.0, 0.0))
    source = int(np.bincount(Y).argmax())
    middle = X[source == Y].astype(float).mean(axis=0)
    far = [np.linalg.norm(x[len(X) :] - middle, axis=1).mean() for x, _ in (stealth, harm)]
    assert far[0] < far[1]
    assert clean_loss(*harm) > clean_loss(*stealth)
    with pytest.raises(AttackError, match="no sample of class 9"):
        poison(Generated(source=9), X[Y != 9], Y[Y != 9], 10, rng())
