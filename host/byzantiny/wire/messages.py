"""The protocol's definition: message types, ids, sizes and limits (normative prose: docs/wire.md).

Everything another implementation needs is data in this module; `byzantiny_firmware.headers` generates
the C header from it, so a number changed here changes on the device too.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from typing import Final, TypeAlias

PROTO: Final = 1
"""Major version, the high nibble of the first header byte; independent of the package's version."""

HEADER_BYTES: Final = 16
CRC_BYTES: Final = 4
OVERHEAD_BYTES: Final = HEADER_BYTES + CRC_BYTES
CONTROL_MAX_BYTES: Final = 128
"""Largest control payload, whatever DATA maximum was negotiated."""
PAYLOAD_SIZES: Final = (64, 128, 240, 512, 1024, 2048, 4096)
"""The DATA maxima that can be negotiated; over 512 the CRC's Hamming distance falls below 6, so UART stops there."""
UART_PAYLOAD_MAX: Final = 512
DEFAULT_PAYLOAD: Final = 240
WINDOW_CHUNKS: Final = 32
BROADCAST: Final = 0xFFFF
HOST_ADDRESS: Final = 0
MAGIC: Final = b"BYZU"
DATASET_MAGIC: Final = b"BYZD"
DATASET_HEADER_BYTES: Final = 16
TAG_BYTES: Final = 16
SHA_BYTES: Final = 32
CLIENT_ID_BYTES: Final = 16
MANIFEST_BYTES: Final = 112
UPDATE_HEADER_BYTES: Final = MANIFEST_BYTES + TAG_BYTES
OFFER_FIXED_BYTES: Final = 116
MAX_TENSORS: Final = 32
MAX_SHIFT: Final = 12


class Type(enum.IntEnum):
    """Frame types (docs/wire.md 2)."""

    HELLO = 0
    HELLO_ACK = 1
    START = 2
    DATA = 3
    ACK = 4
    COMMIT = 5
    RECEIPT = 6
    ABORT = 7
    ROUND = 8
    LOG = 9
    METRIC = 10
    PING = 11
    RESET_NOTICE = 12


class Flag(enum.IntFlag):
    """Header flags; every other bit is rejected."""

    NONE = 0
    ACK_REQ = 1
    LAST = 2


class Kind(enum.IntEnum):
    """What a transferred object is."""

    OFFER = 1
    MODEL = 2
    UPDATE = 3
    DATASET = 4


class Status(enum.IntEnum):
    """Status of an ACK or an ABORT."""

    OK = 0
    NEED_OFFER = 1
    NEED_MODEL = 2
    UNKNOWN_TRANSFER = 16
    UNSUPPORTED = 17
    BAD_LENGTH = 18
    STALE_ROUND = 19
    WRONG_ROUND = 20
    WRONG_MODEL = 21
    WRONG_KIND = 22
    NO_OFFER = 23


class Verdict(enum.IntEnum):
    """Status of a RECEIPT. ACCEPTED is an input of exactly one aggregation, any other of none."""

    ACCEPTED = 0
    STALE = 1
    DUPLICATE = 2
    CONFLICT = 3
    REJECTED = 4


class Reason(enum.IntEnum):
    """Why a REJECTED object was rejected, by either side."""

    NONE = 0
    BAD_HASH = 1
    BAD_TAG = 2
    STALE_ROUND = 3
    WRONG_ROUND = 4
    UNKNOWN_OFFER = 5
    WRONG_LAYOUT = 6
    BAD_OFFER = 7
    WRONG_LENGTH = 8
    MALFORMED = 9
    UNKNOWN_DEVICE = 10
    WRONG_DEVICE = 11
    UNKNOWN_KEY = 12
    STALE_NONCE = 13
    WRONG_MODEL = 14
    NOT_IN_COHORT = 15
    CODE_RANGE = 16
    NORM = 17
    SAMPLES = 18
    REPLAY = 19  # reserved: nobody gives it; an update is bound to its offer's nonce and counts once a round


class Reject(enum.IntEnum):
    """Why a frame was dropped, in the order of the checks; the counters of METRIC have this order."""

    COBS = 0
    SIZE = 1
    LENGTH = 2
    CRC = 3
    VERSION = 4
    FLAGS = 5
    TYPE = 6
    ADDRESS = 7
    PAYLOAD = 8


class ResetReason(enum.IntEnum):
    """Why the device booted, as far as it knows."""

    POWER_ON = 0
    WATCHDOG = 1
    SOFTWARE = 2
    UNKNOWN = 3


class Cap(enum.IntFlag):
    """Capabilities of a device (HELLO)."""

    NONE = 0
    TRAIN_INT8_SR = 1
    INSTRUCTION_MARKERS = 2


HEADER: Final = struct.Struct("<BBHHHII")
HELLO: Final = struct.Struct("<BBH16s8sIIIIHBBI32s")
HELLO_ACK: Final = struct.Struct("<BBHHHI")
START: Final = struct.Struct("<IB3xII32s")
ACK: Final = struct.Struct("<IIHB")
RECEIPT: Final = struct.Struct("<IBBH32s")
ABORT: Final = struct.Struct("<B3x")
ROUND: Final = struct.Struct("<II32s")
METRIC: Final = struct.Struct("<13I")
PING: Final = struct.Struct("<I")
OFFER_FIXED: Final = struct.Struct("<4sHHIQ16s32s32sIIIBBBB")
MANIFEST: Final = struct.Struct("<4sHHI16sI32sQII32s")
DATASET_HEADER: Final = struct.Struct("<4sIHHI")


@dataclass(frozen=True, slots=True)
class HelloRequest:
    """HELLO from the host: asks for the device's."""


@dataclass(frozen=True, slots=True)
class Hello:
    """HELLO from the device: who it is, what it runs, what it can take."""

    proto_min: int
    proto_max: int
    max_payload: int
    device_id: str
    fw_sha256: bytes
    build_id: int
    caps: int
    max_object: int
    boot_id: int
    rx_credit: int
    reset_reason: int
    n_samples: int
    data_sha256: bytes


@dataclass(frozen=True, slots=True)
class HelloAck:
    """What is in force from now on; the device echoes it."""

    proto: int
    max_payload: int
    credit: int
    boot_id: int


@dataclass(frozen=True, slots=True)
class Start:
    """Opens (or resumes) the transfer of one object."""

    round_num: int
    kind: Kind
    total: int
    chunk: int
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Data:
    """One chunk; its offset is in the header."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Ack:
    """What the receiver holds, and how many chunks it can take."""

    next: int
    sack: int
    credit: int
    status: Status


@dataclass(frozen=True, slots=True)
class Commit:
    """The sender believes the receiver has everything."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """The receiver's verdict on one object."""

    round_num: int
    verdict: Verdict
    reason: Reason
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Abort:
    """The transfer is over."""

    status: Status


@dataclass(frozen=True, slots=True)
class Round:
    """Announces an offer by length and hash, and asks where the device stands."""

    round_num: int
    offer_bytes: int
    offer_sha256: bytes


@dataclass(frozen=True, slots=True)
class Log:
    """A line of text from the device."""

    text: str


@dataclass(frozen=True, slots=True)
class MetricRequest:
    """METRIC from the host: asks for the counters."""


@dataclass(frozen=True, slots=True)
class Metric:
    """Counters since boot; `rejects` in the order of `Reject`."""

    rejects: tuple[int, ...]
    frames_received: int
    frames_sent: int
    training_steps: int
    stack_bytes: int


@dataclass(frozen=True, slots=True)
class Ping:
    """Echoed."""

    nonce: int


@dataclass(frozen=True, slots=True)
class ResetNotice:
    """The host has restarted."""


Message: TypeAlias = (
    HelloRequest
    | Hello
    | HelloAck
    | Start
    | Data
    | Ack
    | Commit
    | Receipt
    | Abort
    | Round
    | Log
    | MetricRequest
    | Metric
    | Ping
    | ResetNotice
)


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded frame: the header's fields and the message."""

    message: Message
    address: int
    seq: int = 0
    xfer: int = 0
    offset: int = 0
    flags: Flag = Flag.NONE


@dataclass(frozen=True, slots=True)
class Offer:
    """The body of an offer object (docs/wire.md 3): one round, bound by one hash."""

    round_num: int
    seed: int
    nonce: bytes
    model_sha256: bytes
    layout_sha256: bytes
    model_bytes: int
    l2_bound: int
    deadline_ms: int
    epochs: int
    lr_shift: int
    shifts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """The head of an update object, which its tag covers."""

    key_id: int
    device_id: str
    round_num: int
    offer_sha256: bytes
    counter: int
    n_samples: int
    payload_bytes: int
    payload_sha256: bytes
