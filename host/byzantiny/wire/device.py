"""The device's side of the wire: a function from received frames to sent frames (docs/wire.md 5).

Purely reactive: no clock, no thread, no randomness but its boot_id. The same behaviour as the C core, frame for frame.
It never trains: `on_frame` says when training is due, and `provide` takes the codes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from byzantiny.wire.auth import manifest_for, seal_update, verify
from byzantiny.wire.codec import WireError, decode_frame, encode_frame, max_frame_bytes
from byzantiny.wire.identity import DeviceIdentity, TrainRequest, transfer_id
from byzantiny.wire.messages import (
    CONTROL_MAX_BYTES,
    PAYLOAD_SIZES,
    PROTO,
    Abort,
    Ack,
    Commit,
    Data,
    Flag,
    Frame,
    HelloAck,
    HelloRequest,
    Kind,
    Log,
    Message,
    Metric,
    MetricRequest,
    Offer,
    Ping,
    Reason,
    Receipt,
    Reject,
    ResetNotice,
    Round,
    Start,
    Status,
    Verdict,
)
from byzantiny.wire.objects import OFFER_OBJECT_MAX_BYTES, OFFER_OBJECT_MIN_BYTES, judge_offer, split_offer
from byzantiny.wire.transfer import Outgoing, Receiver, Sender

__all__ = ["DeviceIdentity", "DeviceMachine", "TrainRequest"]


@dataclass(frozen=True, slots=True)
class _Accepted:
    offer: Offer
    body: bytes
    sha256: bytes


@dataclass(frozen=True, slots=True)
class _Update:
    start: Start
    blob: bytes


class DeviceMachine:
    """One device. Frames are whole and without COBS; every method returns the frames to send, in order.

    >>> from byzantiny.wire.auth import derive_keys
    >>> identity = DeviceIdentity(
    ...     "dev-01", derive_keys(bytes(32)), 1, 77, 240, 32, bytes(8), 1, 1, 65536, 60, bytes(32), bytes(32), 4, 2, 1)
    >>> machine = DeviceMachine(identity)
    >>> decode_frame(machine.banner(), from_device=True).message.boot_id
    77
    >>> machine.on_frame(b"noise"), machine.metric().rejects[Reject.SIZE]
    (([], None), 1)
    """

    def __init__(self, identity: DeviceIdentity) -> None:
        self.identity = identity
        self._max_payload = 0
        """The DATA maximum in force; 0 while the session is closed."""
        self._announced: Round | None = None
        self._accepted: _Accepted | None = None
        self._model: tuple[bytes, bytes] | None = None
        """SHA-256 and bytes of the model held."""
        self._training: TrainRequest | None = None
        self._update: _Update | None = None
        self._receiver: Receiver | None = None
        self._sender: Sender | None = None
        self._done: tuple[int, Receipt] | None = None
        """The transfer received last, and its receipt."""
        self._rejects = [0] * len(Reject)
        self._received = self._sent = self._steps = self._uploads = self._transfers = 0

    def banner(self) -> bytes:
        """The unasked HELLO of a power-on."""
        return self._frame(self.identity.hello())

    def on_frame(self, data: bytes) -> tuple[list[bytes], TrainRequest | None]:
        """Answer one frame; with a request, train and call `provide`. Never raises, whatever the bytes."""
        own = self.identity
        try:
            frame = decode_frame(
                data,
                from_device=False,
                max_payload=self._max_payload or own.max_payload,
                address=own.address,
                max_frame=max_frame_bytes(own.max_payload),
            )
        except WireError as error:
            self.count_reject(error.reject)
            return [], None
        self._received += 1
        before = self._training
        answers = self._dispatch(frame)
        request = self._training if self._training is not before else None
        return answers, request

    def provide(
        self, codes: bytes | npt.NDArray[np.int8], n_samples: int, *, offer_body: bytes | None = None
    ) -> list[bytes]:
        """Training is done: the codes (d int8) become the update, and START is sent.

        Nothing happens without a request under way, or where `offer_body` is not that request's: an offer accepted
        meanwhile has made the codes worthless. Raises ValueError when there are not d codes.
        """
        own, request, raw = self.identity, self._training, bytes(codes)
        if len(raw) != own.d:
            raise ValueError(f"{len(raw)} codes; the layout has {own.d} coordinates")
        if request is None or self._accepted is None or offer_body not in (None, request.offer_body):
            return []
        self._training = None
        self._uploads += 1
        self._steps += request.offer.epochs * n_samples
        manifest = manifest_for(
            own.client_id, request.offer.round_num, self._accepted.sha256, own.boot_id << 32 | self._uploads,
            n_samples, raw, own.key_id,
        )  # fmt: skip
        return self.submit(request.offer.round_num, seal_update(manifest, own.keys.up, raw))

    @property
    def sending(self) -> bool:
        """Whether an update is on its way, and neither receipted nor given up."""
        return self._sender is not None

    def submit(self, round_num: int, blob: bytes) -> list[bytes]:
        """Send these bytes as the update of a round, whatever they are: `provide` with an honest object is this."""
        self._training = self._sender = None
        digest = hashlib.sha256(blob).digest()
        self._update = _Update(Start(round_num, Kind.UPDATE, len(blob), 1, digest), blob)
        return self._send_update() if self._max_payload else []

    def say(self, text: str) -> bytes:
        """A LOG frame, cut to 128 bytes at a character's boundary; raises ValueError on an empty text."""
        raw = text.encode()[:CONTROL_MAX_BYTES]
        if not raw:
            raise ValueError("a log line of 0 bytes; at least 1 is needed")
        return self._frame(Log(raw.decode(errors="ignore")))

    def count_reject(self, reject: Reject) -> None:
        """Count a frame that did not pass; the link calls it for COBS and SIZE."""
        self._rejects[reject] += 1

    def metric(self) -> Metric:
        """The counters since boot."""
        return Metric(tuple(self._rejects), self._received, self._sent, self._steps, 0)

    def _dispatch(self, frame: Frame) -> list[bytes]:
        match frame.message:
            case HelloRequest():
                return [self._frame(self.identity.hello())]
            case ResetNotice():
                self._max_payload = 0
                self._receiver = self._sender = None
                return [self._frame(self.identity.hello())]
            case Ping() as ping:
                return [self._frame(ping)]
            case MetricRequest():
                return [self._frame(self.metric())]
            case HelloAck() as terms:
                return [self._frame(self._on_terms(terms))]
        if not self._max_payload:
            return [self._frame(self.identity.hello())]
        match frame.message:
            case Round() as announcement:
                return self._on_round(announcement)
            case Start() as start:
                return [self._frame(self._on_start(frame.xfer, start), frame.xfer)]
            case Data(payload):
                return self._on_data(frame, payload)
            case Commit():
                return self._on_commit(frame.xfer)
            case Ack() as ack:
                return self._on_ack(frame.xfer, ack)
        self._on_end(frame)
        return []

    def _on_terms(self, terms: HelloAck) -> Message:
        own = self.identity
        if (
            terms.proto != PROTO
            or terms.boot_id != own.boot_id
            or terms.max_payload not in PAYLOAD_SIZES
            or terms.max_payload > own.max_payload
            or terms.credit < 1
        ):
            return self.identity.hello()
        self._max_payload = terms.max_payload
        self._sender = None
        return terms

    def _on_round(self, announcement: Round) -> list[bytes]:
        accepted = self._accepted
        if accepted is not None and announcement.round_num < accepted.offer.round_num:
            return [self._frame(self._ack(Status.STALE_ROUND))]
        self._announced = announcement
        if accepted is None or announcement.offer_sha256 != accepted.sha256:
            return [self._frame(self._ack(Status.NEED_OFFER))]
        if self._update is not None:
            return self._send_update()
        return [self._frame(self._ack(Status.OK if self._training else Status.NEED_MODEL))]

    def _on_start(self, xfer: int, start: Start) -> Message:
        refusal = self._refusal(start)
        if refusal is not None:
            return Abort(refusal)
        if self._receiver is not None and self._receiver.is_of(start):
            self._receiver.resume(xfer, start)
        elif start.kind == Kind.MODEL:
            if self._model is not None and self._model[0] != start.sha256:
                self._model = None  # the core has one buffer for it
            self._receiver = Receiver(xfer, start, held=self._model[1] if self._model else None)
        else:
            self._receiver = Receiver(xfer, start)
        return self._receiver.ack(self.identity.rx_credit)

    def _refusal(self, start: Start) -> Status | None:
        if start.kind == Kind.OFFER:
            status = self._offer_refusal(start)
        elif start.kind == Kind.MODEL:
            status = self._model_refusal(start)
        else:
            status = Status.WRONG_KIND
        if status is None and not 1 <= start.chunk <= self._max_payload:
            return Status.BAD_LENGTH
        return status

    def _offer_refusal(self, start: Start) -> Status | None:
        announced = self._announced
        if announced is None:
            return Status.NO_OFFER
        if start.total != announced.offer_bytes or not OFFER_OBJECT_MIN_BYTES <= start.total <= OFFER_OBJECT_MAX_BYTES:
            return Status.BAD_LENGTH
        return None if start.round_num == announced.round_num else Status.WRONG_ROUND

    def _model_refusal(self, start: Start) -> Status | None:
        if self._accepted is None:
            return Status.NO_OFFER
        offer = self._accepted.offer
        if start.round_num != offer.round_num:
            return Status.WRONG_ROUND
        if start.sha256 != offer.model_sha256:
            return Status.WRONG_MODEL
        return None if start.total == offer.model_bytes else Status.BAD_LENGTH

    def _on_data(self, frame: Frame, payload: bytes) -> list[bytes]:
        receiver = self._receiver
        if receiver is None or receiver.xfer != frame.xfer:
            return [self._frame(Abort(Status.UNKNOWN_TRANSFER), frame.xfer)]
        fresh = receiver.on_data(frame.offset, payload)
        if fresh and not receiver.sack and not frame.flags & Flag.ACK_REQ:
            return []
        return [self._frame(receiver.ack(self.identity.rx_credit), frame.xfer)]

    def _on_commit(self, xfer: int) -> list[bytes]:
        receiver = self._receiver
        if receiver is None or receiver.xfer != xfer:
            if self._done is not None and self._done[0] == xfer:
                return [self._frame(self._done[1], xfer)]
            return [self._frame(Abort(Status.UNKNOWN_TRANSFER), xfer)]
        if not receiver.complete:
            return [self._frame(receiver.ack(self.identity.rx_credit), xfer)]
        self._receiver = None
        start, blob = receiver.start, receiver.data()
        intact = hashlib.sha256(blob).digest() == start.sha256
        take = self._take_offer if start.kind == Kind.OFFER else self._take_model
        reason = take(start.sha256, blob) if intact else Reason.BAD_HASH
        verdict = Verdict.REJECTED if reason else Verdict.ACCEPTED
        receipt = Receipt(start.round_num, verdict, reason, start.sha256)
        self._done = (xfer, receipt)
        answers = [self._frame(receipt, xfer)]
        if start.kind == Kind.MODEL and not reason and self._update is not None:
            answers += self._send_update()
        return answers

    def _take_offer(self, _: bytes, blob: bytes) -> Reason:
        assert self._announced is not None, "START of an offer needs an announcement"
        body, tag = split_offer(blob)
        own, accepted = self.identity, self._accepted
        if not verify(own.keys.down, body, tag):
            return Reason.BAD_TAG
        judged = judge_offer(
            body, self._announced, own.layout_sha256, own.model_bytes, own.n_tensors,
            oldest=accepted.offer.round_num if accepted else 0,
        )  # fmt: skip
        if isinstance(judged, Reason):
            return judged
        if own.shifts_fit is not None and not own.shifts_fit(judged.shifts):
            return Reason.BAD_OFFER
        digest = self._announced.offer_sha256
        if accepted is None or accepted.sha256 != digest:
            self._accepted = _Accepted(judged, body, digest)
            self._update = self._training = self._sender = None
        return Reason.NONE

    def _take_model(self, digest: bytes, blob: bytes) -> Reason:
        assert self._accepted is not None, "START of a model needs an accepted offer"
        fits = self.identity.model_fits
        if fits is not None and not fits(blob):
            return Reason.MALFORMED
        self._model = (digest, blob)
        if self._update is None and self._training is None:
            self._training = TrainRequest(self._accepted.offer, self._accepted.body, blob)
        return Reason.NONE

    def _on_ack(self, xfer: int, ack: Ack) -> list[bytes]:
        sender = self._sender
        if sender is None or sender.xfer != xfer:
            return [self._frame(Abort(Status.UNKNOWN_TRANSFER), xfer)]
        answers = [self._outgoing(out, xfer) for out in sender.on_ack_eagerly(ack)]
        if sender.ended is not None:
            self._sender = None
        return answers

    def _on_end(self, frame: Frame) -> None:
        """RECEIPT ends a sending transfer, ABORT either."""
        if self._sender is not None and self._sender.xfer == frame.xfer:
            self._sender = None
        elif self._receiver is not None and self._receiver.xfer == frame.xfer and isinstance(frame.message, Abort):
            self._receiver = None

    def _send_update(self) -> list[bytes]:
        assert self._update is not None, "the caller has an update"
        if self._sender is None:
            xfer = 0
            while not xfer:
                self._transfers += 1
                xfer = transfer_id(self._transfers, self.identity.boot_id, self.identity.address)
            base = self._update.start
            start = Start(base.round_num, base.kind, base.total, self._max_payload, base.sha256)
            self._sender = Sender(xfer, start, self._update.blob)
        return [self._frame(self._sender.start, self._sender.xfer)]

    def _ack(self, status: Status) -> Ack:
        return Ack(0, 0, self.identity.rx_credit, status)

    def _outgoing(self, out: Outgoing, xfer: int) -> bytes:
        return self._frame(out.message, xfer, out.offset, out.flags)

    def _frame(self, message: Message, xfer: int = 0, offset: int = 0, flags: Flag = Flag.NONE) -> bytes:
        frame = Frame(message, self.identity.address, self._sent & 0xFFFF, xfer, offset, flags)
        self._sent += 1
        return encode_frame(frame, to_device=False)
