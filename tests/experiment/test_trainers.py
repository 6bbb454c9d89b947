"""Experiments with another trainer: run, refused by name where a body or a network has it not, reproduced, the same in process."""

from __future__ import annotations

import hashlib

import pytest

from byzantiny.experiment import rundir
from byzantiny.experiment.config import ConfigError, parse_experiment
from byzantiny.experiment.engine import Engine
from byzantiny.experiment.inprocess import run_inprocess
from byzantiny.experiment.reproduce import reproduce
from byzantiny_models.tasks import load_task
from byzantiny_models.trainers import TRAINERS

SMALL = {
    "schema": "byzantiny.experiment/1",
    "rounds": 2,
    "clients": [{"count": 4, "body": "numpy"}],
    "evaluation": {"deployed": False},
}


def with_trainer(name, **more):
    return parse_experiment(SMALL | {"training": {"trainer": name}} | more)


@pytest.mark.parametrize("name", TRAINERS)
def test_every_trainer_runs_is_on_record_and_is_reproduced(name, tmp_path):
    experiment = with_trainer(name)
    run_dir = rundir.create(tmp_path, name, experiment)
    (final,) = Engine(lambda event: None).run(experiment, run_dir)
    assert final.accuracy > 0.15
    assert rundir.load_manifest(run_dir).training["trainer"] == name
    assert reproduce(run_dir, lambda event: None).identical


@pytest.mark.parametrize("name", ["int8-only", "dfa", "niti"])
def test_a_run_in_process_gives_the_same_models(name, tmp_path):
    experiment = with_trainer(name)
    run_dir = rundir.create(tmp_path, name, experiment)
    (final,) = Engine(lambda event: None).run(experiment, run_dir)
    (arm,) = experiment.arms
    outcome = run_inprocess(experiment.arms[arm], 1, load_task("digits"), arm=arm)
    layout = load_task("digits").network.layout
    assert hashlib.sha256(layout.pack(outcome.model)).hexdigest() == final.model_sha256


def test_a_body_that_has_not_the_trainer_is_refused_by_name():
    with pytest.raises(ConfigError, match=r'trainer niti on body native \(clients dev-...\): .* set body = "numpy"'):
        with_trainer("niti", clients=[{"count": 2}])


def test_a_trainer_that_there_is_none_of_suggests_the_nearest():
    with pytest.raises(ConfigError, match="int8-only"):
        with_trainer("int8-onyl")


def test_a_network_that_a_trainer_does_not_take_is_refused_before_a_round(tmp_path):
    experiment = with_trainer("dfa", task="digits-cnn")
    with pytest.raises(ConfigError, match="trainer dfa on cnn-8x8"):
        Engine(lambda event: None).run(experiment, rundir.create(tmp_path, "cnn", experiment))
