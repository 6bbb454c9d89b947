"""The adaptive grid: one shift per tensor, moved by what the coordinator measured in past rounds.

Too coarse a grid turns honest updates into votes of -1, 0 and 1; too fine a one saturates them. Whoever moves the grid
moves the resolution and the L-infinity bound of everybody, so the decision is a vote of the clients' *measured* codes
in which f liars cannot act alone:

* a client's codes of a tensor ask for a coarser step, a finer one, or neither (`GridPolicy.votes`);
* a tensor moves by one step if in each of the last `every_rounds` measured rounds a strict majority asked for the same.

With f < n / 2 a strict majority of k = floor(n / 2) + 1 holds k - f >= 1 honest clients, so no grid is reached that none
of them asked for; and where k honest clients ask, the liars cannot prevent it. docs/grid.md has the claims and proofs,
tests/federation/test_grid.py their adversaries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from byzantiny import kernels
from byzantiny.updates import CODE_LIMIT, AggregationError, InvalidBatchError, Layout, UpdateBatch, rescaled_bound
from byzantiny_models.encoding import MAX_L2_BOUND
from byzantiny_models.errors import LayoutError

LARGE = (CODE_LIMIT + 1) // 2 - 1
"""A code below this, 63, does not saturate on a grid twice as fine: a change of less than 63 steps is less than 126."""

SATURATED_SHARE = 64
"""More than one code in so many at +-127 asks for a coarser step; one in twice so many at 63 or more forbids a finer one."""


@dataclass(frozen=True, eq=False)
class Scales:
    """What is measured of each client's codes, by tensor: int64 (n, tensors) each.

    `squares`: the sum of squares; `large`: codes of 63 or more, either sign; `saturated`: codes at +-127.

    >>> batch = UpdateBatch.from_rows(np.array([[3, -4, 0], [127, -64, 1]], dtype=np.int8))
    >>> scales = Scales.of(batch)
    >>> scales.squares.tolist(), scales.large.tolist(), scales.saturated.tolist()
    ([[25], [20226]], [[0], [2]], [[0], [1]])
    """

    squares: NDArray[np.int64]
    large: NDArray[np.int64]
    saturated: NDArray[np.int64]

    @property
    def n(self) -> int:
        """The number of clients."""
        return len(self.squares)

    @staticmethod
    def of(batch: UpdateBatch) -> Scales:
        """Measure a batch of codes.

        Raises:
            InvalidBatchError: float rows, which a stage has mixed or scaled: measure before the pipeline.
        """
        if not batch.exact:
            raise InvalidBatchError(f"rows are {batch.dtype}: the grid is measured on int8 codes, as they came")
        return Scales.stack([measure(row, batch.layout) for row in batch.rows], batch.layout)

    @staticmethod
    def stack(rows: Sequence[NDArray[np.int64]], layout: Layout) -> Scales:
        """Put together what `measure` returned for each client."""
        table = np.array(rows, dtype=np.int64).reshape(len(rows), 3, len(layout.tensors))
        return Scales(table[:, 0], table[:, 1], table[:, 2])


def measure(codes: NDArray[np.int8], layout: Layout) -> NDArray[np.int64]:
    """Return one update's sums of squares, large codes and saturated codes by tensor, int64 (3, tensors), exact.

    Update by update, so that it can be done as they arrive and no update has to be kept for it.

    >>> from byzantiny.updates import TensorSpec
    >>> layout = Layout((TensorSpec("w", (2,), "int16", 14), TensorSpec("b", (1,), "int32", 12)))
    >>> measure(np.array([-127, 2, 63], dtype=np.int8), layout).tolist()
    [[16133, 3969], [1, 1], [1, 0]]
    """
    slices = layout.slices
    magnitudes = np.abs(codes)
    large, saturated = magnitudes >= LARGE, magnitudes == CODE_LIMIT
    return np.array(
        [
            kernels.squared_norms(np.ascontiguousarray(codes)[None, :], slices)[0],
            [np.count_nonzero(large[where]) for where in slices],
            [np.count_nonzero(saturated[where]) for where in slices],
        ],
        dtype=np.int64,
    )


@dataclass(frozen=True, slots=True)
class GridState:
    """The grid of the next round, and for how many measured rounds a majority has asked for a move, by tensor.

    A streak above 0 counts rounds that asked for a coarser step, below 0 for a finer one.
    """

    shifts: tuple[int, ...]
    streaks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class GridPolicy:
    """How the grid follows the clients: pure, in integers.

    `first` is the grid of round 1, `f` the declared number of liars; with fewer than 2f + 1 clients a round says nothing.
    `l2_bound`, in steps of the first grid's finest tensor (0: none), keeps its real length whatever the grid; a move
    that would bring it to the wire's limit of 2^20 is not made.

    Raises:
        AggregationError: a threshold, a count or a first grid out of range.

    >>> from byzantiny.updates import TensorSpec
    >>> layout = Layout((TensorSpec("w", (4,), "int16", 14),))
    >>> policy = GridPolicy(layout, first=(6,), f=1, every_rounds=2, low_steps=4, high_steps=32)
    >>> coarse = UpdateBatch.from_rows(np.array([[1, 0, -1, 0], [0, 2, 0, 1], [127] * 4], dtype=np.int8), layout)
    >>> policy.votes(Scales.of(coarse)).ravel().tolist()
    [-1, -1, 1]
    >>> state = policy.init()
    >>> for _ in range(5):
    ...     state = policy.adapt(state, Scales.of(coarse))
    ...     print(state.shifts, state.streaks)
    (6,) (-1,)
    (5,) (0,)
    (5,) (-1,)
    (4,) (0,)
    (4,) (-1,)
    """

    layout: Layout
    first: tuple[int, ...]
    f: int = 0
    every_rounds: int = 3
    low_steps: int = 4
    high_steps: int = 32
    l2_bound: int = 0

    def __post_init__(self) -> None:
        for name, value, least in (
            ("f", self.f, 0),
            ("every_rounds", self.every_rounds, 1),
            ("low_steps", self.low_steps, 1),
        ):
            if value < least:
                raise AggregationError(f"grid: {name} is {value}; it is an integer from {least}")
        if not 2 * self.low_steps + 3 <= self.high_steps <= CODE_LIMIT:
            raise AggregationError(
                f"grid: high_steps is {self.high_steps} for low_steps = {self.low_steps}; it lies in "
                f"{2 * self.low_steps + 3} (2 low_steps + 3, or a move could be undone by the next) .. {CODE_LIMIT}"
            )
        if not self.legal(self.first):
            raise AggregationError(
                f"grid: shifts {self.first} with an L2 bound of {self.l2_bound} are no grid to begin with; choose another"
                " training.shift"
            )

    def init(self) -> GridState:
        """Return the state before round 1."""
        return GridState(self.first, (0,) * len(self.first))

    def bound(self, shifts: tuple[int, ...]) -> int:
        """Return the L2 bound in steps of a grid's finest tensor: the same real length as on the first grid, rounded up."""
        before, now = (min(self.layout.exponents(grid)) for grid in (self.first, shifts))
        return rescaled_bound(self.l2_bound, before, now)

    def legal(self, shifts: tuple[int, ...]) -> bool:
        """Whether a grid may be announced: shifts in 0 .. 12, a spread of exponents up to 12, a bound that fits the wire."""
        try:
            return self.bound(shifts) < MAX_L2_BOUND
        except LayoutError:
            return False

    def votes(self, scales: Scales) -> NDArray[np.int8]:
        """Return what each client's codes ask for, int8 (n, tensors): 1 a coarser step, -1 a finer one, 0 neither.

        With Q the sum of squares of d codes, L those of 63 or more and S those at 127, either sign:

            coarser   Q >= high^2 d   or   64 S > d
            finer     Q <= low^2 d   and   128 L <= d

        Of one change on two neighbouring grids, whatever its rounding, no answer contradicts the other: high >= 2 low + 3.
        """
        elements = np.array([t.elements for t in self.layout.tensors], dtype=np.int64)
        coarser = (scales.squares >= self.high_steps**2 * elements) | (SATURATED_SHARE * scales.saturated > elements)
        finer = (scales.squares <= self.low_steps**2 * elements) & (2 * SATURATED_SHARE * scales.large <= elements)
        return coarser.astype(np.int8) - finer.astype(np.int8)

    def adapt(self, state: GridState, scales: Scales) -> GridState:
        """Return the grid of the next round, given what was measured in a round that had an aggregate.

        A tensor of which nobody has sent a code but 0 says nothing: it is frozen, or there is nothing to learn.
        """
        if scales.n < 2 * self.f + 1:
            return state
        ballots = self.votes(scales)
        majority = scales.n // 2 + 1
        silent = np.max(scales.squares, axis=0) == 0
        asked = (np.sum(ballots == 1, axis=0) >= majority).astype(int) - (np.sum(ballots == -1, axis=0) >= majority)
        streaks = [
            streak if nothing else _longer(streak, int(ask), self.every_rounds)
            for streak, ask, nothing in zip(state.streaks, asked, silent, strict=True)
        ]
        shifts = list(state.shifts)
        for t, streak in enumerate(streaks):
            if abs(streak) < self.every_rounds:
                continue
            moved = (*shifts[:t], shifts[t] + (1 if streak > 0 else -1), *shifts[t + 1 :])
            if self.legal(moved):
                shifts[t], streaks[t] = moved[t], 0
        return GridState(tuple(shifts), tuple(streaks))


def _longer(streak: int, ask: int, longest: int) -> int:
    """Return a streak after one more round: it ends where nobody asks, and begins anew where the direction changes."""
    if ask == 0 or streak * ask < 0:
        return ask
    return max(-longest, min(streak + ask, longest))
