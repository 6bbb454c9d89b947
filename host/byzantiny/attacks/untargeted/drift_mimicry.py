"""Drift mimicry: against the mean, and in every simple statistic no odder than the oddest honest client.

From no paper under this name: under non-IID data honest clients differ, and an attacker has all of that room (the
observation behind Karimireddy et al., ICLR 2022, arXiv 2006.09365). The constraint is re-checked on the integer row that is
sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import AttackContext, AttackInfo, Knowledge
from byzantiny.attacks.checks import require_share
from byzantiny.attacks.geometry import Floats, mean, squared_distances
from byzantiny.attacks.lattice import along


@dataclass(frozen=True, slots=True)
class DriftMimicry:
    """Return the integer row farthest from the mean on the way to the honest extremes against it, within the honest spread.

    Within: every coordinate between the honest least and most; the norm, the distance to the mean and the cosine to the mean no
    farther out than the honest `quantile` of each.

    Raises:
        AttackError: a quantile outside 0 .. 1.

    >>> honest = np.array([[10, -3], [12, -5], [9, -4], [11, -2], [13, -6]])
    >>> DriftMimicry().craft(AttackContext(honest=honest, n=6, f=1, rng=np.random.default_rng(0))).tolist()
    [[9.0, -2.0]]
    """

    quantile: float = 1.0

    name: ClassVar[str] = "drift-mimicry"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="drift-mimicry",
        formula="mean + t (extreme against it - mean), largest t within the honest box, norms, distances and cosines",
        goal="untargeted",
        knowledge="omniscient",
        capability="update",
        paper="after Karimireddy et al., ICLR 2022, arXiv 2006.09365",
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
    )

    def __post_init__(self) -> None:
        require_share(self.name, "quantile", self.quantile)

    @property
    def knowledge(self) -> Knowledge:
        """The honest updates."""
        return "omniscient"

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d) in grid steps."""
        rows = context.need(self.name, "honest")
        middle = mean(rows)
        extreme = np.where(middle > 0, rows.min(axis=0), np.where(middle < 0, rows.max(axis=0), middle))
        found = along(context, middle, extreme - middle, 1.0, lambda row: self._within(context, rows, row))
        if found is None:  # no integer row is that central: an honest one is within, always
            found = rows[int(np.argmin(squared_distances(rows, middle, context.scale)))]
        return np.tile(found, (context.f, 1))

    def kept(self, context: AttackContext, codes: NDArray[np.int8]) -> NDArray[np.bool_]:
        """Return which rows of codes are within the honest spread."""
        rows = context.need(self.name, "honest")
        return np.array([self._within(context, rows, row.astype(np.float64)) for row in codes])

    def _within(self, context: AttackContext, rows: Floats, row: Floats) -> bool:
        if (row < rows.min(axis=0)).any() or (row > rows.max(axis=0)).any():
            return False
        # The most central honest row stands in where no other is within, so it is within at any quantile.
        limits, own = _statistics(context, rows, rows), _statistics(context, rows, row[None])
        allowed = np.maximum(np.quantile(limits, self.quantile, axis=1), limits.min(axis=1))
        central = int(np.argmin(squared_distances(rows, mean(rows), context.scale)))
        return bool((own[:, 0] <= np.maximum(allowed, limits[:, central]) + 1e-9).all())


def _statistics(context: AttackContext, known: Floats, rows: Floats) -> Floats:
    """Return norm, distance to the mean and minus the cosine to it of every row, (3, m)."""
    middle, scale = mean(known), context.scale
    norms = np.sqrt(squared_distances(rows, np.zeros_like(middle), scale))
    far = np.sqrt(squared_distances(rows, middle, scale))
    length = float(np.sqrt(squared_distances(middle[None], np.zeros_like(middle), scale)[0]))
    products = ((rows * scale) * (middle * scale)).sum(axis=1)
    cosines = products / np.where(norms * length > 0, norms * length, 1.0)
    return np.stack([norms, far, -cosines])
