"""Frames in C: equal to the Python codec on every kind of frame, and deaf to errors."""

from __future__ import annotations

import ctypes
import random
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from byzantiny.wire.codec import decode_frame, delimit, encode_frame
from byzantiny.wire.crc import crc32c
from byzantiny.wire.errors import WireError
from byzantiny.wire.messages import (
    Abort,
    Ack,
    Commit,
    Data,
    Flag,
    Frame,
    Hello,
    HelloAck,
    HelloRequest,
    Kind,
    Log,
    Metric,
    MetricRequest,
    Ping,
    Reason,
    Receipt,
    ResetNotice,
    ResetReason,
    Round,
    Start,
    Status,
    Type,
    Verdict,
)
from byzantiny_firmware import build, library, zigcc

U64 = ctypes.c_uint64
SHA = bytes(range(32))
TO_DEVICE, FROM_DEVICE = 0, 1


def _samples():
    both = [
        (HelloAck(1, 240, 32, 7), 0), (Start(3, Kind.MODEL, 4904, 240, SHA), 9), (Data(bytes(40) + SHA), 9),
        (Ack(480, 0b100, 32, Status.OK), 9), (Commit(), 9),
        (Receipt(3, Verdict.REJECTED, Reason.NORM, SHA), 9), (Abort(Status.NO_OFFER), 9), (Ping(0xDEADBEEF), 0),
    ]  # fmt: skip
    to_device = [(HelloRequest(), 0), (Round(3, 136, SHA), 0), (MetricRequest(), 0), (ResetNotice(), 0)]
    hello = Hello(1, 1, 240, "dev-01", b"firmware", 1, 3, 65_536, 7, 32, ResetReason.POWER_ON, 40, SHA)
    metric = Metric(tuple(range(9)), 100, 101, 102, 103)
    from_device = [(hello, 0), (Log("trained: 97,7 % °"), 0), (metric, 0), (Ack(0, 0, 32, Status.NEED_OFFER), 0)]
    for direction, messages in ((TO_DEVICE, both + to_device), (FROM_DEVICE, both + from_device)):
        for seq, (message, xfer) in enumerate(messages):
            data = isinstance(message, Data)
            frame = Frame(message, 5, seq, xfer, 240 if data else 0, Flag.ACK_REQ if data else Flag.NONE)
            yield direction, frame, encode_frame(frame, to_device=direction == TO_DEVICE)


SAMPLES = list(_samples())


@pytest.fixture(scope="module")
def lib():
    return library.load()


def _decode_c(lib, data, direction, *, address=0, data_max=4096):
    fields = (ctypes.c_uint32 * 7)()
    reject = lib.byz_test_frame_decode(data, U64(len(data)), direction, address, data_max, fields)
    return ("reject", reject - 1) if reject else ("frame", tuple(fields))


def _decode_python(data, direction, *, address=None, data_max=4096):
    try:
        frame = decode_frame(data, from_device=direction == FROM_DEVICE, max_payload=data_max, address=address)
    except WireError as error:
        return ("reject", int(error.reject))
    return (
        "frame",
        (data[0] & 15, int(frame.flags), len(data) - 20, frame.address, frame.seq, frame.xfer, frame.offset),
    )


def _seal(body):
    return bytes(body) + struct.pack("<I", crc32c(bytes(body)))


def test_the_samples_cover_every_type():
    assert {sample[0] & 15 for _, _, sample in SAMPLES} == {int(t) for t in Type}


@pytest.mark.parametrize(("direction", "frame", "sample"), SAMPLES, ids=lambda value: "")
def test_a_frame_decodes_and_encodes_as_in_python(lib, direction, frame, sample):
    assert _decode_c(lib, sample, direction) == _decode_python(sample, direction)
    fields = (ctypes.c_uint32 * 7)(
        sample[0] & 15, frame.flags, len(sample) - 20, frame.address, frame.seq, frame.xfer, frame.offset
    )
    out = ctypes.create_string_buffer(len(sample))
    assert lib.byz_test_frame_encode(fields, sample[16:-4], out, U64(len(sample))) == len(sample)
    assert out.raw == sample
    assert lib.byz_test_frame_encode(fields, sample[16:-4], out, U64(len(sample) - 1)) == -2


def test_every_byte_of_every_frame_at_every_value_is_judged_as_in_python(lib):
    # The CRC is made right again, so the checks behind it are reached.
    for direction, _, sample in SAMPLES:
        for at in range(len(sample) - 4):
            for value in range(0, 256, 1 if at < 16 else 7):
                body = bytearray(sample[:-4])
                body[at] = value
                data = _seal(body)
                assert _decode_c(lib, data, direction) == _decode_python(data, direction), (sample.hex(), at, value)


@pytest.mark.parametrize("own", [None, 1, 5, 65_534])
def test_every_kind_of_address_is_judged_as_in_python(lib, own):
    for direction, _, sample in SAMPLES:
        for address in (0, 1, 4, 5, 6, 256, 65_534, 65_535):
            body = bytearray(sample[:-4])
            struct.pack_into("<H", body, 4, address)
            data = _seal(body)
            assert _decode_c(lib, data, direction, address=own or 0) == _decode_python(data, direction, address=own)


def test_every_length_of_payload_is_judged_as_in_python(lib):
    for direction, _, sample in SAMPLES:
        for length in [*range(140), 240, 241, 4095, 4096, 4097]:
            body = bytearray(sample[:16] + (sample[16:-4] + b"a" * length)[:length])
            struct.pack_into("<H", body, 2, length)
            data = _seal(body)
            for data_max in (64, 4096):
                assert _decode_c(lib, data, direction, data_max=data_max) == _decode_python(
                    data, direction, data_max=data_max
                )


def test_random_frames_are_judged_as_in_python(lib):
    source = random.Random(9)
    for _ in range(30_000):
        direction, _, sample = source.choice(SAMPLES)
        body = bytearray(sample[:-4])
        for _ in range(source.randrange(4)):
            body[source.randrange(len(body))] = source.choice([0, 1, 2, 255, source.randrange(256)])
        data = _seal(body) if source.random() < 0.9 else source.randbytes(source.randrange(60))
        address = source.choice([None, 5, 6])
        mine = _decode_c(lib, data, direction, address=address or 0)
        assert mine == _decode_python(data, direction, address=address), data.hex()


def test_log_text_is_judged_as_pythons_utf8(lib):
    header = bytearray(next(sample for _, frame, sample in SAMPLES if isinstance(frame.message, Log))[:16])
    source = random.Random(10)
    pool = [b"\x00", b"a", b"\x7f", b"\x80", b"\xbf", b"\xc1", b"\xc2", b"\xdf", b"\xe0", b"\xa0", b"\x9f", b"\xed", b"\xef",
            b"\xf0", b"\x90", b"\x8f", b"\xf4", b"\xf5", "é".encode(), "€".encode(), "😀".encode()]  # fmt: skip
    for _ in range(20_000):
        text = b"".join(source.choices(pool, k=source.randrange(1, 6)))
        struct.pack_into("<H", header, 2, len(text))
        data = _seal(header + text)
        assert _decode_c(lib, data, FROM_DEVICE) == _decode_python(data, FROM_DEVICE), text


def _compile(tmp_path, name, sanitize):
    parts = [
        "rng",
        "train",
        "dense",
        "conv",
        "pool",
        "scope",
        "codes",
        "cobs",
        "crc32c",
        "sha256",
        "hmac",
        "frame",
        "tables",
        "networks",
    ]
    sources = [str(build.CORE / folder / f"byz_{part}.c") for part in parts for folder in (".", "generated")]
    sources = [source for source in sources if Path(source).is_file()]
    program = tmp_path / name
    harness = Path(__file__).with_name("c") / f"{name}.c"
    arguments = [*build.STRICT, "-Werror", "-O2", f"-I{build.CORE}", str(harness), *sources, "-o", str(program)]
    if sanitize:
        arguments += [f"-fsanitize={sanitize}", "-fno-sanitize-recover=all"]
    if "address" in sanitize:
        compiler = shutil.which("gcc") or shutil.which("clang")
        if compiler is None:
            pytest.skip("the address sanitizer needs gcc or clang; neither is on PATH")
        command = [compiler, *arguments]
    else:
        command = [*zigcc.compiler(), *arguments, "-DBYZ_NATIVE", *([] if sanitize else ["-fno-sanitize=undefined"])]
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=zigcc.environment())
    assert result.returncode == 0, result.stderr
    return program


def _trials(n, pairs):
    """One of the sample, all one-bit errors (and two-bit ones), replacements, drops and insertions in n bytes."""
    return 1 + 8 * n + (8 * n * (8 * n - 1) // 2 if pairs else 0) + 255 * n + n + 256 * (n + 1)


@pytest.mark.parametrize("sanitize", ["", "address,undefined"])
def test_no_error_on_the_line_delivers_a_wrong_frame(tmp_path, sanitize):
    program = _compile(tmp_path, "frame_errors", sanitize)
    seen: set[int] = set()
    records, expected = [], []
    for direction, _, sample in SAMPLES:
        # Two-bit errors once for every type, in the fast build: some 10^6 trials.
        pairs = not sanitize and sample[0] & 15 not in seen
        seen.add(sample[0] & 15)
        records.append(struct.pack("<BBI", direction, pairs, len(sample)) + sample)
        expected += [[0, _trials(len(sample), pairs)], [1, _trials(len(delimit(sample)), pairs)]]
    result = subprocess.run([program], input=b"".join(records), capture_output=True, check=False)
    assert result.returncode == 0, result.stderr.decode()[-2000:]
    rows = [[int(word) for word in line.split()] for line in result.stdout.decode().splitlines()]
    assert [row[:2] for row in rows] == expected
    assert all(wrong == 0 for _, _, _, wrong in rows)


@pytest.mark.parametrize("sanitize", ["undefined", "address,undefined"])
def test_the_core_has_no_undefined_behaviour_at_the_limits(tmp_path, sanitize):
    program = _compile(tmp_path, "selftest", sanitize)
    result = subprocess.run([program], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    # The same bytes whatever compiled it; pinned, so that a change of arithmetic is a decision.
    assert result.stdout.split() == [
        "004699916396e9972d89c859561e311f3933f5546f9310982fa7fc5e15773f60",
        "8484ddee0673e0464adcf8b2f7c52cac388e06c2cba718340e8d23fc7f9600e8",
    ]
