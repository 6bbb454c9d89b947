"""The one exception family of the wire."""

from __future__ import annotations

from byzantiny.errors import ByzantinyError
from byzantiny.wire.messages import Reason, Reject


class WireError(ByzantinyError):
    """Bytes that are not a valid frame; `reject` names the first check that failed.

    >>> WireError(Reject.CRC, "checksum differs").reject.name
    'CRC'
    """

    def __init__(self, reject: Reject, text: str) -> None:
        super().__init__(f"{reject.name.lower()}: {text}")
        self.reject = reject


class ObjectError(WireError):
    """A transferred object (offer, manifest, update) that is malformed; `reason` is what a RECEIPT would say."""

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(Reject.PAYLOAD, text)
        self.reason = reason
