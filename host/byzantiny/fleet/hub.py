"""Where attackers who know more than their own update meet: an apparatus of experiments, never on the wire (SPEC 7).

Their relays bring the codes that their bodies trained, the coordinator tells what it has accepted of the honest ones, and
the hub keeps every answer back until all of the cohort are accounted for. Then all attackers are crafted in one call.

A client that does not come must not hold up the round: the hub releases what it knows when the attackers at hand would
complete the quorum, and at the latest when a tenth of the round's time is left. An attacker whose codes come after that is
left out of the round. What was crafted is durable before the first of it leaves, so that a coordinator that is killed
in between goes on with the same rows.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from byzantiny.fleet.adversary import AdversaryPlan, Codes, Scene, craft_round
from byzantiny.fleet.hub_store import HubStore, Release
from byzantiny.wire.messages import Offer
from byzantiny_models.networks import Layout

LAST_TENTH = 0.1
"""The part of a round's time that is left to the attackers when somebody does not come."""


@dataclass
class _Round:
    """What is known of the round in force."""

    scene: Scene
    liars: frozenset[str]
    """Who is Byzantine in this round."""
    cohort: frozenset[str]
    quorum: int
    release_at: float
    honest: dict[str, Codes] = field(default_factory=dict)
    own: dict[str, Codes] = field(default_factory=dict)
    absent: set[str] = field(default_factory=set)
    """Of whom no update will come."""
    sent: set[str] = field(default_factory=set)
    """Attackers whose update was accepted."""
    crafted: Mapping[str, Codes] | None = None
    """None: not released."""


class Hub:
    """One run's adversary. The coordinator's thread and the fleet's may call it at the same time.

    `liars` are the run's Byzantine clients, or those who may be; `known` are rounds of another run in which it released
    before all were in, with whose codes it knew: for a replay.
    """

    def __init__(
        self,
        plan: AdversaryPlan,
        layout: Layout,
        liars: Collection[str],
        store: HubStore | None = None,
        known: Mapping[int, Collection[str]] | None = None,
        notice: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self._plan = plan
        self._layout = layout
        self._liars = frozenset(liars)
        self._store = store
        self._known = dict(known or {})
        self._notice = notice
        self._models: list[npt.NDArray[np.int32]] = []
        self._round: _Round | None = None
        self._lock = threading.RLock()

    # What the coordinator tells

    def opened(
        self,
        offer: Offer,
        model: npt.NDArray[np.int32],
        cohort: Collection[str],
        quorum: int,
        begins: float,
        ends: float,
    ) -> None:
        """A round is offered; it ends at `ends` at the latest, of the same clock that the relays are given."""
        with self._lock:
            history = self._remember(offer.round_num, model) if self._plan.history else None
            release_at = ends - LAST_TENTH * (ends - begins)
            ids = tuple(sorted(cohort, key=str.encode))
            liars = self._plan.schedule.among(self._liars, offer.round_num)
            attackers = tuple(client_id for client_id in ids if client_id in liars)
            scene = Scene(offer, self._layout, model, history, ids, attackers)
            self._round = _Round(scene, liars, frozenset(cohort), quorum, release_at)
            held = self._store.load(offer.round_num) if self._store is not None else None
            if held is not None:
                self._round.crafted = held

    def accepted(self, client_id: str, codes: Codes) -> None:
        """The coordinator has accepted an update of the round."""
        with self._lock:
            if self._round is None:
                return
            if client_id in self._round.liars:
                self._round.sent.add(client_id)
            else:
                self._round.honest[client_id] = codes
            self._release_if_due(None)

    def settled(self, client_id: str) -> None:
        """No update of this client will be accepted in the round."""
        with self._lock:
            if self._round is not None:
                self._round.absent.add(client_id)
                self._release_if_due(None)

    # What the relays ask

    def scene(self, offer: Offer) -> Scene | None:
        """Return what every client of the round sees, if it is the one in force."""
        with self._lock:
            return self._round.scene if self._in_force(offer) and self._round is not None else None

    def answer(self, client_id: str, offer: Offer, codes: Codes, now: float) -> Codes | None:
        """Take what an attacker's body trained; return what it is to send, once that is known.

        None: not yet, or, for an attacker that came after the release, not in this round.
        """
        with self._lock:
            round_ = self._round
            if round_ is None or not self._in_force(offer):
                return None
            if round_.crafted is None:
                round_.own[client_id] = codes
                self._release_if_due(now)
            return None if round_.crafted is None else round_.crafted.get(client_id)

    def due(self, client_id: str, offer: Offer) -> float | None:
        """When an attacker that waits wants to ask again: at once if there is an answer; None if there will be none."""
        with self._lock:
            if self._round is None or not self._in_force(offer):
                return None
            if self._round.crafted is None:
                return self._round.release_at
            return float("-inf") if client_id in self._round.crafted else None

    def _in_force(self, offer: Offer) -> bool:
        return self._round is not None and self._round.scene.offer == offer

    def _release_if_due(self, now: float | None) -> None:
        """Craft for all attackers at hand, once, if nobody else is to come or there is no more time."""
        round_ = self._round
        if round_ is None or round_.crafted is not None or not round_.own:
            return
        known = set(self._known.get(round_.scene.offer.round_num, round_.cohort))
        waiting = known - set(round_.honest) - set(round_.own) - round_.absent
        late = now is not None and now >= round_.release_at
        completes = len(round_.honest) + len(round_.sent) + len(round_.own) >= round_.quorum
        if waiting and not late and not completes:
            return
        honest = {client_id: codes for client_id, codes in round_.honest.items() if client_id in known}
        own = {client_id: codes for client_id, codes in round_.own.items() if client_id in known}
        crafted = craft_round(self._plan, round_.scene, honest, own)
        if crafted.note:
            self._notice(crafted.note)
        if self._store is not None:
            partial = {*honest, *own} != round_.cohort
            known_now = sorted({*honest, *own}) if partial else None
            self._store.save(Release(round_.scene.offer.round_num, crafted.codes, known_now))
        round_.crafted = crafted.codes

    def _remember(self, round_num: int, model: npt.NDArray[np.int32]) -> list[npt.NDArray[np.int32]]:
        """Return the models that the rounds before this one started from, and keep this one for those after it."""
        if self._store is not None:
            self._models = self._store.models(round_num, model)
        else:
            self._models = [*self._models[: round_num - 1], model]
        return self._models[:-1]
