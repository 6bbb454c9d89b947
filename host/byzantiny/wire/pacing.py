"""When to send again, and in how large pieces: pure, time is an argument (docs/wire.md 6)."""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np

from byzantiny.wire.messages import PAYLOAD_SIZES

LONGEST_S: Final = 2.0
JITTER: Final = 0.2
LATENCY_S: Final = 0.04
"""Covers twice the 16 ms that USB serial adapters hold bytes back."""


class Backoff:
    """Retransmission times: a base that doubles with every silent one up to 2 s, +-20 % from the generator.

    The base is 2 * (outstanding bytes * 10 / baud) + 40 ms on a serial line and `rto_s` elsewhere; one above 2 s
    stays as it is.

    >>> b = Backoff(0.25, None, np.random.default_rng(0))
    >>> [round(b.delay_s(0) / 0.25), (b.fail(), b.fail(), round(b.delay_s(0)))[-1]]
    [1, 1]
    """

    def __init__(self, rto_s: float, baud: int | None, rng: np.random.Generator) -> None:
        self._rto_s = rto_s
        self._baud = baud
        self._rng = rng
        self._tries = 0

    def delay_s(self, outstanding_bytes: int) -> float:
        """Seconds to wait for an answer to what is outstanding (in both directions)."""
        base = self._rto_s if self._baud is None else 20 * outstanding_bytes / self._baud + LATENCY_S
        delay = max(base, min(base * 2.0 ** min(self._tries, 16), LONGEST_S))
        return delay * float(self._rng.uniform(1 - JITTER, 1 + JITTER))

    def fail(self) -> None:
        """Nothing came in time."""
        self._tries += 1

    def succeed(self) -> None:
        """Something new came: back to the base."""
        self._tries = 0


class LinkQuality:
    """The chunk size a link deserves, from PAYLOAD_SIZES and never above `most`.

    One size down when more than 10 % of the last 32 DATA frames had to be sent again, one up after 128 clean ones.
    Raises ValueError when `most` is below the smallest size.

    >>> q = LinkQuality(240)
    >>> for again in [True] * 4 + [False] * 28:
    ...     q.record(again=again)
    >>> q.payload
    128
    """

    WINDOW: Final = 32
    CLEAN: Final = 128

    def __init__(self, most: int) -> None:
        self._sizes = [size for size in PAYLOAD_SIZES if size <= most]
        if not self._sizes:
            raise ValueError(f"a DATA maximum of {most} bytes; at least {PAYLOAD_SIZES[0]} is needed")
        self._at = len(self._sizes) - 1
        self._last: deque[bool] = deque(maxlen=self.WINDOW)
        self._clean = 0

    @property
    def payload(self) -> int:
        """The size to use from the next HELLO_ACK or START on."""
        return self._sizes[self._at]

    def record(self, *, again: bool) -> None:
        """One DATA frame, sent for the first time or again."""
        self._last.append(again)
        self._clean = 0 if again else self._clean + 1
        if len(self._last) == self.WINDOW and 10 * sum(self._last) > self.WINDOW:
            self._move(-1)
        elif self._clean == self.CLEAN:
            self._move(1)

    def _move(self, by: int) -> None:
        self._at = min(max(self._at + by, 0), len(self._sizes) - 1)
        self._last.clear()
        self._clean = 0
