"""Injection: samples are added; those that are there, and everybody else's labels, cannot be touched.

The data-injection access of the surveys (Tian et al., ACM Computing Surveys 55(8), 2022): weaker than manipulation, for what is
true stays in the data and pulls back.
Differs: there is no one definition; what is added here are noisy copies of own samples with another label.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import ALONE, AttackInfo, Knowledge, Place, Samples, check_labels
from byzantiny.attacks.checks import require_share
from byzantiny.attacks.data.label_flip import other_labels


@dataclass(frozen=True, slots=True)
class Injection:
    """Add `share * n` samples: copies of own ones, each feature off by up to `noise`, with a label that is not theirs.

    Raises:
        AttackError: a share outside 0 .. 10, a noise outside 0 .. 127.

    >>> x, y = np.zeros((2, 3), dtype=np.int8), np.array([0, 1])
    >>> Injection(share=1.0).poison(x, y, 2, np.random.default_rng(0))[1].tolist()[:2]
    [0, 1]
    """

    share: float = 0.5
    noise: int = 4

    name: ClassVar[str] = "injection"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="injection",
        formula="n * share samples added: own ones with noise and another label",
        goal="untargeted",
        knowledge="own",
        capability="data",
        paper="after Tian et al., ACM Computing Surveys 55(8), 2022",
        access="data injection",
        aims_at="nothing",
        atlas=("AML.T0020", "AML.T0031"),
        nist=("NISTAML.013",),
        idle="share",
    )

    def __post_init__(self) -> None:
        require_share(self.name, "share", self.share, 0.0, 10.0)
        require_share(self.name, "noise", self.noise, 0, 127)

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
        del place
        check_labels(self.name, y, classes)
        count = round(self.share * len(y))
        if not count or classes < 2:
            return x.copy(), y.copy()
        chosen = rng.integers(0, len(y), count)
        noise = rng.integers(-self.noise, self.noise + 1, (count, x.shape[1]))
        added = np.clip(x[chosen].astype(np.int64) + noise, -128, 127).astype(x.dtype)
        labels = other_labels(y[chosen], classes, rng).astype(y.dtype)
        return np.concatenate([x, added]), np.concatenate([y, labels])
