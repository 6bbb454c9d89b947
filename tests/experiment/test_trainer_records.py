"""What a run says of the scopes of its arms, and that a trainer does not end one in the middle."""

from __future__ import annotations

from byzantiny.experiment import rundir
from byzantiny.experiment.config import parse_experiment
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


def test_an_arm_that_trains_another_part_says_so_itself(tmp_path):
    arms = {"whole": {}, "part": {"training": {"scope": ["dense0/bias", "dense1/kernel"]}}}
    _, run_dir = run(tmp_path, arms=arms, grid={"adapt": True})
    whole, part = rundir.load_manifest(run_dir).arms
    assert (whole.tensors, part.tensors) == ([], ["dense0/bias", "dense1/kernel"])
    assert (whole.defence[0], part.defence[0]) == ("norm-clip(bound=800)", "norm-clip(bound=304)")
    paths = tensor_paths(load_run(run_dir), "part")
    assert [path.tensor for path in paths] == ["dense0/bias", "dense1/kernel"]


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
