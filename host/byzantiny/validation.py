"""Untrusted object to trusted update, or a named rejection."""

from __future__ import annotations

from dataclasses import dataclass

from byzantiny.wire.messages import Reason


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why an update was refused: the code for the receipt, and a sentence with the value and the limit."""

    reason: Reason
    text: str
