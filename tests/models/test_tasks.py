"""The digits task: fixed, stratified, read-only; and what happens without scikit-learn."""

import hashlib
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from byzantiny_models.errors import InvalidValueError, MissingDependencyError
from byzantiny_models.tasks import TASKS, library, load_task, split_stratified


def test_digits_has_the_documented_shape_and_range():
    task = load_task("digits")
    assert (task.name, task.classes, task.network.name) == ("digits", 10, "mlp-64-32-10")
    assert task.train_x.shape == (1437, 64)
    assert task.test_x.shape == (360, 64)
    assert (task.train_x.dtype, task.train_y.dtype) == (np.int8, np.uint8)
    assert (task.train_x.min(), task.train_x.max()) == (0, 112)
    assert set(np.unique(task.train_x % 7)) == {0}


def test_the_split_of_digits_is_pinned():
    task = load_task("digits")
    parts = (task.train_x, task.train_y, task.test_x, task.test_y)
    digest = hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()
    assert digest[:16] == "55a79e2058976a0d"


def test_every_class_of_digits_has_its_share_of_the_test_samples():
    task = load_task("digits")
    whole = np.bincount(np.concatenate([task.train_y, task.test_y]))
    assert np.abs(np.bincount(task.test_y) - whole * 360 / 1797).max() < 1


def test_a_task_is_loaded_once_and_cannot_be_written_to():
    task = load_task("digits")
    assert load_task("digits") is task
    with pytest.raises(ValueError, match="read-only"):
        task.train_x[0, 0] = 1


def test_an_unknown_task_is_refused_by_name():
    with pytest.raises(InvalidValueError, match=r"'minst'.*digits"):
        load_task("minst")


def test_without_scikit_learn_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(TASKS, "digits", replace(TASKS["digits"], load=library.digits.__wrapped__))
    with pytest.raises(MissingDependencyError, match=r"pip install 'byzantiny\[data\]'"):
        load_task("digits")


@given(labels=st.lists(st.integers(0, 5), min_size=2, max_size=80), data=st.data())
def test_a_stratified_split_is_a_partition_of_the_asked_size(labels, data):
    y, size = np.array(labels), data.draw(st.integers(1, len(labels) - 1))
    train, test = split_stratified(y, size)
    assert len(test) == size
    assert np.array_equal(np.sort(np.concatenate([train, test])), np.arange(len(y)))
    counts = np.bincount(y, minlength=6)
    assert np.all(np.abs(np.bincount(y[test], minlength=6) - counts * size / len(y)) < 1)


def test_a_split_of_everything_or_nothing_is_refused():
    for size in (0, 3):
        with pytest.raises(InvalidValueError, match="test_samples"):
            split_stratified(np.array([0, 1, 0]), size)


def test_importing_the_models_imports_neither_scikit_learn_nor_the_host():
    names = "datasets encoding errors float_training inference networks partitions quantization rng tasks training"
    program = (
        "import sys, importlib\n"
        f"for name in {names.split()!r}: importlib.import_module('byzantiny_models.' + name)\n"
        "print([m for m in ('sklearn', 'scipy', 'byzantiny', 'tensorflow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
