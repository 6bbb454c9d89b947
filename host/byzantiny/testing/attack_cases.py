"""What attacks are tried on: contexts that hold everything, over a network small enough to train in no time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks import AttackContext, Place, Samples
from byzantiny_models.networks import Dense, Network, initial_model

CLASSES, FEATURES = 3, 16
N, F = 11, 3
NETWORK = Network("conformance", (Dense(FEATURES, 4, "relu"), Dense(4, CLASSES, "linear")))
D = NETWORK.layout.d


def SAMPLES(seed: int = 7, count: int = 40) -> Samples:  # noqa: N802 - reads as the constant it makes anew
    """Return samples and labels of the small task: a class has its own mean."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, CLASSES, count).astype(np.uint8)
    x = 20.0 * (np.arange(FEATURES) % CLASSES == y[:, None]) + rng.normal(0, 8, (count, FEATURES))
    return np.clip(np.rint(x), -128, 127).astype(np.int8), y


def place() -> Place:
    """Return the place of the second of three attackers, with chosen inputs."""
    x, y = SAMPLES(3, 6)
    return Place(1, F, NETWORK, initial_model(NETWORK, 1), (x, (y + 1) % CLASSES))


def median(codes: NDArray[np.int8]) -> NDArray[np.float64]:
    """Return the median by coordinate: the defence that the cases deploy."""
    return np.asarray(np.median(codes, axis=0), dtype=np.float64)


CASES = ((5.0, 2.0, 60), (0.7, 0.3, 0), (40.0, 9.0, 0), (0.0, 5.0, 0), (0.0, 127.0, 0))
"""Spread and mean of the honest codes, and the L2 bound: a bound, a coarse grid, wide codes, rows all alike, saturated ones."""


def contexts(*, few: bool = False) -> Iterator[Callable[[], AttackContext]]:
    """Yield makers of equal contexts; `few` is for attacks that train in each."""
    for spread, middle, bound in CASES[: 2 if few else None]:
        yield partial(_context, spread, middle, bound)


def _context(spread: float, middle: float, bound: int) -> AttackContext:
    rng = np.random.default_rng(7)
    ways = middle * np.sign(rng.normal(size=D))
    exact = np.clip(ways + rng.normal(0, spread or 1e-12, (N, D)), -127, 127)
    if not spread:
        exact = np.tile(ways, (N, 1))
    codes = np.rint(exact).astype(np.int8)
    model = initial_model(NETWORK, 1)
    history = [NETWORK.layout.saturate(model + (k - 3) * (64 * ways).astype(np.int64)) for k in range(3)]
    context = AttackContext(
        honest=codes[F:],
        own=codes[:F],
        unrounded=exact[:F],
        n=N,
        f=F,
        rng=np.random.default_rng(8),
        defence=median,
        round_num=4,
        model=model,
        history=history,
        layout=NETWORK.layout,
        shifts=NETWORK.layout.default_shifts(6),
        l2_bound=bound,
        network=NETWORK,
        data=tuple(SAMPLES(20 + k, 24) for k in range(F)),
        chosen=place().chosen,
    )
    for array in (context.honest, context.own, context.unrounded, model, *history):
        assert array is not None
        array.setflags(write=False)
    return context
