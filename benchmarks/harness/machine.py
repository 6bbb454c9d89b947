"""What a figure is worth nothing without: processor, load, versions."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from byzantiny import kernels


def machine(cpu: int | None) -> dict[str, Any]:
    """The machine as JSON."""
    return {
        "processor": _cpuinfo("model name"),
        "family_model_stepping": "/".join(_cpuinfo(key) for key in ("cpu family", "model\t", "stepping")),
        "cores": os.cpu_count(),
        "pinned_to": cpu,
        "load": [round(x, 2) for x in os.getloadavg()] if hasattr(os, "getloadavg") else [],
        "system": platform.platform(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "byzantiny": metadata.version("byzantiny"),
        "kernels": kernels.backend().variant,
    }


def _cpuinfo(key: str) -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in text.splitlines() if line.startswith(key)), "")
