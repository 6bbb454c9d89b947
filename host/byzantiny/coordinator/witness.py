"""Who watches a run from the coordinator's side: told what happens in a round, asked nothing.

An experiment's apparatus stands here (the hub of its adversary); the coordinator knows neither who it is nor what for.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from byzantiny.wire.messages import Offer


class Witness(Protocol):
    """Called in the coordinator's thread; must not block."""

    def opened(
        self,
        offer: Offer,
        model: npt.NDArray[np.int32],
        cohort: Collection[str],
        quorum: int,
        begins: float,
        ends: float,
    ) -> None:
        """A round is about to be offered; it ends at `ends` at the latest, of the coordinator's clock."""
        ...

    def accepted(self, client_id: str, codes: npt.NDArray[np.int8]) -> None:
        """An update of the round was accepted, now or before a suspension."""
        ...

    def settled(self, client_id: str) -> None:
        """The round is over for a client without an accepted update."""
        ...


class Nobody:
    """The witness of a run that nobody watches."""

    def opened(
        self,
        offer: Offer,
        model: npt.NDArray[np.int32],
        cohort: Collection[str],
        quorum: int,
        begins: float,
        ends: float,
    ) -> None:
        """Nothing."""

    def accepted(self, client_id: str, codes: npt.NDArray[np.int8]) -> None:
        """Nothing."""

    def settled(self, client_id: str) -> None:
        """Nothing."""


NOBODY: Final = Nobody()
