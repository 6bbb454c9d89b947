"""Tasks of files that the user has: a path is given, nothing is downloaded, every file's SHA-256 is kept."""

from __future__ import annotations

import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from byzantiny_models.errors import DatasetError
from byzantiny_models.networks import Network
from byzantiny_models.readers import Samples, read_idx_set, read_leaf, read_uci_har
from byzantiny_models.readers.samples import check_labels
from byzantiny_models.tasks.features import Int8s, grey, require_range, scaled
from byzantiny_models.tasks.source import TaskInfo, TaskSource
from byzantiny_models.tasks.task import Origin, Task

ALPHANUMERIC = tuple(string.digits + string.ascii_uppercase + string.ascii_lowercase)
FOLDER = "data.path: the folder, or the .zip, "


def make_task(
    name: str,
    network: Network,
    parts: tuple[Samples, Samples],
    to_int8: Callable[[NDArray[Any]], Int8s],
    class_names: tuple[str, ...],
    origin: Origin,
) -> Task:
    """Return the task of two parts that a reader gave.

    Raises:
        DatasetError: samples of another shape than the network's, labels beyond the classes.
    """
    shape = network.layers[0].input_shape
    for samples in parts:
        if samples.shape != shape and samples.shape != (network.features,):
            raise DatasetError(
                f"{samples.name}: samples of {_shown(samples.shape)}; task {name} with {network.name} takes "
                f"{_shown(shape)}, choose the task or the network that these data are for"
            )
        check_labels(f"{samples.name}, task {name}", samples.y, len(class_names))
    train, test = parts
    return Task(
        name,
        network,
        to_int8(train.x),
        train.y.astype(np.uint8),
        to_int8(test.x),
        test.y.astype(np.uint8),
        classes=len(class_names),
        train_keys=train.keys,
        class_names=class_names,
        origin=origin,
    )


def _shown(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _files(parts: tuple[Samples, Samples]) -> Origin:
    """The files of both parts, once each: the second part lists those of the first again."""
    return Origin("files", tuple(dict.fromkeys(source for samples in parts for source in samples.sources)))


def _idx(name: str, prefix: str, class_names: tuple[str, ...], *, first: int = 0) -> Callable[..., Task]:
    """The loader of a set like MNIST; EMNIST's are stored by column, and the labels of its letters begin at 1."""

    def load(network: Network, path: Path) -> Task:
        parts = read_idx_set(path, prefix, transposed=bool(prefix))
        if first:
            parts = (_from_zero(parts[0], first), _from_zero(parts[1], first))
        return make_task(name, network, parts, grey, class_names, _files(parts))

    return load


def _from_zero(samples: Samples, first: int) -> Samples:
    y = samples.y - first
    check_labels(f"{samples.name} (counted from {first})", y, samples.classes)
    return Samples(samples.name, samples.x, y, samples.classes, samples.keys, samples.sources)


def _images(
    name: str, data: str, samples: str, network: str, paper: str, load: Callable[..., Task], prefix: str = ""
) -> TaskSource:
    needs = f"{FOLDER}with {prefix}train-images-idx3-ubyte and the three files beside it (.gz too)"
    info = TaskInfo(name, data, samples, (network,), "pixel (0 .. 255) >> 1", needs=needs, paper=paper)
    return TaskSource(info, load)


_FASHION = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
_DIGITS = tuple(string.digits)
_MERGED = (*string.digits, *string.ascii_uppercase, *"abdefghnqrt")
"""EMNIST's 47 classes: lower-case letters that look like their capitals are with them."""

MNIST = _images(
    "mnist",
    "images of 28 x 28 pixels, handwritten digits",
    "60,000 to train, 10,000 to test",
    "cnn-28x28",
    "Y. LeCun, C. Cortes, C. Burges, 1998",
    _idx("mnist", "", _DIGITS),
)
FASHION_MNIST = _images(
    "fashion-mnist",
    "images of 28 x 28 pixels, ten kinds of clothes",
    "60,000 to train, 10,000 to test",
    "cnn-28x28",
    "H. Xiao et al., 2017, arXiv 1708.07747",
    _idx("fashion-mnist", "", _FASHION),
)

_EMNIST = {
    "digits": ("handwritten digits", "240,000 to train, 40,000 to test", "cnn-28x28", _DIGITS, 0),
    "mnist": ("handwritten digits", "60,000 to train, 10,000 to test", "cnn-28x28", _DIGITS, 0),
    "letters": (
        "letters, either case",
        "124,800 to train, 20,800 to test",
        "cnn-28x28-62",
        (*string.ascii_lowercase,),
        1,
    ),
    "balanced": ("47 characters", "112,800 to train, 18,800 to test", "cnn-28x28-62", _MERGED, 0),
    "bymerge": ("47 characters", "697,932 to train, 116,323 to test", "cnn-28x28-62", _MERGED, 0),
    "byclass": ("62 characters", "697,932 to train, 116,323 to test", "cnn-28x28-62", ALPHANUMERIC, 0),
}
EMNIST = [
    _images(
        f"emnist-{split}",
        f"images of 28 x 28 pixels, {what}",
        samples,
        network,
        "G. Cohen et al., 2017, arXiv 1702.05373",
        _idx(f"emnist-{split}", f"emnist-{split}-", names, first=first),
        f"emnist-{split}-",
    )
    for split, (what, samples, network, names, first) in _EMNIST.items()
]


def _har(network: Network, path: Path) -> Task:
    parts = read_uci_har(path)
    for samples in parts:
        require_range(samples.name, samples.x, -1.0, 1.0)
    names = ("walking", "walking upstairs", "walking downstairs", "sitting", "standing", "laying")
    return make_task("uci-har", network, parts, lambda x: scaled(x, 64), names, _files(parts))


UCI_HAR = TaskSource(
    TaskInfo(
        name="uci-har",
        data="561 features of smartphone motion, six activities",
        samples="7,352 to train (21 people), 2,947 to test (9 others)",
        networks=("mlp-561-16-6",),
        features="feature (-1 .. 1) * 64",
        key="person",
        needs=f"{FOLDER}that holds UCI HAR's train/ and test/",
        paper="D. Anguita et al., ESANN 2013",
    ),
    _har,
)


def _femnist(network: Network, path: Path) -> Task:
    parts = read_leaf(path)
    for samples in parts:
        require_range(samples.name, samples.x, 0.0, 1.0)
    return make_task(
        "femnist", network, parts, lambda x: scaled(1.0 - x.astype(np.float64), 127), ALPHANUMERIC, _files(parts)
    )


FEMNIST = TaskSource(
    TaskInfo(
        name="femnist",
        data="images of 28 x 28 pixels, 62 characters by the people who wrote them",
        samples="as many as the split that LEAF was told to make",
        networks=("cnn-28x28-62",),
        features="(1 - pixel) * 127: paper, which is 1, becomes 0",
        key="writer",
        needs=f"{FOLDER}with LEAF's train/*.json and test/*.json",
        paper="S. Caldas et al., LEAF, 2018, arXiv 1812.01097",
    ),
    _femnist,
)
