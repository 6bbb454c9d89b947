"""Line search for the largest value of a function that is only evaluated, as the optimised attacks use it.

The schedule (start, first step 10, doubled while it helps, then shrunk by .8, 20 evaluations) is that of ByzFL's optimised
attacks, which have it from Garfield (Guerraoui, Guirguis, Plassmann, Ragot, Rouault. DSN 2021, arXiv 2010.05888).
"""

from __future__ import annotations

from collections.abc import Callable

EVALUATIONS, FIRST_STEP, RATIO = 20, 10.0, 0.8


def maximise(
    value: Callable[[float], float],
    evaluations: int = EVALUATIONS,
    start: float = 0.0,
    step: float = FIRST_STEP,
    ratio: float = RATIO,
) -> float:
    """Return the best x >= start found: up from the best by `step`, doubled while that helps, and from then on shrinking.

    It never goes back, so it may end beyond the best; `strongest` looks there, too.

    >>> round(maximise(lambda x: -(x - 3) ** 2), 2), round(strongest(lambda x: -(x - 3) ** 2), 1)
    (5.12, 3.0)
    """
    best, most, growing = start, value(start), True
    for _ in range(evaluations - 1):
        found = value(best + step)
        better = found > most
        if better:
            best, most = best + step, found
        growing = growing and better
        step *= 2 if growing else ratio
    return best


def strongest(value: Callable[[float], float], evaluations: int = EVALUATIONS) -> float:
    """Return the best x >= 0 found by `maximise`, and then by as many looks to both sides of it, ever nearer."""
    best = maximise(value, evaluations)
    most, step = value(best), best / 2
    for look in range(evaluations):
        tried = best + step if look % 2 else best - step
        found = value(tried)
        if found > most:
            best, most = tried, found
        step *= RATIO
    return best
