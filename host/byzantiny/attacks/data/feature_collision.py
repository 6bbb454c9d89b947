"""Clean-label feature collision: a sample that looks like its own class, is labelled so, and means the chosen input to the network.

Shafahi, Huang, Najibi, Suciu, Studer, Dumitras, Goldstein. Poison frogs! Targeted clean-label poisoning attacks on
neural networks. NeurIPS 2018, arXiv 1804.00792 (forward-backward splitting, algorithm 1).
Differs from the paper: features are the last hidden layer of the network the round starts from, in float64; samples
are int8, so the poison is rounded at the end, and stays within `reach` of its base in every feature (the paper weighs
the distance only).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import ALONE, AttackError, AttackInfo, Knowledge, Place, Samples, check_labels
from byzantiny.attacks.checks import require_count, require_number, require_share
from byzantiny.attacks.chosen import chosen_probes, need_chosen
from byzantiny.attacks.local import real_units
from byzantiny_models.float_gradients import outputs, pull_back, scaled_inputs


@dataclass(frozen=True, slots=True)
class FeatureCollision:
    """Change `share` of the samples of the wanted class so that their features are those of the chosen input; labels stay.

    `x <- (x - rate df + rate beta base) / (1 + rate beta)`, f half the squared distance to the chosen input's features, for
    `steps` steps; then rounded, within `reach` of the base. Each chosen input is served in turn.

    Raises:
        AttackError: a parameter out of range; from `poison`, no chosen inputs, network or model.
    """

    count: int = 1
    target: int | None = None
    share: float = 0.1
    steps: int = 100
    rate: float = 0.5
    beta: float = 0.05
    reach: int = 48

    name: ClassVar[str] = "feature-collision"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="feature-collision",
        formula="samples of the wanted class moved to the chosen input in feature space, labels kept",
        goal="targeted",
        knowledge="own",
        capability="data",
        paper="Shafahi et al., NeurIPS 2018, arXiv 1804.00792",
        access="data manipulation",
        aims_at="chosen inputs",
        needs=("chosen", "training"),
        atlas=("AML.T0020",),
        nist=("NISTAML.012", "NISTAML.024"),
        idle="share",
    )

    def __post_init__(self) -> None:
        require_count(self.name, "count", self.count, 1)
        require_share(self.name, "share", self.share)
        require_count(self.name, "steps", self.steps, 1)
        require_number(self.name, "rate", self.rate, 0)
        require_share(self.name, "beta", self.beta, 0.0, 1e6)
        require_count(self.name, "reach", self.reach, 0, 255)

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
        inputs, wanted = need_chosen(self.name, place)
        poisoned = x.copy()
        for goal, label in zip(inputs, wanted, strict=True):
            members = np.flatnonzero(np.asarray(y) == label)
            count = min(len(members), round(self.share * len(members) / len(wanted)))
            chosen = rng.choice(members, size=count, replace=False) if count else members[:0]
            poisoned[chosen] = self._collide(x[chosen], goal, place) if count else poisoned[chosen]
        return poisoned, y.copy()

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

    def _collide(self, base: NDArray[Any], goal: NDArray[Any], place: Place) -> NDArray[Any]:
        """Return the bases moved towards the goal's features."""
        network, model = place.network, place.model
        if network is None or model is None:
            raise AttackError("feature-collision needs `network` and `model`: hand over what training starts from")
        flat = model * real_units(network.layout)
        wanted = outputs(network, flat, scaled_inputs(network, goal[None]))[-2]
        start = scaled_inputs(network, base)
        x = start.copy()
        for _ in range(self.steps):
            off = outputs(network, flat, x)[-2] - wanted
            forward = x - self.rate * pull_back(network, flat, x, off, layer=-2)[1]
            x = (forward + self.rate * self.beta * start) / (1 + self.rate * self.beta)
        whole = np.rint(x * 64.0)
        low, high = base.astype(np.int64) - self.reach, base.astype(np.int64) + self.reach
        moved: NDArray[Any] = np.clip(np.clip(whole, low, high), -128, 127).astype(base.dtype)
        return moved
