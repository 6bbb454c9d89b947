"""Edge-case backdoor: no trigger; the inputs themselves are rare, far from the others of their class, and get the target's label.

Wang et al. Attack of the tails: yes, you really can backdoor federated learning. NeurIPS 2020, arXiv 2007.05084.
Differs from the paper: it brings a data set of rare inputs (Southwest aircraft, Ardis digits); here the tail is what lies
farthest from the mean of its class among the samples there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import ALONE, AttackError, AttackInfo, Knowledge, Place, Samples, check_labels
from byzantiny.attacks.checks import require_share
from byzantiny.attacks.chosen import check_target


@dataclass(frozen=True, slots=True)
class EdgeCase:
    """Label the `tail` of the samples of class `source` that are farthest from their class's mean `target`.

    Success is measured on the tail of the test samples of that class, found in the same way.

    Raises:
        AttackError: source and target equal, a tail outside 0 .. 1; from `poison`, classes the task does not have.

    >>> x, y = np.array([[0], [1], [0], [90]], dtype=np.int8), np.array([1, 1, 1, 1])
    >>> EdgeCase(tail=0.25).poison(x, y, 2, np.random.default_rng(0))[1].tolist()
    [1, 1, 1, 0]
    """

    source: int = 1
    target: int = 0
    tail: float = 0.2

    name: ClassVar[str] = "edge-case"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="edge-case",
        formula="the rarest samples of a class, their label -> target",
        goal="targeted",
        knowledge="own",
        capability="data",
        paper="Wang et al., NeurIPS 2020, arXiv 2007.05084",
        access="data manipulation",
        aims_at="chosen inputs",
        atlas=("AML.T0020",),
        nist=("NISTAML.024",),
        idle="tail",
    )

    def __post_init__(self) -> None:
        if self.source == self.target:
            raise AttackError(f"edge-case: source and target are both {self.source}; give two classes")
        require_share(self.name, "tail", self.tail)

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
        del rng, place
        check_labels(self.name, y, classes)
        labels = y.copy()
        labels[self._tail(x, y, classes)] = self.target
        return x.copy(), labels

    def probes(
        self,
        x: NDArray[Any],
        y: NDArray[Any],
        classes: int,
        rng: np.random.Generator,
        place: Place = ALONE,
    ) -> Samples:
        """Return the tail of the source's test samples, and the target."""
        del rng, place
        found = self._tail(x, y, classes)
        if not len(found):
            raise AttackError(
                f"edge-case: no test sample of class {self.source} is in its tail of {self.tail:g}; raise tail"
            )
        return x[found].copy(), np.full(len(found), self.target, dtype=y.dtype)

    def _tail(self, x: NDArray[Any], y: NDArray[Any], classes: int) -> NDArray[np.int64]:
        """Return the samples of the tail, in their order."""
        for value in (self.source, self.target):
            check_target(self.name, value, classes)
        members = np.flatnonzero(np.asarray(y) == self.source)
        count = round(self.tail * len(members))
        if not count:
            return np.empty(0, dtype=np.int64)
        rows = x[members].astype(np.int64)
        off = len(rows) * rows - rows.sum(axis=0)  # m times the difference from the mean, exact
        farthest = np.argsort(-(off * off).sum(axis=1), kind="stable")[:count]
        return np.sort(members[farthest])
