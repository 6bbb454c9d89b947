"""Which interpreter runs the deployed model, found by running one: tflite-runtime, ai-edge-litert, tf.lite, tflite-micro, NumPy.

A package is asked in a process of its own to run a model of one layer, and its answers tell its arithmetic. What an
experiment records is that: package, version, resolver, arithmetic.
"""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from byzantiny_models.deploy.arithmetic import ARITHMETICS, Arithmetic
from byzantiny_models.deploy.interpreter import run as run_numpy
from byzantiny_models.deploy.model_file import parse_model
from byzantiny_models.deploy.probe import probe_inputs, probe_model
from byzantiny_models.errors import InvalidValueError, ModelsError

ORDER: Final = ("tflite-runtime", "ai-edge-litert", "tf.lite", "tflite-micro", "numpy")
"""Preference: the ones with TFLM's arithmetic are the first and the fourth; what was found is recorded."""
PROBE_TIMEOUT_S: Final = 60.0

Int8s = NDArray[np.int8]


class RuntimeMissingError(ModelsError):
    """No interpreter that was asked for runs here; the message has each one's reason."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """An interpreter that has run a model: `arithmetic` is what it answered like, None: like none that is known."""

    package: str
    version: str
    resolver: str
    arithmetic: Arithmetic | None


class Session:
    """Runs models in one runtime until it is closed; NumPy in this process, every other in its own.

    Raises:
        RuntimeMissingError: the package cannot be loaded, or its process ended.

    >>> from byzantiny_models.deploy.probe import probe_inputs, probe_model
    >>> with Session("numpy") as session:
    ...     session.run(probe_model(), probe_inputs()).shape[1]
    8
    """

    def __init__(self, package: str, python: str = sys.executable) -> None:
        if package not in ORDER:
            raise InvalidValueError(f"runtime {package!r} is not one of {', '.join(ORDER)}")
        self.package, self.version, self.resolver = package, np.__version__, "byzantiny"
        self._process: subprocess.Popen[bytes] | None = None
        if package == "numpy":
            return
        command = [python, "-m", "byzantiny_models.deploy.worker", package]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        said = self._process.stdout.readline() if self._process.stdout is not None else b""
        if not said:
            raise self._ended()
        greeting = json.loads(said)
        self.version, self.resolver = greeting["version"], greeting["resolver"]

    def run(self, data: bytes, x: Int8s) -> Int8s:
        """Return the outputs of a `.tflite` for every sample, int8 (n, *output shape).

        Raises:
            RuntimeMissingError: the process ended: the model is not one it can run.
            ModelFileError: a model that is none.
        """
        model = parse_model(data)
        if self._process is None or self._process.stdin is None or self._process.stdout is None:
            return run_numpy(model, x)
        samples = np.ascontiguousarray(x, dtype=np.int8).tobytes()
        try:
            self._process.stdin.write(struct.pack("<II", len(data), len(samples)) + data + samples)
            self._process.stdin.flush()
            head = self._process.stdout.read(4)
            answer = self._process.stdout.read(struct.unpack("<I", head)[0]) if len(head) == 4 else b""
        except (BrokenPipeError, OSError):
            raise self._ended() from None
        shape = model.tensors[model.output].shape[1:]
        if len(answer) != len(x) * int(np.prod(shape)):
            raise self._ended()
        return np.frombuffer(answer, np.int8).reshape(len(x), *shape)

    def close(self) -> None:
        """End the process; idempotent."""
        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __enter__(self) -> Session:  # noqa: PYI034 - Self is not in Python 3.10
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ended(self) -> RuntimeMissingError:
        process = self._process
        said = ""
        if process is not None:
            try:
                written = process.communicate(timeout=5)[1]  # its last words come after its pipe is closed
            except (subprocess.TimeoutExpired, ValueError, OSError):
                process.kill()
                written = process.communicate()[1]
            said = written.decode(errors="replace").strip()
        self.close()
        why = said.splitlines()[-1] if said else "its process ended without a word"
        return RuntimeMissingError(f"{self.package} does not run here: {why}")


def detect(package: str, python: str = sys.executable) -> Runtime:
    """Return what a package is, by letting it run a model of one layer.

    Raises:
        RuntimeMissingError: it does not run.

    >>> detect("numpy").arithmetic
    'tflm-double'
    """
    with Session(package, python) as session:
        answers = session.run(probe_model(), probe_inputs())
        known = parse_model(probe_model())
        # Of two arithmetics that answer alike the first is named; the probe tells all of them apart (tested).
        like = (a for a in ARITHMETICS if np.array_equal(run_numpy(known, probe_inputs(), a), answers))
        return Runtime(package, session.version, session.resolver, next(like, None))


def find_runtime(order: Sequence[str] = ORDER) -> Runtime:
    """Return the first runtime of the order that works.

    Raises:
        RuntimeMissingError: none does.
    """
    reasons = []
    for package in order:
        try:
            return detect(package)
        except RuntimeMissingError as error:
            reasons.append(str(error))
    raise RuntimeMissingError("; ".join(reasons) + "; run: pip install 'byzantiny[tflite]'")


@contextmanager
def opened(package: str | None = None) -> Iterator[tuple[Session, Runtime]]:
    """Yield a session of a runtime (None: the first that works) and what it is.

    Raises:
        RuntimeMissingError: none works.
    """
    runtime = find_runtime() if package is None else detect(package)
    with Session(runtime.package) as session:
        yield session, runtime
