"""One rule at one size: a trial of every contestant, then the turns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.clock import take_turns
from harness.contestant import Contestant
from harness.expected import Expected
from harness.inputs import Inputs
from harness.ours import kernel, ours
from harness.reading import reading
from harness.results import Entry, Result
from harness.trial import Trial, try_once


@dataclass(frozen=True, slots=True)
class Budget:
    """How much a contestant may take: `limit_s` a call, `total_s` of turns (at least one call), `memory_bytes`."""

    repeats: int = 5
    limit_s: float = 60.0
    total_s: float = 20.0
    memory_bytes: int = 8 << 30

    def turns(self, seconds: float) -> int:
        """How many turns a contestant gets; 0: its trial was its turn."""
        if seconds > self.total_s:
            return 0
        return min(self.repeats, max(1, int(self.total_s / max(seconds, 1e-9))))


GROWTH = {"flower/bulyan": 3, "krum": 2, "multi-krum": 2, "bulyan": 2, "nnm": 2}
"""Power of n in the cost of a contestant's rule, all being linear in d; 1 where none is named."""


def predicted(rule: str, name: str, inputs: Inputs, earlier: list[Result]) -> float:
    """The seconds of a contestant at a size it has not met, from the largest one it has; 0 if it has met none."""
    power = GROWTH.get(f"{name}/{rule}", GROWTH.get(rule, 1))
    met = [r for r in earlier if r.rule == rule and (e := r.entry(name)) is not None and e.seconds]
    if not met:
        return 0.0
    last = max(met, key=lambda r: r.n**power * r.d)
    entry = last.entry(name)
    seconds = entry.seconds if entry is not None and entry.seconds is not None else 0.0
    return seconds * (inputs.n / last.n) ** power * inputs.d / last.d


def measure(
    rule: str,
    inputs: Inputs,
    expected: Expected,
    theirs: list[Contestant],
    budget: Budget,
    earlier: list[Result],
    say: Callable[[str], None],
) -> Result:
    """Try every contestant once, then let those that can run take turns."""
    own_kernel = kernel(rule, inputs)
    contestants = [ours(rule, inputs), *theirs]
    trials: dict[str, Trial] = {}
    for contestant in contestants:
        guess = predicted(rule, contestant.name, inputs, earlier) if contestant.name != "ours" else 0.0
        if guess > budget.limit_s:
            trials[contestant.name] = Trial(
                0.0, reason=f"would take about {guess:.0f} s, from its time at a smaller size"
            )
            continue
        say(f"{rule} ({inputs.n}, {inputs.d}): trial of {contestant.name}")

        def excess(values: object, contestant: Contestant = contestant) -> float:
            return expected.excess(rule, contestant.convention, values)  # type: ignore[arg-type]

        expected.range(rule, contestant.convention)  # what it caches is worked out once, here, not in every child
        trials[contestant.name] = try_once(contestant, excess, budget.limit_s, budget.memory_bytes)
    run = {c.name: c for c in contestants if not trials[c.name].reason}
    turns = {name: budget.turns(trials[name].seconds) for name in run}
    field = {name: run[name].prepare for name in run if turns[name]}
    own = {"read": reading(inputs.tiles).prepare} | ({} if own_kernel is None else {"kernel": own_kernel.prepare})
    say(f"{rule} ({inputs.n}, {inputs.d}): {len(field)} take turns")
    timings = take_turns(own | field, dict.fromkeys(own, budget.repeats) | {name: turns[name] for name in field})
    entries = [Entry(name, timings[name].seconds, budget.repeats, timings[name].spread) for name in own]
    for contestant in contestants:
        trial, timing = trials[contestant.name], timings.get(contestant.name)
        entries.append(
            Entry(
                contestant.name,
                None if trial.reason else trial.seconds if timing is None else timing.seconds,
                0 if trial.reason else 1 if timing is None else len(timing.samples),
                0.0 if timing is None else timing.spread,
                trial.extra_bytes,
                trial.output_bytes,
                trial.excess,
                contestant.convention,
                trial.reason,
                trial.stopped_s,
            )
        )
    return Result(rule, inputs.n, inputs.d, tuple(entries))
