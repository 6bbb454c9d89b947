"""Memory, routes and faults: whose frames arrive, in which order, and that the seed alone decides."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byzantiny.transport.base import Inbox
from byzantiny.transport.channel import Channel, LinkFaults
from byzantiny.transport.errors import TransportError
from byzantiny.transport.memory import MemoryTransport
from byzantiny.transport.router import Router
from byzantiny.wire.codec import WireError, decode_frame, encode_frame
from byzantiny.wire.messages import Frame, Ping

Deliveries = list[tuple[str, bytes]]


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Echo:
    """A fleet that answers every frame with itself and remembers what it got."""

    def __init__(self) -> None:
        self.got: Deliveries = []

    def __call__(self, frames: Deliveries) -> Deliveries:
        self.got += frames
        return frames


def faulty(seed: int = 1, **sides: LinkFaults) -> tuple[Channel, Echo, Clock, Inbox]:
    echo, clock, inbox = Echo(), Clock(), Inbox()
    channel = Channel(MemoryTransport(echo), seed=seed, clock=clock, **sides)
    channel.open(inbox)
    return channel, echo, clock, inbox


def frame(number: int) -> bytes:
    return encode_frame(Frame(Ping(number), 1), to_device=True)


def test_memory_asks_for_what_clients_send_unasked_and_again_while_answers_cause_frames() -> None:
    banners = [("a", b"banner")]

    def fleet(frames: Deliveries) -> Deliveries:
        out = banners[:]
        banners.clear()
        return out + [(c, f + b"!") for c, f in frames]

    inbox = Inbox()
    transport = MemoryTransport(fleet)
    with pytest.raises(TransportError, match="not open"):
        transport.pump()
    transport.open(inbox)
    transport.pump()
    transport.send("b", b"x")
    transport.pump()
    assert inbox.drain(0.0) == [("a", b"banner"), ("b", b"x!")]


def test_a_router_sends_each_client_over_its_own_transport_and_lets_it_in_by_no_other() -> None:
    first, inbox = Echo(), Inbox()
    liar = MemoryTransport(lambda frames: [("a", b"forged"), *frames], max_payload=64)
    router = Router({"a": MemoryTransport(first), "b": liar})
    router.open(inbox)
    router.send("a", b"1")
    router.send("b", b"2")
    router.pump()
    assert inbox.drain(0.0) == [("a", b"1"), ("not a", b"forged"), ("b", b"2")]
    assert first.got == [("a", b"1")]
    assert router.stats == {"foreign": 1}
    assert (router.max_payload, router.route("a").max_payload, router.realtime) == (64, 4096, False)
    with pytest.raises(TransportError, match="no transport leads to 'c'"):
        router.send("c", b"")
    with pytest.raises(TransportError, match="0 clients"):
        Router({})
    router.close()


def test_a_router_that_cannot_open_one_transport_closes_the_others() -> None:
    class Broken(MemoryTransport):
        def open(self, inbox: Inbox) -> None:
            raise TransportError("no")

    good = MemoryTransport(Echo())
    with pytest.raises(TransportError, match="no"):
        Router({"a": good, "b": Broken(Echo())}).open(Inbox())
    with pytest.raises(TransportError, match="not open"):
        good.pump()


def test_a_channel_without_faults_is_not_there() -> None:
    channel, echo, _, inbox = faulty()
    sent = [("a", frame(i)) for i in range(20)]
    for delivery in sent:
        channel.send(*delivery)
    channel.pump()
    assert echo.got == sent
    assert inbox.drain(0.0) == sent
    assert channel.next_due is None


def test_delay_is_kept_in_virtual_time() -> None:
    channel, echo, clock, inbox = faulty(down=LinkFaults(delay_s=0.5), up=LinkFaults(delay_s=0.25))
    channel.send("a", frame(1))
    channel.pump()
    assert (echo.got, channel.next_due) == ([], 0.5)
    clock.now_s = 0.5
    channel.pump()
    assert (len(echo.got), inbox.drain(0.0), channel.next_due) == (1, [], 0.75)
    clock.now_s = 0.75
    channel.pump()
    assert inbox.drain(0.0) == [("a", frame(1))]


def test_each_fault_happens_as_often_as_asked_and_is_counted() -> None:
    channel, echo, clock, _ = faulty(down=LinkFaults(drop=0.2, duplicate=0.1, reorder=0.1, corrupt=0.1))
    for number in range(4000):
        channel.send("a", frame(number))
    clock.now_s = 1.0
    channel.pump()
    assert channel.stats["down-frames"] == 4000
    for what, expected in (("dropped", 800), ("duplicated", 320), ("reordered", 320), ("corrupted", 320)):
        assert abs(channel.stats[f"down-{what}"] - expected) < 80
    assert len(echo.got) == 4000 - channel.stats["down-dropped"] + channel.stats["down-duplicated"]


def test_reordered_frames_are_overtaken_and_all_arrive() -> None:
    channel, echo, clock, _ = faulty(down=LinkFaults(reorder=0.5))
    sent = [frame(i) for i in range(50)]
    for item in sent:
        channel.send("a", item)
    clock.now_s = 1.0
    channel.pump()
    got = [item for _, item in echo.got]
    assert got != sent
    assert sorted(got) == sorted(sent)


def test_a_corrupted_frame_differs_in_one_to_three_bits_and_the_wire_refuses_it() -> None:
    channel, echo, _, _ = faulty(down=LinkFaults(corrupt=1.0))
    seen = set()
    for _ in range(300):
        channel.send("a", frame(7))
    channel.pump()
    for _, damaged in echo.got:
        flips = sum((a ^ b).bit_count() for a, b in zip(damaged, frame(7), strict=True))
        assert 1 <= flips <= 3
        seen.add(flips)
        with pytest.raises(WireError):
            decode_frame(damaged, from_device=False)
    assert seen == {1, 2, 3}


def fates(seed: int, order: list[str]) -> dict[str, Deliveries]:
    faults = LinkFaults(drop=0.3, duplicate=0.2, reorder=0.2, corrupt=0.2, jitter_s=0.01)
    channel, _, clock, inbox = faulty(seed, up=faults, down=faults)
    count: dict[str, int] = {}
    for client_id in order:
        count[client_id] = count.get(client_id, 0) + 1
        channel.send(client_id, frame(count[client_id]))
    got: Deliveries = []
    while True:
        channel.pump()
        got += inbox.drain(0.0)
        due = channel.next_due
        if due is None:
            return {name: [item for item in got if item[0] == name] for name in "ab"}
        clock.now_s = due


@given(st.permutations(["a"] * 6 + ["b"] * 6), st.integers(0, 2**64 - 1))
def test_what_happens_to_a_client_depends_on_the_seed_and_not_on_others(order: list[str], seed: int) -> None:
    assert fates(seed, order) == fates(seed, sorted(order))


def test_another_seed_is_another_link_and_faults_out_of_range_are_refused() -> None:
    assert fates(1, ["a"] * 50) != fates(2, ["a"] * 50)
    with pytest.raises(TransportError, match=r"drop = 1\.5"):
        LinkFaults(drop=1.5)
    with pytest.raises(TransportError, match="delay_s = -1"):
        LinkFaults(delay_s=-1)
    channel, _, _, _ = faulty()
    channel.close()
    with pytest.raises(TransportError, match="not open"):
        channel.pump()
