"""Build hook: compiles the native libraries and the firmware images with ziglang (no compiler is needed on the machine)."""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class NativeBuildHook(BuildHookInterface[Any]):
    """Runs before the wheel (editable or not) is put together."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Mark the wheel as platform-specific."""
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
