"""A target such as `>= 95 %` beside the measured figure: met, missed, or not comparable."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "≥": operator.ge,
    "<=": operator.le,
    "≤": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_TARGET = re.compile(r"\s*(>=|<=|≥|≤|>|<)\s*(\d{1,3}(?:\.\d+)?)\s*%\s*")


@dataclass(frozen=True)
class Verdict:
    """What became of a target; `met` is None where there is none, it cannot be compared, or the arm is unfinished."""

    target: str
    met: bool | None
    symbol: str
    word: str


def judge(target: str, accuracy: float | None, *, finished: bool = True) -> Verdict:
    """Compare an accuracy (0 to 1), unrounded, with a target in per cent; what is not `finished` is not judged.

    >>> judge(">= 95 %", 0.9499).word, judge("<= 40 %", 0.31).word, judge("high", 0.5).word
    ('missed', 'met', 'not comparable')
    >>> judge(">= 95 %", 0.99, finished=False)
    Verdict(target='≥ 95 %', met=None, symbol='–', word='unfinished')
    """
    if not target.strip():
        return Verdict("", None, "", "")
    match = _TARGET.fullmatch(target)
    if match is None:
        return Verdict(target, None, "–", "not comparable")
    sign, limit = match.groups()
    shown = f"{sign.replace('>=', '≥').replace('<=', '≤')} {limit} %"
    if accuracy is None or not finished:
        return Verdict(shown, None, "–", "not measured" if accuracy is None else "unfinished")
    met = _COMPARE[sign](round(100 * accuracy, 9), float(limit))
    return Verdict(shown, met, *(("✓", "met") if met else ("✗", "missed")))


def percent(share: float | None, *, beside: str = "") -> str:
    """A share as a percentage with one decimal, or as many as it takes not to look like the limit in `beside`.

    >>> percent(0.9496), percent(0.9499, beside=">= 95 %"), percent(None)
    ('95.0 %', '94.99 %', '–')
    """
    if share is None:
        return "–"
    match = _TARGET.fullmatch(beside)
    for decimals in range(1, 10):
        text = f"{100 * share:.{decimals}f}"
        if match is None or float(text) != float(match[2]) or abs(100 * share - float(match[2])) < 1e-9:
            return f"{text} %"
    return f"{100 * share!r} %"
