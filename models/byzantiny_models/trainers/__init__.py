"""The trainers by name, one file each: `int8-sr` is the product, the others are its control and its baselines.

A trainer is chosen by `training.trainer` in an experiment; training only the last layer is a scope (`Network.scoped`),
which every trainer but `niti` can be given.
"""

from byzantiny_models.trainers.base import Trainer, TrainerInfo, check_trainer
from byzantiny_models.trainers.dfa import DFA
from byzantiny_models.trainers.float32 import FLOAT32
from byzantiny_models.trainers.int8_only import INT8_ONLY
from byzantiny_models.trainers.int8_sr import INT8_SR
from byzantiny_models.trainers.niti import NITI

__all__ = ["TRAINERS", "Trainer", "TrainerInfo", "check_trainer"]

TRAINERS: dict[str, Trainer] = {each.info.name: each for each in (INT8_SR, INT8_ONLY, FLOAT32, NITI, DFA)}
"""The zoo."""
