"""What attacks ask of their parameters; each raises AttackError naming the value and the limit."""

from __future__ import annotations

import math
from collections.abc import Collection

from byzantiny.attacks.card import KNOWLEDGE
from byzantiny.attacks.errors import AttackError


def require_number(attack: str, name: str, value: object, low: float = -math.inf, high: float = math.inf) -> None:
    """Raise unless a parameter is a finite number above `low` and up to `high`.

    Raises:
        AttackError: anything else.

    >>> require_number("ipm", "epsilon", 0.0, 0)
    Traceback (most recent call last):
    byzantiny.attacks.errors.AttackError: ipm: epsilon is 0.0; it must be finite and above 0
    """
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not (number and low < value <= high):  # type: ignore[operator]
        limits = [f"above {low:g}"] if low > -math.inf else []
        limits += [f"at most {high:g}"] if high < math.inf else []
        raise AttackError(f"{attack}: {name} is {value!r}; it must be finite{' and '.join(['', *limits])}")


def require_share(attack: str, name: str, value: object, low: float = 0.0, high: float = 1.0) -> None:
    """Raise unless a parameter is a number from `low` to `high`, both included.

    Raises:
        AttackError: anything else.
    """
    if not (isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high):
        raise AttackError(f"{attack}: {name} is {value!r}; it must be a number from {low:g} to {high:g}")


def require_count(attack: str, name: str, value: object, least: int = 0, most: int | None = None) -> None:
    """Raise unless a parameter is an integer from `least` to `most`.

    Raises:
        AttackError: anything else.
    """
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not (whole and value >= least and (most is None or value <= most)):  # type: ignore[operator]
        upto = "" if most is None else f" to {most}"
        raise AttackError(f"{attack}: {name} is {value!r}; it must be an integer from {least}{upto}")


def require_choice(attack: str, name: str, value: object, known: Collection[str]) -> None:
    """Raise unless a parameter is one of a few names.

    Raises:
        AttackError: anything else.
    """
    if value not in known:
        raise AttackError(f"{attack}: {name} is {value!r}; it must be one of {', '.join(known)}")


def require_knowledge(attack: str, value: object, *, own: bool = False) -> None:
    """Raise unless a parameter is a knowledge; `own` says whether one's own update is enough.

    Raises:
        AttackError: anything else.
    """
    require_choice(attack, "knowledge", value, KNOWLEDGE if own else KNOWLEDGE[1:])
