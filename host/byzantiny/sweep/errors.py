"""The error family of sweeps."""

from byzantiny.errors import ByzantinyError


class SweepError(ByzantinyError):
    """A grid that cannot be, or a sweep directory that cannot be used."""
