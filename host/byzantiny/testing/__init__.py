"""Conformance suites, public: what every aggregator, pre-aggregator, screen and attack must keep.

A package that offers rules through the entry points runs these over them; this project runs them over its own.
"""

from __future__ import annotations

from byzantiny.testing.attacks import ATTACK_PROMISES, check_attack
from byzantiny.testing.promises import PROMISES, ContractError
from byzantiny.testing.rules import check_aggregator, check_preaggregator, check_screen

__all__ = [
    "ATTACK_PROMISES",
    "PROMISES",
    "ContractError",
    "check_aggregator",
    "check_attack",
    "check_preaggregator",
    "check_screen",
]
