"""Generator-made poisons: a generator learns samples that a discriminator takes for one class and the classifier suffers from.

Munoz-Gonzalez, Pfitzner, Russo, Carnerero-Cano, Lupu. Poisoning attacks with generative adversarial nets. 2019, arXiv
1906.07773 (pGAN).
Differs from the paper: linear generator, logistic discriminator, softmax-regression classifier, each one step of
gradient descent a turn, in NumPy: a reference of the game, not of its pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import ALONE, AttackError, AttackInfo, Knowledge, Place, Samples, check_labels
from byzantiny.attacks.checks import require_count, require_number, require_share
from byzantiny.attacks.data.back_gradient import softmax
from byzantiny.attacks.data.label_flip import other_labels


@dataclass(frozen=True, slots=True)
class Generated:
    """Add `share * n` generated samples that resemble class `source`, labelled as another class.

    The generator maps noise (and a mean) to features; it descends
    `alpha * (-log D(G(z))) - (1 - alpha) * L_classifier(G(z), label)`. alpha 1 is stealth alone, alpha 0 harm alone.

    Raises:
        AttackError: a parameter out of range.
    """

    share: float = 0.2
    source: int | None = None
    alpha: float = 0.3
    turns: int = 150
    noise: int = 8
    rate: float = 0.05

    name: ClassVar[str] = "generated"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="generated",
        formula="samples added by a generator that plays against a discriminator and for the classifier's loss",
        goal="untargeted",
        knowledge="own",
        capability="data",
        paper="Munoz-Gonzalez et al., arXiv 1906.07773",
        access="data injection",
        aims_at="nothing",
        atlas=("AML.T0020", "AML.T0031"),
        nist=("NISTAML.013",),
        idle="share",
    )

    def __post_init__(self) -> None:
        require_share(self.name, "share", self.share, 0.0, 10.0)
        require_share(self.name, "alpha", self.alpha)
        require_count(self.name, "turns", self.turns, 1)
        require_count(self.name, "noise", self.noise, 1)
        require_number(self.name, "rate", self.rate, 0)
        if self.source is not None:
            require_count(self.name, "source", self.source)

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
        source = int(np.bincount(y.astype(np.int64)).argmax()) if self.source is None else self.source
        if source >= classes or not (y == source).any():
            raise AttackError(
                f"generated: this attacker has no sample of class {source}; choose a class it has, or leave it out"
            )
        labels = np.full(count, int(other_labels(np.array([source]), classes, rng)[0]))
        made = self._play(x / 64, y, source, labels, classes, rng)
        added = np.clip(np.rint(made * 64), -128, 127).astype(x.dtype)
        return np.concatenate([x, added]), np.concatenate([y, labels.astype(y.dtype)])

    def _play(
        self,
        x: NDArray[np.float64],
        y: NDArray[Any],
        source: int,
        labels: NDArray[np.int64],
        classes: int,
        rng: np.random.Generator,
    ) -> NDArray[np.float64]:
        """Return the generator's samples, (count, features), after the game."""
        real, targets = x[y == source], np.eye(classes)
        z = rng.normal(size=(len(labels), self.noise))
        wanted = targets[labels]
        mix, middle = 0.1 * rng.normal(size=(self.noise, x.shape[1])), real.mean(axis=0)
        judge, bias = np.zeros(x.shape[1]), 0.0
        w = np.zeros((x.shape[1], classes))
        for _ in range(self.turns):
            made = z @ mix + middle
            # The discriminator: logistic regression, real 1, made 0.
            off_real, off_made = sigmoid(real @ judge + bias) - 1, sigmoid(made @ judge + bias)
            judge = judge - self.rate * (off_real @ real / len(real) + off_made @ made / len(made))
            bias = bias - self.rate * float(off_real.mean() + off_made.mean())
            # The classifier: softmax regression on clean and made samples.
            every, every_t = np.concatenate([x, made]), np.concatenate([targets[y], wanted])
            w = w - 10 * self.rate * every.T @ (softmax(every @ w) - every_t) / len(every)
            # The generator: down on being found out, up on the classifier's loss.
            found = (sigmoid(made @ judge + bias) - 1)[:, None] * judge
            harm = (softmax(made @ w) - wanted) @ w.T
            back = self.alpha * found - (1 - self.alpha) * harm
            mix = mix - self.rate * z.T @ back / len(z)
            middle = middle - self.rate * back.mean(axis=0)
        return np.asarray(np.clip(z @ mix + middle, -2, 127 / 64))


def sigmoid(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `1 / (1 + exp(-z))`, without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * z)))
