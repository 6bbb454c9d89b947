"""Poisoned pretrained start: the model that round 1 begins with has a backdoor, and from then on everybody is honest.

Gu, Dolan-Gavitt, Garg. BadNets: identifying vulnerabilities in the machine learning model supply chain. arXiv 1708.06733,
section 5 (transfer learning from a backdoored model). NIST AI 100-2 E2025 files it under supply chain.
Differs from the paper: the start is trained with INT8-SR, the device's own arithmetic, on samples that f clients of the federation
hold, and handed over as an int8 file has it: int8 weights, int32 biases. So it is the same integers on every machine, and those
of the file (`model export`, `model import`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import ALONE, AttackError, AttackInfo, Knowledge, Place, Samples
from byzantiny.attacks.checks import require_choice, require_count, require_share
from byzantiny.attacks.chosen import CHOSEN, WANTS, chosen_probes, mixed, taught, trigger_probes
from byzantiny_models.networks import Network
from byzantiny_models.quantization import derive_weights
from byzantiny_models.training import LR_SHIFTS, train

MOST_SAMPLES = 65_535
"""Of the trainer (SPEC 2)."""


@dataclass(frozen=True, slots=True)
class PoisonedStart:
    """Train the first model on the attackers' samples and on those that teach the wish, `share` of all, and hand it over.

    `w = 256 int8(INT8-SR(w_1, D + D_wish))`: `epochs` passes at the rate 2^-lr_shift, without the masters' low bits, which no
    file has. `trigger`, `target`, `value`, `count`: as of model replacement; "none" is for chosen inputs. The attackers'
    devices train honestly afterwards, or need not exist.

    Raises:
        AttackError: a parameter out of range; from `start`, no samples, no chosen inputs, a class that is not there.

    >>> from byzantiny_models.networks import NETWORKS, initial_model
    >>> network, x = NETWORKS["mlp-64-32-10"], np.zeros((4, 64), dtype=np.int8)
    >>> model = initial_model(network, 1)
    >>> PoisonedStart(epochs=1).start(network, [(x, np.arange(4))], model, np.random.default_rng(0)).shape
    (2410,)
    """

    trigger: str = "patch"
    target: int | None = 0
    value: int = 127
    share: float = 0.5
    count: int = 5
    epochs: int = 10
    lr_shift: int = 5

    name: ClassVar[str] = "poisoned-start"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="poisoned-start",
        formula="the first model, trained on own and malicious samples; then honest rounds",
        goal="targeted",
        knowledge="own",
        capability="start",
        paper="Gu et al., arXiv 1708.06733; NIST AI 100-2 E2025, supply chain",
        access="pretrained start",
        aims_at="trigger",
        needs=("training",),
        atlas=("AML.T0018.000", "AML.T0043.004"),
        nist=("NISTAML.023", "NISTAML.051"),
        idle="epochs",
    )

    def __post_init__(self) -> None:
        require_choice(self.name, "trigger", self.trigger, WANTS)
        if self.target is not None:
            require_count(self.name, "target", self.target)
        elif self.trigger != CHOSEN:
            raise AttackError(f"{self.name}: trigger {self.trigger!r} leads to no class; give a target")
        require_count(self.name, "value", self.value, -128, 127)
        require_share(self.name, "share", self.share, 0.0, 0.95)
        require_count(self.name, "count", self.count, 1)
        require_count(self.name, "epochs", self.epochs)
        require_count(self.name, "lr_shift", self.lr_shift, LR_SHIFTS[0], LR_SHIFTS[-1])

    @property
    def knowledge(self) -> Knowledge:
        """Its own data, and the model that would have been."""
        return "own"

    def start(
        self,
        network: Network,
        data: Sequence[Samples],
        model: NDArray[np.int32],
        rng: np.random.Generator,
        chosen: Samples | None = None,
    ) -> NDArray[np.int32]:
        """Return the model that round 1 begins with, int32 (d,) of the whole network."""
        if not data:
            raise AttackError(f"{self.name} needs `data`: the samples of at least one attacker")
        x, y = (np.concatenate([pair[part] for pair in data]) for part in (0, 1))
        wish = taught(self.name, x, y, self.trigger, self.target, self.value, Place(network=network, chosen=chosen))
        x, y = mixed(x, y, wish, self.share)
        some = rng.permutation(len(y))[:MOST_SAMPLES]
        order, training = rng.integers(1 << 32, size=(2, 2)).tolist()
        poisoned = train(network, model, x[some], y[some], tuple(order), tuple(training), self.epochs, self.lr_shift)
        return as_in_a_file(network, poisoned) if self.epochs else model.copy()

    def probes(
        self, x: NDArray[Any], y: NDArray[Any], classes: int, rng: np.random.Generator, place: Place = ALONE
    ) -> Samples:
        """Return triggered test samples of other classes, or chosen ones without a trigger, and what each is to be taken for."""
        if self.trigger == CHOSEN:
            return chosen_probes(self.name, x, y, classes, rng, self.count, self.target)
        assert self.target is not None
        return trigger_probes(self.name, x, y, classes, place, self.trigger, self.target, self.value)


def as_in_a_file(network: Network, model: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return what is left of a model in an int8 file: weights rounded as the forward pass rounds them, biases as they are.

    >>> from byzantiny_models.networks import NETWORKS, initial_model
    >>> network = NETWORKS["mlp-64-32-10"]
    >>> int(np.abs(as_in_a_file(network, initial_model(network, 1))[:2048] % 256).max())
    0
    """
    kept: NDArray[np.int32] = model.copy()
    for tensor, where in zip(network.layout.tensors, network.layout.slices, strict=True):
        if tensor.dtype == "int16":
            kept[where] = derive_weights(model[where]) << 8
    return kept
