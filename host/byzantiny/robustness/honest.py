"""The honest clients of a study: Gaussian updates about a common mean, stochastically rounded onto the grid.

    x_i = m + spread g_i,   m_j = signal spread g_j,   code_i = SR(x_i)

with every g a standard normal number: `spread` is the honest standard deviation in grid steps, `signal` the mean's size
in standard deviations. For a given seed the clients of a smaller cohort are the first of a larger one, and a coarser
grid sees the same updates scaled, so that neighbours in a picture differ by what the axes say.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from byzantiny.robustness.errors import require_between
from byzantiny.updates import quantize_rows
from byzantiny_models.rng import Stream, rng_for


@dataclass(frozen=True, slots=True)
class Model:
    """n clients with d coordinates; spread in steps, signal in standard deviations.

    Raises:
        RobustnessError: a number out of range.
    """

    n: int = 20
    d: int = 64
    spread: float = 8.0
    signal: float = 0.5
    seed: int = 1

    def __post_init__(self) -> None:
        require_between("n", self.n, 3, 1000)
        require_between("d", self.d, 1, 100_000)
        require_between("spread", self.spread, 2.0**-10, 64.0)
        require_between("signal", self.signal, 0.01, 100.0)
        require_between("seed", self.seed, 0, 2**64 - 1)
        require_between("n times d", self.n * self.d, 3, 10**7)


@dataclass(frozen=True, eq=False)
class Cohort:
    """The honest clients of one round: their updates before rounding, what they send, and the mean of the updates."""

    updates: NDArray[np.float64]
    codes: NDArray[np.int8]
    mean: NDArray[np.float64]
    spread: float

    @property
    def deviation(self) -> NDArray[np.float64]:
        """The standard deviation of the updates per coordinate, float64 (d,); over n - 1."""
        return np.asarray(self.updates.std(axis=0, ddof=1))

    @property
    def length(self) -> float:
        """`spread sqrt(d)`: one honest standard deviation in every coordinate, as a length in steps."""
        return self.spread * math.sqrt(len(self.mean))


def draw_clients(model: Model, trial: int = 0) -> Cohort:
    """Return all n clients, as if nobody lied; `trial` numbers independent rounds.

    >>> clients = draw_clients(Model(n=4, d=2))
    >>> clients.codes.shape, clients.codes.dtype
    ((4, 2), dtype('int8'))
    """
    normal = rng_for(model.seed, Stream.TRAINING, round_num=trial)
    mean = model.signal * model.spread * normal.standard_normal(model.d)
    updates = mean + model.spread * normal.standard_normal((model.n, model.d))
    codes = quantize_rows(updates, rng_for(model.seed, Stream.CODES, round_num=trial))
    return Cohort(updates, codes, updates.mean(axis=0), model.spread)


def honest_part(clients: Cohort, f: int) -> Cohort:
    """Return the cohort without its last f clients, whose places the lies take.

    >>> honest_part(draw_clients(Model(n=5, d=2)), 2).codes.shape
    (3, 2)
    """
    updates = clients.updates[: len(clients.updates) - f]
    return Cohort(updates, clients.codes[: len(updates)], updates.mean(axis=0), clients.spread)
