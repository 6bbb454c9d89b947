"""An adversary that searches: Hypothesis chooses honest rows and lies, and climbs towards what the card rules out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from byzantiny.errors import ByzantinyError
from byzantiny.federation import Pipeline
from byzantiny.robustness.kappa import SLACK, declared_kappa
from byzantiny.testing.batches import LAYOUT, batch_of, generator
from byzantiny.testing.promises import ContractError, hold
from byzantiny.testing.properties import same
from byzantiny.testing.purity import has_f, with_f
from byzantiny.updates import CODE_LIMIT, InvalidBatchError, Layout, TensorSpec, UpdateBatch, common_scale

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

SMALL = Layout((TensorSpec("kernel", (2,), "int16", 14), TensorSpec("bias", (1,), "int32", 12)))
"""Few coordinates: what a rule does to one it does to all, and a counterexample stays readable."""

GRIDS = ((5, 3), (5, 5), (6, 3))
"""Equal steps; a bias four times as coarse; a kernel twice as coarse."""

ROUNDING = 1e-9
"""What float64 may add to a bound."""


@dataclass(frozen=True, eq=False)
class Case:
    """A rule told that f may lie, and what n clients send; the last f of `rows` are the liars', `order` shuffles all."""

    rule: Any
    f: int
    rows: NDArray[Any]
    order: tuple[int, ...]
    layout: Layout
    shifts: tuple[int, ...]

    def __repr__(self) -> str:
        honest, lies = self.rows[: len(self.rows) - self.f].tolist(), self.rows[len(self.rows) - self.f :].tolist()
        return f"{self.rule} of honest {honest}, lies {lies}, order {self.order}, shifts {self.shifts}"

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        printer.text(repr(self))  # Hypothesis would print every field, card and all

    @property
    def batch(self) -> UpdateBatch:
        """What the rule sees."""
        return batch_of(self.rows[list(self.order)], self.layout, self.shifts)

    @property
    def honest(self) -> NDArray[np.float64]:
        """The honest rows."""
        return self.rows[: len(self.rows) - self.f].astype(np.float64)


def search(
    factory: Callable[[], Any],
    check: Callable[[Case, Any], Mapping[str, float]],
    examples: int,
    *,
    honest_first: bool = False,
) -> None:
    """Try `examples` cases, always the same ones: each must be answered, and `check` says how near it came to which bound.

    With `honest_first` the first row is never a liar's.

    Raises:
        ContractError: the case is in the error's notes (and is printed, before Python 3.11).
        ByzantinyError: Hypothesis is not installed.
    """
    try:
        from hypothesis import HealthCheck, Phase, given, settings, target
    except ImportError as error:
        raise ByzantinyError(
            "the adversary of `byzantiny.testing` searches with Hypothesis, which is not installed; "
            "install it with: pip install 'byzantiny[test]'"
        ) from error

    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        phases=[Phase.generate, Phase.target, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(_cases(rules(factory()), _layout(factory()), honest_first=honest_first))
    def attack(case: Case) -> None:
        result = _answer(case)
        if result is None:
            return
        for bound, near in check(case, result).items():
            target(near, label=bound)

    attack()


def rules(rule: Any) -> list[tuple[Any, int]]:
    """Return the rule with each f it can be told; (rule, 0) where it has no f, or its other parameters allow none."""
    told = [(with_f(rule, f), f) for f in (1, 2, 3)] if has_f(rule) else []
    return [(variant, f) for variant, f in told if variant is not None] or [(rule, 0)]


def _answer(case: Case) -> Any:
    """Return what the rule makes of a case; None if it cannot read float rows."""
    batch = case.batch
    try:
        return case.rule.apply(batch, case.rule.init(case.layout), rng=generator())[0]
    except InvalidBatchError as error:
        if not batch.exact:
            return None
        raise ContractError(case.rule.name, "denial", f"codes within its limit made it raise {error!r}") from error
    except Exception as error:
        raise ContractError(case.rule.name, "denial", f"codes within its limit made it raise {error!r}") from error


def _layout(rule: Any) -> Layout:
    """Few coordinates where the rule takes them; a rule of the k largest of 20 needs 20."""
    try:
        rows = generator().integers(1, 128, (rule.min_clients, SMALL.d))
        rule.apply(batch_of(rows, SMALL, GRIDS[0]), rule.init(SMALL), rng=generator())
    except InvalidBatchError:
        return LAYOUT
    return SMALL


def _cases(told: list[tuple[Any, int]], layout: Layout, *, honest_first: bool) -> SearchStrategy[Case]:
    from hypothesis import strategies as st
    from hypothesis.extra import numpy as hnp

    def numbers(source: Any, rows: int, low: int, high: int) -> NDArray[np.int64]:
        shape = (rows, layout.d)
        if isinstance(source, np.random.Generator):
            return source.integers(low, high, shape, endpoint=True)
        drawn: NDArray[np.int64] = source(
            hnp.arrays(np.int64, shape, elements=st.integers(low, high), fill=st.nothing())
        )
        return drawn

    def lies(draw: Any, source: Any, honest: NDArray[np.int64], f: int, spread: int) -> NDArray[np.int64]:
        """Beside the honest values, which is where rules are weak; or any codes, the ends of the grid among them."""
        where = draw(st.sampled_from(["beside", "anywhere", "far"]))
        if where == "beside":
            ends = np.where(numbers(source, f, 0, 1), honest.max(axis=0), honest.min(axis=0))
            codes = ends + numbers(source, f, -max(1, spread), max(1, spread))
        elif where == "anywhere":
            codes = numbers(source, f, -CODE_LIMIT, CODE_LIMIT)
        else:
            codes = CODE_LIMIT * numbers(source, f, -1, 1)
        if f and draw(st.booleans()):  # with one voice
            codes[:] = codes[0]
        return np.asarray(np.clip(codes, -CODE_LIMIT, CODE_LIMIT), dtype=np.int64)

    @st.composite
    def cases(draw: Any) -> Case:
        rule, f = draw(st.sampled_from(told))
        n = rule.min_clients + draw(st.integers(0, 3))
        spread = draw(st.sampled_from([1, 3, 60, 0]))
        centre = draw(st.one_of(st.just(0), st.integers(spread - CODE_LIMIT, CODE_LIMIT - spread)))
        # Number by number Hypothesis repeats itself, and shrinks what it finds; from a seed every case is a new one.
        seed = draw(st.one_of(st.none(), st.integers(0, 2**32 - 1)))
        source = draw if seed is None else np.random.default_rng(seed)
        honest = numbers(source, n - f, centre - spread, centre + spread)
        rows = np.concatenate([honest, lies(draw, source, honest, f, spread)])
        if draw(st.integers(0, 3)) == 3:  # after a stage that mixed: half steps
            rows = rows / 2
        fixed = [0] if honest_first else []
        order = (*fixed, *draw(st.permutations(range(len(fixed), n))))
        return Case(rule, f, rows, order, layout, draw(st.sampled_from(GRIDS)))

    return cases()


def check_bounds(case: Case, result: Any) -> dict[str, float]:
    """Check an aggregate against every bound its card declares; return how near it came to each, 0 being the bound."""
    info, name = case.rule.info, case.rule.name
    hold(np.isfinite(result.values).all(), name, "result", "a value is not finite")
    if "permutation" in info.keeps:
        sorted_ = _answer(replace(case, order=tuple(range(len(case.rows)))))
        hold(same(result, sorted_), name, "permutation", "the liars last, and another aggregate")
    if "convex" in info.keeps:
        _check_convex(case, result)
    near = {}
    if info.hull_steps is not None:
        near["hull"] = _check_hull(case, result)
    # The declared kappa holds for the rule's default parameters; where it is infinite nothing is claimed.
    kappa = declared_kappa(Pipeline((), case.rule), len(case.rows), case.f)
    if kappa is not None and math.isfinite(kappa):
        near["kappa"] = _check_kappa(case, result, kappa)
    return near


def _check_convex(case: Case, result: Any) -> None:
    name, weight = case.rule.name, result.diagnostics.weight
    hold(weight is not None, name, "convex", "the diagnostics hold no weights")
    hold((weight >= 0).all() and math.isclose(weight.sum(), 1), name, "convex", f"the weights are {weight.tolist()}")
    if result.diagnostics.details.get("converged", 1.0) < 1:
        return  # the weights are those of the next step, which is not near yet
    mixed = weight @ case.batch.rows.astype(np.float64)
    apart = float(np.abs(mixed - result.values).max())
    what = f"the rows with the weights of the diagnostics give another aggregate, {apart:.3g} steps away"
    hold(apart <= 1e-6 * (1 + np.abs(case.rows).max()), name, "convex", what)


def _check_hull(case: Case, result: Any) -> float:
    info, honest, values = case.rule.info, case.honest, result.values
    low, high = honest.min(axis=0), honest.max(axis=0)
    allowed = info.hull_steps + (high - low) * (info.hull_spread.of(len(case.rows), case.f) if info.hull_spread else 0)
    beyond = np.maximum(low - values, values - high)
    worst = int(np.argmax(beyond - allowed))
    what = f"{beyond[worst]:.6g} steps outside the honest values, {allowed[worst]:.6g} are allowed"
    hold((beyond <= allowed + ROUNDING).all(), case.rule.name, "hull", what)
    return float(((beyond - allowed) / (1 + high - low)).max())


def _check_kappa(case: Case, result: Any, kappa: float) -> float:
    scale = common_scale(case.batch)
    honest = case.honest * scale
    mean = honest.mean(axis=0)
    allowed = math.sqrt(kappa * float(((honest - mean) ** 2).sum(axis=1).mean()))
    error = float(np.linalg.norm(result.values * scale - mean))
    what = f"{error:.6g} steps from the honest mean, {allowed:.6g} are allowed by kappa = {kappa:.6g}"
    hold(error <= allowed * (1 + ROUNDING) + SLACK, case.rule.name, "kappa", what)
    return error / allowed - 1 if allowed else -1.0
