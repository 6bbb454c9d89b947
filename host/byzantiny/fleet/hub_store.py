"""What the hub keeps on the disk, so that a killed run goes on with what was crafted: beside the ledger, not in it.

The ledger is the coordinator's, which knows of no attack.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from byzantiny.errors import ByzantinyError

RELEASE = "hub.msgpack"
MODELS = "hub-models.i32"


class HubError(ByzantinyError):
    """What the hub kept of a round cannot be read."""


@dataclass(frozen=True, slots=True)
class Release:
    """What was crafted in a round; `known`: whose codes, where it was not the whole cohort."""

    round_num: int
    crafted: Mapping[str, npt.NDArray[np.int8]]
    known: list[str] | None = None


class HubStore:
    """Two files in the folder of an arm and seed: the last release, with every partial one's list, and the models."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / RELEASE
        self._models = folder / MODELS

    def save(self, release: Release) -> None:
        """Make a release durable; the one before it goes, but for its list of clients."""
        partial = self.partial()
        if release.known is not None:
            partial[release.round_num] = release.known
        record = {
            "round_num": release.round_num,
            "rows": {client_id: codes.tobytes() for client_id, codes in release.crafted.items()},
            "partial": partial,
        }
        temporary = self._path.with_suffix(".tmp")
        with temporary.open("wb") as file:
            file.write(msgspec.msgpack.encode(record))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self._path)  # noqa: PTH105 - atomic, and Path.replace says nothing more

    def load(self, round_num: int) -> dict[str, npt.NDArray[np.int8]] | None:
        """Return what was crafted in this round before the coordinator ended, if it got that far."""
        record = self._read()
        if record.get("round_num") != round_num:
            return None
        return {client_id: np.frombuffer(codes, np.int8) for client_id, codes in record["rows"].items()}

    def partial(self) -> dict[int, list[str]]:
        """Return the rounds that were released before all were in, and whose codes were known."""
        return {int(round_num): list(known) for round_num, known in self._read().get("partial", {}).items()}

    def models(self, round_num: int, model: npt.NDArray[np.int32]) -> list[npt.NDArray[np.int32]]:
        """Write the model that a round starts from; return those of all rounds up to it."""
        mode = "r+b" if self._models.exists() else "w+b"
        with self._models.open(mode) as file:
            file.seek((round_num - 1) * model.nbytes)
            file.write(np.ascontiguousarray(model, "<i4").tobytes())
            file.flush()
            file.seek(0)
            kept = np.frombuffer(file.read(round_num * model.nbytes), "<i4").astype(np.int32)
        return list(kept.reshape(round_num, len(model)))

    def _read(self) -> dict[str, Any]:
        try:
            record: dict[str, Any] = msgspec.msgpack.decode(self._path.read_bytes(), strict=False)
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError) as error:
            raise HubError(f"{self._path} cannot be read ({error}); restore it, or start the run anew") from error
        return record
