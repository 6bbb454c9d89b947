"""The errors of this room: a question that cannot be asked, by value, limit and remedy."""

from __future__ import annotations

from byzantiny.errors import ByzantinyError


class RobustnessError(ByzantinyError):
    """A study that cannot be made as asked: a name, a number or a file out of range."""


def require_between(name: str, value: float, least: float, most: float) -> None:
    """Raise unless `least <= value <= most`.

    Raises:
        RobustnessError: it is not, or is nan.

    >>> require_between("n", 2, 3, 1000)
    Traceback (most recent call last):
    byzantiny.robustness.errors.RobustnessError: n is 2; the limits are 3 .. 1000: choose one within
    """
    if not least <= value <= most:
        raise RobustnessError(f"{name} is {value:g}; the limits are {least:g} .. {most:g}: choose one within")
