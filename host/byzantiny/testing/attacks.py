"""The contract of the attacks: pure, deterministic, using no more knowledge than they declare."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from byzantiny.attacks import KNOWLEDGE, Attack, AttackContext, AttackError, DataAttack, UpdateAttack, craft
from byzantiny.testing.purity import is_frozen

N, F, D = 9, 3, 70


def check_attack(factory: Callable[[], Attack], *, row_by_row: bool = True) -> None:
    """Raise AssertionError unless the attack keeps the contract of `byzantiny.attacks`.

    `row_by_row=False` is for an "own" attack that draws random numbers, so that a row alone draws others.

    >>> from byzantiny.attacks import LabelFlip, SignFlip
    >>> check_attack(SignFlip); check_attack(LabelFlip)
    """
    attack = factory()
    assert is_frozen(attack), f"{attack!r}: an attack is a frozen dataclass"
    assert attack.info.name == attack.name, f"{attack.name}: its card says {attack.info.name}"
    assert attack.info.formula, f"{attack.name}: its card lacks the formula"
    assert attack.info.paper, f"{attack.name}: its card lacks the paper"
    assert attack.knowledge in KNOWLEDGE, f"{attack.name}: knowledge {attack.knowledge!r}"
    if attack.info.capability == "data":
        _check_data_attack(factory)  # type: ignore[arg-type]
    else:
        _check_update_attack(factory, row_by_row=row_by_row)  # type: ignore[arg-type]


def _check_update_attack(factory: Callable[[], UpdateAttack], *, row_by_row: bool) -> None:
    attack, context = factory(), _context()
    assert context.honest is not None
    assert context.own is not None
    honest, own = context.honest.copy(), context.own.copy()
    first, second = craft(attack, context), craft(factory(), _context())
    assert first.tobytes() == second.tobytes(), f"{attack.name}: equal inputs, different rows"
    assert np.array_equal(context.honest, honest), f"{attack.name}: it changed the honest rows"
    assert np.array_equal(context.own, own), f"{attack.name}: it changed its own rows"
    if attack.knowledge == "own" and row_by_row:
        for i in range(F):
            alone = craft(factory(), replace(_context(), own=own[i : i + 1], f=1))
            assert np.array_equal(alone[0], first[i]), f"{attack.name}: row {i} depends on another attacker's update"
    try:
        craft(attack, replace(context, honest=None, own=None))
    except AttackError:
        return
    raise AssertionError(f"{attack.name}: it crafts without the knowledge it declares")


def _check_data_attack(factory: Callable[[], DataAttack]) -> None:
    attack, classes = factory(), 10
    rng = np.random.default_rng(7)
    x, y = rng.integers(0, 64, (40, 64)).astype(np.int8), rng.integers(0, classes, 40).astype(np.uint8)
    kept_x, kept_y = x.copy(), y.copy()
    results: list[tuple[Any, Any]] = [factory().poison(x, y, classes, np.random.default_rng(1)) for _ in range(2)]
    assert np.array_equal(x, kept_x), f"{attack.name}: it changed its samples"
    assert np.array_equal(y, kept_y), f"{attack.name}: it changed its labels"
    (poisoned_x, poisoned_y), (again_x, again_y) = results
    assert np.array_equal(poisoned_x, again_x), f"{attack.name}: equal inputs, different samples"
    assert np.array_equal(poisoned_y, again_y), f"{attack.name}: equal inputs, different labels"
    assert poisoned_x.dtype == x.dtype, f"{attack.name}: samples of {poisoned_x.dtype}"
    assert poisoned_y.dtype == y.dtype, f"{attack.name}: labels of {poisoned_y.dtype}"
    assert len(poisoned_x) == len(poisoned_y), f"{attack.name}: {len(poisoned_x)} samples, {len(poisoned_y)} labels"
    assert 0 <= int(poisoned_y.min()) <= int(poisoned_y.max()) < classes, f"{attack.name}: a label out of range"


def _context() -> AttackContext:
    rng = np.random.default_rng(7)
    return AttackContext(
        honest=rng.integers(-127, 128, (N - F, D)).astype(np.int8),
        own=rng.integers(-127, 128, (F, D)).astype(np.int8),
        n=N,
        f=F,
        rng=np.random.default_rng(8),
        round_num=3,
        model=np.zeros(D, dtype=np.int32),
        history=[np.zeros(D, dtype=np.int32)],
    )
