"""Many clients, and the adversary, driven over any transport."""

from byzantiny.fleet.adversary import AdversaryPlan, Crafted, Scene, craft_round
from byzantiny.fleet.fleet import Fleet, Member
from byzantiny.fleet.hub import Hub
from byzantiny.fleet.hub_store import HubStore
from byzantiny.fleet.relay import Relay
from byzantiny.fleet.runner import FleetThread

__all__ = [
    "AdversaryPlan",
    "Crafted",
    "Fleet",
    "FleetThread",
    "Hub",
    "HubStore",
    "Member",
    "Relay",
    "Scene",
    "craft_round",
]
