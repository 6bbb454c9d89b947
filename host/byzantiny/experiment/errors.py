"""The error family of experiments."""

from __future__ import annotations

from byzantiny.errors import ByzantinyError


class ConfigError(ByzantinyError):
    """The experiment file cannot be used as it is."""
