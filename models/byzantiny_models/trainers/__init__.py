"""Trainers by name: what a client's local training may be, the product and what it is compared with."""

from __future__ import annotations

from byzantiny_models.trainers.card import Job, Trained, Trainer
from byzantiny_models.trainers.dfa import DFA
from byzantiny_models.trainers.float32 import FLOAT32
from byzantiny_models.trainers.int8_only import INT8_ONLY
from byzantiny_models.trainers.int8_sr import INT8_SR
from byzantiny_models.trainers.niti import NITI

TRAINERS: dict[str, Trainer] = {trainer.name: trainer for trainer in (INT8_SR, INT8_ONLY, FLOAT32, NITI, DFA)}
"""The trainers of this package, by the name used in configurations; the last layer alone is an update scope."""

__all__ = ["TRAINERS", "Job", "Trained", "Trainer"]
