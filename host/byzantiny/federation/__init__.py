"""Federated learning as a pure function: `init(model) -> state`, `apply(state, updates) -> (state, diagnostics)`.

The shape is FedJAX's (Ro, Suresh, Wu, arXiv 2108.02117): the state is explicit, immutable and storable, the
randomness an argument, the diagnostics of every client part of the result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from byzantiny.federation.grid import GridPolicy, GridState, Scales, measure
from byzantiny.federation.pipeline import Pipeline, Zoos, build_pipeline, load_zoos
from byzantiny.federation.state import ServerState
from byzantiny.federation.streaming import STREAM_ABOVE, RoundBuffer, StreamBuffer, StreamedRound
from byzantiny.preaggregators import RowWise
from byzantiny.updates import AggregationError, AnyAggregate, AnyBatch, Diagnostics, Layout, UpdateBatch, UpdateBuffer
from byzantiny.updates.rules import State
from byzantiny_models.rng import Stream, rng_for

__all__ = [
    "Federation",
    "GridPolicy",
    "GridState",
    "Pipeline",
    "RoundBuffer",
    "RoundDiagnostics",
    "Scales",
    "ServerState",
    "StreamedRound",
    "Zoos",
    "build_pipeline",
    "load_zoos",
    "measure",
    "server_step",
]


@dataclass(frozen=True, eq=False)
class RoundDiagnostics:
    """What the pipeline did in a round: one `Diagnostics` per stage, the aggregator's last, all by client."""

    round_num: int
    client_ids: tuple[str, ...]
    stages: tuple[Diagnostics, ...]
    aggregate: AnyAggregate

    @property
    def kept(self) -> NDArray[np.bool_]:
        """Whose update reached the result."""
        return self.stages[-1].kept

    def records(self) -> list[dict[str, Any]]:
        """Return one JSON-ready record per stage and client."""
        return [
            {"round_num": self.round_num} | record for stage in self.stages for record in stage.records(self.client_ids)
        ]


@dataclass(frozen=True)
class Federation:
    """One algorithm: a layout, a defence, and how the grid follows the clients (None: it is fixed).

    Raises (from `apply`): AggregationError, when a rule is beyond its limit; the caller then closes the round as
    `no-aggregate` with `skip`, and the model stays.

    >>> from byzantiny.updates import TensorSpec
    >>> layout = Layout((TensorSpec("w", (2,), "int16", 14),))
    >>> federation = Federation(layout, build_pipeline([{"name": "median"}], f_declared=1))
    >>> state = federation.init(np.array([100, 32_500], dtype=np.int32))
    >>> codes = np.array([[1, 5], [2, 6], [-127, 127]], dtype=np.int8)
    >>> batch = UpdateBatch.from_rows(codes, layout, shifts=(4,), client_ids=["dev-1", "dev-2", "dev-3"])
    >>> state, diagnostics = federation.apply(state, batch, rng=np.random.default_rng(0))
    >>> state.round_num, state.model.tolist(), diagnostics.kept.tolist()
    (1, [116, 32512], [True, True, True])
    """

    layout: Layout
    pipeline: Pipeline
    grid: GridPolicy | None = None

    def init(self, model: NDArray[np.int32]) -> ServerState:
        """Return the state before round 1."""
        carried = tuple(rule.init(self.layout) for rule in self.pipeline.rules)
        return ServerState(0, self._checked(model).copy(), carried, None if self.grid is None else self.grid.init())

    def buffer(self, state: ServerState, shifts: Sequence[int], cohort: Sequence[str]) -> RoundBuffer:
        """Return where the round after `state` keeps its updates: counts above 512 clients where the pipeline streams."""
        if len(cohort) > STREAM_ABOVE and self.pipeline.streams:
            return StreamBuffer(self._row_wise, state.stages[:-1], self.layout, shifts, cohort)
        return UpdateBuffer(self.layout, shifts, cohort)

    def apply(
        self, state: ServerState, batch: UpdateBatch | StreamedRound, rng: np.random.Generator
    ) -> tuple[ServerState, RoundDiagnostics]:
        """Return the state after the next round: screening, pre-aggregators, aggregator, server step.

        A streamed round must have been collected with `buffer` of this federation and this state.
        """
        if batch.layout != self.layout:
            raise AggregationError("updates of another layout than the federation's; aggregate each network by itself")
        reduced, carried = self._staged(batch, state, rng)
        # A rule that cannot read counts says so itself; `buffer` gives none to it.
        aggregate, carry = self.pipeline.aggregator.apply(reduced, state.stages[-1], rng)  # type: ignore[arg-type]
        carried.append(carry)

        model = server_step(self.layout, self._checked(state.model), aggregate, batch.shifts)
        stages = (*reduced.trace, aggregate.diagnostics.for_clients(reduced.mixing))
        round_num = state.round_num + 1
        return (
            ServerState(round_num, model, tuple(carried), state.grid),
            RoundDiagnostics(round_num, reduced.client_ids, stages, aggregate),
        )

    def _staged(
        self, batch: UpdateBatch | StreamedRound, state: ServerState, rng: np.random.Generator
    ) -> tuple[AnyBatch, list[State]]:
        """What the stages before the aggregator pass on, and what they carry."""
        if isinstance(batch, StreamedRound):
            if not self.pipeline.streams:
                raise AggregationError(
                    f"a streamed round for {self.pipeline.name}, which does not stream; use an UpdateBuffer"
                )
            return batch.concluded(self._row_wise, state.stages[:-1])
        carried: list[State] = []
        for stage, carry in zip(self.pipeline.stages, state.stages[:-1], strict=True):
            batch, carry = stage.apply(batch, carry, rng)
            carried.append(carry)
        return batch, carried

    @property
    def _row_wise(self) -> tuple[RowWise, ...]:
        return tuple(stage for stage in self.pipeline.stages if isinstance(stage, RowWise))

    def close(
        self,
        state: ServerState,
        batch: Callable[[], UpdateBatch | StreamedRound] | None,
        scales: Callable[[], Scales],
        seed: int,
    ) -> tuple[ServerState, RoundDiagnostics | None, str]:
        """Return the state after a round, what the pipeline did, and a reason where there is no aggregate (P6).

        `batch` gives the round's updates (None: there are none), `scales` what was measured of them; a rule beyond its limit
        leaves model, stages and grid as they are. The pipeline's randomness is that of the seed and the round.
        """
        if batch is None:
            return self.skip(state), None, "no update was accepted before the deadline"
        rng = rng_for(seed, Stream.AGGREGATION, round_num=state.round_num + 1)
        try:
            after, diagnostics = self.apply(state, batch(), rng)
        except AggregationError as error:
            return self.skip(state), None, str(error)
        return (after if self.grid is None else self.adapt(after, scales())), diagnostics, ""

    def skip(self, state: ServerState) -> ServerState:
        """Return the state after a round without an aggregate: the model, what the stages carry and the grid stay."""
        return replace(state, round_num=state.round_num + 1)

    def adapt(self, state: ServerState, scales: Scales) -> ServerState:
        """Return the state of `apply` with the grid of the next round, from the codes of this one as they came.

        Raises:
            AggregationError: a state without a grid, of a federation whose grid is fixed.
        """
        if self.grid is None:
            return state
        if state.grid is None:
            raise AggregationError("the state carries no grid to adapt: it is of a fixed one; start from `init`")
        return replace(state, grid=self.grid.adapt(state.grid, scales))

    def _checked(self, model: NDArray[np.int32]) -> NDArray[np.int32]:
        if model.dtype != np.int32 or model.shape != (self.layout.d,):
            raise AggregationError(
                f"a model of {model.dtype} {model.shape}: this layout needs int32 ({self.layout.d},)"
            )
        return model


def server_step(
    layout: Layout, model: NDArray[np.int32], aggregate: AnyAggregate, shifts: Sequence[int]
) -> NDArray[np.int32]:
    """Return `saturate(w + div_half_away(numerator * 2^shift, denominator))`, int32 (d,).

    A float rule's step is `round_half_away(values * 2^shift)`.

    Raises:
        AggregationError: an aggregate of another length, or a step that could leave int64.

    Source: SPEC 4.

    >>> from byzantiny.updates import Aggregate, TensorSpec
    >>> layout = Layout((TensorSpec("w", (2,), "int16", 14), TensorSpec("b", (1,), "int32", 12)))
    >>> halves = Aggregate(np.array([3, -3, 5]), np.int64(2), Diagnostics("median", np.array([True])))
    >>> server_step(layout, np.zeros(3, dtype=np.int32), halves, (0, 2)).tolist()
    [2, -2, 10]
    """
    if aggregate.d != len(model):
        raise AggregationError(f"an aggregate of {aggregate.d} coordinates for a model of {len(model)}; check the rule")
    per_coordinate = np.repeat(np.asarray(shifts, dtype=np.int64), [t.elements for t in layout.tensors])
    return layout.saturate(model.astype(np.int64) + aggregate.step(per_coordinate))
