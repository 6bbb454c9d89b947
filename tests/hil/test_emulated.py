"""What only the emulated board shows: the real board's way on a real image, a crash, a board as an experiment's port."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from byzantiny.experiment import rundir
from byzantiny.experiment.cast import make_cast
from byzantiny.experiment.config import parse_experiment
from byzantiny.experiment.engine import Engine
from byzantiny.wire.codec import decode_offer, split_update
from byzantiny_firmware.unicorn import start_board, unavailable_reason
from byzantiny_hil.board import open_board, ports
from byzantiny_hil.boardmap import PACKAGED
from byzantiny_hil.errors import HilError
from byzantiny_hil.rounds import expected_codes, make_work, run_round
from byzantiny_models.tasks import load_task

from .fake_board import spec_of, write_map

pytestmark = pytest.mark.skipif(unavailable_reason() is not None, reason=unavailable_reason() or "")


def test_a_board_on_a_pseudo_terminal_goes_the_way_of_a_real_one(tmp_path: Path) -> None:
    with start_board(spec_of(), "m0", pty=True) as handle:
        path = write_map(tmp_path, handle.url, handle.spec)
        with open_board("bench", path) as board:
            work = make_work(board, 1)
            codes = split_update(run_round(board, work).update).codes
            assert codes == expected_codes(board, decode_offer(work.offer_body), work.model).tobytes()


def test_a_firmware_that_has_crashed_is_said_to_have(tmp_path: Path) -> None:
    with open_board("emulated-m4f", PACKAGED, logdir=tmp_path) as board:
        board._handle.fault = "read of unmapped memory at pc 0x00000100"
        with pytest.raises(
            HilError, match=r"its firmware has crashed: read of unmapped .*; frames: .*emulated-m4f.log"
        ):
            board.receive(0.01)


def test_an_emulated_board_is_the_client_it_is_given() -> None:
    opened = ports([spec_of("lab-09")], board="emulated-m4f", boards=PACKAGED)
    try:
        assert opened.urls[0].startswith("socket://")
        assert opened.specs[0].client_id == "lab-09"
        assert opened.training(0) is None
        opened.reboot(0, 9)
    finally:
        opened.close()


def test_an_experiment_with_a_mapped_board_gives_the_models_it_gives_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The board is a stranger to the experiment: its own secret, its own address, the client's share in its flash."""
    pytest.importorskip("sklearn", reason="the task `digits` needs scikit-learn, which is not installed")
    models = {}
    for body, more in (("native", {}), ("board", {"transport": "serial", "board": "bench"})):
        clients = [{"prefix": "dev", "count": 2}, {"prefix": "lab", "body": body, **more}]
        experiment = parse_experiment({"name": body, "rounds": 2, "clients": clients})
        share = make_cast(experiment.base, 1, load_task("digits")).roles[-1].dataset
        with start_board(spec_of("lab-01", secret=b"\x17" * 32, dataset=share, address=7), "m4f") as handle:
            monkeypatch.setenv("BYZANTINY_BOARDS", str(write_map(tmp_path, handle.url, handle.spec)))
            rundir.create(tmp_path, body, experiment)
            Engine(lambda _: None).run(experiment, tmp_path / body)
            assert (handle.stats().trainings == 2) is (body == "board")
        rows = (rundir.arm_dir(tmp_path / body, "main", 1) / "rounds.jsonl").read_text().splitlines()
        models[body] = [json.loads(row)["model_sha256"] for row in rows]
    assert models["board"] == models["native"]
    assert len(models["native"]) == 2
