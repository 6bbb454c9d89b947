"""A task of your own, found by its entry point, in a small federation: `python examples/own_task.py`.

In a package of yours, `load` reads your data, and the entry point is two lines of pyproject.toml:

    [project.entry-points."byzantiny.tasks"]
    valve = "own_task:VALVE"
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from byzantiny.cli.app import build_app
from byzantiny_models.tasks import Origin, Task, TaskInfo, TaskSource


def load(network, steepness=3):
    """64 samples of the pressure behind a valve that opens, sticks or leaks; int8 Q6, from six boards."""
    rng, time = np.random.default_rng(1), np.arange(64)
    y = np.tile(np.arange(3, dtype=np.uint8), 200)
    reached = np.array([64, 32, 64])[y, None] - np.where(y == 2, 1, 0)[:, None] * time
    curve = np.minimum(steepness * np.maximum(time - rng.integers(0, 20, (600, 1)), 0), reached)
    x = np.clip(curve + rng.integers(-8, 9, (600, 64)), -128, 127).astype(np.int8)
    boards, names = tuple(f"board-{i // 3 % 6}" for i in range(480)), ("opens", "sticks", "leaks")
    origin = Origin("made up for this example", parameters={"steepness": steepness})
    return Task("valve", network, x[:480], y[:480], x[480:], y[480:], 3, boards, names, origin)


CARD = TaskInfo(
    "valve", "pressure behind a valve", "480 to train, 120 to test", ("mlp-64-32-10",), "1/64 bar", key="board"
)
VALVE = TaskSource(CARD, load)

EXPERIMENT = """task = "valve"
rounds = 5
data = { params = { steepness = 4 } }
partition = { name = "natural" }
training = { epochs = 2 }
clients = [{ count = 6 }]
attack = { name = "sign-flip", byzantine = 2, params = { scale = 4.0 } }
defence = { pipeline = [{ name = "median" }], f_declared = 2 }
"""

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        installed = Path(folder) / "own_task-1.0.dist-info"  # what `pip install` leaves of the two lines
        installed.mkdir()
        (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: own-task\nVersion: 1.0\n")
        (installed / "entry_points.txt").write_text("[byzantiny.tasks]\nvalve = own_task:VALVE\n")
        sys.path.insert(0, folder)
        (Path(folder) / "valve.toml").write_text(EXPERIMENT)
        build_app()(["run", f"{folder}/valve.toml", "--out", f"{folder}/runs", *sys.argv[1:]])
