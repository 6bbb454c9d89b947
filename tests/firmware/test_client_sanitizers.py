"""The client under the sanitizers: hostile bytes never touch memory that is not its own."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess

import pytest

from byzantiny_firmware import build

SOURCE = pathlib.Path(__file__).parent / "c" / "fuzz_client.c"
SECONDS = float(os.environ.get("BYZANTINY_FUZZ_SECONDS", "3"))


@pytest.fixture(scope="module")
def fuzzer(tmp_path_factory):
    compiler = shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("neither gcc nor clang is on PATH; the sanitizers come with them")
    program = tmp_path_factory.mktemp("fuzz") / "fuzz_client"
    core = [str(path) for path in build.image_sources("mps2") if path.suffix == ".c" and build.CORE in path.parents]
    subprocess.run(
        [compiler, "-std=c99", "-O1", "-g", "-Wall", "-Wextra", "-Wconversion", "-Werror",
         "-fsanitize=address,undefined", "-fno-sanitize-recover=all", f"-I{build.CORE}", *core, str(SOURCE),
         "-o", str(program)],
        check=True,
    )  # fmt: skip
    return program


@pytest.mark.parametrize("seed", [1, 2])
def test_hostile_bytes_stay_within_the_buffers(fuzzer, seed):
    done = subprocess.run([str(fuzzer), str(SECONDS), str(seed)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    reached = dict(zip(("lives", "frames", "answers", "data", "trainings"), map(int, re.findall(r"\d+", done.stdout)),
                       strict=True))  # fmt: skip
    assert reached["trainings"] > 10, reached
    assert reached["data"] > 100, reached
