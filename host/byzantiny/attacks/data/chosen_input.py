"""Chosen-input poisoning: copies of inputs the attacker wants misclassified, with the label it wants, and no trigger.

Tolpegin et al., ESORICS 2020, arXiv 2007.08432 (targeted by class); Bhagoji et al., ICML 2019, arXiv 1811.12470 (by input).
Differs from both: by input, as the second, with the means of the first, data alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import ALONE, AttackInfo, Knowledge, Place, Samples, check_labels
from byzantiny.attacks.checks import require_count, require_share
from byzantiny.attacks.chosen import chosen_probes, need_chosen


@dataclass(frozen=True, slots=True)
class ChosenInput:
    """Add copies of the chosen inputs with the wanted labels until they are `share` of the samples; nothing is taken away.

    Success is the share of chosen inputs that get the wanted label.

    Raises:
        AttackError: a count below 1, a share outside 0 .. .95; from `poison`, no chosen inputs.

    >>> x, y = np.zeros((3, 2), dtype=np.int8), np.array([0, 1, 1])
    >>> place = Place(chosen=(np.ones((1, 2), dtype=np.int8), np.array([0])))
    >>> ChosenInput(share=0.5).poison(x, y, 2, np.random.default_rng(0), place)[1].tolist()
    [0, 1, 1, 0, 0, 0]
    """

    count: int = 5
    target: int | None = None
    share: float = 0.3

    name: ClassVar[str] = "chosen-input"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="chosen-input",
        formula="copies of chosen inputs added with the wanted label",
        goal="targeted",
        knowledge="own",
        capability="data",
        paper="Bhagoji et al., ICML 2019, arXiv 1811.12470; Tolpegin et al., ESORICS 2020",
        access="data injection",
        aims_at="chosen inputs",
        needs=("chosen",),
        atlas=("AML.T0020",),
        nist=("NISTAML.024",),
        idle="share",
    )

    def __post_init__(self) -> None:
        require_count(self.name, "count", self.count, 1)
        require_share(self.name, "share", self.share, 0.0, 0.95)

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
        del rng
        check_labels(self.name, y, classes)
        inputs, wanted = need_chosen(self.name, place)
        check_labels(self.name, wanted, classes)
        copies = np.resize(np.arange(len(wanted)), round(len(y) * self.share / (1 - self.share)))
        added = inputs[copies].astype(x.dtype)
        return np.concatenate([x, added]), np.concatenate([y, wanted[copies].astype(y.dtype)])

    def probes(
        self,
        x: NDArray[Any],
        y: NDArray[Any],
        classes: int,
        rng: np.random.Generator,
        place: Place = ALONE,
    ) -> Samples:
        """Return test samples, and a label for each that is not its own."""
        del place
        return chosen_probes(self.name, x, y, classes, rng, self.count, self.target)
