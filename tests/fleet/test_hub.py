"""The hub: attackers that know more than their own update, in running rounds; whoever does not come, the round goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

from byzantiny.attacks import ALIE, IPM, AttackInfo, SignFlip
from byzantiny.fleet import AdversaryPlan, Hub, HubStore, Relay, Scene, craft_round
from byzantiny.fleet.schedule import Schedule
from byzantiny.ledger import Ledger
from byzantiny.wire.codec import decode_frame, decode_offer
from byzantiny.wire.messages import Commit

IDS = ("dev-01", "dev-02", "dev-03", "dev-04", "dev-05")
LIARS = ("dev-02", "dev-04")


@dataclass(frozen=True)
class Seen:
    """Send its own update, and remember what it was shown."""

    shown: list[Any]
    name: ClassVar[str] = "seen"
    knowledge: ClassVar[str] = "omniscient"
    info: ClassVar[Any] = AttackInfo("seen", "x", "untargeted", "omniscient", "update", "none")

    def craft(self, context):
        self.shown.append(context)
        return np.asarray(context.own, dtype=np.float64)


@pytest.fixture
def lying(bench, world):
    def make(attack, *, store=None, known=None, start_round=1, history=False, **fields):
        b = bench(ids=IDS, **fields)
        plan = AdversaryPlan(attack, schedule=Schedule(start_round), history=history)
        b.witness = Hub(plan, world.LAYOUT, LIARS, store, known, b.notices.append)
        for liar in LIARS:
            b.relays[liar] = Relay(b.spec(liar), world.LAYOUT, plan, np.random.default_rng(0), b.witness)
        return b

    return make


def codes(b, round_num):
    return {u.client_id: u.codes for u in b.ledger.accepted(round_num)}


def expected(b, world, attack, honest, own):
    offer = decode_offer(b.ledger.known_offers()[b.ledger.rounds()[0].offer_sha256])
    scene = Scene(offer, world.LAYOUT, np.zeros(world.LAYOUT.d, dtype=np.int32))
    return craft_round(AdversaryPlan(attack), scene, honest, own).codes


@pytest.mark.parametrize(
    "attack", [ALIE(z=1.0), IPM(epsilon=2.0), SignFlip(knowledge="colluding")], ids=lambda a: a.name
)
def test_attackers_send_what_one_call_crafts_of_what_they_may_know(lying, bench, world, attack):
    honest = bench(ids=IDS, rounds=1)
    honest.run()
    liar = lying(attack, rounds=1)
    liar.run()
    trained, sent = codes(honest, 1), codes(liar, 1)
    want = expected(
        liar, world, attack, {k: v for k, v in trained.items() if k not in LIARS}, {k: trained[k] for k in LIARS}
    )
    for name in IDS:
        assert np.array_equal(sent[name], want.get(name, trained[name])), name
    assert not np.array_equal(sent[LIARS[0]], trained[LIARS[0]])
    assert liar.closed_at == [0.0], "nobody waited for anything"


def test_the_rows_are_those_of_the_client_ids_in_order_and_nothing_is_known_of_the_honest_to_colluders(lying):
    shown = []
    b = lying(Seen(shown), rounds=1)
    b.run()
    sent = codes(b, 1)
    (context,) = shown
    assert (context.n, context.f, context.round_num) == (5, 2, 1)
    assert np.array_equal(context.own, [sent[name] for name in LIARS])
    assert np.array_equal(context.honest, [sent[name] for name in IDS if name not in LIARS])
    assert (context.history, context.defence) == (None, None)


def test_the_models_of_earlier_rounds_are_the_history_where_it_is_granted(lying, tmp_path):
    shown = []
    b = lying(Seen(shown), rounds=3, history=True, store=HubStore(tmp_path))
    b.run()
    assert [len(context.history) for context in shown] == [0, 1, 2]
    assert np.array_equal(shown[2].history[1], shown[1].model)
    again = HubStore(tmp_path).models(3, np.asarray(shown[2].model))
    assert [np.array_equal(model, context.model) for model, context in zip(again, shown, strict=True)] == [True] * 3


@pytest.mark.parametrize("dead", ["dev-01", "dev-04"])
def test_a_dead_client_does_not_hold_up_the_round(lying, dead):
    """An honest client, or an attacker, that never answers: the others are crafted with a tenth of the time left."""
    shown = []
    b = lying(Seen(shown), rounds=1, deadline_s=20.0)
    b.down = lambda client_id, frame: [] if client_id == dead else [frame]
    b.run()
    assert b.closed[0].accepted == 4
    assert b.closed_at == [20.0], "the coordinator waits for the dead until its deadline, not longer"
    assert (shown[0].n, shown[0].f) == ((4, 2) if dead == "dev-01" else (4, 1))


def test_a_quorum_that_the_attackers_would_complete_is_not_missed(lying):
    shown = []
    b = lying(Seen(shown), rounds=1, quorum=4, deadline_s=20.0)
    b.down = lambda client_id, frame: [] if client_id == "dev-05" else [frame]
    b.run()
    assert (b.closed[0].accepted, b.closed_at) == (4, [0.0])
    assert (shown[0].n, shown[0].f) == (4, 2)


def test_a_round_in_which_only_attackers_come_is_honest_and_says_so(lying):
    b = lying(IPM(), rounds=1, deadline_s=20.0)
    b.down = lambda client_id, frame: [frame] if client_id in LIARS else []
    b.run()
    assert b.closed[0].accepted == 2
    assert any("the attackers were honest: ipm needs `honest`" in text for text in b.notices)


@pytest.mark.parametrize("frame_num", range(1, 13))
def test_a_reboot_of_an_attackers_body_at_any_frame_costs_nothing(lying, frame_num):
    reference = lying(IPM(epsilon=2.0), rounds=3)
    reference.run()
    b = lying(IPM(epsilon=2.0), rounds=3, deadline_s=20.0)
    seen = []

    def down(client_id, frame):
        if client_id == LIARS[0] and len(b.closed) == 1:
            seen.append(frame)
            if len(seen) == frame_num:
                b.fleet.reboot(client_id, 4711)
        return [frame]

    b.down = down
    b.run()
    assert [row.model_sha256 for row in b.closed] == [row.model_sha256 for row in reference.closed]


def test_an_attacker_that_comes_after_the_release_is_left_out_and_a_replay_knows_what_it_knew(lying, tmp_path):
    """dev-04's updates are held on the link to its body until the round is nearly over: the others went without it."""
    shown = []
    b = lying(Seen(shown), rounds=2, deadline_s=20.0, store=HubStore(tmp_path))
    relay, held = b.relays["dev-04"], []
    through = relay.from_body

    def from_body(frame, now):
        kind = type(decode_frame(frame, from_device=True, max_payload=4096).message)
        if not b.closed and now < 19.0 and (held or kind is Commit):
            held.append(frame)
            return [], []
        return through(frame, now)

    relay.from_body = from_body
    b.run()
    assert [row.accepted for row in b.closed] == [4, 5]
    assert HubStore(tmp_path).partial() == {1: ["dev-01", "dev-02", "dev-03", "dev-05"]}
    assert [context.f for context in shown] == [1, 2]


def test_a_kill_between_two_attackers_receipts_changes_no_row(lying, world, tmp_path):
    """The first attacker's update is accepted, the coordinator ends; the next one, and the hub, begin anew from the disk."""
    reference = lying(ALIE(z=1.0), rounds=2)
    reference.run()
    path = tmp_path / "ledger.sqlite"
    stopped = []

    def stop():
        return bool(stopped)

    first = lying(ALIE(z=1.0), rounds=2, stop=stop, ledger=Ledger.create(path), store=HubStore(tmp_path))

    def up(client_id, frame):
        if (
            client_id == LIARS[1]
            and not stopped
            and type(decode_frame(frame, from_device=True, max_payload=4096).message) is Commit
        ):
            stopped.append(client_id)
            return []
        return [frame]

    first.up = up
    with pytest.raises(world.Suspended):
        first.run()
    accepted = [u.client_id for u in first.ledger.accepted(1)]
    assert LIARS[0] in accepted
    assert LIARS[1] not in accepted
    first.ledger.close()
    second = lying(ALIE(z=1.0), rounds=2, ledger=Ledger.open(path), store=HubStore(tmp_path))
    second.run()
    hashes = [row.model_sha256 for row in reference.closed]
    assert [row["model_sha256"] for row in second.ledger.rows("round")] == hashes
