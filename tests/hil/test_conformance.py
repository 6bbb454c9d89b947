"""The conformance set in the repository's own suite: on the emulated board, or on those of `pytest tests/hil --board NAME`."""

from byzantiny_hil.conformance.test_board import *  # noqa: F403
