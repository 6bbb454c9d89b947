"""The tasks of this package, by the name that an experiment gives."""

from __future__ import annotations

import functools

from byzantiny_models.tasks import files, generated, library
from byzantiny_models.tasks.source import TaskSource

_SKLEARN = "scikit-learn: pip install 'byzantiny[data]'"
_DIGITS = "8 x 8 images of handwritten digits, E. Alpaydin, C. Kaynak, UCI, 1998, in scikit-learn"
_DIGITS_FEATURES = "pixel * 7 (0 .. 16 becomes 0 .. 112)"
_AS_FILES = "as the files have"


def _idx(
    name: str,
    data: str,
    class_names: tuple[str, ...] = files.DIGITS,
    network: str = "cnn-28x28",
    prefix: str = "",
    first: int = 0,
) -> TaskSource:
    return TaskSource(
        name,
        functools.partial(files.images, name, network=network, class_names=class_names, prefix=prefix, first=first),
        network,
        data=data,
        samples=_AS_FILES,
        features="pixel >> 1 (0 .. 255 becomes 0 .. 127)",
        files=f"the folder or .zip with {prefix}train-images-idx3-ubyte and its three companions, or their .gz",
    )


_CLOTHES = (
    "t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle-boot",
)  # fmt: skip
_MERGED = (*files.ALPHANUMERIC[:36], *"abdefghnqrt")
"""EMNIST's 47 classes: a letter that looks like its capital is with it."""
_MANY = "cnn-28x28-62"
_EMNIST: dict[str, tuple[str, tuple[str, ...], str, int]] = {
    "digits": ("handwritten digits", files.DIGITS, "cnn-28x28", 0),
    "mnist": ("handwritten digits, as many as MNIST has", files.DIGITS, "cnn-28x28", 0),
    "letters": ("letters of either case", tuple("abcdefghijklmnopqrstuvwxyz"), _MANY, 1),
    "balanced": ("47 characters, as many of each", _MERGED, _MANY, 0),
    "bymerge": ("47 characters", _MERGED, _MANY, 0),
    "byclass": ("62 characters", files.ALPHANUMERIC, _MANY, 0),
}
"""Split -> what, its classes, the network, the label of the first class."""

_RANGED = "a column's range in the training set becomes -64 .. 64, clamped; the network's other inputs are 0"

_SOURCES = (
    TaskSource(
        "digits", library.digits, "mlp-64-32-10",
        data=_DIGITS, samples="1,437 to train, 360 to test", features=_DIGITS_FEATURES, needs=_SKLEARN,
    ),
    TaskSource(
        "digits-cnn", library.digits_cnn, "cnn-8x8",
        data=_DIGITS, samples="1,437 to train, 360 to test", features=_DIGITS_FEATURES, needs=_SKLEARN,
    ),
    TaskSource(
        "breast-cancer", library.breast_cancer, "mlp-64-32-10",
        data="30 measurements of cell nuclei, malignant or benign, W. Wolberg et al., UCI, 1995, in scikit-learn",
        samples="455 to train, 114 to test", features=_RANGED, needs=_SKLEARN,
    ),
    TaskSource(
        "wine", library.wine, "mlp-64-32-10",
        data="13 chemical measurements of wines of three growers, S. Aeberhard, M. Forina, UCI, 1991, in scikit-learn",
        samples="134 to train, 44 to test", features=_RANGED, needs=_SKLEARN,
    ),
    TaskSource(
        "imu-gestures", generated.imu, "conv1d-imu",
        data="generated: 128 samples of a three-axis accelerometer at 50 Hz, five gestures",
        samples="1,200 of 24 devices to train, 400 of 8 others to test",
        features="(g - mean of the window) * 64, clamped: +-2 g", key="device",
    ),
    TaskSource(
        "machine-anomaly", generated.machine, "autoencoder-32",
        data="generated: 32 band energies of a rotating machine; normal ones to train, half of the test faulty",
        samples="1,600 of 16 machines to train, 720 of 6 others to test", features="(octaves - 19) * 8, clamped",
        key="machine",
    ),
    _idx("mnist", "28 x 28 images of handwritten digits, Y. LeCun, C. Cortes, C. Burges"),
    _idx("fashion-mnist", "28 x 28 images of clothes in ten classes, H. Xiao et al., 2017", _CLOTHES),
    *(
        _idx(f"emnist-{split}", f"28 x 28 images of {what}, G. Cohen et al., 2017", names, network, f"emnist-{split}-", first)
        for split, (what, names, network, first) in _EMNIST.items()
    ),
    TaskSource(
        "uci-har", files.uci_har, "mlp-561-16-6",
        data="561 features of smartphone windows, six activities of 30 people, D. Anguita et al., 2013",
        samples=_AS_FILES, features="feature * 64 (-1 .. 1 becomes -64 .. 64), clamped", key="person",
        files="the folder or .zip of UCI HAR, which holds train/X_train.txt",
    ),
    TaskSource(
        "femnist", files.femnist, "cnn-28x28-62",
        data="28 x 28 images of characters in 62 classes by writer, S. Caldas et al., LEAF, 2018",
        samples=_AS_FILES, features="(1 - pixel) * 127: paper is 0", key="writer",
        files="the folder or .zip of LEAF's split, which holds train/*.json and test/*.json",
    ),
    TaskSource(
        "recordings", files.recordings, "conv1d-imu",
        data="your own recordings of three channels, at most five labels, in windows of 128 samples every 64",
        samples=_AS_FILES,
        features="(g - mean of the window) * 64, clamped: +-2 g", key="device",
        files="the folder or .zip that holds recordings.csv",
    ),
)  # fmt: skip

TASKS = {source.name: source for source in _SOURCES}
"""The tasks by name; calling one loads it."""
