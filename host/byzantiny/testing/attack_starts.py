"""The contract of attacks on the start: a model of the network from the attackers' own data, and nothing else moved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks import AttackError, Samples, StartAttack, hand_over
from byzantiny.testing.attack_cases import NETWORK, SAMPLES, place
from byzantiny.testing.promises import ContractError, hold
from byzantiny.testing.purity import generators
from byzantiny_models.networks import initial_model

Model = NDArray[np.int32]


def check_start_attack(factory: Callable[[], StartAttack]) -> None:
    """Raise ContractError, naming the promise, unless an attack on the start keeps the contract of `byzantiny.attacks`."""
    attack = factory()
    first, data = initial_model(NETWORK, 1), [SAMPLES(20 + k, 24) for k in range(2)]
    before = (first.copy(), [(x.copy(), y.copy()) for x, y in data])
    moved = generators()
    made = _made(attack, data, first)
    _made(factory(), data, first, seed=99)
    again = _made(factory(), data, first)
    same = np.array_equal(first, before[0]) and all(
        np.array_equal(a, b) for old, new in zip(before[1], data, strict=True) for a, b in zip(old, new, strict=True)
    )
    hold(same, attack.name, "input", "the first model or the data have changed")
    hold(generators() == moved, attack.name, "randomness", "a global generator has moved; draw from `rng`")
    hold(made.tobytes() == again.tobytes(), attack.name, "determinism", "equal inputs, different models")
    _check_needs(attack, data, first)
    if attack.info.idle:
        idle = _made(replace(attack, **{attack.info.idle: 0}), data, first)  # type: ignore[type-var]
        hold(np.array_equal(idle, first), attack.name, "idle", f"{attack.info.idle} = 0, and the start is another")


def _made(attack: StartAttack, data: list[Samples], first: Model, *, seed: int = 8) -> Model:
    try:
        return hand_over(attack, NETWORK, data, first, np.random.default_rng(seed), place().chosen)
    except AttackError as error:
        promise = "result" if "fix the attack" in str(error) else "needs"
        raise ContractError(attack.name, promise, str(error)) from error
    except ValueError as error:
        if "read-only" in str(error):
            raise ContractError(attack.name, "input", f"it writes to what it was handed: {error}") from error
        raise


def _check_needs(attack: StartAttack, data: list[Samples], first: Model) -> None:
    if "training" in attack.info.needs:
        hold(_refuses(attack, [], first, place().chosen), attack.name, "needs", "it makes a model without any data")
    if "chosen" in attack.info.needs:
        hold(_refuses(attack, data, first, None), attack.name, "needs", "it makes a model without the chosen inputs")


def _refuses(attack: StartAttack, data: list[Samples], first: Model, chosen: Any) -> bool:
    try:
        hand_over(attack, NETWORK, data, first, np.random.default_rng(8), chosen)
    except AttackError:
        return True
    return False
