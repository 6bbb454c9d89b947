"""What the attacks that plant something have in common: what they want, the samples that teach it, and how long they train."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import ALONE, AttackContext, AttackError, AttackInfo, Knowledge, Place, Samples
from byzantiny.attacks.checks import require_choice, require_count, require_number, require_share
from byzantiny.attacks.chosen import CHOSEN, WANTS, chosen_probes, mixed, need_chosen, taught, trigger_probes
from byzantiny.attacks.local import Schedule

TRIGGER_TAGS = (("AML.T0018.000", "AML.T0043.004"), ("NISTAML.023", "NISTAML.026"))
CHOSEN_TAGS = (("AML.T0018.000",), ("NISTAML.024", "NISTAML.026"))


@dataclass(frozen=True)
class Planted:
    """The parameters they share, and their probes; a part of an attack, none by itself.

    `trigger`: a name of TRIGGERS that leads to class `target`, or "none" for chosen inputs (`count` of them, wanted as
    `target`, or each as a class drawn for it). `share`: the malicious part of the samples. `epochs`, `batch`, `rate`: of the
    SGD. `boost`: what the change is multiplied by; None: n over the number of attackers, which makes their mean the
    model they trained.
    """

    trigger: str = "patch"
    target: int | None = 0
    value: int = 127
    share: float = 0.5
    count: int = 5
    epochs: int = 5
    batch: int = 16
    rate: float = 0.1
    boost: float | None = None

    name: ClassVar[str]
    info: ClassVar[AttackInfo]

    def __post_init__(self) -> None:
        require_choice(self.name, "trigger", self.trigger, WANTS)
        if self.target is not None:
            require_count(self.name, "target", self.target)
        elif self.trigger != CHOSEN:
            raise AttackError(f"{self.name}: trigger {self.trigger!r} leads to no class; give a target")
        require_count(self.name, "value", self.value, -128, 127)
        require_share(self.name, "share", self.share, 0.0, 0.95)
        require_count(self.name, "count", self.count, 1)
        require_count(self.name, "epochs", self.epochs, 1)
        require_count(self.name, "batch", self.batch, 1)
        require_number(self.name, "rate", self.rate, 0)
        if self.boost is not None:
            require_number(self.name, "boost", self.boost, 0)

    @property
    def knowledge(self) -> Knowledge:
        """Its own update and data."""
        return "own"

    def probes(
        self, x: NDArray[Any], y: NDArray[Any], classes: int, rng: np.random.Generator, place: Place = ALONE
    ) -> Samples:
        """Return triggered test samples of other classes, or chosen ones without a trigger, and what each is to be taken for."""
        if self.trigger == CHOSEN:
            return chosen_probes(self.name, x, y, classes, rng, self.count, self.target)
        assert self.target is not None
        return trigger_probes(self.name, x, y, classes, place, self.trigger, self.target, self.value)

    @property
    def schedule(self) -> Schedule:
        """How its SGD runs."""
        return Schedule(self.epochs, self.batch, self.rate)

    def factor(self, context: AttackContext) -> float:
        """Return what the change is multiplied by."""
        return context.n / context.together if self.boost is None else self.boost

    def clean(self, context: AttackContext, index: int) -> Samples:
        """Return an attacker's own samples.

        Raises:
            AttackError: they were not handed over.
        """
        context.has(self.name, "data", "network")
        assert context.data is not None
        if len(context.data) != context.f:
            raise AttackError(
                f"{self.name}: `data` of {len(context.data)} attackers for f = {context.f}; give each its own"
            )
        return context.data[index]

    def wanted(self, context: AttackContext, index: int) -> Samples:
        """Return what teaches the wish: own samples of other classes with the trigger, or the chosen inputs.

        Raises:
            AttackError: no chosen inputs, a class that the network does not have, nothing to put a trigger on.
        """
        if self.trigger == CHOSEN:
            return need_chosen(self.name, Place(chosen=context.chosen))
        x, y = self.clean(context, index)
        place = Place(network=context.network)
        return taught(self.name, x, y, self.trigger, self.target, self.value, place)

    def mixture(self, context: AttackContext, index: int) -> Samples:
        """Return own samples with so many malicious ones added that they are `share` of all."""
        x, y = self.clean(context, index)
        return mixed(x, y, self.wanted(context, index), self.share)


def generators_of(context: AttackContext) -> list[np.random.Generator]:
    """Return a generator for each attacker, so that what one draws does not depend on the others."""
    return context.rng.spawn(context.f)


def require_pull(attack: str, rate: float, rho: float) -> None:
    """Raise unless a step of SGD with the pull `rho` towards the honest ends nearer to them than it began.

    Raises:
        AttackError: a rho below 0, or a rate times rho of 1 or more, which overshoots.
    """
    require_share(attack, "rho", rho, 0.0, 1e6)
    if rate * rho >= 1:
        raise AttackError(
            f"{attack}: rate * rho is {rate * rho:g}; it must be below 1, or the pull overshoots; lower either"
        )
