"""Both sides in virtual time: loss-free, over every fault, and with either side killed at any frame."""

from __future__ import annotations

import itertools

import pytest

from byzantiny.wire.codec import decode_frame, split_update
from byzantiny.wire.host import Greeted, ModelAccepted, OfferAccepted, Rebooted, Silent, UpdateReceived
from byzantiny.wire.messages import Type, Verdict


def check_complete(world, round_num: int = 1) -> None:
    blob = world.accepted[round_num]
    assert split_update(blob).codes in world.provided[round_num]
    assert world.verdicts.count(Verdict.ACCEPTED) == len(world.accepted)
    assert world.trained >= 1


def test_a_loss_free_round_is_told_in_order(world, work) -> None:
    w = world()
    assert w.run(work()) == "complete"
    assert [type(e) for e in w.events] == [Greeted, OfferAccepted, ModelAccepted, UpdateReceived]
    assert (w.trained, w.session.stats.frames_resent, w.session.next_due) == (1, 0, None)
    check_complete(w)


@pytest.mark.parametrize(("payload", "down", "up"), [(4096, 10, 8), (240, 15, 11), (64, 32, 19)])
def test_frames_of_a_loss_free_round(world, work, payload: int, down: int, up: int) -> None:
    """The second round of a session: no negotiation, nothing sent twice, no ACK that is not needed."""
    w = world(max_payload=payload, host_payload=payload)
    w.run(work(1))
    before = w.session.stats.frames_down, w.session.stats.frames_up
    assert w.run(work(2)) == "complete"
    while w.queue:
        w.queue.pop()[2]()
    assert (w.session.stats.frames_down - before[0], w.session.stats.frames_up - before[1]) == (down, up)
    assert w.session.stats.frames_resent == 0


def test_many_rounds_of_one_session_and_the_same_model_twice(world, work) -> None:
    w = world(max_payload=4096, host_payload=4096)
    model = work(1).model
    for round_num in range(1, 6):
        assert w.run(work(round_num, model=model)) == "complete"
    assert (w.trained, len(w.accepted)) == (5, 5)
    data = sum(1 for e in w.events if isinstance(e, ModelAccepted))
    assert data == 5


FAULTS = [
    {"drop": 0.3}, {"duplicate": 0.5}, {"reorder": 0.5}, {"noise": 0.3, "uart": True},
    {"drop": 0.15, "duplicate": 0.2, "reorder": 0.2}, {"drop": 0.1, "duplicate": 0.1, "noise": 0.3, "uart": True},
    {"drop": 0.1, "training_s": 5.0},
]  # fmt: skip


@pytest.mark.parametrize("faults", FAULTS, ids=lambda f: "-".join(f))
@pytest.mark.parametrize(("payload", "credit"), [(64, 32), (64, 1), (128, 3), (240, 32)])
def test_every_faulty_link_completes(world, work, channel, faults, payload: int, credit: int) -> None:
    for seed in range(6):
        w = world(seed, channel(**faults), max_payload=payload, credit=credit)
        for round_num in (1, 2):
            assert w.run(work(round_num)) == "complete", (seed, round_num)
            check_complete(w, round_num)


def chaos(world, work, channel, seed: int) -> None:
    """A link with several faults at once; the device reboots and the coordinator restarts at any frame."""
    w = world(seed, max_payload=64)
    rng = w.random
    w.channel = w.up.channel = w.down.channel = channel(
        drop=rng.uniform(0, 0.2), duplicate=rng.uniform(0, 0.2), reorder=rng.uniform(0, 0.2),
        noise=rng.uniform(0, 0.2), uart=rng.random() < 0.5, training_s=rng.choice([0.0, 3.0]),
    )  # fmt: skip
    w.credit = rng.choice([1, 4, 32])
    restarts = 0

    def maybe(_: int) -> None:
        nonlocal restarts
        if restarts < 6 and rng.random() < 0.03:
            restarts += 1
            rng.choice([w.boot, w.restart_host])()

    w.after = maybe
    for round_num in (1, 2, 3):
        assert w.run(work(round_num)) == "complete", (seed, round_num)
        check_complete(w, round_num)
    assert sorted(w.accepted) == [1, 2, 3]
    assert w.verdicts.count(Verdict.ACCEPTED) == 3


@pytest.mark.parametrize("block", range(8))
def test_chaos_completes_and_counts_once(world, work, channel, block: int) -> None:
    for seed in range(25 * block, 25 * block + 25):
        chaos(world, work, channel, seed)


@pytest.mark.soak
@pytest.mark.parametrize("block", range(40))
def test_long_chaos_completes_and_counts_once(world, work, channel, block: int) -> None:
    for seed in range(1000 + 100 * block, 1100 + 100 * block):
        chaos(world, work, channel, seed)


@pytest.mark.parametrize("payload", [64, 240])
@pytest.mark.parametrize("training_s", [0.0, 2.0])
@pytest.mark.parametrize("victim", ["device", "host", "both"])
def test_either_side_can_die_after_any_frame(
    world, work, channel, victim: str, payload: int, training_s: float
) -> None:
    """Kill after each delivered frame k of a loss-free round: it completes, within one restart's cost."""
    for k in itertools.count(1):
        w = world(0, channel(training_s=training_s), max_payload=payload, host_payload=payload)
        died = False

        def kill(count: int, w=w, k=k) -> None:
            nonlocal died
            if count == k:
                died = True
                if victim != "host":
                    w.boot()
                if victim != "device":
                    w.restart_host()

        w.after = kill
        assert w.run(work()) == "complete", k
        check_complete(w)
        assert w.now < 20
        if not died:
            assert k > 15
            break


@pytest.mark.parametrize("victims", ["dd", "dh", "hd", "hh"])
def test_two_deaths_at_any_two_frames(world, work, victims: str) -> None:
    for first, second in itertools.combinations(range(1, 46, 3), 2):
        w = world(0, max_payload=128)
        deaths = {first: victims[0], second: victims[1]}

        def kill(count: int, w=w, deaths=deaths) -> None:
            if count in deaths:
                w.boot() if deaths[count] == "d" else w.restart_host()

        w.after = kill
        assert w.run(work()) == "complete", (first, second)
        check_complete(w)


def test_the_transfer_of_the_model_resumes_where_the_host_died(world, work) -> None:
    w = world(0, max_payload=64)
    counts: dict[int, int] = {}

    def count(frame: bytes) -> None:
        kind = frame[0] & 15
        counts[kind] = counts.get(kind, 0) + 1

    original = w.device_gets
    w.device_gets = lambda frame: (count(frame), original(frame))[1]
    w.after = lambda n: w.restart_host() if n == 30 else None
    assert w.run(work()) == "complete"
    chunks = -(-1300 // 64) + -(-140 // 64)
    assert counts[Type.DATA] <= chunks + 3 + 1, "the offer's chunks may go twice, the model's do not"


def test_a_dead_link_is_said_once_and_the_deadline_decides(world, work, channel) -> None:
    w = world(0, channel(drop=1.0))
    assert w.run(work(), longest_s=60) == "deadline"
    assert w.events == [Silent()]
    assert w.session.stats.frames_down < 45, "about one frame every two seconds"


def test_update_after_the_end_is_still_reported(world, work, channel) -> None:
    w = world(0, channel(training_s=5.0))
    w.after = lambda _: w.session.end() if w.session.stats.frames_up and w.trained else None
    w.work = work()
    w.take(w.session.begin(w.work, 0.0))
    w.at(4.0, w.session.end)
    while w.queue:
        w.now, _, action = min(w.queue)
        w.queue.remove((w.now, _, action))
        action()
    assert w.session.next_due is None
    assert [type(e) for e in w.events][-1] is UpdateReceived


def test_a_late_update_of_the_last_round_arrives_inside_the_next(world, work, channel) -> None:
    """Its START was already answered when the next round began; the verdict is STALE, and the next round completes."""
    w = world(0, max_payload=64)
    held: list[bytes] = []
    original = w.to_host
    w.to_host = lambda frames: held.extend(frames) if w.trained == 1 and w.work.round_num == 1 else original(frames)
    assert w.run(work(1), longest_s=2) == "deadline"
    w.to_host = original
    w.session.end()
    w.to_host([f for f in held if decode_frame(f, from_device=True).message.__class__.__name__ == "Start"][:1])
    for _ in range(40):
        w.now, _, action = min(w.queue)
        w.queue.remove((w.now, _, action))
        action()
        if w.verdicts:
            break
    assert w.events[-1].start.round_num == 1
    assert w.run(work(2)) == "complete"


def test_reboot_is_told(world, work) -> None:
    w = world()
    w.after = lambda n: w.boot() if n == 9 else None
    assert w.run(work()) == "complete"
    assert [e.hello.boot_id for e in w.events if isinstance(e, Greeted | Rebooted)] == [101, 102]


def test_chunk_size_follows_the_link(world, work, channel) -> None:
    w = world(3, channel(noise=0.35, uart=True), max_payload=240)
    for round_num in range(1, 8):
        assert w.run(work(round_num)) == "complete"
    assert w.session._quality.payload < 240
    w.channel = w.up.channel = w.down.channel = channel()
    for round_num in range(8, 40):
        assert w.run(work(round_num)) == "complete"
    assert w.session._quality.payload == 240
