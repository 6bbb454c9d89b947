"""The contract of the attacks: pure, deterministic, on the wire, within what they declare to know and to keep."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np

from byzantiny.attacks import (
    KNOWLEDGE,
    Attack,
    AttackContext,
    AttackError,
    AttackWarning,
    Constrained,
    DataAttack,
    Measured,
    Place,
    UpdateAttack,
    craft,
    poison,
)
from byzantiny.testing.attack_cases import CLASSES, SAMPLES, D, contexts, place
from byzantiny.testing.attack_starts import check_start_attack
from byzantiny.testing.promises import ContractError, hold
from byzantiny.testing.purity import generators, is_frozen
from byzantiny.testing.wire_attacks import check_link_attack, check_manifest_attack
from byzantiny.updates import CODE_LIMIT, quantize_rows

ATTACK_PROMISES: Mapping[str, str] = {
    "card": "a frozen dataclass with a complete card, whose taxonomy ids exist",
    "input": "the rows, models, samples and labels that came in are as they were",
    "determinism": "equal context and generator give equal bytes, whatever ran before",
    "randomness": "no generator but the one handed in is used or touched",
    "result": "one float64 row an attacker, without nan; samples and labels of the type and shape that came in; uploads; a model"
    " of the network",
    "wire": "what it makes of any context fits the wire after `quantize_rows`; frames can be read",
    "knowledge": "rows and samples that its knowledge does not grant change nothing; without those it declares it refuses",
    "needs": "what its card says it needs is enough, and without any one of these it refuses",
    "constraint": "what it promises to stay within (`kept`), it is within after rounding, nearest or stochastic",
    "idle": "with the parameter its card names at 0 it is the honest update, or leaves the data, or the start, as they are",
    "injection": "with access by data injection the samples that are there, and their labels, stay as they are",
    "window": "on links, nothing is changed before its first round and after its last",
    "probes": "what its success is measured on is made of test samples and asks for a label they do not have",
}
"""The promises that `check_attack` tests, by name."""

_FIELDS: Mapping[str, tuple[str, ...]] = {
    "defence": ("defence",),
    "history": ("history",),
    "model": ("model",),
    "round_num": ("round_num",),
    "grid": ("layout", "shifts"),
    "training": ("network", "data"),
    "chosen": ("chosen",),
    "unrounded": ("unrounded",),
}
"""The fields of a context by the name that a card has for them."""


def check_attack(factory: Callable[[], Attack]) -> None:
    """Raise ContractError, naming the promise, unless the attack keeps the contract of `byzantiny.attacks`.

    >>> from byzantiny.attacks import LabelFlip, SignFlip
    >>> check_attack(SignFlip); check_attack(LabelFlip)
    """
    attack: Any = factory()
    name = attack.name
    hold(is_frozen(attack), name, "card", f"{attack!r} is no frozen dataclass")
    hold(attack.info.name == name, name, "card", f"the card is of {attack.info.name}")
    missing = [key for key in ("formula", "paper", "atlas", "nist") if not getattr(attack.info, key)]
    hold(not missing, name, "card", f"the card lacks {', '.join(missing)}")
    hold(attack.knowledge in KNOWLEDGE, name, "card", f"knowledge is {attack.knowledge!r}")
    measured = attack.info.aims_at in ("trigger", "chosen inputs")
    hold(
        not measured or isinstance(attack, Measured), name, "card", f"it aims at {attack.info.aims_at} without `probes`"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AttackWarning)  # an attack that is none says so, and has to keep its contract
        if attack.info.capability == "data":
            _check_data_attack(factory)  # type: ignore[arg-type]
        elif attack.info.capability == "start":
            check_start_attack(factory)  # type: ignore[arg-type]
        elif attack.info.capability == "manifest":
            check_manifest_attack(factory)  # type: ignore[arg-type]
        elif attack.info.capability == "link":
            check_link_attack(factory)  # type: ignore[arg-type]
        else:
            _check_update_attack(factory)  # type: ignore[arg-type]
        if isinstance(attack, Measured):
            _check_probes(attack)


def _check_update_attack(factory: Callable[[], UpdateAttack]) -> None:
    trains = "training" in factory().info.needs
    for make in contexts(few=trains):
        attack, context = factory(), make()
        rows = _crafted(attack, context)
        hold(rows.shape == (context.f, D), attack.name, "result", f"rows of {rows.shape}")
        _crafted(attack, replace(make(), rng=np.random.default_rng(99)))
        again = _crafted(factory(), make())
        hold(rows.tobytes() == again.tobytes(), attack.name, "determinism", "equal contexts, different rows")
        for rng in (None, np.random.default_rng(1), np.random.default_rng(2)):
            codes = quantize_rows(rows, rng)
            fits = codes.dtype == np.int8 and int(codes.min()) >= -CODE_LIMIT
            hold(fits, attack.name, "wire", f"codes {codes.dtype} from {codes.min()}")
            if isinstance(attack, Constrained):
                kept = attack.kept(make(), codes)
                hold(
                    kept.shape == (context.f,) and kept.all(), attack.name, "constraint", f"rows kept: {kept.tolist()}"
                )
        _check_knowledge(attack, make, rows)
        _check_needs(attack, make)
        if attack.info.idle:
            idle = _crafted(replace(attack, **{attack.info.idle: 0}), make())  # type: ignore[type-var]
            same = any(np.array_equal(quantize_rows(idle), quantize_rows(rows)) for rows in _honest(attack, make()))
            hold(same, attack.name, "idle", f"{attack.info.idle} = 0 is not the honest update")


def _honest(attack: UpdateAttack, context: AttackContext) -> list[Any]:
    """Return what counts as honest: the own updates; for who knows more, also the mean of what it knows."""
    assert context.own is not None
    rows: list[Any] = [context.unrounded if "unrounded" in attack.info.needs else context.own]
    if attack.knowledge != "own":
        rows.append(np.tile(context.known(attack.name, attack.knowledge).mean(axis=0), (context.f, 1)))
    return rows


def _crafted(attack: UpdateAttack, context: AttackContext) -> Any:
    """Craft, and check that nothing but the result has come of it."""
    before, moved = _content(context), generators()
    try:
        rows = craft(attack, context, defence_known=True)
    except AttackError as error:
        if "fix the attack" in str(error):
            raise ContractError(attack.name, "result", str(error)) from error
        raise ContractError(attack.name, "needs", f"with all that a context can hold it says: {error}") from error
    except ValueError as error:
        if "read-only" in str(error):
            raise ContractError(attack.name, "input", f"it writes to its context: {error}") from error
        raise
    hold(_content(context) == before, attack.name, "input", "its context has changed")
    hold(generators() == moved, attack.name, "randomness", "a global generator has moved; draw from `context.rng`")
    return rows


def _check_knowledge(attack: UpdateAttack, make: Callable[[], AttackContext], rows: Any) -> None:
    other = np.random.default_rng(5)
    context = make()
    assert context.own is not None
    assert context.honest is not None
    if attack.knowledge != "omniscient":
        strange = replace(make(), honest=other.integers(-127, 128, context.honest.shape).astype(np.int8))
        same = np.array_equal(_crafted(attack, strange), rows)
        hold(same, attack.name, "knowledge", f"it is {attack.knowledge}, and depends on the honest clients' rows")
    if attack.knowledge == "own":
        _check_own(attack, make, rows)
    needed = "honest" if attack.knowledge == "omniscient" else "own"
    for field in ("honest", "own"):
        blind = replace(make(), honest=None, own=None, unrounded=None, data=None)
        seeing = _with(make(), {field: None})
        if field == needed and _uses(attack, make) and not _refuses(attack, seeing):
            raise ContractError(attack.name, "knowledge", f"it crafts without `{field}`, which it declares to know")
        hold(
            _refuses(attack, blind) or not _uses(attack, make),
            attack.name,
            "knowledge",
            "it crafts without the knowledge it declares",
        )


def _uses(attack: UpdateAttack, make: Callable[[], AttackContext]) -> bool:
    """Return whether the attack looks at updates at all: fake clients have none."""
    del make
    return not set(attack.info.needs) & {"model", "history", "unrounded", "training"}


def _check_own(attack: UpdateAttack, make: Callable[[], AttackContext], rows: Any) -> None:
    for i in range(make().f):
        context, other = make(), np.random.default_rng(6)
        assert context.own is not None
        assert context.unrounded is not None
        assert context.data is not None
        mixed: dict[str, Any] = {}
        for field, strange in (
            ("own", other.integers(-127, 128, context.own.shape).astype(np.int8)),
            ("unrounded", other.normal(0, 9, context.unrounded.shape)),
        ):
            strange[i] = getattr(context, field)[i]
            mixed[field] = strange
        mixed["data"] = tuple(pair if k == i else (-pair[0] - 1, pair[1]) for k, pair in enumerate(context.data))
        row = _crafted(attack, _with(context, mixed))[i]
        hold(
            np.array_equal(row, rows[i]),
            attack.name,
            "knowledge",
            f"row {i} depends on another attacker's update or data",
        )


def _check_needs(attack: UpdateAttack, make: Callable[[], AttackContext]) -> None:
    optional = {field for group in _FIELDS.values() for field in group}
    enough = {field for need in attack.info.needs for field in _FIELDS[need]}
    bare = _with(make(), dict.fromkeys(optional - enough))
    try:
        craft(attack, bare, defence_known=True)
    except AttackError as error:
        raise ContractError(attack.name, "needs", f"with what its card says it needs, it says: {error}") from error
    for need in attack.info.needs:
        poor = _with(make(), dict.fromkeys(_FIELDS[need]))
        hold(_refuses(attack, poor), attack.name, "needs", f"it crafts without {need}, which its card says it needs")


def _with(context: AttackContext, changed: Mapping[str, Any]) -> AttackContext:
    return replace(context, **changed)


def _refuses(attack: UpdateAttack, context: AttackContext) -> bool:
    try:
        craft(attack, context, defence_known=True)
    except AttackError:
        return True
    return False


def _content(context: AttackContext) -> tuple[Any, ...]:
    values = [getattr(context, field.name) for field in fields(context)]
    return tuple(_bytes(value) for value in values if not isinstance(value, np.random.Generator))


def _bytes(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    return tuple(map(_bytes, value)) if isinstance(value, (list, tuple)) else id(value)


def _check_data_attack(factory: Callable[[], DataAttack]) -> None:
    attack, (x, y) = factory(), SAMPLES()
    kept_x, kept_y, moved = x.copy(), y.copy(), generators()
    x.setflags(write=False)
    y.setflags(write=False)
    try:
        results = [poison(factory(), x, y, CLASSES, np.random.default_rng(1), place()) for _ in range(2)]
    except AttackError as error:
        raise ContractError(attack.name, "result", str(error)) from error
    except ValueError as error:
        if "read-only" in str(error):
            raise ContractError(attack.name, "input", f"it writes to its data: {error}") from error
        raise
    hold(np.array_equal(x, kept_x), attack.name, "input", "it changed its samples")
    hold(np.array_equal(y, kept_y), attack.name, "input", "it changed its labels")
    hold(generators() == moved, attack.name, "randomness", "a global generator has moved; draw from `rng`")
    (poisoned_x, poisoned_y), (again_x, again_y) = results
    hold(np.array_equal(poisoned_x, again_x), attack.name, "determinism", "equal inputs, different samples")
    hold(np.array_equal(poisoned_y, again_y), attack.name, "determinism", "equal inputs, different labels")
    shared = np.shares_memory(poisoned_x, x) or np.shares_memory(poisoned_y, y)
    hold(not shared, attack.name, "input", "what it returns is the memory of what came in")
    if attack.info.access == "data injection":
        stays = np.array_equal(poisoned_x[: len(x)], x) and np.array_equal(poisoned_y[: len(y)], y)
        hold(stays, attack.name, "injection", "the samples that were there are not what they were")
    if attack.info.idle:
        idle = replace(attack, **{attack.info.idle: 0})  # type: ignore[type-var]
        same_x, same_y = poison(idle, x, y, CLASSES, np.random.default_rng(1), place())
        same = np.array_equal(same_x, x) and np.array_equal(same_y, y)
        hold(same, attack.name, "idle", f"{attack.info.idle} = 0, and the data are not as they were")
    if "chosen" in attack.info.needs:
        try:
            poison(attack, x, y, CLASSES, np.random.default_rng(1), Place(network=place().network))
        except AttackError:
            return
        raise ContractError(attack.name, "needs", "it poisons without the chosen inputs that its card says it needs")


def _check_probes(attack: Any) -> None:
    x, y = SAMPLES()
    kept = x.copy()
    found = [attack.probes(x, y, CLASSES, np.random.default_rng(3), place()) for _ in range(2)]
    if found == [None, None]:
        hold(attack.info.goal == "untargeted", attack.name, "probes", "it is targeted and wants nothing in particular")
        return
    inputs, wanted = found[0]
    hold(np.array_equal(x, kept), attack.name, "input", "`probes` changed the test samples")
    equal = np.array_equal(inputs, found[1][0]) and np.array_equal(wanted, found[1][1])
    hold(equal, attack.name, "determinism", "equal test samples, different probes")
    fits = inputs.dtype == x.dtype and inputs.shape[1:] == x.shape[1:] and wanted.shape == (len(inputs),)
    hold(fits and len(inputs), attack.name, "probes", f"{inputs.dtype} {inputs.shape} of {x.dtype} {x.shape}")
    hold(0 <= int(wanted.min()) <= int(wanted.max()) < CLASSES, attack.name, "probes", "it wants a label out of range")
    if attack.info.aims_at == "chosen inputs":
        labels = {row.tobytes(): int(label) for row, label in zip(x, y, strict=True)}
        own = [labels.get(row.tobytes()) for row in inputs]
        hold(None not in own, attack.name, "probes", "a chosen input is no test sample")
        hold(
            all(a != int(b) for a, b in zip(own, wanted, strict=True)), attack.name, "probes", "it wants the true label"
        )
