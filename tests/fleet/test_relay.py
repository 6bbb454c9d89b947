"""The Byzantine client: honest until it is told otherwise, within the bound, and as durable as its body."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest

from byzantiny.attacks import ATTACKS, AttackError, AttackInfo
from byzantiny.fleet import AdversaryPlan, Fleet, Member, Relay, Scene, craft_round
from byzantiny.fleet.schedule import Schedule
from byzantiny.updates import UpdateBatch, weighted_squared_norms
from byzantiny.validation import norm_limit, squared_norm
from byzantiny.wire.codec import decode_frame, decode_offer
from byzantiny.wire.messages import Commit, Start

IDS = ("dev-01", "dev-02", "dev-03")
LIAR = "dev-02"


@dataclass(frozen=True)
class Amplify:
    """Send the honest update times four: beyond the bound, and on the grid."""

    name: ClassVar[str] = "amplify"
    knowledge: ClassVar[str] = "own"
    info: ClassVar[Any] = AttackInfo("amplify", "4 x", "untargeted", "own", "update", "none")

    def craft(self, context):
        return 4.0 * context.own


@pytest.fixture
def lying(bench, world):
    """A bench whose dev-02 is behind a relay."""

    def make(attack=None, *, start_round=1, fit_bound=True, **fields):
        b = bench(ids=IDS, **fields)
        plan = AdversaryPlan(attack or ATTACKS["sign-flip"](), schedule=Schedule(start_round), fit_bound=fit_bound)
        b.relays[LIAR] = Relay(b.spec(LIAR), world.LAYOUT, plan, np.random.default_rng(0))
        return b

    return make


def craft(plan, honest, offer, layout, client_id):
    scene = Scene(offer, layout, np.zeros(layout.d, dtype=np.int32))
    return craft_round(plan, scene, {}, {client_id: honest}).codes[client_id]


def codes(b, client_id, round_num):
    return next(u.codes for u in b.ledger.accepted(round_num) if u.client_id == client_id)


def test_a_relay_is_honest_until_its_round_and_flips_from_then_on(lying, bench):
    honest = bench(ids=IDS, rounds=3)
    honest.run()
    liar = lying(rounds=3, start_round=2)
    liar.run()
    assert np.array_equal(codes(liar, LIAR, 1), codes(honest, LIAR, 1))
    assert liar.closed[0].model_sha256 == honest.closed[0].model_sha256
    assert np.array_equal(codes(liar, LIAR, 2), -codes(honest, LIAR, 2)), "round 2 starts from the same model"
    assert np.array_equal(codes(liar, "dev-01", 2), codes(honest, "dev-01", 2))
    assert liar.closed[1].model_sha256 != honest.closed[1].model_sha256


def test_a_relay_that_never_begins_is_its_body(lying, bench):
    honest, silent = bench(ids=IDS, rounds=3), lying(rounds=3, start_round=99)
    assert np.array_equal(honest.run(), silent.run())
    assert [r.n_samples for r in honest.ledger.accepted(3)] == [r.n_samples for r in silent.ledger.accepted(3)]
    assert honest.ledger.devices()[LIAR] == silent.ledger.devices()[LIAR], "its HELLO is its body's"


def test_what_is_crafted_fits_the_announced_bound_and_keeps_its_direction(lying, bench, world):
    bound = 150
    liar = lying(Amplify(), rounds=1, l2_bound=bound)
    liar.run()
    honest = bench(ids=IDS, rounds=1, l2_bound=bound)
    honest.run()
    sent, own = codes(liar, LIAR, 1), codes(honest, LIAR, 1)
    norm = np.linalg.norm(sent.astype(float))
    assert 0.9 * bound < norm <= norm_limit(bound, world.LAYOUT, world.LAYOUT.default_shifts(6))
    cosine = sent.astype(float) @ own / norm / np.linalg.norm(own.astype(float))
    assert cosine > 0.8
    assert [r.name for r in liar.ledger.receipts(1)] == ["ACCEPTED"] * 3


def test_an_adversary_that_ignores_the_bound_is_refused_by_name(lying):
    liar = lying(Amplify(), rounds=1, l2_bound=150, fit_bound=False)
    liar.run()
    assert [r.name for r in liar.ledger.receipts(1) if r.client_id == LIAR] == ["REJECTED:NORM"]
    assert [row.accepted for row in liar.closed] == [2]
    assert liar.closed_at == [0.0], "a refusal that only the device can have caused ends its round"


def test_crafting_is_a_function_of_the_offer_the_codes_and_the_name(lying, world):
    b = lying(rounds=1, l2_bound=150)
    b.run()
    offer = decode_offer(next(iter(b.ledger.known_offers().values())))
    honest = codes(b, "dev-01", 1)
    kept = honest.copy()
    plan = AdversaryPlan(Amplify())
    first, again = (craft(plan, honest, offer, world.LAYOUT, LIAR) for _ in range(2))
    assert np.array_equal(first, again)
    assert np.array_equal(honest, kept)
    assert not np.array_equal(first, craft(plan, honest, offer, world.LAYOUT, "dev-03")), "its own randomness"
    batch = UpdateBatch.from_rows(first[None], layout=world.LAYOUT, shifts=offer.shifts)
    assert int(weighted_squared_norms(batch)[0]) <= norm_limit(150, world.LAYOUT, offer.shifts) ** 2


@pytest.mark.parametrize("shifts", [(12, 4, 6, 3), (6, 4, 12, 3), (2, 10, 0, 9)])
def test_what_is_crafted_is_not_refused_on_a_grid_whose_tensors_differ(lying, world, shifts):
    b = lying(rounds=1, l2_bound=150)
    b.run()
    offer = replace(decode_offer(next(iter(b.ledger.known_offers().values()))), shifts=shifts)
    for attack in (Amplify(), ATTACKS["steer-grid"]()):
        for name in ("dev-01", LIAR):
            row = craft(AdversaryPlan(attack), codes(b, name, 1), offer, world.LAYOUT, name)
            assert 0 < squared_norm(row, world.LAYOUT, shifts) <= norm_limit(150, world.LAYOUT, shifts) ** 2


def test_an_attack_that_needs_to_know_more_than_its_own_update_is_refused(lying):
    with pytest.raises(AttackError, match="give the relay a hub"):
        lying(ATTACKS["sign-flip"](knowledge="omniscient"), rounds=1).run()


@pytest.mark.parametrize("relayed", [True, False])
@pytest.mark.parametrize("frame_num", range(1, 13))
def test_a_reboot_of_the_body_at_any_frame_costs_nothing(lying, bench, relayed, frame_num):
    """Power is cut before the n-th frame of round 2 for dev-02; the round still has all three updates, and its model."""
    expected = (lying if relayed else lambda **fields: bench(ids=IDS, **fields))(rounds=3)
    expected.run()
    b = (lying if relayed else lambda **fields: bench(ids=IDS, **fields))(rounds=3, deadline_s=20.0)
    seen = []

    def down(client_id, frame):
        if client_id == LIAR and len(b.closed) == 1:
            seen.append(frame)
            if len(seen) == frame_num:
                b.fleet.reboot(LIAR, 4711)
        return [frame]

    b.down = down
    b.run()
    assert [row.accepted for row in b.closed] == [3, 3, 3]
    assert [row.model_sha256 for row in b.closed] == [row.model_sha256 for row in expected.closed]


def test_a_late_update_of_the_body_is_not_sent_as_the_next_rounds(world, bench):
    """The body's COMMIT of round 1 comes once round 2 has begun: what the relay sends is crafted of round 2's codes."""
    honest = bench(ids=IDS, rounds=2)
    b = bench(ids=IDS, rounds=2, deadline_s=3.0)
    relay = Relay(
        b.spec(LIAR),
        world.LAYOUT,
        AdversaryPlan(ATTACKS["sign-flip"](), schedule=Schedule(9)),
        np.random.default_rng(0),
    )
    b.relays[LIAR] = relay
    through, held = relay.from_body, []

    def from_body(frame, now):
        kind = type(decode_frame(frame, from_device=True, max_payload=4096).message)
        if not b.closed and (held or kind is Commit):
            held.append(frame)
            return [], []
        if held and kind is Start:
            late, held[:] = held[:1], []
            through(late[0], now)
        return through(frame, now)

    relay.from_body = from_body
    b.run()
    honest.cohorts = {1: ("dev-01", "dev-03"), 2: IDS}
    honest.run()
    assert [row.accepted for row in b.closed] == [2, 3]
    assert [row.model_sha256 for row in b.closed] == [row.model_sha256 for row in honest.closed]


class Echo:
    """A body that answers every frame with itself, and counts its calls."""

    realtime = False

    def __init__(self):
        self.calls, self.closed = [], 0

    def exchange(self, frames, now_ms):
        self.calls.append(list(frames))
        return list(frames)

    def reboot(self, slot, boot_id):
        raise NotImplementedError

    def close(self):
        self.closed += 1


def test_a_fleet_asks_each_body_once_a_turn_with_all_its_frames_and_closes_it_once():
    one, two = Echo(), Echo()
    fleet = Fleet([Member("a", one, 0), Member("b", two, 0), Member("c", one, 1)])
    frames = [("a", b"1"), ("b", b"2"), ("c", b"3"), ("nobody", b"4")]
    assert sorted(fleet.exchange(frames, 0.0)) == [("a", b"1"), ("b", b"2"), ("c", b"3")]
    assert (one.calls, two.calls) == ([[(0, b"1"), (1, b"3")]], [[(0, b"2")]])
    fleet.exchange([("b", b"5")], 0.0)
    assert len(one.calls) == 1, "an instant body that is sent nothing has nothing to say"
    fleet.close()
    assert (one.closed, two.closed) == (1, 1)
    assert fleet.client_ids == ["a", "b", "c"]
    assert not fleet.realtime
    assert fleet.next_due is None
