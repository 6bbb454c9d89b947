"""DBA: the trigger is cut in parts, and every attacker plants one; nobody holds the whole, which is what awakes it.

Xie, Huang, Chen, Li. DBA: distributed backdoor attacks against federated learning. ICLR 2020.
Differs from the paper: bars scaled to the sample (the paper's are 4 pixels long, 2 apart, for 28 x 28); its boosting is another
attack (model-replacement).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import ALONE, AttackError, AttackInfo, Knowledge, Place, Samples, check_labels
from byzantiny.attacks.checks import require_count, require_share
from byzantiny.attacks.chosen import check_target, poison_share
from byzantiny.attacks.triggers import part, shape_of


@dataclass(frozen=True, slots=True)
class DBA:
    """Stamp part `index mod parts` of the trigger on `share` of the samples of other classes, and label them `target`.

    Success is measured with all parts at once.

    Raises:
        AttackError: parts below 1, a share outside 0 .. 1; from `poison`, samples too small for the parts.

    >>> x, y = np.zeros((4, 64), dtype=np.int8), np.array([1, 1, 2, 2])
    >>> third = DBA(share=0.5).poison(x, y, 3, np.random.default_rng(0), Place(index=2, f=4))[0]
    >>> np.flatnonzero(third.any(axis=0)).tolist()
    [16, 17, 18]
    """

    parts: int = 4
    target: int = 2
    share: float = 0.3125
    value: int = 127

    name: ClassVar[str] = "dba"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="dba",
        formula="part i of a trigger on the samples of attacker i, their label -> target",
        goal="targeted",
        knowledge="own",
        capability="data",
        paper="Xie et al., ICLR 2020",
        access="data manipulation",
        aims_at="trigger",
        atlas=("AML.T0020", "AML.T0043.004"),
        nist=("NISTAML.023",),
        idle="share",
    )

    def __post_init__(self) -> None:
        require_count(self.name, "parts", self.parts, 1)
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
        shape = shape_of(x.shape[1], place.network)
        poisoned[chosen] = part(x[chosen], shape, self.value, place.index, self.parts)
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
        """Return the test samples of other classes with the whole trigger, and the target."""
        del rng
        check_target(self.name, self.target, classes)
        others = np.asarray(y) != self.target
        if not others.any():
            raise AttackError(f"dba: every test sample is of class {self.target} already; choose another target")
        whole = x[others]
        for index in range(self.parts):
            whole = part(whole, shape_of(x.shape[1], place.network), self.value, index, self.parts)
        return whole, np.full(len(whole), self.target, dtype=y.dtype)
