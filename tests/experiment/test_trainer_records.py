"""What a run says of its trainer and its scope, and that neither ends one in the middle."""

from __future__ import annotations

import pytest

from byzantiny.experiment import rundir
from byzantiny.experiment.config import ConfigError, parse_experiment
from byzantiny.experiment.engine import Engine
from byzantiny.report.grid import tensor_paths
from byzantiny.report.run import load_run

SMALL = {
    "schema": "byzantiny.experiment/1",
    "rounds": 1,
    "clients": [{"count": 3, "body": "numpy"}],
    "evaluation": {"deployed": False},
}


def run(tmp_path, **more):
    experiment = parse_experiment(SMALL | more)
    run_dir = rundir.create(tmp_path, "run", experiment)
    finals = Engine(lambda event: None).run(experiment, run_dir)
    return finals, run_dir


def test_the_manifest_of_a_scope_has_the_numbers_that_are_in_force(tmp_path):
    _, run_dir = run(tmp_path, training={"scope": "last-layer"})
    manifest = rundir.load_manifest(run_dir)
    assert manifest.task["parameters"] == manifest.costs["parameters"] == 330
    assert manifest.tensors == ["dense1/kernel", "dense1/bias"]
    assert manifest.costs["up_bytes"] < 512
    assert manifest.costs["base_flash_bytes"] > 2048
    # 16 ceil(sqrt(330)) grid steps; 800 is the bound of the whole network
    assert manifest.arms[0].defence == ["norm-clip(bound=304)", "mean"]


def test_an_arm_that_trains_another_part_says_so_itself(tmp_path):
    arms = {"whole": {}, "part": {"training": {"scope": ["dense0/bias", "dense1/kernel"]}}}
    _, run_dir = run(tmp_path, arms=arms, grid={"adapt": True})
    whole, part = rundir.load_manifest(run_dir).arms
    assert (whole.tensors, part.tensors) == ([], ["dense0/bias", "dense1/kernel"])
    assert (whole.defence[0], part.defence[0]) == ("norm-clip(bound=800)", "norm-clip(bound=304)")
    paths = tensor_paths(load_run(run_dir), "part")
    assert [path.tensor for path in paths] == ["dense0/bias", "dense1/kernel"]


def test_the_manifest_names_the_arms_whose_bytes_are_one_machine_s(tmp_path):
    arms = {name: {"training": {"trainer": name}} for name in ("int8-sr", "float32", "int8-only")}
    _, run_dir = run(tmp_path, arms=arms)
    (note,) = rundir.load_manifest(run_dir).notes
    assert note.startswith("arms float32: trainer float32 gives the same bytes on one machine only")


def test_an_attack_that_makes_floats_diverge_is_measured_and_not_the_end_of_the_run(tmp_path):
    """The announced model goes to its limits, where squared errors at 2^-4 grow until they are no numbers."""
    (final,), _ = run(
        tmp_path,
        task="machine-anomaly",
        rounds=6,
        round={"l2_bound": "off"},
        clients=[{"count": 6, "body": "numpy"}],
        training={"trainer": "float32", "lr_shift": 4, "epochs": 2, "shift": 12},
        partition={"name": "iid"},
        evaluation={"deployed": False, "per_client": False, "bits": []},
        attack={"name": "sign-flip", "byzantine": 4, "params": {"scale": 10.0}},
    )
    assert (final.rounds, final.accepted) == (6, 36)


def test_a_rate_that_a_trainer_does_not_take_is_refused_before_a_round(tmp_path):
    with pytest.raises(ConfigError, match=r"arms.main: trainer niti with lr_shift 10: it takes 4 \.\. 7"):
        run(tmp_path, training={"trainer": "niti", "lr_shift": 10})
