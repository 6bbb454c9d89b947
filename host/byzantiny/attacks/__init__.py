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
from byzantiny.attacks.quantized.bit_flip import BitFlip
from byzantiny.attacks.quantized.low_bit_collapse import LowBitCollapse
from byzantiny.attacks.quantized.lsb_budget import DirectedRounding, LSBBudget
from byzantiny.attacks.quantized.saturation_pinning import SaturationPinning
from byzantiny.attacks.quantized.steer_grid import SteerGrid
from byzantiny.attacks.untargeted.alie import ALIE
from byzantiny.attacks.untargeted.boost import Boost
from byzantiny.attacks.untargeted.drift_mimicry import DriftMimicry
from byzantiny.attacks.untargeted.fang import FangKrum, FangTrim
from byzantiny.attacks.untargeted.gaussian import Gaussian
from byzantiny.attacks.untargeted.ipm import IPM
from byzantiny.attacks.untargeted.lazy import Lazy
from byzantiny.attacks.untargeted.mimic import Mimic
from byzantiny.attacks.untargeted.min_max import MinMax, MinSum
from byzantiny.attacks.untargeted.mpaf import MPAF
from byzantiny.attacks.untargeted.optimal import OptimalALIE, OptimalIPM, Tailored
from byzantiny.attacks.untargeted.poisoned_fl import PoisonedFL
from byzantiny.attacks.untargeted.saturate_mean import SaturateMean
from byzantiny.attacks.untargeted.sign_flip import SignFlip
from byzantiny.attacks.untargeted.xfed import XFed
from byzantiny.updates.rules import load_zoo

ATTACKS: dict[str, Callable[..., Attack]] = {
    "label-flip": LabelFlip,
    "sign-flip": SignFlip,
    "saturate-mean": SaturateMean,
    "boost": Boost,
    "gaussian": Gaussian,
    "lazy": Lazy,
    "mimic": Mimic,
    "ipm": IPM,
    "optimal-ipm": OptimalIPM,
    "alie": ALIE,
    "optimal-alie": OptimalALIE,
    "fang-krum": FangKrum,
    "fang-trim": FangTrim,
    "min-max": MinMax,
    "min-sum": MinSum,
    "agr-tailored": Tailored,
    "mpaf": MPAF,
    "poisoned-fl": PoisonedFL,
    "xfed": XFed,
    "drift-mimicry": DriftMimicry,
    "lsb-budget": LSBBudget,
    "directed-rounding": DirectedRounding,
    "saturation-pinning": SaturationPinning,
    "low-bit-collapse": LowBitCollapse,
    "steer-grid": SteerGrid,
    "bit-flip": BitFlip,
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
