"""Bit flips: faults in the memory of codes, as a fault attack or radiation makes them.

Rakin, He, Fan. Bit-flip attack: crushing neural network with progressive bit search. ICCV 2019, arXiv 1903.12269 (bits of int8
weights). Differs from the paper: bits of one update's codes, each with a probability, not searched for; -128, which is no
code, is sent as -127.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import AttackContext, AttackError, AttackInfo, Knowledge
from byzantiny.attacks.checks import require_share
from byzantiny.updates import CODE_LIMIT, quantize_rows


@dataclass(frozen=True, slots=True)
class BitFlip:
    """Return the attacker's own codes, each of the chosen `bits` of the two's complement flipped with probability `p`.

    Raises:
        AttackError: p outside 0 .. 1, or a bit outside 0 .. 7.

    >>> context = AttackContext(None, n=5, f=1, rng=np.random.default_rng(0), own=np.array([[3, -4, 0]]))
    >>> BitFlip(p=1.0, bits=(7,)).craft(context).tolist(), BitFlip(p=0.0).craft(context).tolist()
    ([[-125.0, 124.0, -127.0]], [[3.0, -4.0, 0.0]])
    """

    p: float = 0.01
    bits: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6, 7)

    name: ClassVar[str] = "bit-flip"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="bit-flip",
        formula="x_own with each of the chosen bits flipped with probability p",
        goal="untargeted",
        knowledge="own",
        capability="update",
        paper="Rakin et al., ICCV 2019, arXiv 1903.12269",
        atlas=("AML.T0018", "AML.T0031"),
        nist=("NISTAML.011",),
    )

    def __post_init__(self) -> None:
        require_share(self.name, "p", self.p)
        bits = tuple(self.bits)
        if not bits or any(not isinstance(bit, int) or not 0 <= bit <= 7 for bit in bits):
            raise AttackError(
                f"bit-flip: bits are {self.bits!r}; each must be an integer from 0 to 7, 7 being the sign"
            )
        object.__setattr__(self, "bits", bits)

    @property
    def knowledge(self) -> Knowledge:
        """Its own update."""
        return "own"

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d) in grid steps."""
        codes = quantize_rows(context.need(self.name, "own")).view(np.uint8).copy()
        for bit in self.bits:
            codes ^= (context.rng.random(codes.shape) < self.p).astype(np.uint8) << np.uint8(bit)
        return np.asarray(np.maximum(codes.view(np.int8), -CODE_LIMIT), dtype=np.float64)
