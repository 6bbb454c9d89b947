"""Clients whose firmware lies, in whole runs: Byzantine in every record, the same models on every body, or refused by name."""

from __future__ import annotations

import json

import pytest

from byzantiny.experiment import rundir
from byzantiny.experiment.config import ConfigError, parse_experiment
from byzantiny.experiment.engine import Engine
from byzantiny.experiment.events import ignore
from byzantiny.experiment.inprocess import run_inprocess
from byzantiny.wire.messages import Hello
from byzantiny_firmware.attacked import BUILD_ID
from byzantiny_firmware.errors import FirmwareError
from byzantiny_hil.board import _check_honesty
from byzantiny_hil.errors import HilError
from byzantiny_models.tasks import load_task


def table(body="native", transport="memory", attack=None, **evil):
    group = {"prefix": "evil", "count": 1, "body": body, "transport": transport, "firmware_attack": "sign-flip"}
    return {
        "rounds": 2,
        "clients": [{"prefix": "dev", "count": 3}, group | evil],
        "attack": attack or {},
        "defence": {"pipeline": [{"name": "median"}], "f_declared": 1},
        "evaluation": {"deployed": False, "per_client": False, "bits": []},
    }


def ran(folder, config):
    experiment = parse_experiment(config)
    path = rundir.create(folder, "run", experiment)
    Engine(ignore).run(experiment, path)
    arm = rundir.arm_dir(path, "main", 1)
    rows = {
        name: [json.loads(line) for line in (arm / f"{name}.jsonl").read_text().splitlines()]
        for name in ("rounds", "clients")
    }
    return path, [row["model_sha256"] for row in rows["rounds"]], rows["clients"]


def test_they_are_byzantine_in_every_record_and_the_same_on_every_body(tmp_path, digits):
    path, models, clients = ran(tmp_path / "native", table(firmware_params={"scale": 3}))
    assert {row["client_id"] for row in clients if row["byzantine"]} == {"evil-01"}
    assert {row["attack"] for row in clients if row["byzantine"]} == {"sign-flip"}
    assert {row["verdict"] for row in clients} == {"accepted"}
    manifest = json.loads((path / "manifest.json").read_text())
    assert manifest["arms"][0]["byzantine"] == ["evil-01"]
    assert manifest["arms"][0]["attack"] == "sign-flip(scale=3) in the firmware"
    assert [client["byzantine"] for client in manifest["clients"]] == [False] * 3 + [True]
    for body, transport in (("unicorn-m4f", "memory"), ("unicorn-m3", "serial")):
        again = ran(tmp_path / body, table(body, transport, firmware_params={"scale": 3}))[1]
        assert again == models, body
    honest = table()
    del honest["clients"][1]["firmware_attack"]
    assert ran(tmp_path / "honest", honest)[1] != models


def test_they_stand_beside_attackers_with_a_relay(tmp_path, digits):
    attack = {"name": "ipm", "byzantine": 1, "params": {"epsilon": 2.0, "knowledge": "omniscient"}}
    _, models, clients = ran(tmp_path, table(attack=attack))
    liars = {(row["client_id"], row["attack"]) for row in clients if row["byzantine"]}
    assert ("evil-01", "sign-flip") in liars
    assert len(liars) == 2
    assert {name for _, name in liars} == {"sign-flip", "ipm"}
    assert len(set(models)) == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"body": "numpy"}, 'body = "numpy" runs no firmware that could lie'),
        ({"firmware_attack": "alie"}, "unknown attack in the firmware `alie`"),
        ({"firmware_params": {"scale": 0}}, "scale is 0; it must be an integer from 1 to 64"),
        ({"firmware_attack": None, "firmware_params": {"scale": 2}}, "without a firmware_attack"),
    ],
)
def test_what_cannot_lie_is_refused_by_name(changes, said, tmp_path, digits):
    with pytest.raises((ConfigError, FirmwareError), match=said):
        ran(tmp_path, table(**changes))


def test_in_process_there_is_no_firmware():
    with pytest.raises(ConfigError, match="the firmware of `evil` lies, which takes devices"):
        run_inprocess(parse_experiment(table()).base, 1, load_task("digits"))


class Opened:
    """A board that has said HELLO."""

    def __init__(self, build_id):
        self.hello = Hello(1, 1, 240, "lab-01", bytes(8), build_id, 1, 4904, 7, 32, 0, 60, bytes(32))

    def error(self, text):
        return HilError(f"board lab-01: {text}")


@pytest.mark.parametrize(
    ("build_id", "attack", "said"),
    [
        (1, "sign-flip", "its firmware is honest, and the experiment says firmware_attack = 'sign-flip'"),
        (BUILD_ID + 1, None, "built with sign-flip inside, and the experiment says nothing of an attack"),
        (BUILD_ID + 2, "sign-flip", "built with boost inside"),
    ],
)
def test_a_board_is_what_the_experiment_says_or_is_refused(build_id, attack, said):
    with pytest.raises(HilError, match=said):
        _check_honesty(Opened(build_id), attack)
    _check_honesty(Opened(1), None)
    _check_honesty(Opened(BUILD_ID + 1), "sign-flip")
