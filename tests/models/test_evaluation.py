"""The three forms of a model, its probes, classes, clients and axes: every figure counted again by other means."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from byzantiny_models.deploy.arithmetic import ARITHMETICS
from byzantiny_models.deploy.interpreter import run
from byzantiny_models.deploy.model_file import parse_model
from byzantiny_models.deploy.ptq import requantize
from byzantiny_models.deploy.template import load_template, patch, shown
from byzantiny_models.drift import Drift
from byzantiny_models.errors import InvalidValueError
from byzantiny_models.evaluation import (
    Probes,
    client_scores,
    evaluate,
    exact_interpreter,
    opened_interpreter,
    score_axes,
    tails,
)
from byzantiny_models.evaluation.probes import mean_confidence, success_rate
from byzantiny_models.inference import accuracy, forward
from byzantiny_models.metrics import score
from byzantiny_models.networks import NETWORKS, initial_model
from byzantiny_models.tasks import load_task
from byzantiny_models.tasks.task import Task


def made_task(name: str, samples: int = 60) -> Task:
    """A task of random inputs for a network, every class among its labels."""
    network, rng = NETWORKS[name], np.random.default_rng(5)
    x = rng.integers(-128, 128, (samples, network.features)).astype(np.int8)
    y = np.resize(np.arange(network.classes), samples).astype(np.uint8)
    return Task("made", network, x, y, x, y, classes=network.classes)


@pytest.fixture(scope="module")
def trained():
    """The digits and a model that a few steps of somebody's training have left: its scores are neither 0 nor 1."""
    from byzantiny_models.training import train

    task = load_task("digits")
    model = train(
        task.network, initial_model(task.network, 1), task.train_x[:300], task.train_y[:300], (1, 2), (3, 4), 2, 5
    )
    return task, model


@pytest.mark.parametrize("name", NETWORKS)
def test_exported_and_integer_model_score_alike_under_the_device_s_arithmetic(name):
    task = made_task(name, 40)
    probes = None
    if task.network.head == "softmax":
        probes = Probes(task.test_x[:20], np.full(20, 1))
    found = evaluate(
        task, task.network, initial_model(task.network, 3), template=load_template(name),
        interpreter=exact_interpreter(), probes=probes,
    )  # fmt: skip
    assert found.exported == found.integer
    assert found.float32 is not None
    assert (found.integer.asr is None) == (probes is None)


def test_scores_are_those_of_counting_samples_one_by_one(trained):
    task, model = trained
    probes = Probes(task.test_x[task.test_y == 8], np.full(int((task.test_y == 8).sum()), 1))
    found = evaluate(task, task.network, model, probes=probes, float_control=False)
    right = wanted = 0
    counts = [[0] * 10 for _ in range(10)]
    for x, y in zip(task.test_x, task.test_y, strict=True):
        logits = forward(task.network, model, x[np.newaxis])[0].tolist()
        said = logits.index(max(logits))
        right += said == y
        counts[y][said] += 1
        wanted += said == 1 and y == 8
    assert 0 < right < 360
    assert found.integer.score == right / 360
    assert found.integer.asr == wanted / len(probes)
    assert [list(row) for row in found.confusion] == counts
    assert found.recall == tuple(row[i] / sum(row) for i, row in enumerate(counts))
    assert found.float32 is None
    assert found.exported is None
    assert found.deployed == found.integer


def test_the_deployed_model_s_classes_are_those_of_its_own_arithmetic(trained):
    task, model = trained
    template = load_template(task.network.name)
    data = parse_model(patch(template, task.network, model))
    for arithmetic in ARITHMETICS:
        found = evaluate(task, task.network, model, template=template, interpreter=exact_interpreter(arithmetic))
        said = np.argmax(run(data, shown(task.network, task.test_x), arithmetic), axis=1)
        assert found.exported.score == np.mean(said == task.test_y)
        assert [sum(row) for row in found.confusion] == np.bincount(task.test_y).tolist()
        assert [sum(column) for column in zip(*found.confusion, strict=True)] == np.bincount(
            said, minlength=10
        ).tolist()


def test_a_planted_backdoor_is_seen_by_its_probes_and_not_by_the_main_task(trained):
    """A unit that one pixel switches on: the trigger's ASR is 1, without it the model answers as before."""
    task, model = trained[0], trained[1].copy()
    network = task.network
    layout = network.layout
    pixel = int(np.flatnonzero(task.test_x.max(axis=0) == 0)[0])  # one that no digit lights
    kernel0, _, kernel1, _ = (slice(where.start, where.stop) for where in layout.slices)
    hidden = model[kernel0].reshape(32, 64)
    hidden[31] = 0
    hidden[31, pixel] = 32_512
    output = model[kernel1].reshape(10, 32)
    output[:, 31] = -32_512
    output[7, 31] = 32_512
    model[kernel0], model[kernel1] = hidden.ravel(), output.ravel()
    x = task.test_x[task.test_y != 7].copy()
    before = evaluate(task, network, model, probes=Probes(x, np.full(len(x), 7)), float_control=False)
    x[:, pixel] = 127
    after = evaluate(task, network, model, probes=Probes(x, np.full(len(x), 7)), float_control=False)
    assert after.integer.asr == 1.0
    assert after.integer.confidence > 0.9
    assert before.integer.asr < 0.1
    assert after.integer.score == before.integer.score


@given(st.lists(st.tuples(st.lists(st.integers(-128, 127), min_size=3, max_size=3), st.integers(0, 2)), min_size=1))
def test_success_and_confidence_are_their_definitions(rows):
    logits = np.array([row for row, _ in rows], dtype=np.int8)
    probes = Probes(np.zeros((len(rows), 2), dtype=np.int8), np.array([wanted for _, wanted in rows]))
    hits = sum(row.index(max(row)) == wanted for row, wanted in rows)
    share = [math.exp(row[wanted] / 8) / math.fsum(math.exp(z / 8) for z in row) for row, wanted in rows]
    assert success_rate(probes, logits) == hits / len(rows)
    assert mean_confidence(probes, logits) == pytest.approx(math.fsum(share) / len(rows))


@pytest.mark.parametrize(
    ("x", "wanted", "said"),
    [
        (np.zeros((2, 64), np.float32), np.zeros(2, int), "need int8"),
        (np.zeros((2, 64), np.int8), np.zeros(3, int), "m integers"),
        (np.zeros((1, 64), np.int8), np.array([-1]), "below 0"),
    ],
)
def test_probes_of_another_kind_are_refused(x, wanted, said):
    with pytest.raises(InvalidValueError, match=said):
        Probes(x, wanted)


@pytest.mark.parametrize(
    ("name", "probes", "said"),
    [
        ("mlp-64-32-10", Probes(np.zeros((1, 63), np.int8), np.array([1])), "63 features"),
        ("mlp-64-32-10", Probes(np.zeros((1, 64), np.int8), np.array([10])), r"classes 0 \.\. 9"),
        ("autoencoder-32", Probes(np.zeros((1, 32), np.int8), np.array([1])), "no wanted label"),
    ],
)
def test_probes_that_are_no_questions_to_the_network_are_refused(name, probes, said):
    task = made_task(name)
    with pytest.raises(InvalidValueError, match=said):
        evaluate(task, task.network, initial_model(task.network, 1), probes=probes)


def test_no_probes_give_no_rate_rather_than_none_of_them_hit(trained):
    task, model = trained
    none = Probes(np.zeros((0, 64), np.int8), np.zeros(0, int))
    assert evaluate(task, task.network, model, probes=none).integer.asr is None


def test_a_template_needs_somebody_to_run_it(trained):
    task, model = trained
    with pytest.raises(InvalidValueError, match="no interpreter"):
        evaluate(task, task.network, model, template=load_template(task.network.name))


def test_a_named_arithmetic_and_a_package_with_its_own_exclude_each_other():
    with (
        pytest.raises(InvalidValueError, match="which has its own"),
        opened_interpreter("tflite-micro", "ruy"),
    ):
        pass
    with pytest.raises(InvalidValueError, match="'float' is not one of"):
        exact_interpreter("float")


def test_an_installed_interpreter_scores_like_numpy_in_its_arithmetic(trained):
    pytest.importorskip("tflite_micro", exc_type=ImportError)
    task, model = trained
    template = load_template(task.network.name)
    with opened_interpreter("tflite-micro") as installed:
        assert installed.arithmetic == "tflm-double"
        found = evaluate(task, task.network, model, template=template, interpreter=installed)
        assert found == evaluate(task, task.network, model, template=template, interpreter=exact_interpreter())
        assert found.exported == found.integer


# Clients


def test_a_client_s_score_is_the_accuracy_on_its_own_samples(trained):
    task, model = trained
    shares = {"a": np.arange(0, 40), "b": np.arange(100, 103), "empty": np.arange(0)}
    found = client_scores(task, task.network, model, shares)
    assert found == {
        name: accuracy(task.network, model, task.train_x[share], task.train_y[share])
        for name, share in shares.items()
        if len(share)
    }


def test_a_task_without_classes_has_no_scores_by_client():
    task = made_task("autoencoder-32")
    assert client_scores(task, task.network, initial_model(task.network, 1), {"a": np.arange(3)}) == {}


@given(st.dictionaries(st.text(max_size=3), st.floats(0, 1), min_size=1, max_size=40))
def test_tails_are_mean_tenth_percentile_and_minimum(scores):
    found, ordered = tails(scores), sorted(scores.values())
    place = 0.1 * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    assert found.worst == ordered[0]
    assert found.mean == pytest.approx(statistics.fmean(ordered))
    assert found.p10 == pytest.approx(ordered[low] + (place - low) * (ordered[high] - ordered[low]))


def test_tails_over_nobody_are_none():
    assert tails({"a": 1.0}, without=["a"]) is None


# Axes


def test_axes_are_the_requantized_model_in_each_arithmetic(trained):
    task, model = trained
    network, template = task.network, load_template(task.network.name)
    rows = score_axes(task, network, model, [8, 3], ["ruy", "single"], template=template)
    assert [(row.bits, row.arithmetic) for row in rows] == [(8, "ruy"), (8, "single"), (3, "ruy"), (3, "single")]
    for row in rows:
        data = parse_model(patch(template, network, requantize(network, model, row.bits)))
        assert row.scores.score == score(task, run(data, shown(network, task.test_x), row.arithmetic))
    assert rows[2].weight_bytes == math.ceil(2048 * 3 / 8) + math.ceil(320 * 3 / 8) + 4 * 42


def test_eight_bits_are_the_model_as_it_is_and_frozen_tensors_are_quantized_too(trained):
    task, model = trained
    whole = task.network
    part = whole.scoped("last-layer", model)
    own = part.project(model)
    (eight,) = score_axes(task, part, own, [8], [])
    assert eight.scores == evaluate(task, part, own).integer
    (two,) = score_axes(task, part, own, [2], [])
    merged = part.merge(own)
    assert two.scores.score == accuracy(whole, requantize(whole, merged, 2), task.test_x, task.test_y)


def test_other_arithmetics_need_a_template_and_bits_have_limits(trained):
    task, model = trained
    with pytest.raises(InvalidValueError, match="without a template"):
        score_axes(task, task.network, model, [8], ["ruy"])
    with pytest.raises(InvalidValueError, match="9 bits"):
        score_axes(task, task.network, model, [9], [])


def test_a_client_that_drifts_is_scored_on_what_its_own_sensor_shows():
    task = load_task("digits")
    model, shares = initial_model(task.network, 3), {"a": np.arange(200), "b": np.arange(200, 500)}
    drift = Drift(bias_steps=90, gain_64ths=-40)
    plain, drifted = (client_scores(task, task.network, model, shares, d) for d in (None, {"b": drift}))
    assert drifted["a"] == plain["a"]
    shown = drift(task.train_x[200:500])
    assert drifted["b"] == accuracy(task.network, model, shown, task.train_y[200:500]) != plain["b"]
