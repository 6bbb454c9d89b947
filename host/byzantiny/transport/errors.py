"""The error family of the transports."""

from __future__ import annotations

from byzantiny.errors import ByzantinyError


class TransportError(ByzantinyError):
    """A link cannot be opened or has broken for good: the message names the endpoint and the remedy."""
