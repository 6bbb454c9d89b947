"""A real browser opens the page from disk and draws something, on light and on dark paper."""

from __future__ import annotations

import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pytest

from byzantiny.charts.style import DARK, LIGHT

BROWSER = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--window-size=1200,3000",
]

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium on PATH, so the page cannot be looked at")


def first_row(png: bytes) -> tuple[int, int, bytes]:
    """Width, height, and the first pixel of a PNG without interlacing; its filter does not matter there."""
    width, height, depth, colour = struct.unpack(">IIBB", png[16:26])
    at, data = 8, b""
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        data += png[at + 8 : at + 8 + length] if kind == b"IDAT" else b""
        at += length + 12
    assert (depth, colour in {2, 6}) == (8, True)
    return width, height, zlib.decompress(data)[1:4]


@pytest.mark.parametrize(("scheme", "theme"), [(1, LIGHT), (0, DARK)], ids=["light", "dark"])
def test_chromium_draws_the_page(run_dir, page, tmp_path: Path, scheme, theme):
    assert page
    shot = tmp_path / "shot.png"
    command = [
        str(BROWSER),
        *FLAGS,
        f"--blink-settings=preferredColorScheme={scheme}",
        f"--user-data-dir={tmp_path / 'profile'}",
        f"--screenshot={shot}",
        (run_dir / "report.html").as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    assert shot.is_file(), done.stderr.decode(errors="replace")[-800:]
    png = shot.read_bytes()
    width, height, pixel = first_row(png)
    assert (width, height) == (1200, 3000)
    assert pixel == bytes.fromhex(theme.paper[1:])
    assert len(png) > 100_000, "almost nothing was drawn"
