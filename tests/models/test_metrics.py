"""The metrics: accuracy by argmax, AUC against its definition and against scikit-learn, ties and hostile outputs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from byzantiny_models.errors import InvalidValueError
from byzantiny_models.inference import accuracy, forward, reconstruction_errors
from byzantiny_models.metrics import anomaly_scores, area_under_roc, predictions, score
from byzantiny_models.networks import NETWORKS, initial_model
from byzantiny_models.tasks import Task, load_task


def anomaly_task(n=40, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.integers(-128, 128, (n, 32)).astype(np.int8)
    y = (np.arange(n) % 2).astype(np.uint8)
    return Task("noise", NETWORKS["autoencoder-32"], x, y, x, y, classes=2)


def test_the_score_of_a_classifier_is_the_accuracy_of_its_model():
    task = load_task("digits")
    for seed in (1, 2, 3):
        model = initial_model(task.network, seed)
        expected = accuracy(task.network, model, task.test_x, task.test_y)
        assert score(task, forward(task.network, model, task.test_x)) == expected


def test_of_equal_outputs_the_lowest_index_is_the_prediction():
    task = load_task("digits")
    outputs = np.zeros((360, 10), dtype=np.int8)
    outputs[:, [4, 7]] = 3
    assert set(predictions(task, outputs).tolist()) == {4}


def test_the_anomaly_scores_are_the_reconstruction_errors_of_the_device():
    task = anomaly_task()
    model = initial_model(task.network, 1)
    outputs = forward(task.network, model, task.test_x)
    assert np.array_equal(anomaly_scores(task, outputs), reconstruction_errors(task.network, model, task.test_x))
    assert anomaly_scores(task, outputs).dtype == np.int64


def test_anomaly_scores_reach_their_largest_value_without_overflow():
    x = np.full((2, 32), -128, dtype=np.int8)
    task = Task("far", NETWORKS["autoencoder-32"], x, np.uint8([0, 1]), x, np.uint8([0, 1]), classes=2)
    assert anomaly_scores(task, np.full((2, 32), 127, dtype=np.int8)).tolist() == [32 * 255 * 255] * 2


def test_real_outputs_score_as_the_integers_they_stand_for():
    task = anomaly_task()
    outputs = forward(task.network, initial_model(task.network, 1), task.test_x)
    assert score(task, outputs / np.float32(64)) == score(task, outputs)


@given(st.lists(st.tuples(st.integers(-4, 4), st.booleans()), min_size=2, max_size=60))
def test_the_auc_is_the_share_of_pairs_in_order_and_that_of_scikit_learn(pairs):
    scores, positive = np.array([s for s, _ in pairs]), np.array([p for _, p in pairs])
    if positive.all() or not positive.any():
        with pytest.raises(InvalidValueError, match="at least 1 of each"):
            area_under_roc(scores, positive)
        return
    wins = [2 * (a > b) + (a == b) for a in scores[positive] for b in scores[~positive]]
    assert area_under_roc(scores, positive) == sum(map(int, wins)) / (2 * len(wins))
    assert area_under_roc(scores, positive) == pytest.approx(roc_auc_score(positive, scores), abs=1e-12)


def test_the_auc_of_equal_scores_is_one_half_and_of_perfect_ones_one():
    positive = np.arange(10) >= 6
    assert area_under_roc(np.zeros(10), positive) == 0.5
    assert area_under_roc(np.arange(10), positive) == 1.0
    assert area_under_roc(-np.arange(10), positive) == 0.0


@pytest.mark.parametrize(
    ("outputs", "said"),
    [
        (np.zeros((359, 10), np.int8), r"\(359, 10\).*need numbers of shape \(360, 10\)"),
        (np.zeros((360, 9), np.int8), r"\(360, 9\)"),
        (np.full((360, 10), np.nan), "not finite"),
        (np.full((360, 10), "a"), "need numbers"),
    ],
)
def test_outputs_that_are_none_are_refused_with_their_shape(outputs, said):
    with pytest.raises(InvalidValueError, match=said):
        score(load_task("digits"), outputs)


def test_each_metric_refuses_the_other_kind_of_task():
    with pytest.raises(InvalidValueError, match="tells no classes apart"):
        predictions(anomaly_task(), np.zeros((40, 32), np.int8))
    with pytest.raises(InvalidValueError, match="reconstructs nothing"):
        anomaly_scores(load_task("digits"), np.zeros((360, 10), np.int8))
