"""The bodies that are installed, by name: the entry points of the group `byzantiny.bodies`.

The host never imports the firmware or the boards; they plug in here, and so may anyone else's.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

from byzantiny.bodies.base import Body, DeviceSpec
from byzantiny.bodies.errors import BodyError
from byzantiny.suggest import unknown_name

GROUP: Final = "byzantiny.bodies"
EXTRAS: Final = {"unicorn": "emulator", "elftools": "emulator", "ziglang": "firmware"}
"""Which extra brings a module."""

BodyFactory = Callable[[Sequence[DeviceSpec]], Body]


def load_bodies() -> dict[str, EntryPoint]:
    """Return every registered body by name, none of them imported; `load_body` imports one.

    >>> "numpy" in load_bodies()
    True
    """
    return {point.name: point for point in sorted(entry_points(group=GROUP), key=lambda point: point.name)}


def load_body(name: str) -> BodyFactory:
    """Return the factory of one body; raises BodyError naming what is known, or the extra that is missing.

    >>> load_body("numpy").__name__
    'NumpyBody'
    """
    factory: BodyFactory = load_from(GROUP, name)
    return factory


def body_names() -> list[str]:
    """Return the registered bodies, none of them imported."""
    return list(load_bodies())


def unavailable_reason(group: str, name: str) -> str | None:
    """Return why an entry point's object cannot be used here, as its module says it; None where it can.

    Raises BodyError as `load_from`.

    >>> unavailable_reason(GROUP, "numpy") is None
    True
    """
    module = sys.modules[load_from(group, name).__module__]
    reason: Callable[[], str | None] = getattr(module, "unavailable_reason", lambda: None)
    return reason()


def largest_payload(group: str, name: str) -> int | None:
    """Return the largest DATA payload an entry point's devices have buffers for, as its module says; None: any.

    Raises BodyError as `load_from`.
    """
    limit: int | None = getattr(sys.modules[load_from(group, name).__module__], "MAX_PAYLOAD", None)
    return limit


def load_from(group: str, name: str) -> Any:
    """Return what an entry point of a group names; raises BodyError naming what is known, or the missing extra."""
    points = {point.name: point for point in sorted(entry_points(group=group), key=lambda point: point.name)}
    if name not in points:
        raise BodyError(unknown_name("body" if group == GROUP else "body on a serial line", name, points))
    try:
        return points[name].load()
    except ImportError as error:
        module = (error.name or "").partition(".")[0]
        remedy = (
            f"pip install 'byzantiny[{EXTRAS[module]}]'" if module in EXTRAS else "reinstall the package it is from"
        )
        raise BodyError(f"{name!r} needs {error.name or error}, which is not installed; {remedy}") from error
    except AttributeError as error:
        raise BodyError(f"{name!r} is not where its entry point says: {error}; reinstall its package") from error
