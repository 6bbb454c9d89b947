"""Small data sets in the formats that users have, one function a task; what is in them is told apart by its label.

Loaded by the fixture `own_data` (conftest.py): own_data("mnist") is a path that the task `mnist` reads.
"""

from __future__ import annotations

import gzip
import json
import struct
from pathlib import Path

import numpy as np


def idx(values):
    return struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()


def blobs(rng, labels):
    """Images of 28 x 28 with a bright patch whose place is the label's."""
    images = rng.integers(0, 40, (len(labels), 28, 28)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(int(label) % 16, 4)
        image[7 * row : 7 * row + 7, 7 * column : 7 * column + 7] = 250
    return images


def mnist(folder: Path, prefix: str = "", suffix: str = ".gz", sizes=(80, 20), first: int = 0) -> Path:
    rng = np.random.default_rng(0)
    for part, n in zip(("train", "t10k"), sizes, strict=True):
        labels = (np.arange(n) % 10).astype(np.uint8)
        for kind, values in (("images-idx3", blobs(rng, labels)), ("labels-idx1", labels + np.uint8(first))):
            data = idx(values)
            file = folder / f"{prefix}{part}-{kind}-ubyte{suffix}"
            file.write_bytes(gzip.compress(data, mtime=0) if suffix else data)
    return folder


def fashion_mnist(folder: Path) -> Path:
    return mnist(folder, suffix="")


def emnist(split: str, first: int = 0):
    """Files of a split of EMNIST; labels count from `first`."""
    return lambda folder: mnist(folder, f"emnist-{split}-", first=first)


def uci_har(folder: Path) -> Path:
    rng = np.random.default_rng(1)
    for part, people in (("train", range(1, 9)), ("test", range(9, 12))):
        labels = np.tile(np.arange(6), 2 * len(people))
        x = rng.uniform(-0.3, 0.3, (len(labels), 561))
        x[np.arange(len(labels)), labels] = 1.0
        (folder / part).mkdir()
        (folder / part / f"X_{part}.txt").write_text(
            "".join("  " + " ".join(f"{v: .7e}" for v in row) + "\n" for row in x)
        )
        (folder / part / f"y_{part}.txt").write_text("".join(f"{label + 1}\n" for label in labels))
        (folder / part / f"subject_{part}.txt").write_text("".join(f"{person}\n" * 12 for person in people))
    return folder


def femnist(folder: Path) -> Path:
    """Black ink on white paper, as LEAF has it: paper is 1.0."""
    rng = np.random.default_rng(2)
    for part, n in (("train", 9), ("test", 3)):
        users = {f"w{w}": (w + np.arange(n)) % 62 for w in range(6)}
        table = {
            "users": list(users),
            "num_samples": [n] * len(users),
            "user_data": {
                user: {"x": np.round(1 - blobs(rng, y).reshape(n, -1) / 255, 4).tolist(), "y": y.tolist()}
                for user, y in users.items()
            },
        }
        (folder / part).mkdir()
        (folder / part / "all_data_0.json").write_text(json.dumps(table))
    return folder


def recordings(folder: Path, devices: int = 6, channels: str = "ax,ay,az", labels=("rest", "wave")) -> Path:
    rng = np.random.default_rng(3)
    index = ["file,device,label"]
    for device in range(devices):
        for kind, label in enumerate(labels):
            still = np.tile([0.0, 0.0, 1.0], (256, 1))[:, : channels.count(",") + 1]
            wave = still + kind * np.sin(np.arange(256) / 4)[:, None] + rng.normal(0, 0.02, still.shape)
            name = f"b{device}-{label}.csv"
            rows = "".join(",".join(f"{v:.4f}" for v in row) + "\n" for row in wave)
            (folder / name).write_text(f"{channels}\n{rows}")
            index.append(f"{name},board-{device},{label}")
    (folder / "recordings.csv").write_text("\n".join(index) + "\n")
    return folder


MAKERS = {
    "mnist": mnist,
    "fashion-mnist": fashion_mnist,
    **{f"emnist-{split}": emnist(split) for split in ("digits", "mnist", "balanced", "bymerge", "byclass")},
    "emnist-letters": emnist("letters", first=1),
    "uci-har": uci_har,
    "femnist": femnist,
    "recordings": recordings,
}
