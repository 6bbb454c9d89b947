"""The deployed model in a running experiment: every round, every arm, through a crash, and reproduced."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from byzantiny.attacks import ATTACKS, LabelFlip
from byzantiny.experiment import evaluating, rundir
from byzantiny.experiment.cast import make_cast
from byzantiny.experiment.config import ConfigError, parse_experiment
from byzantiny.experiment.engine import Engine
from byzantiny.experiment.evaluating import Evaluator, probes_of
from byzantiny.experiment.events import Notice, ignore
from byzantiny.experiment.reproduce import reproduce
from byzantiny.ledger import Ledger
from byzantiny.records import Evaluated, RoundRow
from byzantiny_models.deploy.model_file import ModelFileError
from byzantiny_models.deploy.runtimes import RuntimeMissingError
from byzantiny_models.errors import MissingDependencyError
from byzantiny_models.evaluation.scores import exported_answers
from byzantiny_models.inference import accuracy, forward
from byzantiny_models.networks import NETWORKS, initial_model
from byzantiny_models.tasks import load_task

NUMPY = {"interpreter": "numpy"}
FLIP = {"name": "label-flip", "byzantine": 4, "params": {"source": 1, "target": 7}}
SMALL = {"rounds": 3, "clients": [{"prefix": "dev", "count": 12}], "evaluation": NUMPY}
ATTACKED = SMALL | {"arms": {"clean": {}, "flip": {"attack": FLIP}}}


def last_model(outcome, arm="main"):
    with Ledger.open(outcome.folder(arm) / "ledger.sqlite") as ledger:
        return NETWORKS["mlp-64-32-10"].layout.unpack(ledger.last_closed().model)


# P9, in every round


@pytest.mark.parametrize("interpreter", ["numpy", "tflite-micro"])
def test_the_exported_model_of_every_round_answers_as_the_integers_do(run, monkeypatch, interpreter):
    if interpreter == "tflite-micro":
        pytest.importorskip("tflite_micro", exc_type=ImportError)
    differences = []
    evaluate = Evaluator.__call__

    def compared(self, round_num, model):
        answers = exported_answers(self.network, model, self.deployed.template, self.deployed.interpreter)
        x = np.concatenate([self.task.test_x, np.random.default_rng(round_num).integers(-128, 128, (200, 64))])
        x = x.astype(np.int8)
        differences.append(int((answers(x) != forward(self.network, model, x)).sum()))
        return evaluate(self, round_num, model)

    monkeypatch.setattr(Evaluator, "__call__", compared)
    rows = run(SMALL | {"rounds": 4, "evaluation": {"interpreter": interpreter}}).rows()
    assert differences == [0, 0, 0, 0]
    assert all(row["accuracy_exported"] == row["accuracy"] for row in rows)
    assert all(row["interpreter"].startswith(interpreter) and row["arithmetic"] == "tflm-double" for row in rows)


# What a row says


def test_evaluated_and_the_round_s_row_have_the_same_fields():
    of_row = RoundRow.__annotations__
    assert [(name, of_row.get(name)) for name in Evaluated.__annotations__] == list(Evaluated.__annotations__.items())


def test_attack_success_is_counted_on_the_source_class_and_has_the_clean_arm_s_floor(run):
    outcome, task = run(ATTACKED), load_task("digits")
    ones = task.test_x[task.test_y == 1]

    def taken_for_seven(model):
        return float(np.mean(np.argmax(forward(task.network, model, ones), axis=1) == 7))

    row = outcome.rows(arm="flip")[-1]
    assert row["asr"] == row["asr_exported"] == taken_for_seven(last_model(outcome, "flip"))
    assert 0 < row["asr_confidence"] < 1
    assert row["last"]["asr_initial"] == taken_for_seven(initial_model(task.network, 1))
    clean = outcome.rows(arm="clean")[-1]
    assert clean["asr"] is None
    assert clean["last"]["asr_of"] == {"flip": taken_for_seven(last_model(outcome, "clean"))}


@pytest.mark.parametrize("attack", [{"name": "label-flip", "byzantine": 2}, {"name": "sign-flip", "byzantine": 2}])
def test_an_attack_that_wants_nothing_in_particular_has_no_rate(run, attack):
    row = run(SMALL | {"rounds": 1, "attack": attack}).rows()[-1]
    assert row["asr"] is row["asr_float"] is row["asr_exported"] is row["asr_confidence"] is None
    assert row["last"]["asr_initial"] is None


def test_clients_are_scored_on_the_samples_they_were_dealt_before_the_attack(run):
    outcome, task = run(ATTACKED), load_task("digits")
    config = outcome.experiment.arms["flip"]
    cast = make_cast(config, 1, task)
    model = last_model(outcome, "flip")
    own = {r.client_id: accuracy(task.network, model, *r.share.of(task)) for r in cast.roles}
    row = outcome.rows(arm="flip")[-1]
    assert row["last"]["clients"] == own
    honest = [score for client, score in own.items() if client not in cast.byzantine]
    assert row["clients_min"] == min(own.values())
    assert row["honest_min"] == min(honest)
    assert row["honest_mean"] == pytest.approx(sum(honest) / len(honest))
    assert len(honest) == 8


def test_every_so_many_rounds_and_always_the_last(run):
    outcome = run(SMALL | {"rounds": 5, "evaluation": NUMPY | {"every_rounds": 2}})
    rows = outcome.rows()
    assert [row["round_num"] for row in rows if row["accuracy"] is not None] == [2, 4, 5]
    assert [row["round_num"] for row in rows if row["last"] is not None] == [5]
    assert outcome.finals[0].accuracy_last_tenth == outcome.finals[0].accuracy == rows[-1]["accuracy"]


def test_the_final_file_has_the_last_round_s_figures(run):
    outcome = run(ATTACKED)
    final, row = outcome.finals[1].to_dict(), outcome.rows(arm="flip")[-1]
    for name in ("accuracy_float", "accuracy_exported", "interpreter", "arithmetic", "asr", "asr_exported", "last"):
        assert final[name] == row[name], name
    assert sum(map(sum, final["last"]["confusion"])) == 360
    assert [(cell["bits"], cell["arithmetic"]) for cell in final["last"]["axes"]] == [
        (bits, "tflm-double") for bits in (8, 4, 3, 2)
    ]
    assert final["last"]["axes"][0]["accuracy"] == final["accuracy"]


def test_a_named_arithmetic_is_the_one_in_force(run):
    row = run(SMALL | {"rounds": 1, "evaluation": {"arithmetic": "xnnpack-fp32", "bits": [8]}}).rows()[-1]
    assert row["arithmetic"] == row["last"]["axes"][0]["arithmetic"] == "xnnpack-fp32"
    assert row["interpreter"].startswith("numpy")


def test_without_the_exported_model_its_fields_are_empty(run):
    row = run(SMALL | {"rounds": 1, "evaluation": {"deployed": False, "per_client": False, "bits": []}}).rows()[-1]
    assert (row["accuracy_exported"], row["interpreter"], row["arithmetic"]) == (None, "", "")
    assert row["clients_mean"] is row["honest_min"] is None
    assert (row["last"]["clients"], row["last"]["axes"]) == ({}, [])
    assert row["accuracy"] is not None
    assert len(row["recall"]) == 10


# Refused before a round


def no_template(name):
    raise ModelFileError(f"there is no template of {name!r}")


@pytest.mark.parametrize("asked", [{"deployed": True}, {"arithmetics": ["ruy"]}])
def test_insisting_on_an_export_that_cannot_be_is_refused(run, monkeypatch, tmp_path, asked):
    monkeypatch.setattr(evaluating, "load_template", no_template)
    with pytest.raises(ConfigError, match=r"arms\.main: evaluation\.deployed: there is no template"):
        run(SMALL | {"evaluation": asked})
    assert not list(tmp_path.rglob("ledger.sqlite"))


def test_not_insisting_goes_on_without_and_says_so(run, monkeypatch):
    monkeypatch.setattr(evaluating, "load_template", no_template)
    outcome = run(SMALL | {"rounds": 1})
    assert outcome.rows()[0]["accuracy_exported"] is None
    assert [e.text for e in outcome.events if isinstance(e, Notice) and "not evaluated" in e.text]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"arithmetic": "ruy", "interpreter": "tflite-micro"}, "which has its own"),
        ({"bits": [8, 8]}, "names 8 twice"),
        ({"arithmetics": ["ruy", "ruy"]}, "names ruy twice"),
        ({"bits": [1]}, "Expected `int` >= 2"),
        ({"interpreter": "tflm"}, "choose one of auto, tflite-runtime"),
    ],
)
def test_contradictions_are_refused_with_the_file(asked, said):
    with pytest.raises(ConfigError, match=said):
        parse_experiment({"evaluation": asked})


def test_an_interpreter_that_is_not_here_is_named_before_any_round(run, monkeypatch, tmp_path):
    def missing(package):
        raise RuntimeMissingError(f"{package} does not run here: No module named 'tensorflow'")

    monkeypatch.setattr("byzantiny_models.evaluation.interpreters.opened", missing)
    with pytest.raises(RuntimeMissingError, match=r"tf\.lite does not run here"):
        run(SMALL | {"evaluation": {"interpreter": "tf.lite"}})
    assert not list(tmp_path.rglob("ledger.sqlite"))


class BadProbes(LabelFlip):
    """A third party's attack whose probes are of another task."""

    def probes(self, x, y, classes, rng, place=None):
        return np.zeros((2, 3), np.int8), np.array([0, 1])


def test_probes_that_do_not_fit_are_refused_before_any_round(run, monkeypatch, tmp_path):
    monkeypatch.setitem(ATTACKS, "label-flip", BadProbes)
    with pytest.raises(ConfigError, match="attack label-flip on task digits: probes of 3 features"):
        run(SMALL | {"attack": FLIP})
    assert not list(tmp_path.rglob("ledger.sqlite"))


def test_probes_are_the_same_in_every_arm_and_drawn_from_the_seed():
    experiment, task = parse_experiment(ATTACKED), load_task("digits")
    first, again = (probes_of(experiment.arms["flip"], 1, task) for _ in range(2))
    assert np.array_equal(first.x, again.x)
    assert probes_of(experiment.arms["clean"], 1, task) is None


# A crash, and again


def test_an_interpreter_that_dies_leaves_the_round_open_and_resume_ends_it(tmp_path, digits, monkeypatch):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    experiment = parse_experiment(SMALL)
    for path in (whole, cut):
        rundir.create(path.parent, path.name, experiment)
    Engine(ignore).run(experiment, whole)
    evaluate = evaluating.evaluate

    def dies(task, network, model, *, interpreter, **rest):
        def gone(data, x):
            raise RuntimeMissingError("tflite-micro does not run here: its process ended without a word")

        count.append(1)
        return evaluate(
            task, network, model, interpreter=replace(interpreter, answers=gone) if len(count) == 2 else interpreter,
            **rest,
        )  # fmt: skip

    count = []
    with monkeypatch.context() as patched:
        patched.setattr(evaluating, "evaluate", dies)
        with pytest.raises(RuntimeMissingError, match=r"round 2 stays open and nothing is lost.*byzantiny resume"):
            Engine(ignore).run(experiment, cut)
    Engine(ignore).run(experiment, cut)

    def scores(path):
        lines = (rundir.arm_dir(path, "main", 1) / "rounds.jsonl").read_text().splitlines()
        return [
            {k: v for k, v in json.loads(line).items() if k.startswith(("acc", "asr", "hon", "model", "last"))}
            for line in lines
        ]

    assert scores(cut) == scores(whole)
    assert len(scores(cut)) == 3


def rewrite(outcome, arm, round_num, **fields):
    with sqlite3.connect(outcome.folder(arm) / "ledger.sqlite") as db:
        where = "WHERE round_num = ? AND client_id = ''"
        (text,) = db.execute(f"SELECT row FROM metric {where}", (round_num,)).fetchone()
        db.execute(f"UPDATE metric SET row = ? {where}", (json.dumps(json.loads(text) | fields), round_num))
    db.close()


def test_scores_are_in_the_reproduced_set_and_the_interpreter_s_name_is_not(run):
    outcome = run(ATTACKED | {"evaluation": {"arithmetic": "single"}})
    rewrite(outcome, "flip", 1, interpreter="somebody else 1.0", evaluation_ms=1e9, accuracy_float=0.0)
    assert reproduce(outcome.path, ignore).identical
    rewrite(outcome, "flip", 2, accuracy_exported=0.123)
    assert reproduce(outcome.path, ignore).sentence == "different: flip, seed 1, round 2: accuracy_exported"


def test_scores_of_an_unknown_arithmetic_are_not_compared(run):
    outcome = run(SMALL)
    for round_num in (1, 2, 3):
        rewrite(outcome, "main", round_num, arithmetic="unknown", accuracy_exported=0.123)
    assert reproduce(outcome.path, ignore).identical


def test_rows_from_before_there_was_an_evaluation_still_reproduce(run):
    outcome = run(SMALL)
    for round_num in (1, 2, 3):
        rewrite(
            outcome, "main", round_num, arithmetic="", interpreter="", accuracy_exported=None, recall=[],
            clients_mean=None, honest_mean=None, clients_p10=None, honest_p10=None, clients_min=None, honest_min=None,
        )  # fmt: skip
    assert reproduce(outcome.path, ignore).identical


# What it takes


def test_a_coordinator_that_evaluates_every_round_stays_small_and_loads_no_tensorflow(digits):
    """150 MB are allowed; the interpreter, if any, is another process."""
    code = (
        "import sys, json; sys.path.insert(0, 'benchmarks'); import bench_evaluation as b;"
        "print(json.dumps(b.coordinator({})))"
    )
    found = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
    assert found["rounds_exported"] == 10
    assert found["heavy"] == []
    assert found["peak_rss_mb"] <= 150


@pytest.fixture
def no_tflite(monkeypatch):
    def missing(name):
        raise MissingDependencyError("reading a .tflite file needs the package tflite")

    monkeypatch.setattr(evaluating, "load_template", missing)


@pytest.mark.usefixtures("no_tflite")
def test_a_machine_that_cannot_read_a_tflite_file_goes_on_without_and_says_so(run):
    outcome = run({"rounds": 1, "clients": SMALL["clients"]})
    (notice,) = [event.text for event in outcome.events if isinstance(event, Notice)]
    assert "the exported model is not evaluated: reading a .tflite file needs the package tflite" in notice
    assert outcome.rows()[-1]["accuracy_exported"] is None
    assert outcome.rows()[-1]["accuracy"] is not None


@pytest.mark.usefixtures("no_tflite")
def test_where_the_exported_model_is_insisted_on_it_is_refused_before_a_round(run):
    with pytest.raises(ConfigError, match=r"evaluation\.deployed: reading a \.tflite file needs"):
        run(SMALL | {"rounds": 1, "evaluation": {"deployed": True}})
