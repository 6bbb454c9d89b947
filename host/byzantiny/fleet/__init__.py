"""Many clients, and the adversary, driven over any transport."""

from byzantiny.fleet.fleet import Fleet, Member
from byzantiny.fleet.relay import Relay, RelayPlan
from byzantiny.fleet.runner import FleetThread

__all__ = ["Fleet", "FleetThread", "Member", "Relay", "RelayPlan"]
