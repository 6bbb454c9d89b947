"""What the tests of the client and of the boards share."""

import importlib.util
import pathlib
import sys
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def rounds() -> ModuleType:
    """Data sets, offers, and a round through frames against any body (rounds.py)."""
    spec = importlib.util.spec_from_file_location("firmware_rounds", pathlib.Path(__file__).parent / "rounds.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    return module
