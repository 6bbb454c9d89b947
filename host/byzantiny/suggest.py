"""The sentence for a name that does not exist: the name, the nearest that does, or all of them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def unknown_name(what: str, name: str, known: Iterable[str]) -> str:
    """Return the sentence for an unknown name.

    >>> unknown_name("attack", "sing-flip", ["none", "sign-flip"])
    'unknown attack `sing-flip`; did you mean `sign-flip`?'
    >>> unknown_name("task", "q", ["digits"])
    'unknown task `q`; known: digits'
    """
    names = sorted(known)
    near = nearest(name, names)
    return f"unknown {what} `{name}`; " + (f"did you mean `{near}`?" if near else f"known: {', '.join(names)}")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most like `name`, or None if none is like it.

    >>> nearest("medain", ["mean", "median"]), nearest("q", ["digits"])
    ('median', None)
    """
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return close[0] if close else None
