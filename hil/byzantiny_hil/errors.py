"""What can go wrong with boards, as a user meets it."""

from __future__ import annotations

from byzantiny.errors import ByzantinyError


class HilError(ByzantinyError):
    """A board or the map of boards is not as it should be: the message names the value, the file and the remedy."""
