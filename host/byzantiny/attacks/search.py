"""Search for the largest value of a function that is only evaluated, as the attacks with the defence in the loop use it.

ByzFL's optimised attacks, which have theirs from Garfield (Guerraoui, Guirguis, Plassmann, Ragot, Rouault. DSN 2021,
arXiv 2010.05888), start with a step of 10, double it while that helps, and shrink it. The harm done to a rule that picks rows
is no hill, though: where it picks an honest row the harm does not depend on the attackers any more, a plateau on which that
search ends. Against Krum and Bulyan it found 56 to 64 % of what ALIE can do (a test has the setting). So here a ladder of
steps, each twice the one before, is tried first, from far below that step on.
"""

from __future__ import annotations

from collections.abc import Callable

EVALUATIONS, FIRST_STEP = 32, 10.0
RUNGS, RATIO = 8, 0.6


def maximise(value: Callable[[float], float], evaluations: int = EVALUATIONS, step: float = FIRST_STEP) -> float:
    """Return the best x >= 0 found: of 0 and `step / 2^k`, k = 7 .. 0; doubled while it helps; then nearer to both sides.

    The first of equal values is kept, so a function without a largest value, such as a constant, gives the smallest x.

    >>> round(maximise(lambda x: -(x - 3) ** 2, evaluations=60), 2), maximise(lambda x: 1.0)
    (3.0, 0.0)
    """
    looks = [0.0] + [step / 2**k for k in reversed(range(min(RUNGS, evaluations - 1)))]
    values = [value(x) for x in looks]
    most = max(values)
    best = looks[values.index(most)]
    left = evaluations - len(looks)
    top, rising = looks[-1], best == looks[-1]
    while left > 0 and rising:
        found, top, left = value(2 * top), 2 * top, left - 1
        rising = found > most
        if rising:
            best, most = top, found
    return _nearer(value, best, most, best / 2 or step / 2**RUNGS, left)


def _nearer(value: Callable[[float], float], best: float, most: float, reach: float, left: int) -> float:
    """Return the best after `left` more looks, at `reach` to either side of it, `reach` shrinking where neither is better."""
    while left > 0:
        better = False
        for x in (best + reach, best - reach):
            if x < 0 or better or left < 1:  # below 0 an attack would be no attack
                continue
            found, left = value(x), left - 1
            if found > most:
                best, most, better = x, found, True
        if not better:
            reach *= RATIO
    return best
