"""What the tests of the models share."""

import importlib.util
import pathlib
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def pure() -> ModuleType:
    """The independent derivation in plain Python integers (pure_step.py)."""
    spec = importlib.util.spec_from_file_location("pure_step", pathlib.Path(__file__).parent / "pure_step.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def layered() -> ModuleType:
    """The same for any layers: convolutions, pooling, both heads, frozen tensors (pure_layers.py)."""
    spec = importlib.util.spec_from_file_location("pure_layers", pathlib.Path(__file__).parent / "pure_layers.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def pure_niti() -> ModuleType:
    """NITI in plain Python (pure_niti.py)."""
    spec = importlib.util.spec_from_file_location("pure_niti", pathlib.Path(__file__).parent / "pure_niti.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
