"""The root of every error of the models: a message names the value, the limit and the remedy."""

from __future__ import annotations


class ModelsError(Exception):
    """A condition the caller can act on; the message names the value, the limit and the remedy."""


class InvalidValueError(ModelsError, ValueError):
    """An argument outside what the arithmetic or a format allows."""


class LayoutError(InvalidValueError):
    """Bytes, arrays or shifts that do not fit a layout."""


class DatasetError(InvalidValueError):
    """Bytes or arrays that are no data set (docs/wire.md 3)."""


class PartitionError(InvalidValueError):
    """A partition that the labels, the number of clients or the minimum make impossible."""


class MissingDependencyError(ModelsError, ImportError):
    """An optional package is needed here; the message names the extra that brings it."""


class TrainerError(InvalidValueError):
    """A network, a scope or a learning rate that a trainer does not train; the message names what it does."""
