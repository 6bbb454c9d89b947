"""Who answers for the exported model: an installed interpreter in a process of its own, or NumPy in a named arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from byzantiny_models.deploy import interpreter as numpy_interpreter
from byzantiny_models.deploy.arithmetic import ARITHMETICS, DEVICE, Arithmetic
from byzantiny_models.deploy.model_file import parse_model
from byzantiny_models.deploy.runtimes import opened
from byzantiny_models.errors import InvalidValueError

Int8s = NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class Interpreter:
    """What is recorded of an interpreter, and how it is asked: `answers(tflite, x)` gives int8 (n, *output shape).

    `arithmetic` None: it answers like none of the five that are known, so its scores cannot be reproduced elsewhere.
    """

    package: str
    version: str
    resolver: str
    arithmetic: Arithmetic | None
    answers: Callable[[bytes, Int8s], Int8s]

    @property
    def title(self) -> str:
        """Package, version and resolver, for a record.

        >>> exact_interpreter().title.split()[0], exact_interpreter().title.split()[2]
        ('numpy', '(byzantiny)')
        """
        return f"{self.package} {self.version} ({self.resolver})"


def exact_interpreter(arithmetic: Arithmetic = DEVICE) -> Interpreter:
    """Return NumPy's interpreter in one arithmetic: every bit as the runtimes that have it.

    Raises:
        InvalidValueError: an unknown arithmetic.

    >>> exact_interpreter("ruy").arithmetic
    'ruy'
    """
    if arithmetic not in ARITHMETICS:
        raise InvalidValueError(f"arithmetic {arithmetic!r} is not one of {', '.join(ARITHMETICS)}")

    def answers(data: bytes, x: Int8s) -> Int8s:
        return numpy_interpreter.run(parse_model(data), x, arithmetic)

    return Interpreter("numpy", np.__version__, "byzantiny", arithmetic, answers)


@contextmanager
def opened_interpreter(package: str | None = None, arithmetic: Arithmetic | None = None) -> Iterator[Interpreter]:
    """Yield an interpreter whose process lives as long as the block.

    With `arithmetic`: NumPy in it. Else the package; None is the first that works here, NumPy in the end.

    Raises:
        RuntimeMissingError: the package does not run here.
        InvalidValueError: an unknown arithmetic, or one beside a package that has its own.

    >>> with opened_interpreter("numpy") as interpreter:
    ...     interpreter.arithmetic
    'tflm-double'
    """
    if arithmetic is not None:
        if package not in (None, "numpy"):
            raise InvalidValueError(
                f"arithmetic {arithmetic!r} with {package}, which has its own; name one of them (NumPy computes all)"
            )
        yield exact_interpreter(arithmetic)
        return
    if package == "numpy":
        yield exact_interpreter()
        return
    with opened(package) as (session, runtime):
        yield Interpreter(runtime.package, runtime.version, runtime.resolver, runtime.arithmetic, session.run)
