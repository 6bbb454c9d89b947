"""The accepted updates of one round as they arrive: kept for the rules, and measured for the grid where it adapts."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from byzantiny.federation import RoundBuffer, Scales, measure
from byzantiny_models.networks import Layout


@dataclass(frozen=True, slots=True)
class Intake:
    """What `put` has taken so far; an update is measured when it comes, whatever the buffer keeps of it."""

    buffer: RoundBuffer
    layout: Layout
    measured: bool
    _scales: list[npt.NDArray[np.int64]] = field(default_factory=list)

    def put(self, client_id: str, codes: npt.NDArray[np.int8], claimed: int) -> None:
        """Take one client's codes, and how many samples it says it has."""
        self.buffer.put(client_id, codes, claimed)
        if self.measured:
            self._scales.append(measure(codes, self.layout))

    @property
    def scales(self) -> Scales:
        """What was measured, in order of arrival, which no decision looks at."""
        return Scales.stack(self._scales, self.layout)
