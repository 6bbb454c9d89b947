"""What the adversary sends in a round, as a pure function of what it knows: the same for relays, the hub and in process.

An `own` attack is crafted by each attacker alone, from its own row and with its own randomness; `colluding` and
`omniscient` ones are crafted for all attackers in one call, with the rows in the order of the client ids. So neither
depends on where a client runs, or on who came first (promise P1).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from byzantiny.attacks import AttackContext, AttackError, UpdateAttack
from byzantiny.attacks import craft as craft_rows
from byzantiny.updates import quantize_rows
from byzantiny.wire.messages import Offer
from byzantiny_models.networks import Layout
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

    attack: UpdateAttack
    start_round: int = 1
    fit_bound: bool = True
    """Scale what was crafted into the announced L2 bound: beyond it an update is refused, which no adversary wants."""
    defence: Any = None
    history: bool = False

    @property
    def together(self) -> bool:
        """Whether the attackers craft together: they know more than their own updates."""
        return self.attack.knowledge != "own"


@dataclass(frozen=True, slots=True)
class Scene:
    """What every client of a round sees: the offer, the model it starts from, and the models of earlier rounds."""

    offer: Offer
    layout: Layout
    model: npt.NDArray[np.int32]
    history: Sequence[npt.NDArray[np.int32]] | None = None


@dataclass(frozen=True, slots=True)
class Crafted:
    """What each attacker sends; `note` says why they are honest in this round, where the attack cannot be crafted."""

    codes: dict[str, Codes]
    note: str = ""


def craft_round(
    plan: AdversaryPlan, scene: Scene, honest: Mapping[str, Codes], own: Mapping[str, Codes], *, n: int | None = None
) -> Crafted:
    """Return the codes that every attacker sends: crafted, fitted to the announced bound, put on the grid.

    `honest` are the codes of the honest clients as far as they are known, `own` what the attackers' bodies trained. `n`
    (default: all of them) is how many take part. Before the plan's first round the attackers' own codes come back; so
    they do, with a note, where too little is known in a round (nobody else came, or the sampled attackers are a majority
    that the attack has no formula for).

    Raises:
        AttackError: an `own` attack that cannot be crafted.
    """
    n = len(honest) + len(own) if n is None else n
    try:
        crafted = craft_rows_of(plan, scene, honest, own, n, quantize_rows)
    except AttackError as error:
        if not plan.together:  # nothing that differs between rounds can be the reason
            raise
        return Crafted(dict(own), f"round {scene.offer.round_num}: the attackers were honest: {error}")
    return Crafted(crafted)


def craft_rows_of(
    plan: AdversaryPlan,
    scene: Scene,
    honest: Mapping[str, Rows],
    own: Mapping[str, Rows],
    n: int,
    put: Callable[[npt.NDArray[np.float64], np.random.Generator], Rows],
) -> dict[str, Rows]:
    """Return what every attacker sends; `put` brings real rows onto the grid with the generator that crafted them.

    Raises:
        AttackError: the attack needs to know more than it is given.
    """
    ids = sorted(own, key=str.encode)
    if scene.offer.round_num < plan.start_round or not ids:
        return {client_id: own[client_id] for client_id in ids}
    if plan.together:
        rng = _rng(scene)
        rows = craft_real(plan, scene, _stacked(honest), np.stack([own[client_id] for client_id in ids]), n, rng)
        return dict(zip(ids, put(rows, rng), strict=True))
    crafted = {}
    for client_id in ids:
        rng = _rng(scene, client_id)
        crafted[client_id] = put(craft_real(plan, scene, None, own[client_id][None, :], n, rng), rng)[0]
    return crafted


def craft_real(
    plan: AdversaryPlan,
    scene: Scene,
    honest: Rows | None,
    own: Rows,
    n: int,
    rng: np.random.Generator,
) -> npt.NDArray[np.float64]:
    """Return the attackers' rows before the grid, (f, d) float64 in grid steps, fitted to the announced bound."""
    context = AttackContext(
        honest=honest,
        own=own.astype(np.float64),
        n=n,
        f=len(own),
        rng=rng,
        defence=plan.defence,
        history=scene.history,
        round_num=scene.offer.round_num,
        model=scene.model,
    )
    rows = craft_rows(plan.attack, context, defence_known=plan.defence is not None)
    if plan.fit_bound and scene.offer.l2_bound:
        rows = fit_rows(rows, scene.offer.l2_bound, scene.layout, scene.offer.shifts)
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


def _stacked(rows: Mapping[str, Rows]) -> Rows | None:
    """Rows in the order of the client ids; None where there is none, for nothing is known then."""
    return np.stack([rows[client_id] for client_id in sorted(rows, key=str.encode)]) if rows else None
