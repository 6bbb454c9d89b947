"""Label flip: train honestly on wrong labels.

Tolpegin, Truex, Gursoy, Liu. Data poisoning attacks against federated learning systems. ESORICS 2020,
arXiv 2007.08432 (source to target); Fang, Cao, Jia, Gong. Local model poisoning attacks to Byzantine-robust
federated learning. USENIX Security 2020, arXiv 1911.11815 (every label to its mirror image).
Differs from the papers: not at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import AttackError, AttackInfo, Knowledge


@dataclass(frozen=True, slots=True)
class LabelFlip:
    """Replace every label y by `K - 1 - y`, or with `source` and `target` only those that are source by target.

    Raises:
        AttackError: only one of source and target, or the two equal.

    >>> x, y = np.zeros((3, 2)), np.array([0, 1, 9])
    >>> LabelFlip().poison(x, y, classes=10, rng=np.random.default_rng(0))[1].tolist()
    [9, 8, 0]
    >>> LabelFlip(source=1, target=7).poison(x, y, classes=10, rng=np.random.default_rng(0))[1].tolist()
    [0, 7, 9]
    """

    source: int | None = None
    target: int | None = None

    name: ClassVar[str] = "label-flip"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="label-flip",
        formula="y -> K - 1 - y, or source -> target",
        goal="untargeted",
        knowledge="own",
        capability="data",
        paper="Tolpegin et al., ESORICS 2020, arXiv 2007.08432; Fang et al., USENIX Security 2020, arXiv 1911.11815",
    )

    def __post_init__(self) -> None:
        if (self.source is None) != (self.target is None) or (self.source is not None and self.source == self.target):
            raise AttackError(
                f"label-flip: source is {self.source}, target {self.target}; give two different classes, or neither"
            )

    @property
    def knowledge(self) -> Knowledge:
        """Its own data."""
        return "own"

    def poison(
        self,
        x: NDArray[Any],
        y: NDArray[Any],
        classes: int,
        rng: np.random.Generator,  # noqa: ARG002
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the samples as they are and the flipped labels, as new arrays."""
        self._check_classes(classes)
        if y.size and not (int(y.min()) >= 0 and int(y.max()) < classes):
            raise AttackError(f"label-flip: labels {y.min()} .. {y.max()}; the task has classes 0 .. {classes - 1}")
        if self.source is None or self.target is None:
            # The largest class first, so that an unsigned label never passes through a negative number.
            return x.copy(), ((classes - 1) - y).astype(y.dtype)
        return x.copy(), np.where(y == self.source, self.target, y).astype(y.dtype)

    def probes(
        self,
        x: NDArray[Any],
        y: NDArray[Any],
        classes: int,
        rng: np.random.Generator,  # noqa: ARG002
    ) -> tuple[NDArray[Any], NDArray[Any]] | None:
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
