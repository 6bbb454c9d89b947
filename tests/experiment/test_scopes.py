"""Experiments that train a part of the network: fewer bytes, the same models on every body, reproduced, refused by name."""

from __future__ import annotations

import pytest

from byzantiny.experiment import rundir
from byzantiny.experiment.config import ConfigError, parse_experiment
from byzantiny.experiment.engine import Engine
from byzantiny.experiment.models import load_run_model
from byzantiny.experiment.reproduce import reproduce
from byzantiny.ledger import Ledger

SMALL = {"schema": "byzantiny.experiment/1", "rounds": 2, "evaluation": {"deployed": False}}


def run(tmp_path, scope, body="native", **more):
    experiment = parse_experiment(
        SMALL | {"clients": [{"count": 3, "body": body}], "training": {"scope": scope}} | more
    )
    run_dir = rundir.create(tmp_path, body, experiment)
    (final,) = Engine(lambda event: None).run(experiment, run_dir)
    return final, run_dir


@pytest.mark.parametrize(
    ("scope", "numbers"), [("last-layer", 330), ("biases", 42), (["dense0/bias", "dense1/kernel"], 352)]
)
def test_a_scope_sends_less_and_gives_the_same_models_on_every_body(scope, numbers, tmp_path):
    whole, _ = run(tmp_path / "whole", "all")
    native, run_dir = run(tmp_path, scope)
    numpy, _ = run(tmp_path, scope, "numpy")
    assert native.model_sha256 == numpy.model_sha256
    assert native.bytes_up < whole.bytes_up
    with Ledger.open(rundir.arm_dir(run_dir, "main", 1) / rundir.LEDGER) as ledger:
        assert len(ledger.last_closed().model) <= 4 * numbers
    assert rundir.load_manifest(run_dir).training["scope"] == scope
    assert reproduce(run_dir, lambda event: None).identical


def test_a_thumb_image_trains_the_last_layer_to_the_same_model(tmp_path):
    emulated, _ = run(tmp_path, "last-layer", "unicorn", rounds=1)
    native, _ = run(tmp_path, "last-layer", "native", rounds=1)
    assert emulated.model_sha256 == native.model_sha256


def test_the_model_of_a_run_comes_with_its_frozen_part(tmp_path):
    _, run_dir = run(tmp_path, "last-layer")
    found = load_run_model(run_dir, arm=None, seed=None, round_num=None, listener=lambda event: None)
    assert (found.network.layout.d, len(found.model), found.network.base) == (2410, 2410, b"")


def test_the_deployed_model_of_a_scope_is_the_whole_one(tmp_path):
    _, run_dir = run(tmp_path, "last-layer", evaluation={"deployed": True, "arithmetic": "tflm-double"})
    with Ledger.open(rundir.arm_dir(run_dir, "main", 1) / rundir.LEDGER) as ledger:
        rows = ledger.rows("round")
    assert len(rows) == 2
    assert [row["accuracy_exported"] for row in rows] == [row["accuracy"] for row in rows]


def test_a_tensor_that_there_is_none_of_is_refused_with_those_there_are(tmp_path):
    with pytest.raises(ConfigError, match=r"training.scope: .*dense9/kernel.* mlp-64-32-10 has dense0/kernel"):
        run(tmp_path, ["dense9/kernel"])
