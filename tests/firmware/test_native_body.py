"""The body `native`: the C client for a fleet, equal to the NumPy body frame for frame, whatever the threads and buffers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from byzantiny.bodies.numpy_body import NumpyBody
from byzantiny.wire.codec import decode_frame, encode_frame
from byzantiny.wire.messages import Frame, Hello, HelloRequest, Ping
from byzantiny_firmware import native
from byzantiny_firmware.errors import FirmwareError
from byzantiny_firmware.native import NativeBody


def _anonymous(log):
    """Frames, without HELLO: what firmware runs is what differs between bodies."""
    return [
        (way, slot, frame)
        for way, slot, frame in log
        if way == "down" or not isinstance(decode_frame(frame, from_device=True).message, Hello)
    ]


def test_a_round_gives_the_codes_of_the_reference(rounds):
    specs = rounds.specs(3, samples=11)
    offer, work = rounds.offer_of(epochs=3, l2_bound=60)
    fleet = rounds.Fleet(NativeBody(specs), specs)
    for spec, update in zip(specs, fleet.round(work), strict=True):
        assert (rounds.codes_of(update) == rounds.expected_codes(spec, offer, work)).all()


def test_it_is_the_numpy_body_frame_for_frame(rounds):
    specs = rounds.specs(4, samples=5)
    logs = []
    for body in (NativeBody(specs), NumpyBody(specs)):
        fleet = rounds.Fleet(body, specs)
        for number in (1, 2):
            fleet.round(rounds.offer_of(number, seed=number, epochs=1)[1])
        logs.append(_anonymous(fleet.log))
        body.close()
    assert logs[0] == logs[1]


def test_threads_change_nothing(rounds):
    specs = rounds.specs(150, samples=2)
    logs = []
    for threads in (1, 2, 3):
        body = NativeBody(specs, threads=threads)
        fleet = rounds.Fleet(body, specs)
        fleet.round(rounds.offer_of(epochs=1)[1])
        logs.append(fleet.log)
        body.close()
    assert logs[0] == logs[1] == logs[2]


def test_full_buffers_change_nothing(rounds, monkeypatch):
    specs = rounds.specs(6, samples=2)
    logs = []
    for answers, out_bytes in ((4096, 4 << 20), (32, 2 * 32 * 260)):
        monkeypatch.setattr(native, "_ANSWERS", answers)
        monkeypatch.setattr(native, "_OUT_BYTES", out_bytes)
        fleet = rounds.Fleet(NativeBody(specs), specs)
        fleet.round(rounds.offer_of(epochs=1)[1])
        logs.append(fleet.log)
    assert logs[0] == logs[1]


def test_banners_come_first_and_once(rounds):
    specs = rounds.specs(3)
    body = NativeBody(specs)
    ask = encode_frame(Frame(HelloRequest(), 2), to_device=True)
    came = body.exchange([(1, ask)], 0)
    assert [slot for slot, _ in came] == [0, 1, 1, 2]
    hellos = [decode_frame(frame, from_device=True).message for _, frame in came]
    assert [hello.device_id for hello in hellos] == ["dev-00", "dev-01", "dev-01", "dev-02"]
    assert body.exchange([], 0) == []


def test_a_power_cycle_forgets_and_announces_itself(rounds):
    specs = rounds.specs(2, samples=3)
    body = NativeBody(specs)
    fleet = rounds.Fleet(body, specs)
    _, work = rounds.offer_of(epochs=1)
    first = fleet.round(work)
    body.reboot(1, 4711)
    body.reboot(1, 4712)
    came = body.exchange([], 0)
    assert [(slot, decode_frame(frame, from_device=True).message.boot_id) for slot, frame in came] == [(1, 4712)]
    again = rounds.Fleet(body, specs).round(work)
    assert again[0] == first[0]
    assert again[1] != first[1], "another boot, another counter"
    assert (rounds.codes_of(again[1]) == rounds.codes_of(first[1])).all()


def test_a_thousand_devices_answer_in_one_call(rounds):
    specs = rounds.specs(1000, samples=1)
    body = NativeBody(specs)
    assert len(body.exchange([], 0)) == 1000
    pings = [(i, encode_frame(Frame(Ping(i), i + 1), to_device=True)) for i in range(1000)]
    came = body.exchange(pings, 0)
    assert [decode_frame(frame, from_device=True).message.nonce for _, frame in came] == list(range(1000))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"network": "mlp-1-1-1"}, "mlp-1-1-1"),
        ({"dataset": b"BYZD"}, "data set"),
        ({"address": 0}, "address"),
        ({"address": 65535}, "address"),
        ({"max_payload": 100}, "max_payload"),
        ({"rx_credit": 0}, "rx_credit"),
        ({"secret": b"short"}, "secret"),
        ({"client_id": "UPPER"}, "UPPER"),
    ],
)
def test_a_device_that_cannot_be_is_refused_by_name(rounds, change, word):
    spec = replace(rounds.specs(1)[0], **change)
    with pytest.raises(FirmwareError, match=word):
        NativeBody([spec])


def test_an_unknown_slot_is_refused(rounds):
    body = NativeBody(rounds.specs(1))
    with pytest.raises(FirmwareError, match="slot 1"):
        body.exchange([(1, b"")], 0)


def test_any_label_or_row_count_the_core_refuses_is_refused(rounds):
    spec = rounds.specs(1, samples=4)[0]
    bad_label = spec.dataset[:-1] + b"\x0a"
    for dataset in (bad_label, spec.dataset[:-1], spec.dataset + b"\0", b"XXXX" + spec.dataset[4:]):
        with pytest.raises(FirmwareError, match="data set"):
            NativeBody([replace(spec, dataset=dataset)])


def test_the_data_set_is_not_copied(rounds):
    spec = rounds.specs(1, samples=4)[0]
    body = NativeBody([spec])
    address = np.frombuffer(spec.dataset, np.uint8).ctypes.data
    assert body._devices[0].dataset == address
