"""The notebook's cells run in order in a fresh process, as Jupyter would run them, and end where they say."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).resolve().parents[2] / "examples" / "keras_to_board.ipynb"
CELLS = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]


def executed(tmp_path: Path) -> str:
    """What the cells print; each is compiled alone, all share a namespace."""
    cells = ["".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "code"]
    program = "import json, sys\nspace = {'__name__': '__main__'}\n"
    program += "for i, cell in enumerate(json.load(sys.stdin)):\n    exec(compile(cell, f'cell {i}', 'exec'), space)\n"
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(cells),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def check(said: str, kind: str) -> None:
    before, after = map(float, re.search(r"accuracy ([\d.]+)% as trained, ([\d.]+)% on the grid", said).groups())
    mean, median = (float(re.search(rf"{arm} +([\d.]+)%", said)[1]) for arm in ("mean", "median"))
    assert f"pretrained.{kind}: 64 -> dense 32 relu -> dense 10" in said
    assert min(before, after) > 80
    assert median > mean + 20, "the mean is poisoned, the median is not"
    assert median > after - 2
    assert "760 samples by" in said or "560 samples by" in said
    assert re.search(r"digits_model\.h: digits_model\[\d+\]", said)


def test_the_notebook_runs_without_tensorflow(tmp_path: Path, digits: None) -> None:
    check(executed(tmp_path), "tflite")


@pytest.mark.tensorflow
def test_the_notebook_runs_with_keras(tmp_path: Path, digits: None) -> None:
    check(executed(tmp_path), "keras")


def test_the_notebook_is_kept_without_outputs() -> None:
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in CELLS if cell["cell_type"] == "code")
    assert NOTEBOOK.stat().st_size < 20_000
