"""Small files in the real formats: IDX, UCI HAR, LEAF, CSV recordings. Loaded by path, as pytest imports no helpers."""

from __future__ import annotations

import gzip
import json
import struct
from pathlib import Path

import numpy as np

from byzantiny_models.readers.uci_har import CHANNELS


def idx(values):
    kinds = {"uint8": 8, "int8": 9, "int16": 0x0B, "int32": 0x0C, "float32": 0x0D, "float64": 0x0E}
    values = np.asarray(values)
    big = values.astype(values.dtype.newbyteorder(">"))
    return (
        struct.pack(f">BBBB{values.ndim}I", 0, 0, kinds[values.dtype.name], values.ndim, *values.shape) + big.tobytes()
    )


def mnist_like(folder: Path, prefix="", suffix="", test="t10k"):
    rng = np.random.default_rng(0)
    sets = {}
    for part, n in (("train", 7), (test, 4)):
        images = rng.integers(0, 256, (n, 28, 28)).astype(np.uint8)
        labels = np.arange(n).astype(np.uint8) % 5
        for kind, values in (("images-idx3", images), ("labels-idx1", labels)):
            data = idx(values)
            (folder / f"{prefix}{part}-{kind}-ubyte{suffix}").write_bytes(gzip.compress(data) if suffix else data)
        sets[part] = images, labels
    return sets


def har(folder: Path, subjects=(1, 3), test_subjects=(2,)):
    rng = np.random.default_rng(1)
    for part, people in (("train", subjects), ("test", test_subjects)):
        n = 2 * len(people)
        (folder / part / "Inertial Signals").mkdir(parents=True)
        lines = rng.uniform(-1, 1, (n, 561))
        rows = "".join("  " + " ".join(f"{value: .7e}" for value in line) + "\n" for line in lines)
        (folder / part / f"X_{part}.txt").write_text(rows)
        (folder / part / f"y_{part}.txt").write_text("".join(f"{1 + i % 6}\n" for i in range(n)))
        (folder / part / f"subject_{part}.txt").write_text("".join(f"{s}\n{s}\n" for s in people))
        for c, channel in enumerate(CHANNELS):
            signal = np.full((n, 128), c, dtype=float) + np.arange(n)[:, None] / 10
            text = "".join(" " + " ".join(f"{v:.6e}" for v in row) + "\n" for row in signal)
            (folder / part / "Inertial Signals" / f"{channel}_{part}.txt").write_text(text)
    return lines


def leaf(folder: Path, users, part="train", name="all_data_0.json"):
    (folder / part).mkdir(parents=True, exist_ok=True)
    table = {
        "users": list(users),
        "num_samples": [len(y) for _, y in users.values()],
        "user_data": {user: {"x": x, "y": y} for user, (x, y) in users.items()},
    }
    (folder / part / name).write_text(json.dumps(table))


def device_recordings(folder: Path, devices=("board-1", "board-2", "board-3"), length=256, labels=("rest", "wave")):
    """Recordings of three channels, one of each label by each device: rest is gravity, wave a square wave."""
    folder.mkdir(parents=True, exist_ok=True)
    index = ["file,device,label"]
    for device in devices:
        for label in labels:
            swing = 0 if label == "rest" else 0.5
            lines = [f"{swing * (-1) ** (i // 8):.3f},{i % 3 / 100:.3f},0.980" for i in range(length)]
            (folder / f"{device}-{label}.csv").write_text("\n".join(["ax,ay,az", *lines]) + "\n")
            index.append(f"{device}-{label}.csv,{device},{label}")
    (folder / "recordings.csv").write_text("\n".join(index) + "\n")


def recordings(folder: Path, index=None):
    (folder / "a").mkdir(parents=True, exist_ok=True)
    for name, length in (("1", 5), ("2", 4)):
        rows = "".join(f"{i},{-i}\n" for i in range(length))
        (folder / "a" / f"{name}.csv").write_text("ax,ay\n" + rows)
    (folder / "recordings.csv").write_text(index or "file,device,label\na/1.csv,board-1,wave\na/2.csv,board-2,rest\n")
