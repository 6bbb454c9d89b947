"""Output that no encoding can stop: what a terminal's or a log's encoding cannot carry is said in ASCII."""

from __future__ import annotations

import codecs
import io
import sys

PLAIN = "byzantiny-plain"
"""The name of the error handler for `str.encode` and for streams."""
_SIGNS = {
    "≥": ">=", "≤": "<=", "±": "+-", "–": "-", "—": "-", "−": "-", "→": "->", "×": "x", "·": "-", "•": "-", "…": "~",
    "“": '"', "”": '"', "‘": "'", "’": "'", "▲": "^", "\u2009": " ", "\u202f": " ", "\xa0": " ",
}  # fmt: skip
_BESIDE_A_WORD = "✓✗"
"""Signs that the word after them repeats; they go, with the space between."""


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text, end = error.object, error.start + 1
    sign = text[error.start]
    if sign in _BESIDE_A_WORD:
        return "", end + (text[end : end + 1] == " ")
    return _SIGNS.get(sign, "?"), end


codecs.register_error(PLAIN, _plain)


def carried(text: str, encoding: str) -> str:
    """Text as a stream of this encoding will show it, so that a table can be laid out with its true widths.

    >>> carried("≥ 95 % ✓ met, ± 0.5", "ascii"), carried("± ≥ ✓ ł", "latin-1"), carried("≥ 95 % ✓ met", "utf-8")
    ('>= 95 % met, +- 0.5', '± >= ?', '≥ 95 % ✓ met')
    """
    return text.encode(encoding, PLAIN).decode(encoding)


def never_fail_on_encoding() -> None:
    """Have standard output and error replace what their encoding cannot carry."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=PLAIN)
