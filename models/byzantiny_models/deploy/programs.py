"""Programs of this package that need TensorFlow, run in a process of their own, by this Python or by another that has it.

TensorFlow takes 600 MB and must not share a process with tflite-runtime; so nothing here imports it. Another Python need not
have byzantiny: the package's folder comes last on its path, behind its own packages.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from byzantiny_models.deploy.model_file import ModelFileError
from byzantiny_models.errors import MissingDependencyError

TIMEOUT_S: Final = 600.0
REFUSED: Final = 3
"""Exit status of a program that says in its last line on stderr, in a sentence, what is wrong with what it was given."""
_ROOT: Final = str(Path(__file__).resolve().parents[2])
_RUN: Final = (
    "import runpy, sys; sys.path.append({root!r}); runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
)
_NEEDED: Final = ("tensorflow", "keras", "h5py")


def run_program(
    module: str,
    given: bytes,
    what: str,
    *,
    arguments: Sequence[str] = (),
    python: str = sys.executable,
    timeout_s: float = TIMEOUT_S,
) -> bytes:
    """Return what a program writes to standard output, given bytes on standard input; `what` is being done, for errors.

    Raises:
        MissingDependencyError: that Python is none, or has no TensorFlow.
        ModelFileError: the program refuses what it was given, fails, or takes too long.
    """
    command = [python, "-c", _RUN.format(root=_ROOT, module=module), *arguments]
    try:
        done = subprocess.run(command, input=given, capture_output=True, check=False, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise ModelFileError(
            f"{what}: TensorFlow gave no answer within {timeout_s:g} s; the machine is too busy"
        ) from None
    except OSError as error:
        raise MissingDependencyError(f"{what}: {python} cannot be started ({error.strerror}); name a Python") from error
    if done.returncode == 0:
        return done.stdout
    said = (done.stderr.decode(errors="replace").strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    if done.returncode == REFUSED:
        raise ModelFileError(said)
    if any(f"No module named '{name}" in said for name in _NEEDED):
        raise MissingDependencyError(
            f"{what} needs TensorFlow, which {python} does not have; "
            "run: pip install 'byzantiny[tensorflow]', or name another Python (--python)"
        )
    raise ModelFileError(f"{what}: TensorFlow failed: {said[:300]}")
