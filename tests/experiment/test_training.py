"""Trainers and scopes in experiments: what is refused before a run, what every body agrees on, what the manifest says."""

from __future__ import annotations

import json

import pytest

from byzantiny.bodies import body_names
from byzantiny.experiment import rundir
from byzantiny.experiment.config import ConfigError, parse_experiment
from byzantiny.experiment.engine import Engine
from byzantiny.experiment.events import ignore
from byzantiny.experiment.reproduce import reproduce
from byzantiny_models.trainers import TRAINERS

BASE = {"rounds": 2, "round": {"cohort": 3}, "clients": [{"prefix": "dev", "count": 12, "body": "numpy"}]}


def on(body, **training):
    return BASE | {"clients": [{"prefix": "dev", "count": 12, "body": body}], "training": training}


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (on("numpy", trainer="nitti"), "unknown trainer `nitti`; did you mean `niti`?"),
        (on("native", trainer="dfa"), 'the clients `dev` run on body = "native", which trains int8-sr alone, not dfa'),
        (on("unicorn", trainer="float32"), 'set body = "numpy", or training.trainer = "int8-sr"'),
        (on("numpy", scope="first-layer"), "choose one of all, last-layer, biases"),
        (on("numpy", scope=3), "training.scope"),
    ],
)
def test_a_trainer_or_scope_that_cannot_be_is_refused_when_the_file_is_read(table, said):
    with pytest.raises(ConfigError) as refused:
        parse_experiment(table)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (on("numpy", trainer="niti") | {"task": "digits-cnn"}, "trainer niti on cnn-8x8: it takes dense layers"),
        (on("numpy", trainer="dfa", scope="biases"), "all trained; choose int8-sr"),
        (
            on("numpy", scope=["dense7/kernel"]),
            "training.scope on mlp-64-32-10: .*dense7/kernel.* its tensors are dense0",
        ),
        (on("numpy", scope=[]), "choose at least one"),
    ],
)
def test_what_a_network_cannot_be_trained_with_is_refused_before_any_round(table, said, tmp_path):
    experiment = parse_experiment(table)
    path = rundir.create(tmp_path, "run", experiment)
    with pytest.raises(ConfigError, match=said):
        Engine(ignore).run(experiment, path)
    assert not (path / rundir.MANIFEST).exists()


def test_each_trainer_makes_other_models_and_the_default_is_int8_sr(run):
    arms = {name: {"training": {"trainer": name}} for name in TRAINERS} | {"default": {}}
    outcome = run(BASE | {"arms": arms})
    made = {arm: outcome.models(arm) for arm in arms}
    assert made["default"] == made["int8-sr"]
    assert len({tuple(hashes) for hashes in made.values()}) == len(TRAINERS)
    manifest = rundir.load_manifest(outcome.path)
    assert manifest.training["reproducible"] == "on one machine"
    assert {arm.name: arm.training for arm in manifest.arms}["dfa"] == "dfa"
    assert {arm.name: arm.training for arm in manifest.arms}["default"] == ""


@pytest.mark.parametrize("name", ["niti", "dfa"])
def test_a_run_of_another_trainer_is_reproduced_on_the_body_that_has_it(run, name):
    outcome = run(on("numpy", trainer=name))
    assert reproduce(outcome.path, ignore).identical
    assert rundir.load_manifest(outcome.path).training["reproducible"] == "everywhere"


@pytest.mark.parametrize(
    ("scope", "d", "tensors"),
    [
        ("last-layer", 330, ["dense1/kernel", "dense1/bias"]),
        ("biases", 42, ["dense0/bias", "dense1/bias"]),
        (["dense1/kernel", "dense0/bias"], 352, ["dense0/bias", "dense1/kernel"]),
    ],
)
def test_a_scope_is_what_is_trained_sent_and_said(run, scope, d, tensors):
    outcome = run(BASE | {"arms": {"whole": {}, "part": {"training": {"scope": scope}}}})
    manifest = rundir.load_manifest(outcome.path)
    assert manifest.arms[1].tensors == tensors
    assert f"({d} of 2410 parameters)" in manifest.arms[1].training
    assert manifest.tensors == manifest.arms[0].tensors
    whole, part = (
        json.loads((outcome.folder(arm) / "rounds.jsonl").read_text().splitlines()[-1]) for arm in ("whole", "part")
    )
    assert part["bytes_up"] < whole["bytes_up"]
    assert len(set(outcome.models("part"))) == 2
    assert reproduce(outcome.path, ignore).identical


@pytest.mark.parametrize(
    ("body", "task", "seeds"), [("native", "digits", [1, 2]), ("native", "digits-cnn", [1]), ("unicorn", "digits", [2])]
)
def test_every_body_trains_the_same_part_to_the_same_bits(run, body, task, seeds):
    if body not in body_names():
        pytest.skip(f"the body {body} is not installed")
    table = {"rounds": 1, "task": task, "seeds": seeds, "training": {"scope": "last-layer"}}
    reference, other = (
        run(BASE | table | {"clients": [{"count": 48, "body": name}]}, f"{name}/run") for name in ("numpy", body)
    )
    for seed in seeds:
        assert reference.models(seed=seed) == other.models(seed=seed)
    if len(seeds) > 1:
        assert reference.models(seed=1) != reference.models(seed=2)
