"""One implementation of one rule, ready to be timed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.clock import Prepare


def plain(result: Any) -> NDArray[Any]:
    """A result as an array: rows of tensors, lists of arrays and lists of one layer included."""
    if isinstance(result, (list, tuple)):
        result = result[0] if len(result) == 1 else np.stack([np.asarray(x) for x in result])
    return np.asarray(result)


@dataclass(frozen=True, slots=True)
class Contestant:
    """`prepare()` makes one call ready; `values` turns what the call returned into numbers, outside the clock.

    `convention` names which of the results in `expected` it must give: "" for ours, else a known difference of definition.
    """

    name: str
    prepare: Prepare
    convention: str = ""
    values: Callable[[Any], NDArray[Any]] = plain


def constant(call: Callable[[], Any]) -> Prepare:
    """Nothing has to be made ready for this call."""
    return lambda: call
