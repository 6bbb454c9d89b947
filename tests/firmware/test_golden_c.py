"""The golden records replayed by the C core, in both directions: it and Python cannot drift apart, nor both at once."""

from __future__ import annotations

import ctypes
import json
from pathlib import Path
from typing import Any

import pytest

from byzantiny.wire.messages import Reject
from byzantiny_firmware import library

RECORDS: list[dict[str, Any]] = [
    json.loads(line) for line in (Path(__file__).parents[1] / "golden" / "wire.jsonl").read_text("utf-8").splitlines()
]
FRAMES = [record for record in RECORDS if "fields" in record and record["direction"] != "object"]
REJECTED = [record for record in RECORDS if "reject" in record]
DIRECTIONS = {"to_device": 0, "from_device": 1}
HEADER_BYTES, CRC_BYTES = 16, 4


def name_of(record: dict[str, Any]) -> str:
    return f"{record['name']}-{record['direction']}"


@pytest.fixture(scope="module")
def lib() -> ctypes.CDLL:
    return library.load()


def decode(lib: ctypes.CDLL, data: bytes, record: dict[str, Any]) -> tuple[int, tuple[int, ...]]:
    """(reject + 1 or 0, the header: type, flags, length, address, seq, xfer, offset)."""
    fields = (ctypes.c_uint32 * 7)()
    reject = lib.byz_test_frame_decode(
        data, ctypes.c_uint64(len(data)), DIRECTIONS[record["direction"]], 0, 4096, fields
    )
    return reject, tuple(fields)


@pytest.mark.parametrize("record", FRAMES, ids=name_of)
def test_c_reads_a_golden_frame_as_it_was_written(lib, record):
    data = bytes.fromhex(record["hex"])
    reject, (kind, flags, length, address, seq, xfer, offset) = decode(lib, data, record)
    want = record["fields"]
    assert reject == 0
    assert kind == data[0] & 15
    assert length == len(data) - HEADER_BYTES - CRC_BYTES
    assert (flags, address, seq, xfer, offset) == tuple(want[k] for k in ("flags", "address", "seq", "xfer", "offset"))


@pytest.mark.parametrize("record", FRAMES, ids=name_of)
def test_c_writes_a_golden_frame_byte_for_byte(lib, record):
    data, want = bytes.fromhex(record["hex"]), record["fields"]
    payload = data[HEADER_BYTES:-CRC_BYTES]
    header = (data[0] & 15, want["flags"], len(payload), want["address"], want["seq"], want["xfer"], want["offset"])
    out = ctypes.create_string_buffer(len(data))
    made = lib.byz_test_frame_encode((ctypes.c_uint32 * 7)(*header), payload, out, ctypes.c_uint64(len(data)))
    assert out.raw[:made] == data


@pytest.mark.parametrize("record", REJECTED, ids=name_of)
def test_c_rejects_a_golden_fault_for_the_same_reason(lib, record):
    reject, _ = decode(lib, bytes.fromhex(record["hex"]), record)
    assert Reject(reject - 1).name == record["reject"]


def test_the_records_cover_frames_faults_and_the_line():
    assert len(FRAMES) >= 25
    assert len(REJECTED) >= 10
    assert all("uart" in record for record in FRAMES)


@pytest.mark.parametrize("record", [r for r in FRAMES if "uart" in r], ids=name_of)
def test_c_frames_a_golden_record_for_the_line_and_back(lib, record):
    data, line = bytes.fromhex(record["hex"]), bytes.fromhex(record["uart"])
    out = ctypes.create_string_buffer(len(line) + 8)
    made = lib.byz_test_cobs_encode(data, ctypes.c_uint64(len(data)), out, ctypes.c_uint64(len(out)), 3)
    assert out.raw[:made] == line
    back = ctypes.create_string_buffer(line.strip(b"\0"), len(line.strip(b"\0")))
    size = lib.byz_test_cobs_decode(back, ctypes.c_uint64(len(back)))
    assert back.raw[:size] == data
