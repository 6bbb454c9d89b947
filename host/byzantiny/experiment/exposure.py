"""How likely a sampled cohort has more liars than a defence is told: partial participation, before anything runs.

A cohort of m is drawn from N clients of which F lie, so the liars in it, f, are hypergeometric:

    P(f = k) = C(F, k) C(N - F, m - k) / C(N, m)

Liars come whenever they are asked: silence would help the defence. An honest client fails to come with probability `dropout`, by
itself; then n = f + Binomial(m - f, 1 - dropout) updates are there, and a rule that needs more has no aggregate. Rounds are
drawn independently, so over R of them a probability p becomes 1 - (1 - p)^R.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import numpy.typing as npt

from byzantiny.experiment.errors import ConfigError
from byzantiny.experiment.schema import RunConfig

Chances = npt.NDArray[np.float64]
Least = Callable[[int], int]
"""f_declared to the fewest updates that a defence needs."""
LEVEL = 0.01
"""What a run may risk, unless told otherwise."""
MOST_CLIENTS = 65_536


@dataclass(frozen=True)
class Draw:
    """A fleet, its liars, the cohort of a round, how many rounds, and how often an honest client does not come.

    Raises:
        ConfigError: numbers that do not fit each other.

    >>> draw = Draw(fleet=100, liars=10, cohort=20, rounds=50)
    >>> round(draw.above(4), 4), round(draw.over_run(draw.above(4)), 3), draw.declared(level=0.01)
    (0.0255, 0.725, 7)
    """

    fleet: int
    liars: int
    cohort: int
    rounds: int = 1
    dropout: float = 0.0

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("fleet", self.fleet, 1, MOST_CLIENTS),
            ("liars", self.liars, 0, self.fleet),
            ("cohort", self.cohort, 1, self.fleet),
            ("rounds", self.rounds, 1, 10**9),
        ):
            if not low <= value <= high:
                raise ConfigError(f"{name} = {value} is not possible here; give {low} to {high}")
        if not 0.0 <= self.dropout < 1.0:
            raise ConfigError(f"dropout = {self.dropout} is not possible; give 0 up to, and without, 1")

    @cached_property
    def chances(self) -> Chances:
        """P(f = k) for k = 0 .. cohort, float64."""
        k = np.arange(self.cohort + 1)
        ways = _choose(self.liars, k) + _choose(self.fleet - self.liars, self.cohort - k)
        chances: Chances = np.exp(ways - _choose(self.fleet, np.array([self.cohort]))[0])
        return chances

    def above(self, f: int) -> float:
        """P(more than f liars in a cohort)."""
        return math.fsum(self.chances[f + 1 :].tolist()) if f < self.cohort else 0.0

    def fewer(self, n: int) -> float:
        """P(fewer than n updates come)."""
        if not self.dropout:
            return float(n > self.cohort)
        found = []
        for k in np.flatnonzero(self.chances > 1e-300).tolist():
            honest = self.cohort - k
            found.append(float(self.chances[k]) * _binomial_below(honest, 1.0 - self.dropout, n - k))
        return min(1.0, math.fsum(found))

    def over_run(self, chance: float) -> float:
        """Return the probability of at least one such round in the run.

        >>> Draw(10, 1, 5, rounds=2).over_run(0.5)
        0.75
        """
        return 1.0 if chance >= 1.0 else -math.expm1(self.rounds * math.log1p(-chance))

    def declared(self, level: float = LEVEL) -> int:
        """Return the smallest f_declared that the run exceeds with a probability of at most `level`."""
        return next(f for f in range(self.cohort + 1) if self.over_run(self.above(f)) <= level)

    @property
    def mean(self) -> float:
        """The liars in a cohort, on average: `m F / N`."""
        return self.cohort * self.liars / self.fleet


@dataclass(frozen=True, slots=True)
class Fit:
    """How a defence fits a draw: at the smallest f_declared that is safe, and in the smallest cohort that is.

    `least`: updates that it needs then; `denied`: probability that some round of the run has fewer. `safe`: the cohort can
    hold it, and both probabilities are within the level. `cohort`, `cohort_declared`: None where no cohort up to the fleet is safe.
    """

    declared: int
    least: int
    denied: float
    safe: bool
    cohort: int | None
    cohort_declared: int | None


def fit(draw: Draw, least: Least, level: float = LEVEL) -> Fit:
    """Return how a defence fits.

    >>> found = fit(Draw(fleet=100, liars=10, cohort=20, rounds=50), lambda f: 2 * f + 1)
    >>> found.declared, found.least, found.safe, found.cohort, found.cohort_declared
    (7, 15, True, 11, 5)
    """
    declared = draw.declared(level)
    needs = least(declared)
    denied = draw.over_run(draw.fewer(needs))
    smallest = next(((m, f) for m in _candidates(draw) if (f := _safe(draw, m, least, level)) is not None), None)
    return Fit(declared, needs, denied, needs <= draw.cohort and denied <= level, *(smallest or (None, None)))


def doubts(run: RunConfig) -> list[str]:
    """Return what a run should be told before its first round: that its defence is told of fewer liars than may come.

    >>> from byzantiny.experiment.schema import Attack, ClientGroup, Defence, Round
    >>> run = RunConfig(rounds=50, clients=[ClientGroup(count=100)], attack=Attack(name="alie", byzantine=0.1),
    ...                 round=Round(cohort=20), defence=Defence(f_declared=4))
    >>> doubts(run)[0][:76]
    'f_declared = 4, but a cohort of 20 of 100 clients, 10 of them Byzantine, has'
    """
    fleet, liars, declared = len(run.client_ids()), run.liars, run.defence.f_declared
    if run.attack.name == "none" or not liars or not declared:
        return []
    cohort = run.round.cohort or fleet
    draw = Draw(fleet, liars, cohort, run.rounds)
    chance = draw.over_run(draw.above(declared))
    if chance <= LEVEL:
        return []
    if cohort == fleet:
        return [
            f"f_declared = {declared}, and {liars} of the {fleet} clients lie: the defence is told less than there is"
        ]
    said = (
        f"f_declared = {declared}, but a cohort of {cohort} of {fleet} clients, {liars} of them Byzantine, has more than "
        f"{declared} in some round of {run.rounds} with a probability of {100 * chance:.3g} %; {draw.declared()} would be "
        f"exceeded with at most {100 * LEVEL:g} % (`byzantiny plan`)"
    )
    return [said]


def _candidates(draw: Draw) -> range:
    return range(1, min(draw.fleet, 4096) + 1)


def _safe(draw: Draw, cohort: int, least: Least, level: float) -> int | None:
    other = Draw(draw.fleet, draw.liars, cohort, draw.rounds, draw.dropout)
    declared = other.declared(level)
    needs = least(declared)
    if needs > cohort or other.over_run(other.fewer(needs)) > level:
        return None
    return declared


@cache
def _log_factorials() -> Chances:
    logs = np.zeros(MOST_CLIENTS + 1)
    logs[1:] = [math.lgamma(n + 1.0) for n in range(1, MOST_CLIENTS + 1)]
    return logs


def _choose(n: int, k: npt.NDArray[np.int64]) -> Chances:
    """Log C(n, k), -inf where there is no such choice."""
    logs, fits = _log_factorials(), (k >= 0) & (k <= n)
    safe = np.where(fits, k, 0)
    found: Chances = np.where(fits, logs[n] - logs[safe] - logs[n - safe], -np.inf)
    return found


def _binomial_below(n: int, p: float, k: int) -> float:
    """P(Binomial(n, p) < k)."""
    if k <= 0:
        return 0.0
    if k > n:
        return 1.0
    i = np.arange(k)
    with np.errstate(divide="ignore"):
        logs = _choose(n, i) + i * math.log(p) + (n - i) * math.log1p(-p)
    return min(1.0, math.fsum(np.exp(logs).tolist()))
