"""The phase picture: the grids, and the numbers of liars, with which a rule points where the honest clients point.

For each rule, cos(aggregate, honest mean) over honest spread / step (x, in octaves) and f / n (y). The honest mean is
that of the real updates, before rounding; the aggregate is made of codes. A rule whose aggregate is 0 everywhere has no
direction: its cosine counts as 0, and the cell is marked as stuck.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from byzantiny.federation import load_zoos
from byzantiny.robustness.defences import Defence, Scale, aggregate, parse_defence
from byzantiny.robustness.errors import RobustnessError, require_between
from byzantiny.robustness.honest import Cohort, Model, draw_clients, honest_part
from byzantiny.robustness.lies import LIES, lie
from byzantiny.suggest import unknown_name
from byzantiny.updates import CODE_LIMIT, AggregationError
from byzantiny_models.rng import Stream, rng_for

PANELS = ("median", "grouped-median", "sr-median", "trimmed-mean")
LOW, HIGH, PER_OCTAVE = -5, 4, 2
"""log2 of the least and the largest spread in steps, and columns to the octave."""
MOST_NUMBERS = 2 * 10**10
"""Codes that are aggregated in all: some ten minutes."""


@dataclass(frozen=True)
class PhaseStudy:
    """What is asked. `factor` is the attack's, None for its default; every `f_step`-th f is a row of the picture.

    Raises:
        RobustnessError: a name or a number out of range. AggregationError: a rule that cannot be built.
    """

    rules: tuple[str, ...] = PANELS
    n: int = 50
    d: int = 1000
    signal: float = 0.5
    attack: str = "saturate"
    factor: float | None = None
    trials: int = 1
    f_step: int = 1
    per_octave: int = PER_OCTAVE
    seed: int = 1

    def __post_init__(self) -> None:
        Model(n=self.n, d=self.d, signal=self.signal, seed=self.seed)
        require_between("trials", self.trials, 1, 100)
        require_between("f-step", self.f_step, 1, self.n // 2)
        require_between("per-octave", self.per_octave, 1, 16)
        if self.attack not in LIES:
            raise RobustnessError(unknown_name("attack", self.attack, LIES))
        if not self.rules:
            raise RobustnessError("no rule is given; name at least 1, e.g. median")
        cells = len(self.rules) * len(self.liars) * len(self.spreads) * self.trials
        if cells * self.n * self.d > MOST_NUMBERS:
            raise RobustnessError(
                f"{cells} aggregations of {self.n * self.d} codes are asked for; the limit is {MOST_NUMBERS:.0e} codes: "
                "raise f-step, or lower d, n, trials, per-octave or the number of rules"
            )
        if self.factor is not None and self.attack == "alie":
            require_between("factor", self.factor, -1e6, 1e6)
        elif self.factor is not None:
            require_between("factor", self.factor, 1e-6, CODE_LIMIT if self.attack == "saturate" else 1e6)
        for defence in self.defences:
            defence.build(Scale(self.n, 0, self.d, 1.0))

    @property
    def defences(self) -> tuple[Defence, ...]:
        """The rules, parsed."""
        zoos = load_zoos()
        return tuple(parse_defence(rule, zoos) for rule in self.rules)

    @property
    def spreads(self) -> tuple[float, ...]:
        """The honest spread of each column, in steps."""
        count = (HIGH - LOW) * self.per_octave + 1
        return tuple(2.0 ** (LOW + i / self.per_octave) for i in range(count))

    @property
    def liars(self) -> tuple[int, ...]:
        """The f of each row, below n / 2."""
        return tuple(range(0, (self.n + 1) // 2, self.f_step))


@dataclass(frozen=True, eq=False)
class Panel:
    """One rule: mean cosine over the trials, float64 (liars, spreads), nan where the rule refuses; who is stuck."""

    rule: str
    cosine: NDArray[np.float64]
    stuck: NDArray[np.bool_]
    refused: str

    @property
    def turned(self) -> float:
        """The share of the picture that points away from the honest mean."""
        judged = np.isfinite(self.cosine)
        return float((self.cosine[judged] < 0).mean()) if judged.any() else 0.0


@dataclass(frozen=True, eq=False)
class Phase:
    """The answer: a panel a rule."""

    study: PhaseStudy
    panels: tuple[Panel, ...]

    def record(self) -> dict[str, Any]:
        """Return the answer as plain data, for JSON; nan is None."""
        study = self.study
        return {
            "schema": "byzantiny.phase/1",
            "study": {
                "n": study.n,
                "d": study.d,
                "signal": study.signal,
                "attack": study.attack,
                "factor": study.factor,
                "trials": study.trials,
                "seed": study.seed,
            },
            "spread_steps": list(study.spreads),
            "f": list(study.liars),
            "panels": [
                {
                    "rule": panel.rule,
                    "cosine": [[None if np.isnan(c) else round(c, 6) for c in row] for row in panel.cosine.tolist()],
                    "stuck": panel.stuck.tolist(),
                    "turned": round(panel.turned, 6),
                    "refused": panel.refused,
                }
                for panel in self.panels
            ],
        }


def cosine(values: NDArray[np.float64], mean: NDArray[np.float64]) -> float:
    """Return `<values, mean> / (||values|| ||mean||)`, and nan where either is 0 and has no direction.

    >>> cosine(np.array([3.0, 4.0]), np.array([4.0, 3.0])), cosine(np.zeros(2), np.ones(2))
    (0.96, nan)
    """
    length = float(np.sqrt((values * values).sum()) * np.sqrt((mean * mean).sum()))
    return float((values * mean).sum()) / length if length else float("nan")


def phase(study: PhaseStudy, on_column: Callable[[int, int], None] | None = None) -> Phase:
    """Compute the picture column by column; `on_column(done, of)` is called after each.

    >>> small = PhaseStudy(rules=("mean",), n=5, d=400, f_step=2, per_octave=1)
    >>> panel = phase(small).panels[0]
    >>> panel.cosine.shape, bool((panel.cosine[0] > 0).all()), bool((panel.cosine[1] < 0).any())
    ((2, 10), True, True)
    """
    defences = study.defences
    shape = (len(defences), len(study.liars), len(study.spreads))
    total, zero, refusals = np.zeros(shape), np.zeros(shape, dtype=np.int64), [""] * len(defences)
    for x, spread in enumerate(study.spreads):
        model = Model(study.n, study.d, spread, study.signal, study.seed)
        for trial in range(study.trials):
            clients = draw_clients(model, trial)
            for y, f in enumerate(study.liars):
                honest, rows = _cohort(study, clients, f, trial)
                for i, defence in enumerate(defences):
                    values = _values(defence, Scale(study.n, f, study.d, spread), rows, study.seed)
                    if isinstance(values, str):
                        total[i, y, x], refusals[i] = np.nan, refusals[i] or values
                    elif values.any():
                        total[i, y, x] += cosine(values, honest.mean)
                    else:
                        zero[i, y, x] += 1
        if on_column is not None:
            on_column(x + 1, len(study.spreads))
    panels = zip(study.rules, total / study.trials, zero == study.trials, refusals, strict=True)
    return Phase(study, tuple(Panel(*panel) for panel in panels))


def _cohort(study: PhaseStudy, clients: Cohort, f: int, trial: int) -> tuple[Cohort, NDArray[np.int8]]:
    """The honest clients and all rows, the lies first: so they also win the ties that go to the lowest index."""
    honest = honest_part(clients, f)
    lies = lie(study.attack, honest, study.n, f, rng_for(study.seed, Stream.ATTACK, round_num=trial), study.factor)
    return honest, np.concatenate([lies, honest.codes])


def _values(defence: Defence, scale: Scale, rows: NDArray[np.int8], seed: int) -> NDArray[np.float64] | str:
    try:
        return aggregate(defence.build(scale), rows, seed)
    except AggregationError as error:
        return str(error)
