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
    """Return the best x >= 0 found: go up by `step`, doubled while it helps; then try around the best, `step` shrinking.

    >>> round(maximise(lambda x: -(x - 3) ** 2, evaluations=60), 2)
    3.0
    """
    best, most = start, value(start)
    tried = start
    for _ in range(evaluations - 1):
        tried = best + step
        found = value(tried)
        evaluations -= 1
        if found <= most:
            step *= ratio
            break
        best, most, step = tried, found, 2 * step
    for _ in range(evaluations - 1):
        # To the other side of the best each time; below 0 an attack would be no attack.
        tried = tried + step if tried < best else best - step
        while tried < 0 or tried == best:
            step *= ratio
            tried = best + step if tried < 0 else best - step
        found = value(tried)
        if found > most:
            best, most = tried, found
        step *= ratio
    return best
