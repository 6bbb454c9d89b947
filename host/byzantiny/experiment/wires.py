"""Wires that do not exist: the int8 wire taken apart into its training, its box and its rounding, each a factor of a study.

The int8 wire is three things at once: integer training, a box (saturation at +-127 steps) and a rounding. A study that wants to
know which of them does what needs the others switched off, which no device and no frame can do. So these rounds go past
the wire, in process, and their results say so (`bypass`). What is left is the same: the cohort, the honest clients' data and
noise, the adversary, the defence, the server's 16-bit masters. With everything on, the codes are those of the real wire.

Honest clients: `D = local - start` in real grid steps; the L2 bound, where there is one, scales D down to it; the box; the
rounding. Attackers: what they craft goes the same way. Codes with box and rounding are int8; all else are float64 rows, which
a rule that counts codes refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from byzantiny.bodies.batch import BatchTrainer, load_batch
from byzantiny.coordinator.plan import Model
from byzantiny.experiment.cast import Cast, make_cast
from byzantiny.experiment.config import ConfigError, RunConfig
from byzantiny.experiment.inprocess import InProcess, Setup, check_inprocess, make_setup, run_rounds, scored
from byzantiny.experiment.opening import Opening, open_first
from byzantiny.federation import Federation, build_pipeline
from byzantiny.fleet.adversary import Put, fit_rows
from byzantiny.updates import CODE_LIMIT, AggregationError, UpdateBatch, quantize_rows
from byzantiny.wire.messages import Offer
from byzantiny_models import datasets
from byzantiny_models.float_training import to_float, train_float_many
from byzantiny_models.networks import Layout, Network
from byzantiny_models.rng import Stream, derive_key, rng_for, step_noise
from byzantiny_models.tasks import Task

Rows = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Wire:
    """Which parts of the int8 wire are on."""

    training: Literal["int8", "float"] = "int8"
    box: bool = True
    rounding: Literal["sr", "nearest", "none"] = "sr"

    @property
    def real(self) -> bool:
        """Whether this is the wire that devices have."""
        return self == Wire()

    @property
    def coded(self) -> bool:
        """Whether updates are int8 codes."""
        return self.box and self.rounding != "none"

    def put(self, rows: Rows, fraction: npt.NDArray[np.float64]) -> Rows:
        """Return rows, in grid steps, as this wire carries them; `fraction`, uniform on [0, 1), rounds stochastically.

        >>> Wire(rounding="nearest").put(np.array([300.4, -0.5, 1.6]), np.zeros(3)).tolist()
        [127, 0, 2]
        >>> Wire(box=False, rounding="none").put(np.array([300.4, -0.5]), np.zeros(2)).tolist()
        [300.4, -0.5]
        """
        boxed = np.clip(rows, -CODE_LIMIT, CODE_LIMIT) if self.box else rows
        if self.rounding == "none":
            return boxed
        rounded = np.floor(boxed + (0.5 if self.rounding == "nearest" else fraction))
        return np.clip(rounded, -CODE_LIMIT, CODE_LIMIT).astype(np.int8) if self.box else rounded

    def put_crafted(self, rows: npt.NDArray[np.float64], rng: np.random.Generator) -> Rows:
        """Return an adversary's rows as this wire carries them: on the real one, what `quantize_rows` gives."""
        if self.coded:
            return quantize_rows(rows, rng if self.rounding == "sr" else None)
        return self.put(rows, rng.random(rows.shape) if self.rounding == "sr" else np.zeros(rows.shape))


def run_on(
    wire: Wire,
    run: RunConfig,
    seed: int,
    task: Task,
    *,
    arm: str = "main",
    spread: bool = True,
    opening: Opening | None = None,
    watch: Callable[[Rows], None] | None = None,
) -> tuple[InProcess, Cast, Callable[[Model, npt.NDArray[np.int8]], npt.NDArray[np.int8]]]:
    """Run one arm with one seed on a wire; return it with its cast and who answers for its models.

    The real wire is `run_inprocess`'s; any other goes past it. `opening`: what round 1 begins with, else `open_first`'s.
    `watch` is told every row that the adversary crafts, in grid steps, before the wire has it. Raises ConfigError.
    """
    check_inprocess(run, arm)
    opening = open_first(run, seed, task) if opening is None else opening
    task, cast = opening.task, make_cast(run, seed, opening.task, opening.model)
    setup = make_setup(run, seed, task, cast, arm=arm, batch=load_batch(trainer=run.training.trainer), spread=spread)
    if not wire.real:
        check_wire(wire, run, arm, task)
        setup = _past(wire, setup, run, seed, task, cast)
    if watch is not None:
        setup = replace(setup, put=_watched(setup.put, watch))
    done = run_rounds(setup, opening.model, scored(setup.trainer, task, cast.chosen))
    return done, cast, setup.trainer.outputs


def _watched(put: Put, watch: Callable[[Rows], None]) -> Put:
    def seen(rows: npt.NDArray[np.float64], rng: np.random.Generator) -> Rows:
        watch(rows)
        return put(rows, rng)

    return seen


def check_wire(wire: Wire, run: RunConfig, arm: str, task: Task) -> None:
    """Refuse what cannot go past the wire. Raises ConfigError naming it."""
    if wire.real:
        return
    if wire.training == "float" and run.training.trainer != "int8-sr":
        raise ConfigError(
            f"arms.{arm}: a wire that trains in floats takes no training.trainer, which is {run.training.trainer!r}; leave"
            " one of them out"
        )
    if run.grid.adapt:
        raise ConfigError(f"arms.{arm}: grid.adapt looks at codes of the int8 wire; leave it out on any other")
    if wire.coded:
        return
    layout, rng = task.network.layout, np.random.default_rng(0)
    federation = _federation(run, layout)
    ids = sorted(run.client_ids(), key=str.encode)[: min(run.round.cohort or len(run.client_ids()), 64)]
    rows = rng.normal(0.0, 5.0, (len(ids), layout.d))
    batch = UpdateBatch.from_rows(rows, layout, layout.default_shifts(run.training.shift), ids)
    state = federation.init(np.zeros(layout.d, dtype=np.int32))
    try:
        federation.apply(state, batch, rng)
    except AggregationError as error:
        raise ConfigError(f"arms.{arm}: {federation.pipeline.name} on float rows: {error}") from error


def _federation(run: RunConfig, layout: Layout) -> Federation:
    """The defence as entered; the clip to the announced bound, in integers, is the int8 wire's."""
    first = layout.default_shifts(run.training.shift)
    finest = min(layout.exponents(first))
    return Federation(layout, build_pipeline(run.defence.pipeline, run.defence.f_declared, finest=finest))


def _past(wire: Wire, setup: Setup, run: RunConfig, seed: int, task: Task, cast: Cast) -> Setup:
    trainer = _PastTheWire(wire, setup.trainer, setup.layout, task.network, cast, 2.0**-run.training.lr_shift, seed)
    federation = setup.federation if wire.coded else _federation(run, setup.layout)
    return replace(setup, trainer=trainer, federation=federation, put=wire.put_crafted)


class _PastTheWire:
    """A trainer whose updates are what the wire would carry."""

    def __init__(
        self, wire: Wire, trainer: BatchTrainer, layout: Layout, network: Network, cast: Cast, rate: float, seed: int
    ) -> None:
        self._wire, self._trainer, self._layout, self._network = wire, trainer, layout, network
        self._rate, self._seed = rate, seed
        self._ids = [role.client_id for role in cast.roles]
        self._data = [datasets.unpack(role.dataset)[:2] for role in cast.roles]
        self._units = np.repeat([2.0**t.frac for t in layout.tensors], [t.elements for t in layout.tensors])

    def updates(self, slots: Sequence[int], start: Model, offer: Offer) -> Rows:
        """Return the slots' updates, (n, d): int8 codes, or float64 rows in grid steps."""
        elements = [tensor.elements for tensor in self._layout.tensors]
        steps = np.repeat([2.0**shift for shift in offer.shifts], elements)
        rows = self._changes(slots, start, offer) / steps
        if offer.l2_bound:
            rows = fit_rows(rows, offer.l2_bound, self._layout, offer.shifts)
        noise = [
            step_noise(0, *derive_key(offer.seed, self._ids[s], offer.round_num, Stream.CODES), len(start))
            for s in slots
        ]
        return self._wire.put(rows, np.stack(noise) / 2.0**32)

    def models(self, slots: Sequence[int], start: Model, offer: Offer) -> npt.NDArray[np.int32]:
        """As the trainer beneath."""
        return self._trainer.models(slots, start, offer)

    def outputs(self, model: Model, x: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
        """As the trainer beneath: the deployed integers."""
        return self._trainer.outputs(model, x)

    def _changes(self, slots: Sequence[int], start: Model, offer: Offer) -> npt.NDArray[np.float64]:
        """`local - start` in units of the masters."""
        if self._wire.training == "int8":
            return (self._trainer.models(slots, start, offer).astype(np.int64) - start).astype(np.float64)
        real = to_float(self._layout, start)
        xs, ys = zip(*(self._data[slot] for slot in slots), strict=True)
        rngs = [
            rng_for(offer.seed, Stream.TRAINING, round_num=offer.round_num, client_id=self._ids[slot]) for slot in slots
        ]
        local = train_float_many(self._network, real, xs, ys, rngs, offer.epochs, self._rate)
        changes: npt.NDArray[np.float64] = (local.astype(np.float64) - real) * self._units
        return changes
