"""The examples run as they are, in a process of their own."""

import re
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def test_a_task_of_one_s_own_is_found_by_its_entry_point_and_trained(tmp_path):
    done = subprocess.run(
        [sys.executable, EXAMPLES / "own_task.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
        check=True,
    )
    accuracy = float(re.search(r"accuracy (\S+) after 15 rounds", done.stdout)[1])
    assert accuracy > 0.9
    assert list(tmp_path.iterdir()) == []
