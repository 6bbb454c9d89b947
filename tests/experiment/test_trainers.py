"""An experiment chooses how and what its clients train: what runs, what is recorded, what is refused, on which body."""

import hashlib
import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from byzantiny.bodies import BodyError, DeviceSpec, load_body
from byzantiny.bodies.batch import load_batch
from byzantiny.cli.listing import KINDS
from byzantiny.experiment.config import ConfigError, parse_experiment
from byzantiny.experiment.engine import Engine
from byzantiny.experiment.events import ignore
from byzantiny.experiment.inprocess import run_inprocess
from byzantiny.experiment.models import load_run_model
from byzantiny.experiment.reproduce import reproduce
from byzantiny.experiment.resolve import check_training, scoped_task
from byzantiny.experiment.wires import Wire, run_on
from byzantiny_firmware.errors import FirmwareError
from byzantiny_models import datasets
from byzantiny_models.errors import TrainerError
from byzantiny_models.inference import accuracy
from byzantiny_models.networks import NETWORKS, initial_model
from byzantiny_models.quantization import derive_weights
from byzantiny_models.starts import pack_start
from byzantiny_models.tasks import load_task
from byzantiny_models.trainers import TRAINERS

NUMPY = {"rounds": 2, "clients": [{"prefix": "np", "count": 12, "body": "numpy"}]}
ARMS = {
    "sr": {},
    "only": {"training": {"trainer": "int8-only", "shift": 8}},
    "float": {"training": {"trainer": "float32"}},
    "niti": {"training": {"trainer": "niti", "lr_shift": 7}},
    "dfa": {"training": {"trainer": "dfa"}},
    "last": {"training": {"scope": "last-layer"}},
    "chosen": {"training": {"scope": ["dense1/kernel", "dense0/bias"], "trainer": "int8-only"}},
}


def study():
    path = Path(__file__).parents[2] / "benchmarks" / "study_trainers.py"
    spec = importlib.util.spec_from_file_location("study_trainers", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    return module


def test_every_trainer_and_scope_runs_is_recorded_and_reproduces(run):
    outcome = run(NUMPY | {"arms": ARMS})
    models = {arm: outcome.models(arm) for arm in ARMS}
    assert len({tuple(each) for each in models.values()}) == len(ARMS), "each trains in its own way"
    manifest = json.loads((outcome.path / "manifest.json").read_text())
    assert manifest["training"]["trainer"] == "int8-sr"
    assert manifest["training"]["scope"] == "all"
    assert manifest["training"]["same_bytes"] == "on one machine: float"
    assert {arm["name"]: arm["overrides"] for arm in manifest["arms"]} == ARMS
    said = reproduce(outcome.path, ignore)
    assert said.identical, said.sentence
    assert said.rounds == 2 * len(ARMS)


def test_the_manifest_is_of_the_part_that_is_trained(run):
    manifest = json.loads((run(NUMPY | {"training": {"scope": "last-layer"}}).path / "manifest.json").read_text())
    assert manifest["training"]["scope"] == "last-layer"
    assert manifest["training"]["same_bytes"] == "on every machine"
    assert manifest["task"]["parameters"] == 330
    assert manifest["tensors"] == ["dense1/kernel", "dense1/bias"]


def test_a_smaller_scope_sends_fewer_bytes_both_ways(run):
    outcome = run(NUMPY | {"arms": {"all": {}, "last": ARMS["last"], "biases": {"training": {"scope": "biases"}}}})
    up, down = (
        [outcome.rows(arm=arm)[-1][key] for arm in ("all", "last", "biases")] for key in ("bytes_up", "bytes_down")
    )
    assert up[0] > 3 * up[1] > 3 * up[2]
    assert down[0] > 3 * down[1] > 3 * down[2]


@pytest.mark.parametrize("scope", ["last-layer", "biases", ["dense1/kernel"]])
@pytest.mark.usefixtures("unicorn", "qemu")
def test_a_scope_gives_the_same_models_on_every_body(run, scope):
    def clients(*bodies):
        counted = zip("abc", (1, 1, 16), bodies, strict=True)
        return [{"prefix": prefix, "count": n, "body": body, "payload_bytes": 240} for prefix, n, body in counted]

    table = {"rounds": 2, "partition": {"name": "iid"}, "training": {"scope": scope}}
    reference = run(table | {"clients": clients("numpy", "numpy", "numpy")}, "reference").models()
    mixed = run(table | {"clients": clients("unicorn-m0", "qemu", "native")}, "mixed").models()
    assert mixed == reference
    assert len(set(reference)) == 2


@pytest.mark.parametrize("cell", ["int8-only", "float32", "niti", "dfa", "last-layer"])
def test_in_process_a_run_has_the_engine_s_models(run, cell):
    table = study().experiment("digits", cell, rounds=2) | {"seeds": [2]}
    rows = run_inprocess(parse_experiment(table).base, 2, load_task("digits")).rows
    assert [row.model_sha256 for row in rows] == run(table).models(seed=2)


def test_in_process_a_scope_is_the_same_in_c(digits):
    table = study().experiment("digits", "last-layer", rounds=2)
    run, task = parse_experiment(table).base, load_task("digits")
    runs = [run_inprocess(run, 1, task, batch=load_batch(name)) for name in ("numpy", "native")]
    in_numpy, in_c = ([row.model_sha256 for row in each.rows] for each in runs)
    assert in_numpy == in_c
    assert runs[0].rows[-1].accuracy == runs[1].rows[-1].accuracy


def test_a_wire_of_floats_takes_no_trainer(digits):
    table = study().experiment("digits", "niti", rounds=1)
    with pytest.raises(ConfigError, match="'niti'; leave one of them out"):
        run_on(Wire(training="float"), parse_experiment(table).base, 1, load_task("digits"))


def test_a_liar_may_train_a_part_too(run):
    attack = {"name": "alie", "byzantine": 3}
    table = NUMPY | {"attack": attack, "training": {"scope": "last-layer"}}
    rows = run_inprocess(parse_experiment(table).base, 1, load_task("digits")).rows
    assert [row.model_sha256 for row in rows] == run(table).models()


def test_the_integer_trainer_is_near_the_float_control_in_a_federation(digits):
    # Few rounds and seeds; docs/training.md has the table.
    module = study()
    ours, control = (module.measure("digits", name, [1, 2], rounds=6) for name in ("int8-sr", "float32"))
    assert sum(ours.device) / 2 >= sum(control.own) / 2 - 1.5
    assert min(ours.device) >= 88


@pytest.mark.soak
@pytest.mark.parametrize(
    ("task", "points"), [("digits", 1), ("digits-cnn", 1), ("imu-gestures", 2), ("machine-anomaly", 2)]
)
def test_five_seeds_of_the_integer_trainer_are_within_the_promised_points(task, points):
    module = study()
    ours, control = (module.measure(task, name, [1, 2, 3, 4, 5]) for name in ("int8-sr", "float32"))
    assert sum(ours.device) / 5 >= max(sum(control.own), sum(control.device)) / 5 - points


@pytest.mark.parametrize(
    ("training", "said"),
    [
        ({"trainer": "last-layer"}, 'training.trainer = "last-layer" is a scope; set training.scope = "last-layer"'),
        ({"trainer": "nti"}, "unknown trainer `nti`; did you mean `niti`?"),
        ({"trainer": "dfa"}, 'runs on body = "numpy" alone, and `dev` has body = "native", which trains int8-sr'),
        ({"scope": "last"}, "`training.scope`"),
        ({"scope": []}, "`training.scope`"),
        ({"scope": ["dense1/bias", "dense1/bias"]}, "training.scope names `dense1/bias` twice"),
    ],
)
def test_what_the_file_alone_says_is_wrong_is_refused_when_it_is_read(training, said):
    with pytest.raises(ConfigError) as caught:
        parse_experiment({"training": training})
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("training", "task", "said"),
    [
        ({"trainer": "niti", "lr_shift": 9}, "digits", "niti has no lr_shift 9: 4 .. 8"),
        ({"trainer": "niti", "scope": "biases"}, "digits", "niti trains whole networks"),
        ({"trainer": "niti"}, "digits-cnn", "niti does not train conv2d"),
        ({"trainer": "dfa"}, "digits-cnn", "dfa does not train conv2d"),
        ({"scope": ["dense7/kernel"]}, "digits", "choose at least one and not all of dense0/kernel"),
    ],
)
def test_what_the_network_does_not_take_is_refused_before_the_first_round(tmp_path, digits, training, task, said):
    experiment = parse_experiment(NUMPY | {"task": task, "training": training})
    with pytest.raises(ConfigError) as caught:
        check_training("main", experiment.base, load_task(task))
    assert said in str(caught.value)
    with pytest.raises(ConfigError, match=r"arms\.main"):
        Engine(ignore).run(experiment, tmp_path / "run")


def test_the_frozen_part_is_that_of_the_seed(digits):
    run, task = parse_experiment({"training": {"scope": "last-layer"}}).base, load_task("digits")
    one, two = (scoped_task(run, task, seed).network for seed in (1, 2))
    assert one.base != two.base
    assert one.layout.sha256 != two.layout.sha256
    assert one == scoped_task(run, task, 1).network
    assert scoped_task(run, scoped_task(run, task, 1), 1).network == one
    assert scoped_task(parse_experiment({}).base, task, 1) is task


def test_an_imported_model_is_what_a_scope_freezes_and_the_run_s_model_is_the_whole_one(run, tmp_path):
    network, frozen = NETWORKS["mlp-64-32-10"], slice(0, 2080)
    imported, path = initial_model(network, 77), tmp_path / "imported.start"
    path.write_bytes(pack_start(network, imported, {"source": "a test"}))
    table = NUMPY | {"training": {"scope": "last-layer"}, "model": {"start": str(path)}}
    outcome = run(table)
    found = load_run_model(outcome.path, arm=None, seed=None, round_num=None, listener=ignore)
    assert found.network == network
    assert (
        found.model[frozen].tolist() == (256 * derive_weights(imported[:2048])).tolist() + imported[2048:2080].tolist()
    )
    assert not np.array_equal(found.model[2080:], imported[2080:])
    part = network.scoped("last-layer", imported)
    manifest = json.loads((outcome.path / "manifest.json").read_text())
    assert manifest["task"]["layout_sha256"] == part.layout.sha256.hex()
    assert outcome.models()[-1] == hashlib.sha256(part.layout.pack(part.project(found.model))).hexdigest()
    assert accuracy(network, found.model, found.task.test_x, found.task.test_y) == outcome.rows()[-1]["accuracy"]
    assert reproduce(outcome.path, ignore).identical
    earlier = load_run_model(outcome.path, arm=None, seed=None, round_num=1, listener=ignore)
    assert earlier.replayed


def spec(**changes):
    x, y = [[0] * 64] * 2, [0, 1]
    blob = datasets.pack(np.array(x, np.int8), np.array(y, np.uint8), 10)
    return DeviceSpec("dev-01", bytes(32), blob, **changes)


def test_a_body_says_what_it_does_not_train(digits):
    with pytest.raises(FirmwareError, match="the C core has 'int8-sr': use body numpy"):
        load_body("native")([spec(trainer="niti")])
    with pytest.raises(BodyError, match="did you mean `niti`"):
        load_body("numpy")([spec(trainer="nti")])
    part = NETWORKS["mlp-64-32-10"].scoped("last-layer", initial_model(NETWORKS["mlp-64-32-10"], 1))
    with pytest.raises(TrainerError, match="whole networks"):
        load_body("numpy")([spec(trainer="niti", base=part.base)])


def test_the_listing_has_every_trainer_with_formula_paper_and_where_it_runs():
    rows = {row["name"]: row for row in KINDS["trainers"]()}
    assert list(rows) == list(TRAINERS)
    assert all(row["formula"] and row["paper"] and row["limits"] and row["memory"] for row in rows.values())
    assert rows["int8-sr"]["runs_on"] == "every body"
    assert {row["runs_on"] for name, row in rows.items() if name != "int8-sr"} == {"body numpy"}
