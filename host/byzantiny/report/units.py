"""Numbers as a reader wants them: units written out, thousands apart, no more digits than mean something."""

from __future__ import annotations


def human_bytes(count: float) -> str:
    """Bytes in decimal units, three digits.

    >>> human_bytes(740), human_bytes(48_213), human_bytes(1_250_000)
    ('740 B', '48.2 KB', '1.25 MB')
    """
    for unit in ("B", "KB", "MB", "GB"):
        if count < 999.5 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" or count >= 99.95 else f"{count:#.3g} {unit}"
        count /= 1000
    raise AssertionError("unreachable")


def human_seconds(seconds: float) -> str:
    """A duration, in seconds below two minutes.

    >>> human_seconds(4.21), human_seconds(95), human_seconds(754), human_seconds(7_260)
    ('4.2 s', '95 s', '12 min 34 s', '2 h 1 min')
    """
    if seconds < 119.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def grouped(count: float) -> str:
    """A whole number with its thousands apart by thin spaces, which no locale reads as a decimal mark.

    >>> grouped(1234567)
    '1\u2009234\u2009567'
    """
    return f"{count:,.0f}".replace(",", "\u2009")
