"""Build hook: compiles the native libraries and the firmware images with ziglang (no compiler is needed on the machine)."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class NativeBuildHook(BuildHookInterface[Any]):
    """Runs before the wheel (editable or not) is put together."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Compile what is out of date, and mark the wheel as platform-specific."""
        build_data["pure_python"] = False
        # Native code, but none that knows CPython: one wheel serves every version of it.
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"py3-none-{platform}"
        if self.target_name != "wheel":
            return
        # The builder is part of the package that is being built. Its modules import the standard library only, so the
        # build environment needs nothing but hatchling and ziglang.
        sys.path.insert(0, str(Path(self.root) / "firmware_tools"))
        try:
            from byzantiny_firmware import build
        finally:
            sys.path.pop(0)
        for path in build.build_all():
            self.app.display_info(f"built {path.name}")
