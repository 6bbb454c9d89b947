"""What a run fixes before its first round, and the offer of each round."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from byzantiny.federation import Federation, ServerState
from byzantiny.ledger import RoundOpening
from byzantiny.wire.codec import decode_offer, encode_offer
from byzantiny.wire.messages import Offer
from byzantiny_models.networks import Layout
from byzantiny_models.rng import Stream, rng_for

Model = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Plan:
    """One arm and seed, as numbers. `quorum` closes a round early; the deadline catches the dead."""

    arm: str
    seed: int
    rounds: int
    clients: tuple[str, ...]
    cohort_size: int
    quorum: int
    deadline_s: float
    epochs: int
    lr_shift: int
    shifts: tuple[int, ...]
    """Of round 1; of every round where the grid is fixed."""
    l2_bound: int
    """In steps of the finest tensor; 0: none."""


@dataclass(frozen=True, slots=True)
class OpenRound:
    """A round that is durable in the ledger and may be offered."""

    opening: RoundOpening
    offer: Offer

    @property
    def round_num(self) -> int:
        """Its number, from 1."""
        return self.opening.round_num


def draw_cohort(plan: Plan, round_num: int) -> tuple[str, ...]:
    """Return the clients of a round, sorted bytewise: all, or a sample drawn from the seed.

    >>> plan = Plan("main", 1, 1, ("c", "a", "b"), 2, 2, 1.0, 1, 5, (6,), 0)
    >>> len(draw_cohort(plan, 1)), draw_cohort(plan, 1) == draw_cohort(plan, 1)
    (2, True)
    """
    ordered = sorted(plan.clients)
    if plan.cohort_size >= len(ordered):
        return tuple(ordered)
    chosen = rng_for(plan.seed, Stream.COHORT, round_num=round_num).choice(
        len(ordered), size=plan.cohort_size, replace=False
    )
    return tuple(ordered[index] for index in sorted(int(index) for index in chosen))


def plan_of(plan: Plan, federation: Federation, state: ServerState) -> Plan:
    """Return the plan of the round after `state`: its grid, and the bound on that grid."""
    if federation.grid is None or state.grid is None:
        return plan
    shifts = state.grid.shifts
    return replace(plan, shifts=shifts, l2_bound=federation.grid.bound(shifts))


def steps_of(plan: Plan, layout: Layout, shifts: tuple[int, ...]) -> float:
    """Return the finest step of a grid in those of the first grid, so that norms of all rounds have one unit."""
    now, first = (min(layout.exponents(grid)) for grid in (shifts, plan.shifts))
    return float(2.0 ** (now - first))


def make_round(
    plan: Plan,
    round_num: int,
    model: Model,
    layout: Layout,
    nonce_source: Callable[[int], bytes],
    cohorts: Mapping[int, tuple[str, ...]] | None = None,
) -> OpenRound:
    """Return a new round's offer and opening; the nonce alone is outside the reproduced set (SPEC 8).

    `cohorts` replays another run's accepted sets instead of drawing.
    """
    blob = layout.pack(model)
    offer = Offer(
        round_num=round_num,
        seed=plan.seed,
        nonce=nonce_source(16),
        model_sha256=hashlib.sha256(blob).digest(),
        layout_sha256=layout.sha256,
        model_bytes=len(blob),
        l2_bound=plan.l2_bound,
        deadline_ms=min(int(plan.deadline_s * 1000), 0xFFFFFFFF),
        epochs=plan.epochs,
        lr_shift=plan.lr_shift,
        shifts=plan.shifts,
    )
    body = encode_offer(offer)
    opening = RoundOpening(
        round_num=round_num,
        cohort=draw_cohort(plan, round_num) if cohorts is None else cohorts[round_num],
        offer_body=body,
        offer_sha256=hashlib.sha256(body).digest(),
        model_sha256=offer.model_sha256,
        nonce=offer.nonce,
    )
    return OpenRound(opening, offer)


def reopen(opening: RoundOpening) -> OpenRound:
    """Return the round a crash or a suspension left open: the same offer goes out again, byte for byte."""
    return OpenRound(opening, decode_offer(opening.offer_body))
