"""The contract of attacks catches what breaks it, by the name of the promise."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import numpy as np
import pytest

from byzantiny.attacks import (
    AttackError,
    AttackInfo,
    Backdoor,
    ChosenInput,
    DropFrames,
    Gaussian,
    Injection,
    LabelFlip,
    Lazy,
    LeakedKeys,
    LSBBudget,
    MinMax,
    ModelReplacement,
    Passed,
    PoisonedStart,
    Replay,
    Saturate,
    SignFlip,
    Wiretap,
    load_attacks,
)
from byzantiny.testing import ATTACK_PROMISES, ContractError, check_attack
from byzantiny.testing.wire_talk import keys_of


@dataclass
class Thawed:
    scale: float = 1.0
    name, info, knowledge = "sign-flip", SignFlip.info, "own"

    def craft(self, context):
        return -self.scale * context.need(self.name, "own")


@dataclass(frozen=True)
class Unlisted(SignFlip):
    info = replace(SignFlip.info, atlas=())


@dataclass(frozen=True)
class Unmeasured(SignFlip):
    info = replace(SignFlip.info, aims_at="trigger")


@dataclass(frozen=True)
class Writes(SignFlip):
    def craft(self, context):
        context.own[:] = 0
        return np.zeros(context.own.shape)


@dataclass(frozen=True)
class Writable(SignFlip):
    """The model is handed over as it is; the relay of another round still needs it."""

    def craft(self, context):
        context.model.setflags(write=True)
        context.model[0] += 1
        return SignFlip.craft(self, context)


CALLS = []


@dataclass(frozen=True)
class Remembers(SignFlip):
    def craft(self, context):
        CALLS.append(1)
        return SignFlip.craft(self, context) * len(CALLS)


@dataclass(frozen=True)
class Unseeded(SignFlip):
    def craft(self, context):
        return SignFlip.craft(self, context) + random.random() * 0


@dataclass(frozen=True)
class Short(SignFlip):
    def craft(self, context):
        return SignFlip.craft(self, context)[:1]


@dataclass(frozen=True)
class Nan(SignFlip):
    def craft(self, context):
        return SignFlip.craft(self, context) * np.nan


@dataclass(frozen=True)
class Peeks(SignFlip):
    """Declares that it sees its own update and mixes in another attacker's."""

    def craft(self, context):
        return SignFlip.craft(self, context) + context.own.sum(axis=0)


@dataclass(frozen=True)
class Guesses(SignFlip):
    """Makes up what it was not granted instead of refusing."""

    def craft(self, context):
        if context.own is None:
            return np.zeros((context.f, context.model.size))
        return SignFlip.craft(self, context)


@dataclass(frozen=True)
class WantsMore(Saturate):
    def craft(self, context):
        context.has(self.name, "history")
        return Saturate.craft(self, context)


@dataclass(frozen=True)
class WantsLess(Lazy):
    info = replace(Lazy.info, needs=("model", "history", "grid", "defence"))


@dataclass(frozen=True)
class Rounded(MinMax):
    """The published way: a real solution, rounded."""

    def craft(self, context):
        return replace(MinMax(lattice=False), direction=self.direction).craft(context)


@dataclass(frozen=True)
class Restless(LSBBudget):
    def craft(self, context):
        return (
            np.clip(LSBBudget.craft(replace(self), context) + 1, -127, 127)
            if self.budget == 0
            else LSBBudget.craft(self, context)
        )


@dataclass(frozen=True)
class Relabels(Injection):
    def poison(self, x, y, classes, rng, place=None):
        x, y = Injection.poison(self, x, y, classes, rng)
        return x, np.concatenate([(y[:1] + 1) % classes, y[1:]])


@dataclass(frozen=True)
class InPlace(LabelFlip):
    def poison(self, x, y, classes, rng, place=None):
        y[:] = (classes - 1) - y
        return x.copy(), y.copy()


@dataclass(frozen=True)
class Views(LabelFlip):
    def poison(self, x, y, classes, rng, place=None):
        return x, LabelFlip.poison(self, x, y, classes, rng)[1]


@dataclass(frozen=True)
class Widens(LabelFlip):
    def poison(self, x, y, classes, rng, place=None):
        return x.astype(np.int64), y.copy()


@dataclass(frozen=True)
class NeverIdle(Backdoor):
    def poison(self, x, y, classes, rng, place=None):
        return Backdoor.poison(replace(self, share=max(self.share, 0.1)), x, y, classes, rng)


@dataclass(frozen=True)
class AsksTheTruth(ChosenInput):
    def probes(self, x, y, classes, rng, place=None):
        return x[:3].copy(), y[:3].copy()


@dataclass(frozen=True)
class AsksTheImpossible(Backdoor):
    def probes(self, x, y, classes, rng, place=None):
        return x[:3].copy(), np.full(3, 99)


@dataclass(frozen=True)
class DrawsAnew(ModelReplacement):
    def probes(self, x, y, classes, rng, place=None):
        chosen = np.random.default_rng().permutation(len(y))[:5]
        return x[chosen], np.zeros(5, dtype=y.dtype)


@dataclass(frozen=True)
class WritesOnTheStart(PoisonedStart):
    def start(self, network, data, model, rng, chosen=None):
        model[:] = 0
        return model.copy()


@dataclass(frozen=True)
class OverflowsTheStart(PoisonedStart):
    def start(self, network, data, model, rng, chosen=None):
        return model + (1 << 20)


@dataclass(frozen=True)
class DrawsTheStart(PoisonedStart):
    def start(self, network, data, model, rng, chosen=None):
        return PoisonedStart.start(self, network, data, model, np.random.default_rng(), chosen)


@dataclass(frozen=True)
class StartsWithoutData(PoisonedStart):
    def start(self, network, data, model, rng, chosen=None):
        return PoisonedStart.start(self, network, data, model, rng, chosen) if data else model.copy()


@dataclass(frozen=True)
class NeverIdleStart(PoisonedStart):
    def start(self, network, data, model, rng, chosen=None):
        return PoisonedStart.start(replace(self, epochs=max(1, self.epochs)), network, data, model, rng, chosen)


@dataclass(frozen=True)
class Eager(DropFrames):
    """It acts in every round, whatever it was told."""

    def tap(self, scene):
        return DropFrames.tap(self, replace(scene, start_round=1, stop_round=None))


@dataclass(frozen=True)
class Everywhere(DropFrames):
    def tap(self, scene):
        return DropFrames.tap(self, replace(scene, held=frozenset(scene.clients)))


class Noisy(Wiretap):
    def up(self, client_id, frame, now):
        return Passed(up=((client_id, frame), (client_id, b"noise")))


@dataclass(frozen=True)
class Noise(DropFrames):
    def tap(self, scene):
        return Noisy()


@dataclass(frozen=True)
class KeepsSending(Replay):
    def forge(self, context):
        CALLS.append(1)
        return (context.seal(counter=len(CALLS)),)


@dataclass(frozen=True)
class Scribbles(Replay):
    def forge(self, context):
        context.codes[0] = 1
        return ()


@dataclass(frozen=True)
class Loose(Replay):
    def forge(self, context):
        return [context.seal()]


@dataclass(frozen=True)
class Burgles(LeakedKeys):
    """It finds the keys it is not granted."""

    def tap(self, scene):
        return LeakedKeys.tap(self, replace(scene, keys={name: keys_of(name) for name in scene.held}))


@pytest.mark.parametrize(
    ("broken", "promise"),
    [
        (Eager, "window"),
        (Everywhere, "knowledge"),
        (Noise, "wire"),
        (KeepsSending, "determinism"),
        (Scribbles, "input"),
        (Loose, "result"),
        (Burgles, "needs"),
        (Thawed, "card"),
        (Unlisted, "card"),
        (Unmeasured, "card"),
        (Writes, "input"),
        (Writable, "input"),
        (InPlace, "input"),
        (Views, "input"),
        (Remembers, "determinism"),
        (DrawsAnew, "determinism"),
        (Unseeded, "randomness"),
        (Short, "result"),
        (Nan, "result"),
        (Widens, "result"),
        (Peeks, "knowledge"),
        (Guesses, "knowledge"),
        (WantsMore, "needs"),
        (WantsLess, "needs"),
        (Rounded, "constraint"),
        (Restless, "idle"),
        (NeverIdle, "idle"),
        (Relabels, "injection"),
        (AsksTheTruth, "probes"),
        (AsksTheImpossible, "probes"),
        (WritesOnTheStart, "input"),
        (OverflowsTheStart, "result"),
        (DrawsTheStart, "determinism"),
        (StartsWithoutData, "needs"),
        (NeverIdleStart, "idle"),
    ],
)
def test_what_breaks_a_promise_is_caught_by_its_name(broken, promise):
    with pytest.raises(ContractError) as caught:
        check_attack(broken)
    assert caught.value.promise == promise


def test_every_promise_has_a_mutant_that_breaks_it():
    mark = next(m for m in test_what_breaks_a_promise_is_caught_by_its_name.pytestmark if m.name == "parametrize")
    assert {promise for _, promise in mark.args[1]} == set(ATTACK_PROMISES)


def test_an_attack_that_draws_keeps_the_contract_too():
    check_attack(lambda: Gaussian(add=True))


def test_what_sends_infinity_still_fits_the_wire():
    """ByzFL's Inf."""

    @dataclass(frozen=True)
    class Inf(SignFlip):
        def craft(self, context):
            return np.full(context.need(self.name, "own").shape, np.inf)

    check_attack(Inf)


def test_cards_are_complete_and_their_names_are_known():
    for factory in load_attacks().values():
        info = factory.info
        assert info.atlas
        assert info.nist
        assert (
            info.access
            in {
                "data": ("data manipulation", "data injection"),
                "update": ("logic corruption",),
                "manifest": ("logic corruption",),
                "link": ("none",),
                "start": ("pretrained start",),
            }[info.capability]
        )
        assert (info.capability == "start") == hasattr(factory, "start")
        assert (info.goal == "targeted") == (info.aims_at in ("trigger", "chosen inputs"))


def test_a_card_cannot_hand_over_a_start_by_another_name():
    for change in ({"capability": "start"}, {"access": "pretrained start"}):
        with pytest.raises(AttackError, match="hands over the first model"):
            replace(SignFlip.info, **change)
    assert isinstance(replace(SignFlip.info, capability="start", access="pretrained start"), AttackInfo)
