"""pytest plugin: `--board NAME` runs the conformance set on a board of `boards.toml`."""

from __future__ import annotations
