"""The round loop in time. It knows transports and the ledger; neither bodies, nor the fleet, nor attacks."""

from byzantiny.coordinator.clock import Clock, RealClock, VirtualClock
from byzantiny.coordinator.collect import Suspended
from byzantiny.coordinator.coordinator import Coordinator, Link, Surroundings
from byzantiny.coordinator.plan import Plan
from byzantiny.coordinator.rows import ClientFacts
from byzantiny.coordinator.witness import NOBODY, Witness

__all__ = [
    "NOBODY",
    "ClientFacts",
    "Clock",
    "Coordinator",
    "Link",
    "Plan",
    "RealClock",
    "Surroundings",
    "Suspended",
    "VirtualClock",
    "Witness",
]
