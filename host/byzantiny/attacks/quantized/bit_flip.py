"""Bit flips: faults in the int8 codes of an update, or in the int8 weights that a device trains from.

After Chain of bit-flips (arXiv 2606.09548), which flips chosen bits of float weights on one client: here two's-complement
bytes, drawn at random, or always the same bit. A fault may be an attack (Rowhammer, glitching) or a worn memory: to a
defence they look alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import AttackContext, AttackInfo, Knowledge
from byzantiny.attacks.checks import require_choice, require_count
from byzantiny.updates import CODE_LIMIT
from byzantiny.updates.aggregate import round_half_away
from byzantiny_models.quantization import derive_weights


@dataclass(frozen=True, slots=True)
class BitFlip:
    """Return own codes with `flips` bits of them flipped, in as many places; `bit` 0 .. 7, or None for one drawn each.

    A code that becomes -128 is sent as -127, the least there is. `where="weights"`: bits of the start model's int8 weights are
    flipped before training, and the difference, `256 * change` master units, is part of the update (biases have no byte of
    that kind and are left).

    Raises:
        AttackError: flips below 0, a bit outside 0 .. 7; from `craft`, for weights, no model or grid.

    >>> context = AttackContext(honest=None, n=4, f=1, rng=np.random.default_rng(0), own=np.array([[3]]))
    >>> BitFlip(flips=1, bit=6).craft(context).tolist()
    [[67.0]]
    """

    flips: int = 10
    bit: int | None = None
    where: Literal["codes", "weights"] = "codes"

    name: ClassVar[str] = "bit-flip"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="bit-flip",
        formula="bits of own codes, or of the start model's int8 weights, flipped",
        goal="untargeted",
        knowledge="own",
        capability="update",
        paper="after arXiv 2606.09548",
        atlas=("AML.T0018.000", "AML.T0031"),
        nist=("NISTAML.011",),
        idle="flips",
    )

    def __post_init__(self) -> None:
        require_count(self.name, "flips", self.flips)
        if self.bit is not None:
            require_count(self.name, "bit", self.bit, 0, 7)
        require_choice(self.name, "where", self.where, ("codes", "weights"))

    @property
    def knowledge(self) -> Knowledge:
        """Its own update."""
        return "own"

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d) in grid steps."""
        own = context.need(self.name, "own")
        if self.where == "codes":
            codes = np.clip(round_half_away(own), -CODE_LIMIT, CODE_LIMIT).astype(np.int8)
            flipped = np.stack([self._flipped(row, context.rng) for row in codes])
            return np.asarray(np.maximum(flipped, -CODE_LIMIT), dtype=np.float64)
        context.has(self.name, "model", "layout")
        assert context.model is not None
        assert context.layout is not None
        tensors = context.layout.tensors
        kernels = np.repeat([t.dtype == "int16" for t in tensors], [t.elements for t in tensors])
        weights = derive_weights(context.model[kernels]).astype(np.int8)
        rows = own.copy()
        for row in rows:
            change = self._flipped(weights, context.rng).astype(np.float64) - weights
            row[kernels] += 256.0 * change / context.step(self.name)[kernels]
        return np.asarray(rows, dtype=np.float64)

    def _flipped(self, values: NDArray[np.int8], rng: np.random.Generator) -> NDArray[np.int8]:
        flips = min(self.flips, len(values))
        places = rng.choice(len(values), size=flips, replace=False)
        bits = rng.integers(0, 8, flips) if self.bit is None else np.full(flips, self.bit)
        masks = np.zeros(len(values), dtype=np.uint8)
        masks[places] = np.left_shift(1, bits).astype(np.uint8)
        flipped: NDArray[np.int8] = (values.view(np.uint8) ^ masks).view(np.int8)
        return flipped
