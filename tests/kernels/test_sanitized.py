"""The kernels once more, compiled to stop where C leaves a result undefined: a signed overflow, a shift too far, a null pointer.

The optimised libraries may come out right by luck of one compiler; this one traps instead, and the process ends.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from byzantiny.kernels import native
from byzantiny_firmware import build, zigcc

HERE = Path(__file__).parent
FLAGS = ("-fsanitize=undefined", "-fsanitize-trap=undefined", "-fno-sanitize=alignment", "-g0", "-O2", "-std=c99")
"""Alignment: rows of codes lie at any address, and are loaded by memcpy and by intrinsics that allow it."""

RUN = """
import sys
from pathlib import Path
import pytest
from byzantiny.kernels import native
native.library_path = lambda variant: Path(sys.argv[1])
native.supported_variants = lambda: (sys.argv[2],)
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "-p", "no:xdist", *sys.argv[3:]]))
"""


def sanitized(variant, folder):
    """The kernels of one variant that trap, built into a folder."""
    choice = next(v for v in build.native_variants() if v.name == variant)
    inputs = [str(path) for path in build.kernel_sources() if path.suffix == ".c"]
    path = folder / choice.file_name("byzkernels")
    arguments = (
        *FLAGS, "-shared", "-fPIC", "-fvisibility=hidden", "-ffp-contract=off", f"-I{build.KERNELS / 'csrc'}",
        f'-DBYZ_SOURCE_SHA256="{build.kernels_sha256()}"', "-target", choice.target, f"-mcpu={choice.cpu}", *inputs,
    )  # fmt: skip
    zigcc.run_jobs([zigcc.Job(path, arguments)])
    return path


def run(variant, folder, *arguments):
    path = sanitized(variant, folder)
    command = [sys.executable, "-c", RUN, str(path), variant, *arguments]
    return subprocess.run(command, cwd=HERE.parents[1], capture_output=True, text=True, timeout=1200)


def files(*names):
    return [str(HERE / f"test_{name}.py") for name in names]


def test_the_best_variant_leaves_nothing_undefined_on_small_cohorts(tmp_path):
    (kernels,) = files("kernels")
    some = [f"{kernels}::test_every_small_cohort_is_exact_with_every_f[{n}]" for n in (1, 9, 33)]
    ended = run(native.supported_variants()[0], tmp_path, *some, *files("rows"))
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-2000:]
    assert " passed" in ended.stdout


@pytest.mark.soak
@pytest.mark.parametrize("variant", native.supported_variants())
def test_no_variant_leaves_anything_undefined(variant, tmp_path):
    names = ("kernels", "counts", "geometry", "nearest", "floats", "rows")
    ended = run(variant, tmp_path, *files(*names))
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-2000:]
    assert " passed" in ended.stdout
