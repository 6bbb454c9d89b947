"""Attacks: one file per attack, one dictionary by name, and an entry-point group for attacks from elsewhere."""

from __future__ import annotations

from collections.abc import Callable

from byzantiny.attacks.alie import ALIE
from byzantiny.attacks.base import (
    KNOWLEDGE,
    Attack,
    AttackContext,
    AttackError,
    AttackInfo,
    AttackWarning,
    DataAttack,
    Knowledge,
    Measured,
    UpdateAttack,
    craft,
)
from byzantiny.attacks.ipm import IPM
from byzantiny.attacks.label_flip import LabelFlip
from byzantiny.attacks.sign_flip import SignFlip
from byzantiny.attacks.steer_grid import SteerGrid
from byzantiny.updates.rules import load_zoo

ATTACKS: dict[str, Callable[..., Attack]] = {
    "label-flip": LabelFlip,
    "sign-flip": SignFlip,
    "steer-grid": SteerGrid,
    "alie": ALIE,
    "ipm": IPM,
}
"""The attacks of this package, by the name used in configurations."""


def load_attacks() -> dict[str, Callable[..., Attack]]:
    """Return the built-in attacks and those of the entry-point group `byzantiny.attacks`."""
    return load_zoo(ATTACKS, "byzantiny.attacks")


__all__ = [
    "ALIE",
    "ATTACKS",
    "IPM",
    "KNOWLEDGE",
    "Attack",
    "AttackContext",
    "AttackError",
    "AttackInfo",
    "AttackWarning",
    "DataAttack",
    "Knowledge",
    "LabelFlip",
    "Measured",
    "SignFlip",
    "SteerGrid",
    "UpdateAttack",
    "craft",
    "load_attacks",
]
