"""LEAF's JSON: FEMNIST by writer, and any other set in that form.

S. Caldas et al. LEAF: a benchmark for federated settings. 2018, arXiv 1812.01097. A file holds `users`, `num_samples` and
`user_data[user] = {"x": [[...], ...], "y": [...]}`; FEMNIST's x is 784 numbers in 0 .. 1, its y one of 62 characters.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from byzantiny_models.errors import DatasetError
from byzantiny_models.readers.folder import Folder
from byzantiny_models.readers.samples import Samples


def read_leaf(path: Path, *, shape: tuple[int, ...] = (28, 28, 1), classes: int = 62) -> tuple[Samples, Samples]:
    """Return the samples of `train/*.json` and of `test/*.json`; the key is the writer.

    x is float32 (n, *shape); users and their samples are in the order of the names, so the order of the files does not
    matter.

    Raises:
        DatasetError: no files, no JSON, a missing field, a user twice, counts or sizes that disagree, labels outside
            0 .. classes - 1, numbers that are none.
    """
    folder = Folder(path)
    train, test = (_read_part(folder, part, shape, classes) for part in ("train", "test"))
    return train, test


def _read_part(folder: Folder, part: str, shape: tuple[int, ...], classes: int) -> Samples:
    names = [name for name in folder.names("**/*.json") if f"/{name}".rpartition("/")[0].endswith(f"/{part}")]
    if not names:
        raise DatasetError(f"{folder.path} holds no {part}/*.json; give the folder LEAF wrote its split to")
    users: dict[str, tuple[Any, Any]] = {}
    for name in names:
        for user, (x, y) in _users(f"{folder.path}/{name}", folder.read(name), shape).items():
            if user in users:
                raise DatasetError(f"{folder.path}/{name}: user {user!r} has samples in another file; keep one of them")
            users[user] = x, y
    order = sorted(users)
    return Samples(
        f"{folder.path} ({part})",
        np.concatenate([users[user][0] for user in order]),
        np.concatenate([users[user][1] for user in order]),
        classes,
        tuple(user for user in order for _ in users[user][1]),
        tuple(folder.sources),
    )


def _users(where: str, data: bytes, shape: tuple[int, ...]) -> dict[str, tuple[Any, Any]]:
    try:
        table = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{where} is no JSON: {error}; fetch it again") from error
    fields = {"users": list, "num_samples": list, "user_data": dict}
    for name, kind in fields.items():
        if not isinstance(table, dict) or not isinstance(table.get(name), kind):
            raise DatasetError(f"{where}: no {kind.__name__} {name!r}; LEAF's files have {', '.join(fields)}")
    names, counts, samples = table["users"], table["num_samples"], table["user_data"]
    if len(names) != len(counts) or set(map(str, names)) != samples.keys() or len(set(map(str, names))) != len(names):
        raise DatasetError(f"{where}: users, num_samples and user_data name different users; fetch it again")
    return {
        str(name): _arrays(f"{where}, user {name!r}", samples[str(name)], count, shape)
        for name, count in zip(names, counts, strict=True)
    }


def _arrays(where: str, samples: Any, count: Any, shape: tuple[int, ...]) -> tuple[Any, Any]:
    try:
        x, y = np.array(samples["x"], dtype=np.float32), np.array(samples["y"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DatasetError(f"{where}: x and y are no arrays of numbers ({error}); fetch the file again") from error
    features = int(np.prod(shape))
    if x.shape != (count, features) or y.shape != (count,) or y.dtype.kind not in "iu":
        raise DatasetError(
            f"{where}: x of {x.shape}, y of {y.shape} ({y.dtype}); num_samples is {count}, so need "
            f"({count}, {features}) numbers and ({count},) integers"
        )
    return x.reshape(count, *shape), y.astype(np.int64)
