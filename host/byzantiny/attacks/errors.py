"""What an attack says when it cannot run, and when it can but is none."""

from __future__ import annotations

from byzantiny.errors import ByzantinyError


class AttackError(ByzantinyError):
    """An attack that cannot be built or run as asked: a parameter, missing knowledge, rows of the wrong shape."""


class AttackWarning(UserWarning):
    """An attack that runs as asked and is none: it says so, because a defence would look better than it is."""
