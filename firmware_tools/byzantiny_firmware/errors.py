"""What can go wrong with the firmware, as a user meets it."""

from __future__ import annotations

from byzantiny.errors import ByzantinyError


class FirmwareError(ByzantinyError):
    """The firmware or its native library cannot be built, found, loaded or run; the message names the remedy."""
