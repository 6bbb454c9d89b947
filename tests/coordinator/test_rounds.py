"""The round loop in virtual time: who is asked, when a round closes, and what is recorded of those who were not in it."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from byzantiny.coordinator import Suspended
from byzantiny.coordinator.collect import FORGERIES_BORNE, MANY, STRANGERS_NAMED
from byzantiny.coordinator.plan import draw_cohort
from byzantiny.wire.auth import derive_keys, manifest_for, seal_update
from byzantiny.wire.codec import decode_frame, encode_frame
from byzantiny.wire.messages import Commit, Data, Frame, Hello, Kind, Round, Start
from byzantiny_models.networks import NETWORKS, initial_model

INITIAL = initial_model(NETWORKS["mlp-64-32-10"], 1)
D = 2410


def down_kind(frame):
    return type(decode_frame(frame, from_device=False, max_payload=4096).message)


def up_kind(frame):
    return type(decode_frame(frame, from_device=True, max_payload=4096).message)


def in_the_name_of(client_id, *, round_num=1, xfer=9, key=bytes(32)):
    """The frames of a whole update that nobody who has the device's key has made."""
    codes = bytes(D)
    blob = seal_update(manifest_for(client_id, round_num, bytes(32), xfer, 4, codes), key, codes)
    start = Start(round_num, Kind.UPDATE, len(blob), 4096, hashlib.sha256(blob).digest())
    return [
        (client_id, encode_frame(Frame(message, 1, seq, xfer), to_device=False))
        for seq, message in enumerate((start, Data(blob), Commit()))
    ]


def test_a_cohort_is_the_draw_of_its_seed_and_round(bench):
    plan = replace(bench(ids=[f"c-{i}" for i in range(6)], cohort=3).plan, seed=1)
    drawn = {number: "".join(name[-1] for name in draw_cohort(plan, number)) for number in range(1, 7)}
    assert drawn == {1: "045", 2: "023", 3: "245", 4: "012", 5: "035", 6: "012"}
    assert draw_cohort(replace(plan, clients=plan.clients[::-1]), 1) == draw_cohort(plan, 1), (
        "whatever order they come in"
    )
    assert {draw_cohort(replace(plan, seed=seed), 1) for seed in range(9)} != {draw_cohort(plan, 1)}
    assert draw_cohort(replace(plan, cohort_size=6), 4) == tuple(f"c-{i}" for i in range(6))


def test_only_the_cohort_is_asked_and_aggregated(bench):
    asked = {}
    b = bench(rounds=6, cohort=2)
    b.down = lambda client_id, frame: asked.setdefault(len(b.closed) + 1, set()).add(client_id) or [frame]
    b.run()
    for number in range(1, 7):
        cohort = set(draw_cohort(b.plan, number))
        assert {update.client_id for update in b.ledger.accepted(number)} == cohort
        assert {row["client_id"] for row in b.ledger.rows("client") if row["round_num"] == number} == cohort
    assert len({draw_cohort(b.plan, number) for number in range(1, 7)}) > 1


def test_what_comes_in_the_name_of_a_client_outside_the_cohort_does_not_get_it_an_offer(bench):
    """A client of round 1, outside the cohort of round 2, is heard in round 2."""
    b = bench(rounds=2, cohort=2, deadline_s=3.0)
    outside = min(set(draw_cohort(b.plan, 1)) - set(draw_cohort(b.plan, 2)))
    silent = draw_cohort(b.plan, 2)[0]  # so that round 2 lasts
    heard = []

    def down(client_id, frame):
        if len(b.closed) == 1:
            if not heard:
                b.extra += in_the_name_of(outside)
            heard.append((client_id, down_kind(frame)))
        return [] if len(b.closed) == 1 and client_id == silent else [frame]

    b.down = down
    b.run()
    assert [r.name for r in b.ledger.receipts(2) if r.client_id == outside] == ["REJECTED:BAD_TAG"]
    assert Round not in {kind for client_id, kind in heard if client_id == outside}
    assert b.client(outside, 2)["verdict"] == "rejected"
    assert {update.client_id for update in b.ledger.accepted(2)} == set(draw_cohort(b.plan, 2)) - {silent}


def test_a_quorum_below_the_cohort_closes_the_round_at_once(bench):
    b = bench(quorum=3, rounds=2)
    b.down = lambda client_id, frame: [] if client_id == "dev-04" else [frame]
    b.run()
    assert [row.accepted for row in b.closed] == [3, 3]
    assert b.closed_at == [0.0, 0.0], "nobody waits for a deadline"
    assert b.client("dev-04")["verdict"] == "missing"


def test_the_deadline_closes_a_round_without_the_silent_and_says_so(bench):
    b = bench(deadline_s=30.0, rounds=2)
    b.down = lambda client_id, frame: [] if client_id == "dev-02" else [frame]
    b.run()
    assert [(row.outcome, row.accepted, row.cohort) for row in b.closed] == [("aggregated", 3, 4)] * 2
    assert b.closed_at == [30.0, 60.0]
    row = b.client("dev-02")
    assert (row["verdict"], row["reason"]) == ("missing", "nothing was received before the round closed")
    assert row["n_samples"] is None
    assert [text for text in b.notices if "dev-02" in text] == [
        "dev-02 does not answer; the round waits for it until its deadline"
    ] * 2


def test_a_round_without_any_update_leaves_the_model(bench):
    b = bench(deadline_s=5.0, rounds=1, down=lambda client_id, frame: [])
    assert np.array_equal(b.run(), INITIAL)
    assert (b.closed[0].outcome, b.closed[0].reason) == ("no-aggregate", "no update was accepted before the deadline")


def test_a_rule_beyond_its_limit_leaves_the_model_says_why_and_the_next_round_begins(bench):
    b = bench(deadline_s=5.0, rounds=3, pipeline=[{"name": "median"}], f_declared=2, ids=[f"dev-{i}" for i in range(5)])
    b.down = lambda client_id, frame: [] if client_id == "dev-4" and len(b.closed) == 1 else [frame]
    b.run()
    first, second, third = b.closed
    assert [row.outcome for row in b.closed] == ["aggregated", "no-aggregate", "aggregated"]
    assert "f = 2 needs n >= 2f + 1" in second.reason
    assert second.accepted == 4, "accepted, and of no aggregate"
    assert first.model_sha256 == second.model_sha256 != third.model_sha256
    assert [record.outcome for record in b.ledger.rounds()] == ["aggregated", "no-aggregate", "aggregated"]
    assert b.ledger.rounds()[1].reason == second.reason


def test_an_update_after_its_round_is_stale_recorded_and_in_no_aggregate(bench):
    """The last COMMIT of dev-01 is held until the next round has begun; it still delivers that round's update."""
    held = []

    def up(client_id, frame):
        if client_id == "dev-01" and len(b.closed) == 0 and (held or up_kind(frame) is Commit):
            held.append((client_id, frame))
            return []
        if held and len(b.closed) == 1:
            late, held[:] = [frame for _, frame in held], []
            b.extra += [("dev-01", frame) for frame in late]
        return [frame]

    b = bench(deadline_s=4.0, rounds=3, up=up)
    b.run()
    assert [r.name for r in b.ledger.receipts(1) if r.client_id == "dev-01"] == ["STALE"]
    assert [update.client_id for update in b.ledger.accepted(1)] == ["dev-02", "dev-03", "dev-04"]
    assert [row.stale for row in b.closed] == [0, 1, 0]
    assert [row.accepted for row in b.closed] == [3, 4, 4], "being late once does not cost the next round"
    assert b.client("dev-01", 1)["verdict"] == "missing"
    assert b.client("dev-01", 2)["refusals"] == {"stale": 1}


def test_a_forged_update_does_not_cost_a_device_its_round(bench):
    b = bench(rounds=1)
    forged = in_the_name_of("dev-02")

    def up(client_id, frame):
        if client_id == "dev-02" and up_kind(frame) is Start:
            b.extra += forged
            b.up = lambda client_id, frame: [frame]
            return []
        return [frame]

    b.up = lambda client_id, frame: up(client_id, frame)
    b.run()
    assert [r.name for r in b.ledger.receipts(1) if r.client_id == "dev-02"] == ["REJECTED:BAD_TAG", "ACCEPTED"]
    row = b.client("dev-02")
    assert (row["verdict"], row["refusals"]) == ("accepted", {"rejected:bad_tag": 1})
    assert (b.closed[0].accepted, b.closed[0].refused) == (4, 1)


def test_a_link_full_of_forgeries_is_given_up_for_the_round_alone(bench):
    """Somebody overwrites every update of dev-02 in round 1: after three the others are not kept waiting."""
    xfers = iter(range(100, 200))

    def up(client_id, frame):
        if client_id == "dev-02" and len(b.closed) == 0 and up_kind(frame) is Start:
            b.extra += in_the_name_of("dev-02", xfer=next(xfers), key=bytes([next(xfers)]) * 32)
            return []
        return [frame]

    b = bench(rounds=2, up=up)
    b.run()
    names = [r.name for r in b.ledger.receipts(1) if r.client_id == "dev-02"]
    assert names == ["REJECTED:BAD_TAG"] * FORGERIES_BORNE
    assert b.closed_at[0] < 5.0, "the deadline is at 60 s"
    assert [row.accepted for row in b.closed] == [3, 4]
    assert b.client("dev-02", 1)["verdict"] == "rejected"


def test_a_device_that_cannot_verify_the_offer_is_named(bench):
    b = bench(rounds=1)
    b.coordinator()  # the devices hold the right secrets; what the coordinator is given next is another one
    b.specs["dev-03"] = replace(b.spec("dev-03"), secret=bytes(32))
    assert derive_keys(bytes(32)) != derive_keys(hashlib.sha256(b"dev-03").digest())
    b.run()
    row = b.client("dev-03")
    assert (row["verdict"], row["reason"], row["refusals"]) == ("rejected", "BAD_TAG (offer)", {"device": 1})
    assert (b.closed[0].accepted, b.closed[0].refused) == (3, 1)
    assert b.closed_at == [0.0]


def test_a_link_that_answers_under_another_name_is_refused(bench):
    b = bench(rounds=1)

    def up(client_id, frame):
        message = decode_frame(frame, from_device=True, max_payload=4096).message
        if client_id == "dev-01" and isinstance(message, Hello):
            return [encode_frame(Frame(replace(message, device_id="dev-02"), 1), to_device=False)]
        return [frame]

    b.up = up
    b.run()
    assert b.client("dev-01")["reason"] == "WRONG_DEVICE (hello)"
    assert b.closed[0].accepted == 3
    assert set(b.ledger.devices()) == {"dev-02", "dev-03", "dev-04"}


def test_frames_of_strangers_are_refused_by_name_recorded_once_a_round_and_answered_by_nobody(bench):
    b = bench(rounds=1)
    b.extra = [("dev-99", b"x"), ("dev-99", b"y")]
    b.run()
    assert b.closed[0].accepted == 4
    assert b.closed[0].refused == 1
    assert b.client("dev-99")["refusals"] == {"rejected:unknown_device": 1}
    assert b.client("dev-99")["reason"] == "2 frames of no client"
    assert b.ledger.verdict_counts(1)["REJECTED:UNKNOWN_DEVICE"] == 1


def test_a_flood_of_strange_names_does_not_fill_the_ledger(bench):
    b = bench(rounds=1)
    b.extra = [(f"dev-{number:05d}", b"x") for number in range(1000, 3000)] + [("dev-01000", b"x")]
    b.run()
    assert b.closed[0].accepted == 4
    assert b.closed[0].refused == STRANGERS_NAMED + 1
    assert b.client("dev-01000")["reason"] == "2 frames of no client", "who has a name keeps it"
    assert b.client(MANY)["reason"] == f"{2000 - STRANGERS_NAMED} frames of no client"


@pytest.mark.parametrize("turn", [1, 5, 9, 14])
def test_a_suspended_round_goes_on_with_what_it_has_and_ends_in_the_same_model(bench, turn):
    whole = bench(rounds=3)
    expected = whole.run()
    b = bench(rounds=3)
    asked = iter(range(turn))
    b.stop = lambda: next(asked, None) is None
    with pytest.raises(Suspended):
        b.run()
    offers = b.ledger.known_offers()
    open_round = b.ledger.open_round_record()
    assert open_round is not None
    held = [update.update_sha256 for update in b.ledger.accepted(open_round.round_num)]
    b.stop = lambda: False
    assert np.array_equal(b.run(), expected)
    assert offers.items() <= b.ledger.known_offers().items()
    assert held == [u.update_sha256 for u in b.ledger.accepted(open_round.round_num) if u.update_sha256 in held]
    assert [row["model_sha256"] for row in b.ledger.rows("round")] == [row.model_sha256 for row in whole.closed]
    assert any("was left open" in text for text in b.notices)


def test_what_was_refused_before_a_suspension_is_still_counted(bench):
    b = bench(rounds=1)
    forged = in_the_name_of("dev-02")

    def up(client_id, frame):
        if client_id == "dev-02" and up_kind(frame) is Start:
            b.extra += forged
            b.up = lambda client_id, frame: [frame]
            return []
        return [frame]

    b.up = lambda client_id, frame: up(client_id, frame)
    b.stop = lambda: "REJECTED:BAD_TAG" in [receipt.name for receipt in b.ledger.receipts(1)]
    with pytest.raises(Suspended):
        b.run()
    b.stop = lambda: False
    b.run()
    assert (b.closed[0].accepted, b.closed[0].refused) == (4, 1)
    assert b.client("dev-02")["refusals"] == {"rejected:bad_tag": 1}


def test_a_replay_waits_for_all_that_were_accepted_though_the_quorum_is_less(bench):
    """The clients of a replay need not be equally fast: dev-04's answers take a second longer."""
    waiting = []

    def up(client_id, frame):
        if client_id == "dev-04" and up_kind(frame) is Start and not waiting:
            waiting.append(frame)
            return []
        return [frame]

    accepted = ("dev-01", "dev-02", "dev-04")
    b = bench(rounds=1, quorum=2, up=up, cohorts={1: accepted})
    b.run()
    assert tuple(update.client_id for update in b.ledger.accepted(1)) == accepted


def test_every_accepted_update_is_a_row_of_its_round_in_order_of_the_name(bench):
    b = bench(ids=("b", "a-1", "a", "c"), rounds=1)
    b.run()
    assert [update.client_id for update in b.ledger.accepted(1)] == ["a", "a-1", "b", "c"]
    assert b.ledger.rounds()[0].cohort == ("a", "a-1", "b", "c")
