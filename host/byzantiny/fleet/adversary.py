"""What the adversary sends in a round, as a pure function of what it knows: the same for relays, the hub and in process.

An `own` attack is crafted by each attacker alone, from its own row and with its own randomness; `colluding` and
`omniscient` ones are crafted for all attackers in one call, with the rows in the order of the client ids. So neither
depends on where a client runs, or on who came first (promise P1).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from byzantiny.attacks import AttackContext, AttackError, UpdateAttack
from byzantiny.attacks import craft as craft_rows
from byzantiny.attacks.context import Samples
from byzantiny.attacks.objects import ManifestAttack
from byzantiny.fleet.schedule import ALWAYS, Schedule
from byzantiny.updates import quantize_rows
from byzantiny.wire.messages import Offer
from byzantiny_models.networks import Layout, Network
from byzantiny_models.rng import Stream, rng_for

Codes = npt.NDArray[np.int8]
Rows = npt.NDArray[Any]
_FINITE = 1e9
"""An attack may ask for infinity; the wire has nothing beyond 127 steps anyway."""


@dataclass(frozen=True, slots=True)
class AdversaryPlan:
    """What the Byzantine clients of a run do, when, and what the experiment tells them beside the codes.

    `defence` is the coordinator's pipeline where the experiment grants it, else None; `history` says whether they
    remember the global models of earlier rounds.
    """

    attack: UpdateAttack | ManifestAttack
    schedule: Schedule = ALWAYS
    fit_bound: bool = True
    """Scale what was crafted into the announced L2 bound: beyond it an update is refused, which no adversary wants."""
    defence: Any = None
    history: bool = False
    network: Network | None = None
    data: Mapping[str, Samples] = field(default_factory=dict)
    """The attackers' own samples, as their bodies have them."""
    unrounded: Callable[[Sequence[str], Scene], Rows] | None = None
    """What the attackers' bodies trained before it was rounded, (f, d) in grid steps: whoever owns a device can compute it."""
    chosen: Samples | None = None
    """What a targeted attack wants to be answered, and how."""

    @property
    def together(self) -> bool:
        """Whether the attackers craft together: they know more than their own updates."""
        return self.attack.knowledge != "own"

    @property
    def crafts(self) -> UpdateAttack:
        """The attack, of which the caller knows that it crafts rows."""
        if isinstance(self.attack, ManifestAttack):
            raise AttackError(f"{self.attack.name} changes what an update says of itself, which takes frames")
        return self.attack


@dataclass(frozen=True, slots=True)
class Scene:
    """A round as the adversary sees it: the offer, the model it starts from, the models of earlier rounds, the cohort.

    `attackers` are those of the cohort; without a cohort nobody but the one that is crafted for is known of.
    """

    offer: Offer
    layout: Layout
    model: npt.NDArray[np.int32]
    history: Sequence[npt.NDArray[np.int32]] | None = None
    cohort: tuple[str, ...] = ()
    attackers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Crafted:
    """What each attacker sends; `note` says why they are honest in this round, where the attack cannot be crafted."""

    codes: dict[str, Codes]
    note: str = ""


Put = Callable[[npt.NDArray[np.float64], np.random.Generator], Rows]
"""Brings real rows, in grid steps, onto the grid, with the generator that crafted them."""


def craft_round(
    plan: AdversaryPlan, scene: Scene, honest: Mapping[str, Codes], own: Mapping[str, Codes], put: Put = quantize_rows
) -> Crafted:
    """Return the codes that every attacker sends: crafted, fitted to the announced bound, put on the grid.

    `honest` are the codes of the honest clients as far as they are known, `own` what the attackers' bodies trained. Outside
    the plan's rounds the attackers' own codes come back; so they do, with a note, where too little is known in a round
    (nobody else came, or the sampled attackers are a majority that the attack has no formula for).

    Raises:
        AttackError: an `own` attack that cannot be crafted.
    """
    try:
        return Crafted(craft_rows_of(plan, scene, honest, own, put))
    except AttackError as error:
        if not plan.together:  # nothing that differs between rounds can be the reason
            raise
        return Crafted(dict(own), f"round {scene.offer.round_num}: the attackers were honest: {error}")


def craft_rows_of(
    plan: AdversaryPlan, scene: Scene, honest: Mapping[str, Rows], own: Mapping[str, Rows], put: Put
) -> dict[str, Rows]:
    """Return what every attacker sends, after `put`.

    Raises:
        AttackError: the attack needs to know more than it is given.
    """
    ids = _ordered(own)
    if not plan.schedule.during(scene.offer.round_num) or not ids:
        return {client_id: own[client_id] for client_id in ids}
    if plan.together:
        present = _ordered([*honest, *own])
        rng = _rng(scene)
        known = np.stack([honest[client_id] for client_id in _ordered(honest)]) if honest else None
        mine = np.stack([own[client_id] for client_id in ids])
        rows = _craft_real(plan, scene, known, mine, rng, ids, present, ids)
        return dict(zip(ids, put(rows, rng), strict=True))
    crafted = {}
    for client_id in ids:
        cohort, attackers = _ordered(scene.cohort or [client_id]), _ordered(scene.attackers or [client_id])
        rng = _rng(scene, client_id)
        row = _craft_real(plan, scene, None, own[client_id][None, :], rng, [client_id], cohort, attackers)
        crafted[client_id] = put(row, rng)[0]
    return crafted


def _craft_real(
    plan: AdversaryPlan,
    scene: Scene,
    honest: Rows | None,
    own: Rows,
    rng: np.random.Generator,
    ids: Sequence[str],
    cohort: Sequence[str],
    attackers: Sequence[str],
) -> npt.NDArray[np.float64]:
    """Return the rows of the attackers `ids` before the grid, (f, d) in grid steps, fitted to the announced bound."""
    offer = scene.offer
    context = AttackContext(
        honest=honest,
        n=len(cohort),
        f=len(own),
        rng=rng,
        own=own.astype(np.float64),
        unrounded=plan.unrounded(ids, scene) if plan.unrounded is not None else None,
        defence=plan.defence,
        history=scene.history,
        round_num=offer.round_num,
        model=scene.model,
        layout=scene.layout,
        shifts=offer.shifts,
        l2_bound=offer.l2_bound,
        network=plan.network,
        data=[plan.data[client_id] for client_id in ids] if plan.data else None,
        chosen=plan.chosen,
        places=tuple(cohort.index(client_id) for client_id in ids),
        campaign=offer.seed,
        attackers=len(attackers),
        members=tuple(attackers.index(client_id) for client_id in ids),
    )
    rows = craft_rows(plan.crafts, context, defence_known=plan.defence is not None)
    if plan.fit_bound and offer.l2_bound:
        rows = fit_rows(rows, offer.l2_bound, scene.layout, offer.shifts)
    return rows


def fit_rows(
    rows: npt.NDArray[np.float64], bound: int, layout: Layout, shifts: tuple[int, ...]
) -> npt.NDArray[np.float64]:
    """Scale every row that is longer than the bound (in steps of the finest tensor) down to it, keeping its direction.

    Before the grid, not after: saturation at +-127 would bend the direction, and a weaker adversary is a flattering one.
    The sum is exact (`fsum`), so that the result is the same on every machine.

    >>> from byzantiny_models.networks import TensorSpec
    >>> layout = Layout((TensorSpec("w", (2,), "int16", 14),))
    >>> fit_rows(np.array([[300.0, -400.0], [3.0, 4.0]]), 5, layout, (6,)).tolist()
    [[3.0, -4.0], [3.0, 4.0]]
    """
    exponents = layout.exponents(shifts)
    steps = np.repeat([2.0 ** (e - min(exponents)) for e in exponents], [t.elements for t in layout.tensors])
    fitted = np.clip(rows, -_FINITE, _FINITE)
    for row in fitted:
        norm = math.sqrt(math.fsum((row * steps) ** 2))
        if norm > bound:
            row *= bound / norm
    return fitted


def _rng(scene: Scene, client_id: str = "") -> np.random.Generator:
    offer = scene.offer
    return rng_for(offer.seed, Stream.ATTACK, round_num=offer.round_num, client_id=client_id)


def _ordered(ids: Iterable[str]) -> list[str]:
    return sorted(ids, key=str.encode)
