"""The error family of the bodies."""

from __future__ import annotations

from byzantiny.errors import ByzantinyError


class BodyError(ByzantinyError):
    """A body cannot be had, or a device cannot be what its specification says."""
