"""Back-gradient poisoning: the poison samples themselves are optimised, through the training that they will spoil.

Munoz-Gonzalez, Biggio, Demontis, Paudice, Wongrassamee, Lupu, Roli. Towards poisoning of deep learning algorithms
with back-gradient optimization. AISec 2017, arXiv 1708.08689.
Differs from the paper: the victim is a softmax regression, trained for `inner` steps of full-batch gradient descent
(a stand-in; poisons transfer), its trajectory is kept instead of run backwards, and Hessian-vector products are in
closed form.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.base import ALONE, AttackInfo, Knowledge, Place, Samples, check_labels
from byzantiny.attacks.checks import require_count, require_number, require_share
from byzantiny.attacks.data.label_flip import other_labels


@dataclass(frozen=True, slots=True)
class BackGradient:
    """Add `share * n` samples: own ones with another label, their features moved up the gradient of the loss on clean samples.

    `d L_val(w_T) / d x_p` by reverse differentiation of `w <- w - lr dL(w; clean and poison)`; each of `outer` steps moves every
    poison by `reach / outer` in the sign of its gradient, so none is farther than `reach` from a real sample.

    Raises:
        AttackError: a parameter out of range.
    """

    share: float = 0.2
    outer: int = 8
    inner: int = 30
    learning_rate: float = 0.5
    reach: int = 64

    name: ClassVar[str] = "back-gradient"
    info: ClassVar[AttackInfo] = AttackInfo(
        name="back-gradient",
        formula="samples added that maximise the clean loss after training on them",
        goal="untargeted",
        knowledge="own",
        capability="data",
        paper="Munoz-Gonzalez et al., AISec 2017, arXiv 1708.08689",
        access="data injection",
        aims_at="nothing",
        atlas=("AML.T0020", "AML.T0031"),
        nist=("NISTAML.013",),
        idle="share",
    )

    def __post_init__(self) -> None:
        require_share(self.name, "share", self.share, 0.0, 10.0)
        require_count(self.name, "outer", self.outer, 1)
        require_count(self.name, "inner", self.inner, 1)
        require_number(self.name, "learning_rate", self.learning_rate, 0)
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
        del place
        check_labels(self.name, y, classes)
        count = round(self.share * len(y))
        if not count or classes < 2:
            return x.copy(), y.copy()
        chosen = rng.choice(len(y), size=count, replace=count > len(y))
        labels = other_labels(y[chosen], classes, rng)
        base = x[chosen].astype(np.float64)
        half = rng.permutation(len(y))
        fit, val = half[: max(1, len(y) // 2)], half[len(y) // 2 :]
        poison, targets = base.copy(), np.eye(classes)
        for _ in range(self.outer):
            gradient = self._back(
                x[fit] / 64, targets[y[fit]], x[val] / 64, targets[y[val]], poison / 64, targets[labels]
            )
            poison = np.clip(poison + self.reach / self.outer * np.sign(gradient), base - self.reach, base + self.reach)
        added = np.clip(np.rint(poison), -128, 127).astype(x.dtype)
        return np.concatenate([x, added]), np.concatenate([y, labels.astype(y.dtype)])

    def _back(
        self,
        x: NDArray[np.float64],
        t: NDArray[np.float64],
        x_val: NDArray[np.float64],
        t_val: NDArray[np.float64],
        x_p: NDArray[np.float64],
        t_p: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Return the gradient of the validation loss after training by every poison's features, (p, features).

        With p = softmax(x w), the training gradient is x^T (p - t) / N; its derivative along a change v of w is
        x^T S(x v) / N, S(u) = p (u - p.u) row by row.
        """
        every, wanted = np.concatenate([x, x_p]), np.concatenate([t, t_p])
        n, first, rate = len(every), len(x), self.learning_rate
        w = np.zeros((x.shape[1], t.shape[1]))
        path = []
        for _ in range(self.inner):
            path.append(w)
            w = w - rate * every.T @ (softmax(every @ w) - wanted) / n
        back = x_val.T @ (softmax(x_val @ w) - t_val) / len(x_val)
        by_poison = np.zeros_like(x_p)
        for w in reversed(path):
            p = softmax(every @ w)
            u = every @ back
            s = p * (u - (p * u).sum(axis=1, keepdims=True))
            off = p - wanted
            # d/dx_i of <back, x_i^T (p_i - t_i)> = (p_i - t_i) back^T + S_i w^T
            by_poison -= rate / n * (off[first:] @ back.T + s[first:] @ w.T)
            back = back - rate * every.T @ s / n
        return by_poison


def softmax(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `exp(z) / sum exp(z)` row by row."""
    exps = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(exps / exps.sum(axis=1, keepdims=True))
