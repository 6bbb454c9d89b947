"""One size's updates: codes in tiles for us, the same codes as float32 rows for the peers, and the rules' parameters.

Honest rows are Gaussian codes of sigma 25, f of the n rows (spread evenly) of sigma 40: louder, so that which rows a rule
takes is no near-tie that float32 could turn around. f = n / 5; for Bulyan (n - 3) / 4, as many as it allows.
"""

from __future__ import annotations

import copy
import math
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from byzantiny import kernels
from byzantiny.updates import UpdateBatch
from byzantiny_models.networks import Layout, TensorSpec

SIGMA, LOUD = 25.0, 40.0
NU, STEPS, CLIPS = 0.1, 3, 1
"""Geometric median: floor of the distances and number of steps; centered clipping: number of steps. ByzFL's defaults."""


class Inputs:
    """The updates of n clients with d coordinates, drawn from a seed; the float copies are made when asked for."""

    def __init__(self, n: int, d: int, seed: int = 0) -> None:
        self.n, self.d = n, d
        self.f = n // 5
        rng = np.random.default_rng([seed, n, d])
        self.loud = np.zeros(n, dtype=np.bool_)
        self.loud[:: max(1, n // max(1, self.f))][: self.f] = True
        self.loud &= np.cumsum(self.loud) <= self.f
        self.codes = np.empty((n, d), dtype=np.int8)
        for i in range(n):  # a row at a time: the draws of all rows would take 8 n d bytes
            row = rng.standard_normal(d, dtype=np.float32) * np.float32(LOUD if self.loud[i] else SIGMA)
            self.codes[i] = np.clip(np.rint(row), -127, 127)
        self.codes.setflags(write=False)
        self.momentum = np.rint(rng.standard_normal(d, dtype=np.float32) * 8).astype(np.float64) / 8
        self.tau = 0.8 * SIGMA * math.sqrt(d)
        self.bound = int(30 * math.sqrt(d))
        self._batch = UpdateBatch(
            stored=kernels.to_tiles(self.codes),
            layout=Layout((TensorSpec("update", (d,), "int16", 14),)),
            shifts=(0,),
            client_ids=tuple(f"c{i:05d}" for i in range(n)),
        )

    @property
    def f_bulyan(self) -> int:
        return (self.n - 3) // 4

    @property
    def tiles(self) -> NDArray[np.int8]:
        return self._batch.tiles

    def batch(self) -> UpdateBatch:
        """The batch as the coordinator makes it, in tiles, with nothing derived from them kept from an earlier call."""
        fresh = copy.copy(self._batch)
        for derived in ("rows", "tiles"):
            fresh.__dict__.pop(derived, None)
        return fresh

    @cached_property
    def real(self) -> NDArray[np.float32]:
        real = self.codes.astype(np.float32)
        real.setflags(write=False)
        return real

    def real_copy(self) -> NDArray[np.float32]:
        """For a peer that writes into what it is given."""
        return self.real.copy()

    @cached_property
    def tensor(self) -> Any:
        import torch

        self.real.setflags(write=True)  # torch warns about read-only memory, which these peers only read
        return torch.from_numpy(self.real)

    @property
    def bytes(self) -> int:
        return self.n * self.d
