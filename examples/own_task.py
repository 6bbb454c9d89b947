"""A task of your own: this file in a package, and two lines in its pyproject.toml. Then `task = "tumours"` works everywhere.

    [project.entry-points."byzantiny.tasks"]
    tumours = "own_task:TASK"

As a script it registers itself for this process alone, as an installation would, and trains a small federation.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer

from byzantiny.experiment import rundir
from byzantiny.experiment.config import parse_experiment
from byzantiny.experiment.engine import Engine
from byzantiny.experiment.events import ignore
from byzantiny_models.networks import NETWORKS
from byzantiny_models.tasks import Task, TaskSource, split_stratified


def load() -> Task:
    values, y = load_breast_cancer(return_X_y=True)
    train, test = split_stratified(y, 114)
    mean, deviation = values[train].mean(axis=0), values[train].std(axis=0)
    x, y = np.zeros((len(y), 64), np.int8), y.astype(np.uint8)  # the network has 64 inputs, a sample 30 measurements
    x[:, :30] = np.clip(np.rint(32 * (values - mean) / deviation), -128, 127)
    return Task(
        "tumours", NETWORKS["mlp-64-32-10"], x[train], y[train], x[test], y[test], 2, class_names=("bad", "good")
    )


TASK = TaskSource(
    "tumours", load, "mlp-64-32-10", data="30 measurements of 569 tumours, W. Street et al., 1993, in scikit-learn",
    samples="455 to train, 114 to test", features="(x - mean) / deviation * 32, clamped", needs="scikit-learn",
)  # fmt: skip

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        info = Path(folder) / "own_task-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own-task\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[byzantiny.tasks]\ntumours = own_task:TASK\n")
        sys.path.append(folder)
        attack = {"name": "sign-flip", "byzantine": 2, "params": {"scale": 4.0}}
        median = {"pipeline": [{"name": "median"}], "f_declared": 2}
        table = {"task": "tumours", "rounds": 15, "clients": [{"count": 8}], "attack": attack, "defence": median}
        experiment = parse_experiment(table)
        run_dir = rundir.create(Path(folder), "run", experiment)
        (final,) = Engine(ignore).run(experiment, run_dir)
        print(f"accuracy {final.accuracy_last_tenth:.3f} after {final.rounds} rounds, two of eight clients lying")
