"""The record of what an inference costs on the emulated cores: `byzantiny firmware measure` writes it (measuring.py)."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.resources import files
from typing import Any

RECORD = "inference.json"


@lru_cache(maxsize=1)
def record() -> dict[str, Any]:
    """Return what was counted when the sources last changed; empty where nothing is recorded."""
    path = files("byzantiny_firmware").joinpath(RECORD)
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        return {}
    return found


def inference_cost(network: str, core: str, source_sha256: str) -> float | None:
    """Return the recorded instructions of an inference, None unless they were counted on these sources.

    >>> inference_cost("mlp-64-32-10", "m4f", "other sources")
    """
    known = record()
    if known.get("source_sha256") != source_sha256:
        return None
    count = known["instructions"].get(network, {}).get(core)
    return None if count is None else float(count)
