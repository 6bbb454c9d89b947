"""Which interpreter runs the deployed model, found by running one: tflite-runtime, ai-edge-litert, tf.lite, tflite-micro, NumPy.

A package is asked in a process of its own to run a model of one layer, and its answers tell its arithmetic. What an
experiment records is that: package, version, resolver, arithmetic.
"""

from __future__ import annotations

import importlib.util
import json
import math
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from byzantiny_models.deploy.arithmetic import ARITHMETICS, Arithmetic
from byzantiny_models.deploy.interpreter import run as run_numpy
from byzantiny_models.deploy.interpreter import run_all as run_all_numpy
from byzantiny_models.deploy.model_file import parse_model
from byzantiny_models.deploy.probe import probe_inputs, probe_model
from byzantiny_models.errors import InvalidValueError, ModelsError

ORDER: Final = ("tflite-runtime", "ai-edge-litert", "tf.lite", "tflite-micro", "numpy")
"""Preference: the ones with TFLM's arithmetic are the first and the fourth; what was found is recorded."""
MODULES: Final = {
    "tflite-runtime": "tflite_runtime",
    "ai-edge-litert": "ai_edge_litert",
    "tf.lite": "tensorflow",
    "tflite-micro": "tflite_micro",
}
"""What each package is imported as: one that cannot be found need not be tried in a process."""
_REMEDY: Final = "; run: pip install 'byzantiny[tflite]'"
PROBE_TIMEOUT_S: Final = 60.0
"""To load a package and to answer the probe; TensorFlow takes 5 s alone."""

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


@dataclass(frozen=True, slots=True)
class Search:
    """What was found in the order of preference: the first that runs, and why those before it do not."""

    runtime: Runtime
    reasons: dict[str, str]


class Session:
    """Runs models in one runtime until it is closed; NumPy in this process, every other in its own.

    Raises:
        RuntimeMissingError: the package cannot be loaded within `timeout_s`, or its process ended.

    >>> from byzantiny_models.deploy.probe import probe_inputs, probe_model
    >>> with Session("numpy") as session:
    ...     session.run(probe_model(), probe_inputs()).shape[1]
    8
    """

    def __init__(self, package: str, python: str = sys.executable, timeout_s: float = PROBE_TIMEOUT_S) -> None:
        if package not in ORDER:
            raise InvalidValueError(f"runtime {package!r} is not one of {', '.join(ORDER)}")
        self.package, self.version, self.resolver = package, np.__version__, "byzantiny"
        self._process: subprocess.Popen[bytes] | None = None
        self._late_s = 0.0
        if package == "numpy":
            return
        command = [python, "-m", "byzantiny_models.deploy.worker", package]
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - a file, as nobody reads while a model runs; closed with the session
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said)
        with self.limited(timeout_s):
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
        if self._process is None:
            return run_numpy(model, x)
        shape = model.tensors[model.output].shape[1:]
        answer = self._ask(data, x, (), len(x) * math.prod(shape))
        return answer.reshape(len(x), *shape)

    def run_all(self, data: bytes, x: Int8s) -> dict[int, Int8s]:
        """Return every tensor that an operator computes, by its index, int8 (n, *shape without the batch).

        Raises:
            RuntimeMissingError, ModelFileError: as `run`.
        """
        model = parse_model(data)
        computed = [op.outputs[0] for op in model.operators]
        if self._process is None:
            values = run_all_numpy(model, x)
            return {index: values[index] for index in computed}
        shapes = [(len(x), *model.tensors[index].shape[1:]) for index in computed]
        ends = np.cumsum([math.prod(shape) for shape in shapes])
        flat = np.split(self._ask(data, x, computed, int(ends[-1])), ends[:-1])
        return {index: part.reshape(shape) for index, part, shape in zip(computed, flat, shapes, strict=True)}

    @contextmanager
    def limited(self, seconds: float) -> Iterator[None]:
        """End the process if the block takes longer; what it was asked then raises RuntimeMissingError."""
        timer = threading.Timer(seconds, self._give_up, (seconds,))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _give_up(self, seconds: float) -> None:
        process = self._process
        if process is not None:
            self._late_s = seconds
            process.kill()

    def _ask(self, data: bytes, x: Int8s, tensors: Sequence[int], numbers: int) -> Int8s:
        assert self._process is not None
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        samples = np.ascontiguousarray(x, dtype=np.int8).tobytes()
        head = struct.pack(f"<III{len(tensors)}I", len(data), len(samples), len(tensors), *tensors)
        try:
            stdin.write(head[:12] + data + samples + head[12:])
            stdin.flush()
            size = stdout.read(4)
            answer = stdout.read(struct.unpack("<I", size)[0]) if len(size) == 4 else b""
        except OSError:
            raise self._ended() from None
        if len(answer) != numbers:
            raise self._ended()
        return np.frombuffer(answer, np.int8)

    def close(self) -> None:
        """End the process; idempotent."""
        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):  # what was not flushed goes to a process that is gone
                    pipe.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._said.close()

    def __enter__(self) -> Session:  # noqa: PYI034 - Self is not in Python 3.10
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ended(self) -> RuntimeMissingError:
        process = self._process
        if process is not None:
            try:
                process.communicate(timeout=5)  # its last words come after its pipe is closed
            except (subprocess.TimeoutExpired, ValueError, OSError):
                process.kill()
                process.wait()
        self._said.seek(0)
        said = self._said.read().decode(errors="replace").strip().splitlines()
        self.close()
        why = f"no answer within {self._late_s:g} s" if self._late_s else "its process ended without a word"
        return RuntimeMissingError(
            f"{self.package} does not run here: {said[-1] if said and not self._late_s else why}"
        )


def detect(package: str, python: str = sys.executable, timeout_s: float = PROBE_TIMEOUT_S) -> Runtime:
    """Return what a package is, by letting it run a model of one layer.

    Raises:
        RuntimeMissingError: it does not run, or not within `timeout_s`.

    >>> detect("numpy").arithmetic
    'tflm-double'
    """
    with _probed(package, python, timeout_s) as (_, runtime):
        return runtime


@contextmanager
def _probed(package: str, python: str, timeout_s: float) -> Iterator[tuple[Session, Runtime]]:
    """Yield a session that has answered the probe, and what it is."""
    module = MODULES.get(package)
    if python == sys.executable and module is not None and importlib.util.find_spec(module) is None:
        raise RuntimeMissingError(f"{package} does not run here: No module named {module!r}")
    with Session(package, python, timeout_s) as session:
        with session.limited(timeout_s):
            answers = session.run(probe_model(), probe_inputs())
        known = parse_model(probe_model())
        # Of two arithmetics that answer alike the first is named; the probe tells all of them apart (tested).
        like = (a for a in ARITHMETICS if np.array_equal(run_numpy(known, probe_inputs(), a), answers))
        yield session, Runtime(package, session.version, session.resolver, next(like, None))


def search(order: Sequence[str] = ORDER, timeout_s: float = PROBE_TIMEOUT_S) -> Search:
    """Return the first runtime of the order that works, and why those before it do not.

    Raises:
        RuntimeMissingError: none does.

    >>> search(("numpy",)).reasons
    {}
    """
    reasons: dict[str, str] = {}
    for package in order:
        try:
            return Search(detect(package, timeout_s=timeout_s), reasons)
        except RuntimeMissingError as error:
            reasons[package] = str(error)
    raise RuntimeMissingError("; ".join(reasons.values()) + _REMEDY)


def find_runtime(order: Sequence[str] = ORDER) -> Runtime:
    """Return the first runtime of the order that works.

    Raises:
        RuntimeMissingError: none does.
    """
    return search(order).runtime


@contextmanager
def opened(package: str | None = None) -> Iterator[tuple[Session, Runtime]]:
    """Yield a session of a runtime (None: the first that works) and what it is.

    Raises:
        RuntimeMissingError: none works.
    """
    reasons = []
    with ExitStack() as stack:
        for each in ORDER if package is None else (package,):
            try:
                found = stack.enter_context(_probed(each, sys.executable, PROBE_TIMEOUT_S))
            except RuntimeMissingError as error:
                reasons.append(str(error))
                continue
            yield found
            return
    raise RuntimeMissingError("; ".join(reasons) + _REMEDY)
