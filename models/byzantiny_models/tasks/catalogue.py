"""The tasks of this package, by the name that an experiment gives."""

from __future__ import annotations

import functools

from byzantiny_models.tasks import files, generated, library
from byzantiny_models.tasks.source import TaskSource

_SKLEARN = "scikit-learn: pip install 'byzantiny[data]'"
_DIGITS = "8 x 8 images of handwritten digits, E. Alpaydin, C. Kaynak, UCI, 1998, in scikit-learn"
_DIGITS_FEATURES = "pixel * 7 (0 .. 16 becomes 0 .. 112)"
_AS_FILES = "as the files have"


def _idx(name: str, data: str, prefix: str = "", *, transposed: bool = False) -> TaskSource:
    return TaskSource(
        name,
        functools.partial(files.images, name, prefix=prefix, transposed=transposed),
        "cnn-28x28",
        data=data,
        samples=_AS_FILES,
        features="pixel >> 1 (0 .. 255 becomes 0 .. 127)",
        files=f"the folder or .zip with {prefix}train-images-idx3-ubyte and its three companions, or their .gz",
    )


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
    _idx("fashion-mnist", "28 x 28 images of clothes in ten classes, H. Xiao et al., 2017"),
    _idx(
        "emnist-digits", "28 x 28 images of handwritten digits, G. Cohen et al., 2017", "emnist-digits-", transposed=True
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
