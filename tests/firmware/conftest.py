"""What the tests of the client and of the boards share."""

import importlib.util
import pathlib
import sys
from types import ModuleType

import pytest


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"firmware_{name}", pathlib.Path(__file__).parent / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def rounds() -> ModuleType:
    """Data sets, offers, and a round through frames against any body (rounds.py)."""
    return _load("rounds")


@pytest.fixture(scope="session")
def calls() -> ModuleType:
    """The batch calls of the library, and the comparison of a network with the reference (core_calls.py)."""
    return _load("core_calls")
