"""What a targeted attack wants and how that is measured: a trigger that leads to a class, or chosen inputs with a label."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import AttackError, Samples, check_labels
from byzantiny.attacks.context import Place
from byzantiny.attacks.triggers import TRIGGERS, shape_of

CHOSEN = "none"
"""The name of no trigger: the attack is after chosen inputs."""
WANTS = (*TRIGGERS, CHOSEN)


def stamped(x: NDArray[Any], trigger: str, value: int, place: Place) -> NDArray[Any]:
    """Return samples with a trigger."""
    return TRIGGERS[trigger](x, shape_of(x.shape[1], place.network), value)


def trigger_probes(
    attack: str, x: NDArray[Any], y: NDArray[Any], classes: int, place: Place, trigger: str, target: int, value: int
) -> Samples:
    """Return the test samples of other classes with the trigger on them, and the target for each.

    Raises:
        AttackError: a target the task does not have, or no sample of another class.
    """
    check_target(attack, target, classes)
    others = np.asarray(y) != target
    if not others.any():
        raise AttackError(f"{attack}: every test sample is of class {target} already; choose another target")
    return stamped(x[others], trigger, value, place), np.full(int(others.sum()), target, dtype=y.dtype)


def chosen_probes(
    attack: str,
    x: NDArray[Any],
    y: NDArray[Any],
    classes: int,
    rng: np.random.Generator,
    count: int,
    target: int | None,
) -> Samples:
    """Return `count` test samples drawn without a trigger, and the label each is to get: `target`, or another drawn.

    Raises:
        AttackError: a target the task does not have, or fewer candidates than asked for.
    """
    check_labels(attack, y, classes)
    if target is not None:
        check_target(attack, target, classes)
    candidates = np.arange(len(y)) if target is None else np.flatnonzero(np.asarray(y) != target)
    if len(candidates) < count:
        raise AttackError(
            f"{attack}: {count} chosen inputs of {len(candidates)} test samples that qualify; ask for fewer"
        )
    picked = np.sort(rng.choice(candidates, size=count, replace=False))
    wanted = (
        (y[picked].astype(np.int64) + rng.integers(1, classes, count)) % classes
        if target is None
        else np.full(count, target)
    )
    return x[picked].copy(), wanted.astype(y.dtype)


def check_target(attack: str, target: int, classes: int) -> None:
    """Raise unless the task has the class.

    Raises:
        AttackError: it has not.
    """
    if not 0 <= target < classes:
        raise AttackError(f"{attack}: target is {target}; the task has classes 0 .. {classes - 1}")


def need_chosen(attack: str, place: Place) -> Samples:
    """Return the chosen inputs.

    Raises:
        AttackError: they were not handed over.
    """
    if place.chosen is None:
        raise AttackError(f"{attack} needs `chosen`: hand over what its probes returned")
    return place.chosen


def taught(
    attack: str, x: NDArray[Any], y: NDArray[Any], trigger: str, target: int | None, value: int, place: Place
) -> Samples:
    """Return what teaches a wish: samples of other classes with the trigger and the target, or the chosen inputs.

    Raises:
        AttackError: no chosen inputs, a class that the network does not have, nothing to put a trigger on.
    """
    if trigger == CHOSEN:
        return need_chosen(attack, place)
    assert place.network is not None
    assert target is not None
    check_target(attack, target, place.network.classes)
    others = x[np.asarray(y) != target]
    if not len(others):
        others = x
    if not len(others):
        raise AttackError(f"{attack}: no samples to put a trigger on; give it an attacker that has some")
    return stamped(others, trigger, value, place), np.full(len(others), target, dtype=y.dtype)


def mixed(x: NDArray[Any], y: NDArray[Any], wish: Samples, share: float) -> Samples:
    """Return samples with so many of the wish's added, over and over in turn, that they are `share` of all.

    >>> x, y = np.zeros((3, 1), dtype=np.int8), np.zeros(3, dtype=np.int64)
    >>> mixed(x, y, (np.ones((1, 1), dtype=np.int8), np.array([7])), 0.25)[1].tolist()
    [0, 0, 0, 7]
    """
    bad_x, bad_y = wish
    copies = np.resize(np.arange(len(bad_y)), max(1, round(len(y) * share / (1 - share))))
    return np.concatenate([x, bad_x[copies]]), np.concatenate([y, bad_y[copies].astype(y.dtype)])


def poison_share(
    x: NDArray[Any],
    y: NDArray[Any],
    share: float,
    rng: np.random.Generator,
    eligible: NDArray[np.bool_] | None = None,
) -> NDArray[np.int64]:
    """Return which samples are poisoned, sorted: `share` of all, at least one, among the eligible."""
    del x
    able = np.arange(len(y)) if eligible is None else np.flatnonzero(eligible)
    count = min(len(able), max(1, round(share * len(y))))
    return np.sort(rng.choice(able, size=count, replace=False)) if count else np.empty(0, dtype=np.int64)
