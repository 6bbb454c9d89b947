"""What the integers cost a federation: INT8-SR beside the float control, read both ways, as floats and as a device answers.

Ten honest clients in process, the mean, the same grid and clip for both. The float control's own forward pass is the harder
reading: rounding its model to a device's formats costs it points that are not the trainers'.
"""

from __future__ import annotations

import statistics

import pytest

from byzantiny.experiment.config import parse_experiment
from byzantiny.experiment.inprocess import run_inprocess
from byzantiny_models.float_training import forward_float, to_float
from byzantiny_models.inference import forward
from byzantiny_models.metrics import score
from byzantiny_models.tasks import load_task

TASKS = {
    "digits": ({"lr_shift": 5}, {"name": "dirichlet", "alpha": 100.0}, 0.01),
    "digits-cnn": ({"lr_shift": 5}, {"name": "iid"}, 0.01),
    "imu-gestures": ({"lr_shift": 5, "epochs": 2}, {"name": "natural"}, 0.02),
    "machine-anomaly": ({"lr_shift": 7}, {"name": "natural"}, 0.02),
}
"""Task -> [training], [partition], and how far INT8-SR may be below the float control, as a share of the metric."""


def trained(name, trainer, seed, rounds):
    training, partition, _ = TASKS[name]
    table = {
        "task": name,
        "rounds": rounds,
        "clients": [{"count": 10, "body": "numpy"}],
        "training": training | {"trainer": trainer},
        "partition": partition,
    }
    return run_inprocess(parse_experiment(table).base, seed, load_task(name)).model


def below(name, seeds, rounds):
    """By how much INT8-SR is below the better reading of the float control, the means over the seeds."""
    task = load_task(name)
    network = task.network
    integers = [trained(name, "int8-sr", seed, rounds) for seed in seeds]
    floats = [trained(name, "float32", seed, rounds) for seed in seeds]
    reached = statistics.fmean(score(task, forward(network, model, task.test_x)) for model in integers)
    rounded = statistics.fmean(score(task, forward(network, model, task.test_x)) for model in floats)
    own = statistics.fmean(
        score(task, forward_float(network, to_float(network.layout, model), task.test_x)) for model in floats
    )
    return max(rounded, own) - reached, reached


def test_on_digits_the_integers_cost_a_federation_next_to_nothing():
    cost, reached = below("digits", seeds=(1, 2), rounds=10)
    assert cost < 0.03  # measured 0.003; a test sample is 0.0028
    assert reached > 0.9


@pytest.mark.soak
@pytest.mark.parametrize("name", TASKS)
def test_the_integers_are_within_the_promised_points_of_the_float_control(name):
    cost, _ = below(name, seeds=range(1, 6), rounds=20)
    assert cost <= TASKS[name][2]
