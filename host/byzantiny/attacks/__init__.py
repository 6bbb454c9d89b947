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
    LinkAttack,
    ManifestAttack,
    Measured,
    Place,
    Samples,
    StartAttack,
    UpdateAttack,
    craft,
    hand_over,
    poison,
)
from byzantiny.attacks.card import ACCESS, ATLAS, LEAVES, NEEDS, NIST
from byzantiny.attacks.data.back_gradient import BackGradient
from byzantiny.attacks.data.backdoor import Backdoor
from byzantiny.attacks.data.chosen_input import ChosenInput
from byzantiny.attacks.data.dba import DBA
from byzantiny.attacks.data.edge_case import EdgeCase
from byzantiny.attacks.data.feature_collision import FeatureCollision
from byzantiny.attacks.data.feature_noise import FeatureNoise
from byzantiny.attacks.data.generated import Generated
from byzantiny.attacks.data.injection import Injection
from byzantiny.attacks.data.label_flip import LabelFlip
from byzantiny.attacks.deployed import deployed
from byzantiny.attacks.downlink.poisoned_model import PoisonedModel
from byzantiny.attacks.downlink.replayed_offer import ReplayedOffer
from byzantiny.attacks.downlink.rolled_back_model import RolledBackModel
from byzantiny.attacks.downlink.rolled_back_offer import RolledBackOffer
from byzantiny.attacks.downlink.tampered_model import TamperedModel
from byzantiny.attacks.downlink.unsigned_offer import UnsignedOffer
from byzantiny.attacks.frames import LinkScene, Passed, Tap, Wiretap
from byzantiny.attacks.link.drop_frames import DropFrames
from byzantiny.attacks.link.leaked_keys import LeakedKeys
from byzantiny.attacks.link.overlapping_chunks import OverlappingChunks
from byzantiny.attacks.link.slow_loris import SlowLoris
from byzantiny.attacks.link.spoofed_topic import SpoofedTopic
from byzantiny.attacks.link.sybil import Sybil
from byzantiny.attacks.link.truncated_chunks import TruncatedChunks
from byzantiny.attacks.manifest.conflicting_updates import ConflictingUpdates
from byzantiny.attacks.manifest.duplicate_updates import DuplicateUpdates
from byzantiny.attacks.manifest.late_flood import LateFlood
from byzantiny.attacks.manifest.replay import Replay
from byzantiny.attacks.manifest.sample_inflation import SampleInflation
from byzantiny.attacks.manifest.wrong_layout import WrongLayout
from byzantiny.attacks.manifest.wrong_model import WrongModel
from byzantiny.attacks.objects import ForgeContext, Upload
from byzantiny.attacks.pretrained.poisoned_start import PoisonedStart
from byzantiny.attacks.quantized.bit_flip import BitFlip
from byzantiny.attacks.quantized.directed_rounding import DirectedRounding
from byzantiny.attacks.quantized.dormant_backdoor import DormantBackdoor
from byzantiny.attacks.quantized.low_bit_collapse import LowBitCollapse
from byzantiny.attacks.quantized.lsb_budget import LSBBudget
from byzantiny.attacks.quantized.saturation_pinning import SaturationPinning
from byzantiny.attacks.quantized.steer_grid import SteerGrid
from byzantiny.attacks.targeted.alternating_minimisation import AlternatingMinimisation
from byzantiny.attacks.targeted.constrain_and_scale import ConstrainAndScale
from byzantiny.attacks.targeted.model_replacement import ModelReplacement
from byzantiny.attacks.targeted.multi_party import MultiParty
from byzantiny.attacks.targeted.neurotoxin import Neurotoxin
from byzantiny.attacks.targeted.pgd_backdoor import PGDBackdoor
from byzantiny.attacks.targeted.split_update import SplitUpdate
from byzantiny.attacks.untargeted.agr_tailored import AGRTailored
from byzantiny.attacks.untargeted.alie import ALIE
from byzantiny.attacks.untargeted.boost import Boost
from byzantiny.attacks.untargeted.drift_mimicry import DriftMimicry
from byzantiny.attacks.untargeted.fang_krum import FangKrum
from byzantiny.attacks.untargeted.fang_trimmed import FangTrimmed
from byzantiny.attacks.untargeted.gaussian import Gaussian
from byzantiny.attacks.untargeted.ipm import IPM
from byzantiny.attacks.untargeted.lazy import Lazy
from byzantiny.attacks.untargeted.mimic import Mimic
from byzantiny.attacks.untargeted.min_max import MinMax
from byzantiny.attacks.untargeted.min_sum import MinSum
from byzantiny.attacks.untargeted.mpaf import MPAF
from byzantiny.attacks.untargeted.optimal_alie import OptimalALIE
from byzantiny.attacks.untargeted.optimal_ipm import OptimalIPM
from byzantiny.attacks.untargeted.poisoned_fl import PoisonedFL
from byzantiny.attacks.untargeted.saturate import Saturate
from byzantiny.attacks.untargeted.sign_flip import SignFlip
from byzantiny.attacks.untargeted.xfed import XFED
from byzantiny.attacks.untargeted.zero import Zero
from byzantiny.updates.rules import load_zoo

ATTACKS: dict[str, Callable[..., Attack]] = {
    # data
    "back-gradient": BackGradient,
    "backdoor": Backdoor,
    "chosen-input": ChosenInput,
    "dba": DBA,
    "edge-case": EdgeCase,
    "feature-collision": FeatureCollision,
    "feature-noise": FeatureNoise,
    "generated": Generated,
    "injection": Injection,
    "label-flip": LabelFlip,
    # untargeted
    "agr-tailored": AGRTailored,
    "alie": ALIE,
    "boost": Boost,
    "drift-mimicry": DriftMimicry,
    "fang-krum": FangKrum,
    "fang-trimmed": FangTrimmed,
    "gaussian": Gaussian,
    "ipm": IPM,
    "lazy": Lazy,
    "mimic": Mimic,
    "min-max": MinMax,
    "min-sum": MinSum,
    "mpaf": MPAF,
    "optimal-alie": OptimalALIE,
    "optimal-ipm": OptimalIPM,
    "poisoned-fl": PoisonedFL,
    "saturate": Saturate,
    "sign-flip": SignFlip,
    "xfed": XFED,
    "zero": Zero,
    # targeted
    "alternating-minimisation": AlternatingMinimisation,
    "constrain-and-scale": ConstrainAndScale,
    "model-replacement": ModelReplacement,
    "multi-party": MultiParty,
    "neurotoxin": Neurotoxin,
    "pgd-backdoor": PGDBackdoor,
    "split-update": SplitUpdate,
    # pretrained
    "poisoned-start": PoisonedStart,
    # quantized
    "bit-flip": BitFlip,
    "directed-rounding": DirectedRounding,
    "dormant-backdoor": DormantBackdoor,
    "low-bit-collapse": LowBitCollapse,
    "lsb-budget": LSBBudget,
    "saturation-pinning": SaturationPinning,
    "steer-grid": SteerGrid,
    # manifest
    "conflicting-updates": ConflictingUpdates,
    "duplicate-updates": DuplicateUpdates,
    "late-flood": LateFlood,
    "replay": Replay,
    "sample-inflation": SampleInflation,
    "wrong-layout": WrongLayout,
    "wrong-model": WrongModel,
    # link
    "drop-frames": DropFrames,
    "leaked-keys": LeakedKeys,
    "overlapping-chunks": OverlappingChunks,
    "slow-loris": SlowLoris,
    "spoofed-topic": SpoofedTopic,
    "sybil": Sybil,
    "truncated-chunks": TruncatedChunks,
    # downlink
    "poisoned-model": PoisonedModel,
    "replayed-offer": ReplayedOffer,
    "rolled-back-model": RolledBackModel,
    "rolled-back-offer": RolledBackOffer,
    "tampered-model": TamperedModel,
    "unsigned-offer": UnsignedOffer,
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
    "DBA",
    "IPM",
    "KNOWLEDGE",
    "LEAVES",
    "MPAF",
    "NEEDS",
    "NIST",
    "XFED",
    "AGRTailored",
    "AlternatingMinimisation",
    "Attack",
    "AttackContext",
    "AttackError",
    "AttackInfo",
    "AttackWarning",
    "BackGradient",
    "Backdoor",
    "BitFlip",
    "Boost",
    "ChosenInput",
    "ConflictingUpdates",
    "ConstrainAndScale",
    "Constrained",
    "DataAttack",
    "DirectedRounding",
    "DormantBackdoor",
    "DriftMimicry",
    "DropFrames",
    "DuplicateUpdates",
    "EdgeCase",
    "FangKrum",
    "FangTrimmed",
    "FeatureCollision",
    "FeatureNoise",
    "ForgeContext",
    "Gaussian",
    "Generated",
    "Injection",
    "Knowledge",
    "LSBBudget",
    "LabelFlip",
    "LateFlood",
    "Lazy",
    "LeakedKeys",
    "LinkAttack",
    "LinkScene",
    "LowBitCollapse",
    "ManifestAttack",
    "Measured",
    "Mimic",
    "MinMax",
    "MinSum",
    "ModelReplacement",
    "MultiParty",
    "Neurotoxin",
    "OptimalALIE",
    "OptimalIPM",
    "OverlappingChunks",
    "PGDBackdoor",
    "Passed",
    "Place",
    "PoisonedFL",
    "PoisonedModel",
    "PoisonedStart",
    "Replay",
    "ReplayedOffer",
    "RolledBackModel",
    "RolledBackOffer",
    "SampleInflation",
    "Samples",
    "Saturate",
    "SaturationPinning",
    "SignFlip",
    "SlowLoris",
    "SplitUpdate",
    "SpoofedTopic",
    "StartAttack",
    "SteerGrid",
    "Sybil",
    "TamperedModel",
    "Tap",
    "TruncatedChunks",
    "UnsignedOffer",
    "UpdateAttack",
    "Upload",
    "Wiretap",
    "WrongLayout",
    "WrongModel",
    "Zero",
    "craft",
    "deployed",
    "hand_over",
    "load_attacks",
    "poison",
]
