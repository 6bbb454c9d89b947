"""From a specification to an SVG that can share a page with others, or to a PNG; nothing is fetched."""

from __future__ import annotations

import re
import struct
import zlib
from typing import Any

from byzantiny.charts.style import Spec
from byzantiny.errors import ByzantinyError

VEGA_LITE = "5.21"
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_ID = re.compile(r'\bid="([^"]+)"')
_NAMESPACES = re.compile(r' xmlns(?::xlink)?="[^"]*"')
_SIZE = re.compile(r'<svg\b[^>]*?\bwidth="([\d.]+)" height="([\d.]+)"')


class ChartError(ByzantinyError):
    """A picture that cannot be made: the engine is missing, or its file cannot be written."""


def engine() -> Any:
    """The engine that draws.

    Raises ChartError where vl-convert-python is missing.
    """
    try:
        import vl_convert
    except ImportError as error:
        remedy = "install it with: pip install 'byzantiny[report]'"
        raise ChartError(f"a picture needs vl-convert-python, which is not installed; {remedy}") from error
    return vl_convert


def svg(spec: Spec, prefix: str) -> str:
    """The chart as an inline `<svg>` whose ids begin with `prefix`.

    Raises ChartError where vl-convert-python is missing.
    """
    text: str = engine().vegalite_to_svg(spec, vl_version=VEGA_LITE, allowed_base_urls=[])
    return prefix_ids(_NAMESPACES.sub("", text, count=2), prefix)


def standalone_svg(spec: Spec) -> str:
    """The chart as an SVG file of its own.

    Raises ChartError where vl-convert-python is missing.
    """
    text: str = engine().vegalite_to_svg(spec, vl_version=VEGA_LITE, allowed_base_urls=[])
    return text


def png(spec: Spec, scale: float = 2.0) -> bytes:
    """The chart as PNG, `scale` device pixels to the CSS pixel.

    Raises ChartError where vl-convert-python is missing.
    """
    return pressed(engine().vegalite_to_png(spec, vl_version=VEGA_LITE, scale=scale, allowed_base_urls=[]))


def pressed(data: bytes) -> bytes:
    """The same PNG with its pixels compressed as far as zlib can: a third to a quarter of what the engine writes.

    Source: W3C, Portable Network Graphics, 5.3 (chunks: length, type, data, CRC).
    """
    chunks: list[tuple[bytes, bytes]] = []
    at = len(_SIGNATURE)
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        chunks.append((kind, data[at + 8 : at + 8 + length]))
        at += 12 + length
    pixels = zlib.compress(zlib.decompress(b"".join(part for kind, part in chunks if kind == b"IDAT")), 9)
    first = next(i for i, (kind, _) in enumerate(chunks) if kind == b"IDAT")
    kept = [chunk for chunk in chunks if chunk[0] != b"IDAT"]
    kept.insert(first, (b"IDAT", pixels))
    return _SIGNATURE + b"".join(
        struct.pack(">I", len(part)) + kind + part + struct.pack(">I", zlib.crc32(kind + part)) for kind, part in kept
    )


def prefix_ids(text: str, prefix: str) -> str:
    """Make the ids of one SVG its own: every figure calls its clip path `clip1`, and on one page the first would win.

    >>> prefix_ids('<g clip-path="url(#clip1)"/><clipPath id="clip1"/>', "a-")
    '<g clip-path="url(#a-clip1)"/><clipPath id="a-clip1"/>'
    """
    for name in set(_ID.findall(text)):
        quoted = re.escape(name)
        text = re.sub(rf'\bid="{quoted}"', f'id="{prefix}{name}"', text)
        text = re.sub(rf"url\(#{quoted}\)", f"url(#{prefix}{name})", text)
        text = re.sub(rf'href="#{quoted}"', f'href="#{prefix}{name}"', text)
    return text


def size(text: str) -> tuple[float, float]:
    """Width and height of an SVG in CSS pixels.

    >>> size('<svg class="marks" width="20" height="10.5">')
    (20.0, 10.5)
    """
    match = _SIZE.search(text)
    if match is None:
        raise ValueError("an SVG without width and height")
    return float(match[1]), float(match[2])
