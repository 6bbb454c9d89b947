"""Frames: bytes <-> messages (docs/wire.md 1 and 2). On any bytes a decoder raises WireError or nothing.

The objects inside transfers are `wire.objects`, COBS is `wire.framing`; both are offered here too.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from byzantiny.wire.crc import crc32c
from byzantiny.wire.errors import ObjectError, WireError
from byzantiny.wire.framing import Deframer, cobs_decode, cobs_encode, delimit
from byzantiny.wire.messages import (
    ABORT,
    ACK,
    BROADCAST,
    CONTROL_MAX_BYTES,
    CRC_BYTES,
    HEADER,
    HEADER_BYTES,
    HELLO,
    HELLO_ACK,
    HOST_ADDRESS,
    METRIC,
    OVERHEAD_BYTES,
    PAYLOAD_SIZES,
    PING,
    PROTO,
    RECEIPT,
    ROUND,
    START,
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
    Message,
    Metric,
    MetricRequest,
    Ping,
    Reason,
    Receipt,
    Reject,
    ResetNotice,
    ResetReason,
    Round,
    Start,
    Status,
    Type,
    Verdict,
)
from byzantiny.wire.objects import (
    UpdateParts,
    decode_client_id,
    decode_manifest,
    decode_offer,
    encode_client_id,
    encode_manifest,
    encode_offer,
    split_offer,
    split_update,
)

__all__ = [
    "Deframer", "ObjectError", "UpdateParts", "WireError", "cobs_decode", "cobs_encode", "decode_client_id",
    "decode_frame", "decode_manifest", "decode_offer", "delimit", "encode_client_id", "encode_frame", "encode_manifest",
    "encode_offer", "max_frame_bytes", "split_offer", "split_update",
]  # fmt: skip

_CRC: Final = struct.Struct("<I")
_METRICS: Final = 9
_TYPE_OF: Final[dict[type[object], Type]] = {
    HelloRequest: Type.HELLO, Hello: Type.HELLO, HelloAck: Type.HELLO_ACK, Start: Type.START, Data: Type.DATA,
    Ack: Type.ACK, Commit: Type.COMMIT, Receipt: Type.RECEIPT, Abort: Type.ABORT, Round: Type.ROUND, Log: Type.LOG,
    MetricRequest: Type.METRIC, Metric: Type.METRIC, Ping: Type.PING, ResetNotice: Type.RESET_NOTICE,
}  # fmt: skip
_HOST_ONLY: Final = (HelloRequest, Round, MetricRequest, ResetNotice)
_DEVICE_ONLY: Final = (Hello, Log, Metric)
_OF_A_TRANSFER: Final = frozenset({Type.START, Type.DATA, Type.COMMIT, Type.RECEIPT, Type.ABORT})


def max_frame_bytes(max_payload: int) -> int:
    """The largest frame a side with this DATA maximum has room for, in bytes: 20 + max(128, max_payload).

    >>> max_frame_bytes(64), max_frame_bytes(240)
    (148, 260)
    """
    return OVERHEAD_BYTES + max(CONTROL_MAX_BYTES, max_payload)


def encode_frame(frame: Frame, *, to_device: bool) -> bytes:
    """A frame's bytes without COBS: header[16] | payload | crc[4].

    Raises TypeError when the message does not travel this way, ValueError when a value does not fit its field.

    >>> frame = Frame(Ping(7), address=1)
    >>> encode_frame(frame, to_device=True).hex()
    '1b00040001000000000000000000000007000000bbd851f6'
    >>> decode_frame(encode_frame(frame, to_device=True), from_device=False) == frame
    True
    """
    message = frame.message
    if isinstance(message, _DEVICE_ONLY if to_device else _HOST_ONLY):
        raise TypeError(f"{type(message).__name__} does not go to the {'device' if to_device else 'host'}")
    try:
        payload = _payload(message)
        head = HEADER.pack(
            PROTO << 4 | _TYPE_OF[type(message)], frame.flags, len(payload), frame.address, frame.seq, frame.xfer,
            frame.offset,
        )  # fmt: skip
    except struct.error as error:
        raise ValueError(f"a value of {message} does not fit its field: {error}") from error
    return head + payload + _CRC.pack(crc32c(payload, crc32c(head)))


def _payload(message: Message) -> bytes:
    match message:
        case Data(payload):
            return payload
        case Ack():
            return ACK.pack(message.next, message.sack, message.credit, message.status)
        case Start():
            return START.pack(message.round_num, message.kind, message.total, message.chunk, message.sha256)
        case Receipt():
            return RECEIPT.pack(message.round_num, message.verdict, message.reason, 0, message.sha256)
        case Round():
            return ROUND.pack(message.round_num, message.offer_bytes, message.offer_sha256)
        case HelloAck():
            return HELLO_ACK.pack(message.proto, 0, message.max_payload, message.credit, 0, message.boot_id)
        case Abort(status):
            return ABORT.pack(status)
        case Ping(nonce):
            return PING.pack(nonce)
        case Log(text):
            return text.encode()
        case Metric():
            return METRIC.pack(
                *message.rejects, message.frames_received, message.frames_sent, message.training_steps,
                message.stack_bytes,
            )  # fmt: skip
        case Hello():
            return HELLO.pack(
                message.proto_min, message.proto_max, message.max_payload, encode_client_id(message.device_id),
                message.fw_sha256, message.build_id, message.caps, message.max_object, message.boot_id,
                message.rx_credit, message.reset_reason, 0, message.n_samples, message.data_sha256,
            )  # fmt: skip
        case _:
            return b""


def decode_frame(
    data: bytes,
    *,
    from_device: bool,
    max_payload: int = PAYLOAD_SIZES[-1],
    address: int | None = None,
    max_frame: int = max_frame_bytes(PAYLOAD_SIZES[-1]),
) -> Frame:
    """The frame in `data` (without COBS), checked in the order of `Reject`; raises WireError on anything else.

    `max_payload` is the DATA maximum in force, `max_frame` what the receiver has room for; `address` is the device
    at the other end (host) or the own one (device, which takes BROADCAST too), None any.
    """
    size = len(data)
    if not OVERHEAD_BYTES <= size <= max_frame:
        raise WireError(Reject.SIZE, f"{size} bytes; {OVERHEAD_BYTES} to {max_frame} are possible")
    ver_type, flags, length, to, seq, xfer, offset = HEADER.unpack_from(data)
    if length != size - OVERHEAD_BYTES:
        raise WireError(Reject.LENGTH, f"length says {length}, the frame has {size - OVERHEAD_BYTES}")
    if crc32c(data[:-CRC_BYTES]) != _CRC.unpack_from(data, size - CRC_BYTES)[0]:
        raise WireError(Reject.CRC, "CRC-32C differs")
    if ver_type >> 4 != PROTO:
        raise WireError(Reject.VERSION, f"version {ver_type >> 4}; this side speaks {PROTO}")
    if flags > Flag.ACK_REQ | Flag.LAST:
        raise WireError(Reject.FLAGS, f"flags {flags:#x}; only bits 0 and 1 are defined")
    kind = ver_type & 15
    decoder = (_FROM_DEVICE if from_device else _TO_DEVICE).get(kind)
    if decoder is None:
        raise WireError(Reject.TYPE, f"type {kind} does not go {'to the host' if from_device else 'to a device'}")
    _check_address(to, address, from_device)
    _check_transfer(kind, xfer, offset, from_device)
    payload = data[HEADER_BYTES:-CRC_BYTES]
    if kind == Type.DATA and not 1 <= length <= max_payload:
        raise WireError(Reject.PAYLOAD, f"DATA of {length} bytes; 1 to {max_payload} are in force")
    try:
        message = decoder(payload)
    except (struct.error, ValueError) as error:
        raise WireError(Reject.PAYLOAD, f"{Type(kind).name} of {length} bytes: {error}") from error
    return Frame(message, to, seq, xfer, offset, Flag(flags))


def _check_address(to: int, address: int | None, from_device: bool) -> None:
    if to == HOST_ADDRESS or (from_device and to == BROADCAST):
        raise WireError(Reject.ADDRESS, f"address {to} is no device")
    if address is not None and to != address and to != BROADCAST:
        raise WireError(Reject.ADDRESS, f"address {to}; {address} is expected")


def _check_transfer(kind: int, xfer: int, offset: int, from_device: bool) -> None:
    if offset and kind != Type.DATA:
        raise WireError(Reject.PAYLOAD, f"offset {offset} in {Type(kind).name}; it must be 0")
    if kind == Type.ACK:
        if not xfer and not from_device:
            raise WireError(Reject.PAYLOAD, "xfer 0 in an ACK of the host; it must not be 0")
    elif (xfer != 0) != (kind in _OF_A_TRANSFER):
        raise WireError(Reject.PAYLOAD, f"xfer {xfer} in {Type(kind).name}; 0 and not 0 are mixed up")


def _zero(*values: int) -> None:
    if any(values):
        raise ValueError("a reserved byte is not zero")


def _hello(payload: bytes) -> Message:
    low, high, most, name, fw, build, caps, largest, boot, credit, reset, zero, samples, sha = HELLO.unpack(payload)
    _zero(zero)
    device_id = decode_client_id(name)
    return Hello(low, high, most, device_id, fw, build, caps, largest, boot, credit, ResetReason(reset), samples, sha)


def _hello_ack(payload: bytes) -> Message:
    proto, zero, max_payload, credit, zero_too, boot_id = HELLO_ACK.unpack(payload)
    _zero(zero, zero_too)
    return HelloAck(proto, max_payload, credit, boot_id)


def _start(payload: bytes) -> Message:
    round_num, kind, total, chunk, sha256 = START.unpack(payload)
    _zero(*payload[5:8])
    return Start(round_num, Kind(kind), total, chunk, sha256)


def _ack(payload: bytes) -> Message:
    following, sack, credit, status = ACK.unpack(payload)
    return Ack(following, sack, credit, Status(status))


def _receipt(payload: bytes) -> Message:
    round_num, verdict, reason, zero, sha256 = RECEIPT.unpack(payload)
    _zero(zero)
    return Receipt(round_num, Verdict(verdict), Reason(reason), sha256)


def _abort(payload: bytes) -> Message:
    (status,) = ABORT.unpack(payload)
    _zero(*payload[1:])
    return Abort(Status(status))


def _log(payload: bytes) -> Message:
    if not 1 <= len(payload) <= CONTROL_MAX_BYTES:
        raise ValueError(f"1 to {CONTROL_MAX_BYTES} bytes are possible")
    return Log(payload.decode())


def _metric(payload: bytes) -> Message:
    values = METRIC.unpack(payload)
    return Metric(values[:_METRICS], *values[_METRICS:])


def _empty(message: Message) -> Callable[[bytes], Message]:
    def decode(payload: bytes) -> Message:
        if payload:
            raise ValueError("it must be empty")
        return message

    return decode


_BOTH: Final[dict[int, Callable[[bytes], Message]]] = {
    Type.HELLO_ACK: _hello_ack,
    Type.START: _start,
    Type.DATA: Data,
    Type.ACK: _ack,
    Type.COMMIT: _empty(Commit()),
    Type.RECEIPT: _receipt,
    Type.ABORT: _abort,
    Type.PING: lambda payload: Ping(*PING.unpack(payload)),
}
_FROM_DEVICE: Final = {**_BOTH, Type.HELLO: _hello, Type.LOG: _log, Type.METRIC: _metric}
_TO_DEVICE: Final = {
    **_BOTH,
    Type.HELLO: _empty(HelloRequest()),
    Type.METRIC: _empty(MetricRequest()),
    Type.ROUND: lambda payload: Round(*ROUND.unpack(payload)),
    Type.RESET_NOTICE: _empty(ResetNotice()),
}
