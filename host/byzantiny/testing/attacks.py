"""The contract of the attacks: pure, deterministic, fitting the wire, using no more knowledge than they declare."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from byzantiny.aggregators import Median
from byzantiny.attacks import (
    KNOWLEDGE,
    Attack,
    AttackContext,
    AttackError,
    Constrained,
    DataAttack,
    Measured,
    UpdateAttack,
    craft,
)
from byzantiny.attacks.base import poison
from byzantiny.testing.promises import hold
from byzantiny.testing.purity import is_frozen
from byzantiny.updates import CODE_LIMIT, AggregationError, UpdateBatch, quantize_rows
from byzantiny_models.networks import Dense, Network

N, F = 9, 3
NETWORK = Network("contract", (Dense(6, 10, "linear"),))
D = NETWORK.layout.d
CLASSES = 10


def check_attack(factory: Callable[[], Attack], *, row_by_row: bool = True) -> None:
    """Raise ContractError, naming the promise, unless the attack keeps the contract of `byzantiny.attacks`.

    `row_by_row=False` is for an "own" attack that draws random numbers, so that a row alone draws others.

    >>> from byzantiny.attacks import LabelFlip, SignFlip
    >>> check_attack(SignFlip); check_attack(LabelFlip)
    """
    attack = factory()
    name = attack.name
    hold(is_frozen(attack), name, "card", f"{attack!r}: an attack is a frozen dataclass")
    hold(attack.info.name == name, name, "card", f"its card says {attack.info.name}")
    hold(attack.info.formula and attack.info.paper, name, "card", "its card lacks the formula or the paper")
    hold(attack.knowledge in KNOWLEDGE, name, "card", f"knowledge {attack.knowledge!r}")
    hold(attack.info.atlas and attack.info.nist, name, "card", "its card has no id of a taxonomy")
    if attack.info.capability == "data":
        _check_data_attack(factory)  # type: ignore[arg-type]
    else:
        _check_update_attack(factory, row_by_row=row_by_row)  # type: ignore[arg-type]


def _check_update_attack(factory: Callable[[], UpdateAttack], *, row_by_row: bool) -> None:
    attack, name, context = factory(), factory().name, make_context()
    assert context.honest is not None
    assert context.own is not None
    before = [array.copy() for array in _arrays(context)]
    first, second = crafted(attack, context), crafted(factory(), make_context())
    hold(first.tobytes() == second.tobytes(), name, "determinism", "equal inputs, different rows")
    same = all(np.array_equal(a, b) for a, b in zip(_arrays(context), before, strict=True))
    hold(same, name, "input", "it changed the rows, models or samples it was handed")
    codes = quantize_rows(first)
    hold(np.abs(codes.astype(int)).max() <= CODE_LIMIT, name, "wire", "codes beyond +-127")
    _check_knowledge(factory, first, row_by_row=row_by_row)
    if isinstance(attack, Constrained):
        granted = make_context().granted(attack.knowledge, defence=True)
        hold(
            attack.kept(granted, codes).all(),
            name,
            "constraint",
            "the codes that are sent are not within its constraint",
        )
    if isinstance(attack, Measured):
        _check_probes(attack)


def _check_knowledge(factory: Callable[[], UpdateAttack], first: Any, *, row_by_row: bool) -> None:
    attack, context = factory(), make_context()
    name = attack.name
    assert context.honest is not None
    assert context.own is not None
    if attack.knowledge != "omniscient":
        others = crafted(attack, replace(make_context(), honest=-context.honest))
        hold(
            np.array_equal(others, first), name, "knowledge", "its rows depend on honest updates that it is not granted"
        )
    if "defence" not in attack.info.needs:
        blind = crafted(attack, replace(make_context(), defence=None))
        hold(
            np.array_equal(blind, first), name, "knowledge", "its rows depend on a defence that its card does not need"
        )
    if attack.knowledge == "own" and row_by_row:
        for i in range(F):
            assert context.data is not None
            only = replace(make_context(), own=context.own[i : i + 1], f=1, data=context.data[i : i + 1], members=(i,))
            alone = crafted(factory(), replace(only, attackers=F, places=(N - F + i,)))
            hold(np.array_equal(alone[0], first[i]), name, "knowledge", f"row {i} depends on another attacker's update")
    nothing = replace(make_context(), honest=None, own=None, model=None, history=None, defence=None)
    try:
        crafted(attack, nothing)
    except AttackError:
        return
    hold(False, name, "knowledge", "it crafts without the knowledge it declares")


def _check_data_attack(factory: Callable[[], DataAttack]) -> None:
    attack, name, classes = factory(), factory().name, CLASSES
    rng = np.random.default_rng(7)
    x, y = rng.integers(0, 64, (40, 64)).astype(np.int8), rng.integers(0, classes, 40).astype(np.uint8)
    kept_x, kept_y = x.copy(), y.copy()
    (first_x, first_y), (again_x, again_y) = (
        poison(factory(), x, y, classes, np.random.default_rng(1)) for _ in range(2)
    )
    hold(np.array_equal(x, kept_x) and np.array_equal(y, kept_y), name, "input", "it changed its samples or labels")
    equal = np.array_equal(first_x, again_x) and np.array_equal(first_y, again_y)
    hold(equal, name, "determinism", "equal inputs, different samples or labels")
    if attack.info.access == "data injection":
        there = np.array_equal(first_x[: len(x)], x) and np.array_equal(first_y[: len(y)], y)
        hold(there, name, "injection", "its card says that it adds samples, and it touched those that were there")
    if isinstance(attack, Measured):
        _check_probes(attack)


def _check_probes(attack: Measured) -> None:
    rng = np.random.default_rng(9)
    name = attack.name  # type: ignore[attr-defined]
    x, y = rng.integers(0, 64, (40, 64)).astype(np.int8), rng.integers(0, CLASSES, 40).astype(np.uint8)
    made = [attack.probes(x, y, CLASSES, np.random.default_rng(1)) for _ in range(2)]
    (inputs, wanted), (again, _) = made
    hold(np.array_equal(inputs, again), name, "determinism", "equal inputs, different probes")
    fits = inputs.dtype == x.dtype and inputs.shape[1:] == x.shape[1:] and len(inputs) == len(wanted) > 0
    hold(fits, name, "probes", f"probes {inputs.dtype} {inputs.shape} with {len(wanted)} labels of {x.dtype} {x.shape}")
    hold(0 <= int(wanted.min()) <= int(wanted.max()) < CLASSES, name, "probes", "a wanted label out of range")


def crafted(attack: UpdateAttack, context: AttackContext) -> Any:
    """Craft with the defence known, if the card says that it is needed."""
    return craft(attack, context, defence_known="defence" in attack.info.needs)


def make_context() -> AttackContext:
    """Return a context in which every field is granted: nine clients, three of them attackers, a small network."""
    rng = np.random.default_rng(7)
    layout = NETWORK.layout
    samples = [
        (rng.integers(-64, 64, (12, NETWORK.features)).astype(np.int8), rng.integers(0, CLASSES, 12).astype(np.uint8))
        for _ in range(F)
    ]
    models = [rng.integers(-8000, 8000, D).astype(np.int32) for _ in range(4)]
    return AttackContext(
        honest=rng.integers(-30, 31, (N - F, D)).astype(np.int8),
        own=rng.integers(-30, 31, (F, D)).astype(np.int8),
        n=N,
        f=F,
        rng=np.random.default_rng(8),
        round_num=4,
        model=models[-1],
        history=models[:-1],
        layout=layout,
        shifts=layout.default_shifts(6),
        network=NETWORK,
        data=samples,
        chosen=samples[0],
        defence=_median,
        campaign=5,
    )


def _median(codes: Any) -> Any:
    batch = UpdateBatch.from_rows(codes)
    try:
        return Median(f=F).apply(batch, None, np.random.default_rng(0))[0].values
    except AggregationError:
        return np.zeros(codes.shape[1])


def _arrays(context: AttackContext) -> list[Any]:
    found = [context.honest, context.own, context.model, *(context.history or ())]
    found += [array for pair in context.data or () for array in pair]
    return [array for array in found if array is not None]
