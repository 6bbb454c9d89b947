"""Label flip: train honestly on wrong labels.

Tolpegin, Truex, Gursoy, Liu. Data poisoning attacks against federated learning systems. ESORICS 2020,
arXiv 2007.08432 (source to target); Fang, Cao, Jia, Gong. Local model poisoning attacks to Byzantine-robust
federated learning. USENIX Security 2020, arXiv 1911.11815 (every label to its mirror image). Rotated, paired and random
labels are the noise models of the label-noise literature (pair: Han et al., Co-teaching, NeurIPS 2018, arXiv 1804.06872,
whose pair flip is our `rotate`).
Differs from the papers: not at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import ALONE, AttackError, AttackInfo, Knowledge, Place, Samples, check_labels
from byzantiny.attacks.checks import require_choice

HOW = ("mirror", "rotate", "pair", "random")


@dataclass(frozen=True, slots=True)
class LabelFlip:
    """Replace every label y by another, or with `source` and `target` only those that are source by target.

    `how`: `mirror` K - 1 - y; `rotate` (y + 1) mod K; `pair` y + 1 for even y, y - 1 for odd (the last of an odd number
    of classes stays); `random` one of the other K - 1, drawn per sample.

    Raises:
        AttackError: only one of source and target, or the two equal, or a `how` beside them; an unknown `how`.

    >>> x, y = np.zeros((3, 2)), np.array([0, 1, 9])
    >>> LabelFlip().poison(x, y, classes=10, rng=np.random.default_rng(0))[1].tolist()
    [9, 8, 0]
    >>> LabelFlip(source=1, target=7).poison(x, y, classes=10, rng=np.random.default_rng(0))[1].tolist()
    [0, 7, 9]
    """

    source: int | None = None
    target: int | None = None
    how: Literal["mirror", "rotate", "pair", "random"] = "mirror"

    name: ClassVar[str] = "label-flip"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="label-flip",
        formula="y -> K - 1 - y (mirror), (y + 1) mod K (rotate), its pair, a random other; or source -> target",
        goal="untargeted",
        knowledge="own",
        capability="data",
        paper="Tolpegin et al., ESORICS 2020, arXiv 2007.08432; Fang et al., USENIX Security 2020, arXiv 1911.11815",
        access="data manipulation",
        aims_at="classes",
        atlas=("AML.T0020", "AML.T0031"),
        nist=("NISTAML.013", "NISTAML.024"),
    )

    def __post_init__(self) -> None:
        if (self.source is None) != (self.target is None) or (self.source is not None and self.source == self.target):
            raise AttackError(
                f"label-flip: source is {self.source}, target {self.target}; give two different classes, or neither"
            )
        require_choice(self.name, "how", self.how, HOW)
        if self.source is not None and self.how != "mirror":
            raise AttackError(f"label-flip: how is {self.how!r} beside source and target; give one or the other")

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
        place: Place = ALONE,  # noqa: ARG002
    ) -> Samples:
        """Return the samples as they are and the flipped labels, as new arrays."""
        self._check_classes(classes)
        check_labels(self.name, y, classes)
        if self.source is not None and self.target is not None:
            return x.copy(), np.where(y == self.source, self.target, y).astype(y.dtype)
        # The largest class first, so that an unsigned label never passes through a negative number.
        flipped = (classes - 1) - y
        if self.how == "rotate":
            flipped = (y.astype(np.int64) + 1) % classes
        elif self.how == "pair":
            partner = y.astype(np.int64) ^ 1
            flipped = np.where(partner < classes, partner, y)
        elif self.how == "random":
            flipped = other_labels(y, classes, rng)
        return x.copy(), flipped.astype(y.dtype)

    def probes(
        self,
        x: NDArray[Any],
        y: NDArray[Any],
        classes: int,
        rng: np.random.Generator,  # noqa: ARG002
        place: Place = ALONE,  # noqa: ARG002
    ) -> Samples | None:
        """Return the samples of the source class, each wanted as the target; None where every label is flipped.

        >>> x, y = np.zeros((3, 2), dtype=np.int8), np.array([0, 1, 1])
        >>> LabelFlip(source=1, target=7).probes(x, y, classes=10, rng=np.random.default_rng(0))[1].tolist()
        [7, 7]
        """
        if self.source is None or self.target is None:
            return None
        self._check_classes(classes)
        chosen = x[y == self.source]
        return chosen, np.full(len(chosen), self.target, dtype=np.int64)

    def _check_classes(self, classes: int) -> None:
        for what, value in (("source", self.source), ("target", self.target)):
            if value is not None and not 0 <= value < classes:
                raise AttackError(f"label-flip: {what} is {value}; the task has classes 0 .. {classes - 1}")


def other_labels(y: NDArray[Any], classes: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return for every label one of the other classes, drawn uniformly.

    >>> other_labels(np.array([0, 1, 0]), 2, np.random.default_rng(0)).tolist()
    [1, 0, 1]
    """
    return np.asarray((y.astype(np.int64) + rng.integers(1, classes, len(y))) % classes)
