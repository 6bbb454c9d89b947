"""The coordinator's bench, for relays in front of real bodies."""

import importlib.util
import pathlib
import sys
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def world() -> ModuleType:
    """tests/coordinator/conftest.py as a module."""
    path = pathlib.Path(__file__).parents[1] / "coordinator" / "conftest.py"
    spec = importlib.util.spec_from_file_location("coordinator_bench", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def bench(world):
    made = []

    def make(**fields):
        made.append(world.Bench(**fields))
        return made[-1]

    yield make
    for each in made:
        each.close()
