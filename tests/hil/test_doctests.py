"""The examples in the docstrings of byzantiny_hil are executed."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import byzantiny_hil

MODULES = sorted(module.name for module in pkgutil.walk_packages(byzantiny_hil.__path__, "byzantiny_hil."))


@pytest.mark.parametrize("name", [name for name in MODULES if ".test_" not in name])
def test_the_examples_of_a_module_are_true(name: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert failed == 0
