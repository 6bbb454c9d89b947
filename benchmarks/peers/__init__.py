"""The peers: which are installed here, in which version, and what they have for a rule."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib import metadata

from harness.contestant import Contestant
from harness.inputs import Inputs

MODULES = {"flwr": "peers.flower", "byzfl": "peers.byzfl_", "byzpy": "peers.byzpy_"}
"""Distribution -> module here that calls it."""

INSTALL = "make bench-peers"
"""What puts them into .venv-peers."""

ARITHMETIC = ("numpy", "scipy", "torch")
"""What the peers compute with; its versions are printed with theirs."""


@dataclass(frozen=True, slots=True)
class Peers:
    """The peers of one run: versions of those that are here, reasons for those that are not."""

    versions: dict[str, str]
    missing: dict[str, str]

    def contestants(self, rule: str, inputs: Inputs) -> list[Contestant]:
        """Every implementation of a rule that the installed peers have."""
        return [
            contestant
            for peer in self.versions
            for contestant in importlib.import_module(MODULES[peer]).contestants(rule, inputs)
        ]


def find() -> Peers:
    """Import every peer; one that cannot be imported is missing, with the reason."""
    versions: dict[str, str] = {}
    missing: dict[str, str] = {}
    for peer, module in MODULES.items():
        try:
            importlib.import_module(module)
            versions[peer] = metadata.version(peer)
        except ImportError as error:
            missing[peer] = str(error)
    return Peers(versions, missing)


def arithmetic() -> dict[str, str]:
    """The versions of the array libraries that are installed."""
    found = {}
    for name in ARITHMETIC:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
