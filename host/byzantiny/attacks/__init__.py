"""Attacks: one file per attack, one dictionary by name, and an entry-point group for attacks from elsewhere."""

from __future__ import annotations

from collections.abc import Callable

from byzantiny.attacks.base import (
    ALONE,
    KNOWLEDGE,
    Attack,
    AttackContext,
    AttackError,
    AttackInfo,
    AttackWarning,
    Constrained,
    DataAttack,
    Knowledge,
    Measured,
    Place,
    Samples,
    UpdateAttack,
    craft,
    poison,
)
from byzantiny.attacks.card import ACCESS, ATLAS, NEEDS, NIST
from byzantiny.attacks.data.label_flip import LabelFlip
from byzantiny.attacks.quantized.steer_grid import SteerGrid
from byzantiny.attacks.untargeted.alie import ALIE
from byzantiny.attacks.untargeted.ipm import IPM
from byzantiny.attacks.untargeted.sign_flip import SignFlip
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
    "ACCESS",
    "ALIE",
    "ALONE",
    "ATLAS",
    "ATTACKS",
    "IPM",
    "KNOWLEDGE",
    "NEEDS",
    "NIST",
    "Attack",
    "AttackContext",
    "AttackError",
    "AttackInfo",
    "AttackWarning",
    "Constrained",
    "DataAttack",
    "Knowledge",
    "LabelFlip",
    "Measured",
    "Place",
    "Samples",
    "SignFlip",
    "SteerGrid",
    "UpdateAttack",
    "craft",
    "load_attacks",
    "poison",
]
