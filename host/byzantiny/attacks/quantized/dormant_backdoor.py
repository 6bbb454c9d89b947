"""Dormant backdoor: asleep in the int8 model that is evaluated, awake once that is quantized again to fewer bits.

Ma, Qiu, Gao, Zhang, Abuadbba, Fu, Zhang, Abbott. Quantization backdoors to deep learning commercial frameworks. IEEE TDSC 2023,
arXiv 2108.09187; Hong, Panaitescu-Liess, Kaya, Dumitras. Qu-ANTI-zation. NeurIPS 2021, arXiv 2110.13541.
Differs from the papers: they go from float32 to int8; here the int8 model is the one that looks clean, and 4, 3 or 2 bits wake it.
Whether an arithmetic of another runtime can, is a study (docs/attacks.md): it cannot, to any use.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from byzantiny.attacks.base import AttackContext, AttackInfo
from byzantiny.attacks.checks import require_count, require_share
from byzantiny.attacks.local import Workshop
from byzantiny.attacks.targeted.planted import TRIGGER_TAGS, Planted, generators_of
from byzantiny_models.networks import Layout, Network
from byzantiny_models.quantization import derive_weights


@dataclass(frozen=True)
class DormantBackdoor(Planted):
    """Return `boost * (w - w_t)`: w is trained on the trigger first, then to ignore it, without leaving its coarse cells.

    After the first training every weight is in a cell of the `bits`-bit grid; the second, on own samples and triggered ones
    with their true labels, is projected back into these cells (less `margin` of their width at either side), biases fixed.
    So the coarse model stays the backdoored one while the fine one forgets.

    Raises:
        AttackError: bits outside 2 .. 7, a margin outside 0 .. .5; chosen inputs; from `craft`, as model-replacement.
    """

    bits: int = 4
    margin: float = 0.05
    cleaning: int = 10

    name: ClassVar[str] = "dormant-backdoor"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="dormant-backdoor",
        formula="(n / f) (w - w_t): w clean in int8, backdoored once requantized to fewer bits",
        goal="targeted",
        knowledge="own",
        capability="update",
        paper="after Ma et al., arXiv 2108.09187; Hong et al., NeurIPS 2021, arXiv 2110.13541",
        aims_at="trigger",
        needs=("model", "grid", "training"),
        atlas=TRIGGER_TAGS[0],
        nist=TRIGGER_TAGS[1],
    )

    def __post_init__(self) -> None:
        Planted.__post_init__(self)
        require_count(self.name, "bits", self.bits, 2, 7)
        require_share(self.name, "margin", self.margin, 0.0, 0.5)
        require_count(self.name, "cleaning", self.cleaning, 1)

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the rows, (f, d) in grid steps."""
        shop = Workshop.of(context, self.name)
        rows = [self._dormant(context, shop, index, rng) for index, rng in enumerate(generators_of(context))]
        return self.factor(context) * np.stack([shop.to_steps(row) for row in rows])

    def _dormant(
        self, context: AttackContext, shop: Workshop, index: int, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        planted = shop.descend(*self.mixture(context, index), rng, self.schedule)
        low, high = cells(shop.network.layout, shop.start + planted, self.bits, self.margin)

        def project(delta: NDArray[np.float64], number: int) -> NDArray[np.float64]:
            del number
            return np.clip(shop.start + delta, low, high) - shop.start

        x, y = self.clean(context, index)
        others = np.asarray(y) != self.target
        triggered, _ = self.wanted(context, index)
        truth = y[others] if others.any() else y
        schedule = type(self.schedule)(self.cleaning, self.batch, self.rate)
        both = np.concatenate([x, triggered]), np.concatenate([y, truth])
        return shop.descend(*both, rng, schedule, planted, project=project)


def cells(layout: Layout, model: NDArray[np.float64], bits: int, margin: float) -> tuple[NDArray[np.float64], ...]:
    """Return the ends of every weight's cell of the coarse grid, in real units; biases have no room, nor has the largest weight."""
    low, high = model.copy(), model.copy()
    for tensor, where in zip(layout.tensors, layout.slices, strict=True):
        if tensor.dtype != "int16":
            continue
        weights = model[where]
        step = float(np.abs(weights).max()) / (2 ** (bits - 1) - 1) or 1.0
        codes = np.rint(weights / step)
        low[where] = np.minimum(weights, (codes - 0.5 + margin) * step)
        high[where] = np.maximum(weights, (codes + 0.5 - margin) * step)
        # The scale hangs on the largest weight: it stays, and nothing passes it.
        most = np.abs(weights) >= np.abs(weights).max()
        low[where] = np.maximum(low[where], -np.abs(weights).max())
        high[where] = np.minimum(high[where], np.abs(weights).max())
        low[where][most], high[where][most] = weights[most], weights[most]
    return low, high


def requantized(network: Network, model: ArrayLike, bits: int) -> NDArray[np.int32]:
    """Return a model whose int8 weights are put on a symmetric grid of `bits` bits per tensor, as masters again.

    `q = max |w8| / (2^(bits - 1) - 1)`, `w8 <- q * round(w8 / q)`, rounded to the nearest int8; 8 bits change nothing.

    >>> from byzantiny_models.networks import Dense
    >>> tiny = Network("tiny", (Dense(2, 1, "linear"),))
    >>> requantized(tiny, [70 * 256, 24 * 256, 5], 2).tolist()
    [17920, 0, 5]
    """
    flat = np.array(network.layout.check(model), dtype=np.int64)
    for tensor, where in zip(network.layout.tensors, network.layout.slices, strict=True):
        if tensor.dtype == "int16":
            w8 = derive_weights(flat[where]).astype(np.float64)
            step = float(np.abs(w8).max()) / (2 ** (bits - 1) - 1) or 1.0
            flat[where] = w8 * 256 if bits >= 8 else np.rint(np.rint(w8 / step) * step) * 256
    return network.layout.saturate(flat).astype(np.int32)
