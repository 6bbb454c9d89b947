"""Feature noise: labels stay, inputs drown.

The corrupted-sensor model of the robustness literature (Hendrycks, Dietterich. ICLR 2019, arXiv 1903.12261: Gaussian noise),
here as a client's choice.
Differs from the paper: sigma is in steps of the int8 features, 1/64 of a unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import ALONE, AttackInfo, Knowledge, Place, Samples, check_labels
from byzantiny.attacks.checks import require_number, require_share


@dataclass(frozen=True, slots=True)
class FeatureNoise:
    """Add `sigma * N(0, 1)`, rounded and clipped to int8, to every feature of `share` of the samples.

    Raises:
        AttackError: a sigma not above 0, a share outside 0 .. 1.

    >>> x, y = np.zeros((2, 3), dtype=np.int8), np.array([0, 1])
    >>> FeatureNoise(sigma=1.0).poison(x, y, 2, np.random.default_rng(0))[0].shape
    (2, 3)
    """

    sigma: float = 64.0
    share: float = 1.0

    name: ClassVar[str] = "feature-noise"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="feature-noise",
        formula="x + sigma N(0, 1), clipped to int8",
        goal="untargeted",
        knowledge="own",
        capability="data",
        paper="after Hendrycks and Dietterich, ICLR 2019, arXiv 1903.12261",
        access="data manipulation",
        aims_at="nothing",
        atlas=("AML.T0020", "AML.T0031"),
        nist=("NISTAML.013",),
        idle="share",
    )

    def __post_init__(self) -> None:
        require_number(self.name, "sigma", self.sigma, 0)
        require_share(self.name, "share", self.share)

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
        chosen = rng.choice(len(y), size=round(self.share * len(y)), replace=False)
        noisy = x.astype(np.float64)
        noisy[chosen] += rng.normal(0.0, self.sigma, (len(chosen), x.shape[1]))
        return np.clip(np.rint(noisy), -128, 127).astype(x.dtype), y.copy()
