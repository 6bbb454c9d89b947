"""The commands of docs/deploy.md run as they stand, on a run and on files of their names."""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from byzantiny.cli import main
from byzantiny_models.deploy.template import load_template, patch
from byzantiny_models.networks import NETWORKS, initial_model

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "deploy.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = [line.partition("#")[0].strip() for block in BLOCKS for line in block.splitlines()]
TENSORFLOW = (".keras", "--qat-epochs")
TABLE = {
    "rounds": 8,
    "clients": [{"count": 4}],
    "arms": {"mean": {}, "median-attacked": {"defence": {"pipeline": [{"name": "median"}]}}},
}


def test_every_command_of_the_page_runs(
    run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = run(TABLE)
    monkeypatch.chdir(tmp_path)
    network = NETWORKS["mlp-64-32-10"]
    Path("pretrained.tflite").write_bytes(patch(load_template(network.name), network, initial_model(network, 1)))
    ran = 0
    for command in COMMANDS:
        program, *arguments = shlex.split(command.replace("runs/demo-...", str(outcome.path)))
        assert program == "byzantiny"
        if any(word in command for word in TENSORFLOW):
            continue
        monkeypatch.setattr(sys, "argv", [program, *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code, (command, capsys.readouterr().err)
        ran += 1
    assert ran == 5
    assert all(Path(name).exists() for name in ("digits.tflite", "digits.json", "r7.tflite", "start.json"))


def test_what_needs_tensorflow_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], digits: None
) -> None:
    if importlib.util.find_spec("tensorflow") is not None:
        pytest.skip("TensorFlow is here; `make tensorflow` runs what needs it")
    monkeypatch.chdir(tmp_path)
    command = next(line for line in COMMANDS if "--qat-epochs" in line).replace("--start start.json ", "")
    monkeypatch.setattr(sys, "argv", shlex.split(command))
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "needs TensorFlow" in capsys.readouterr().err
