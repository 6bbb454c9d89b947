"""Trigger backdoor: part of the samples get a trigger and the target's label; what the model learns is the trigger.

Gu, Dolan-Gavitt, Garg. BadNets: identifying vulnerabilities in the machine learning model supply chain. arXiv 1708.06733;
the other triggers and their papers are in byzantiny.attacks.triggers. share is BackFed's .3125 (20 of 64).
Differs from the papers: samples are int8 features, whose largest value is 127.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import ALONE, AttackInfo, Knowledge, Place, Samples, check_labels
from byzantiny.attacks.checks import require_choice, require_count, require_share
from byzantiny.attacks.chosen import check_target, poison_share, stamped, trigger_probes
from byzantiny.attacks.triggers import TRIGGERS


@dataclass(frozen=True, slots=True)
class Backdoor:
    """Stamp a trigger on `share` of the samples that are not of the target's class, and label them `target`.

    Success is the share of triggered test samples of other classes that are taken for the target.

    Raises:
        AttackError: an unknown trigger, a share outside 0 .. 1; from `poison`, a target the task does not have.

    >>> x, y = np.zeros((4, 64), dtype=np.int8), np.array([1, 1, 2, 2])
    >>> px, py = Backdoor(share=0.5).poison(x, y, 3, np.random.default_rng(0))
    >>> int((py == 0).sum()), int((px == 127).sum())
    (2, 8)
    """

    trigger: str = "patch"
    target: int = 0
    share: float = 0.3125
    value: int = 127

    name: ClassVar[str] = "backdoor"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="backdoor",
        formula="trigger on a share of the samples, their label -> target",
        goal="targeted",
        knowledge="own",
        capability="data",
        paper="Gu et al., arXiv 1708.06733; Chen et al., arXiv 1712.05526; Barni et al., ICIP 2019",
        access="data manipulation",
        aims_at="trigger",
        atlas=("AML.T0020", "AML.T0043.004"),
        nist=("NISTAML.023",),
        idle="share",
    )

    def __post_init__(self) -> None:
        require_choice(self.name, "trigger", self.trigger, TRIGGERS)
        require_share(self.name, "share", self.share)
        require_count(self.name, "value", self.value, -128, 127)

    @property
    def knowledge(self) -> Knowledge:
        """Its own data."""
        return "own"

    def poison(
        self,
        x: NDArray[Any],
        y: NDArray[Any],
        classes: int,
        rng: np.random.Generator,
        place: Place = ALONE,
    ) -> Samples:
        """Return the poisoned samples and labels, as new arrays."""
        check_labels(self.name, y, classes)
        check_target(self.name, self.target, classes)
        chosen = poison_share(x, y, self.share, rng, y != self.target) if self.share else np.empty(0, dtype=np.int64)
        poisoned, labels = x.copy(), y.copy()
        poisoned[chosen] = stamped(x[chosen], self.trigger, self.value, place)
        labels[chosen] = self.target
        return poisoned, labels

    def probes(
        self,
        x: NDArray[Any],
        y: NDArray[Any],
        classes: int,
        rng: np.random.Generator,
        place: Place = ALONE,
    ) -> Samples:
        """Return the test samples of other classes with the trigger, and the target."""
        del rng
        return trigger_probes(self.name, x, y, classes, place, self.trigger, self.target, self.value)
