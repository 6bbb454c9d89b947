"""What liars send in a study: one row of real numbers for all of them, which each rounds stochastically onto the grid.

The rows are those of `byzantiny.attacks` with the honest updates known before rounding, an omniscient adversary; and
`saturate`, the largest code against the sign of every honest mean, which only a grid with an edge has.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks import ALIE, IPM, AttackContext, AttackWarning, UpdateAttack, craft
from byzantiny.robustness.errors import RobustnessError
from byzantiny.robustness.honest import Cohort
from byzantiny.suggest import unknown_name
from byzantiny.updates import CODE_LIMIT, quantize_rows


@dataclass(frozen=True, slots=True)
class Lie:
    """How a lie is made of the honest updates: `row(honest, n, f, factor)`, float64 (d,); and what `factor` is."""

    row: Callable[[Cohort, int, int, float | None], NDArray[np.float64]]
    formula: str
    factor: str
    default: str


def _sign_flip(honest: Cohort, n: int, f: int, factor: float | None) -> NDArray[np.float64]:
    return _crafted(IPM(epsilon=1.0 if factor is None else factor), honest, n, f)


def _ipm(honest: Cohort, n: int, f: int, factor: float | None) -> NDArray[np.float64]:
    return _crafted(IPM() if factor is None else IPM(epsilon=factor), honest, n, f)


def _alie(honest: Cohort, n: int, f: int, factor: float | None) -> NDArray[np.float64]:
    return _crafted(ALIE(z=factor), honest, n, f)


def _saturate(honest: Cohort, n: int, f: int, factor: float | None) -> NDArray[np.float64]:
    del n, f
    return np.copysign(CODE_LIMIT if factor is None else factor, -honest.mean)


LIES: Mapping[str, Lie] = {
    "sign-flip": Lie(_sign_flip, "-scale * mean", "scale", "1"),
    "saturate": Lie(_saturate, "-reach * sign(mean)", "reach, in steps", "127"),
    "ipm": Lie(_ipm, "-epsilon * mean", "epsilon", "0.1"),
    "alie": Lie(_alie, "mean + z * std", "z", "the closed form for n and f"),
}
"""The lies of a study, by name."""


def lie(
    name: str, honest: Cohort, n: int, f: int, rng: np.random.Generator, factor: float | None = None
) -> NDArray[np.int8]:
    """Return what the f liars send, int8 (f, d).

    Raises:
        RobustnessError: an unknown name. AttackError: a factor out of range.

    >>> from byzantiny.robustness.honest import Model, draw_clients, honest_part
    >>> honest = honest_part(draw_clients(Model(n=5, d=4)), 2)
    >>> sorted(set(np.abs(lie("saturate", honest, 5, 2, np.random.default_rng(0))).ravel().tolist()))
    [127]
    """
    if name not in LIES:
        raise RobustnessError(unknown_name("attack", name, LIES))
    if f == 0:
        return np.empty((0, len(honest.mean)), dtype=np.int8)
    return quantize_rows(np.tile(LIES[name].row(honest, n, f, factor), (f, 1)), rng)


def _crafted(attack: UpdateAttack, honest: Cohort, n: int, f: int) -> NDArray[np.float64]:
    context = AttackContext(honest=honest.updates, n=n, f=f, rng=np.random.default_rng(0))
    with warnings.catch_warnings():
        # ALIE with few liars is the mean; a curve shows that by itself.
        warnings.simplefilter("ignore", AttackWarning)
        row: NDArray[np.float64] = craft(attack, context)[0]
    return row
