"""What the adversary has in a round, and where an attacker stands when it poisons its data before the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.card import Knowledge
from byzantiny.attacks.errors import AttackError
from byzantiny_models.networks import Layout, Network

Samples = tuple[NDArray[Any], NDArray[Any]]
"""x int8 (N, features) and labels (N,)."""


@dataclass(frozen=True, eq=False)
class AttackContext:
    """What the adversary has in a round; a field the experiment does not grant is None.

    Rows: `honest` (n - f, d), the honest clients' in grid steps; `own` (f, d), what the attackers' own bodies trained
    honestly; `unrounded` (f, d), the same before it was put on the grid, which whoever owns the device can compute.
    `n` counts the cohort, `f` the attackers that are crafted for in this call.
    The round, which every client receives: `model` int32 (d,), `round_num`, `layout`, `shifts`, `l2_bound` (0: none).
    What they remember: `history`, the global models of earlier rounds, the oldest first, without this round's.
    What they own: `network` and `data`, one pair (x, y) an attacker, as its body has them before any poisoning.
    What they want: `chosen` inputs and the labels they are to get.
    What they know of the coordinator: `defence`, a callable from the codes int8 (n, d) in the cohort's order to the
    aggregate float64 (d,), or a pipeline or rule (`byzantiny.attacks.deployed`); `places`, the attackers' rows in that
    order (None: the last f).
    What they agreed on before the run: `campaign`, a number that stays the same in all rounds; `attackers`, how many they
    are in the cohort, and `members`, which of these this call is for (None: all f of them).
    """

    honest: NDArray[Any] | None
    n: int
    f: int
    rng: np.random.Generator
    own: NDArray[Any] | None = None
    defence: Any = None
    history: Sequence[NDArray[np.int32]] | None = None
    round_num: int | None = None
    model: NDArray[np.int32] | None = None
    layout: Layout | None = None
    shifts: tuple[int, ...] | None = None
    l2_bound: int = 0
    network: Network | None = None
    data: Sequence[Samples] | None = None
    chosen: Samples | None = None
    places: tuple[int, ...] | None = None
    campaign: int = 0
    attackers: int | None = None
    members: tuple[int, ...] | None = None
    unrounded: NDArray[np.float64] | None = None

    def granted(self, knowledge: Knowledge, *, defence: bool = False) -> AttackContext:
        """Return the context with only what the knowledge grants: `honest` is for the omniscient.

        Every client receives the models and sees round numbers, so those stay. Whether the defence is known is a
        question of its own. Rows are handed out read-only.

        >>> context = AttackContext(np.ones((3, 2)), n=4, f=1, rng=np.random.default_rng(0), own=np.zeros((1, 2)))
        >>> context.granted("own").honest is None, context.granted("omniscient").honest.shape
        (True, (3, 2))
        """
        return replace(
            self,
            honest=_read_only(self.honest) if knowledge == "omniscient" else None,
            own=_read_only(self.own),
            defence=self.defence if defence else None,
        )

    def need(self, attack: str, field: Literal["honest", "own"]) -> NDArray[np.float64]:
        """Return the rows of a field as float64.

        Raises:
            AttackError: the field was not granted, or holds no row.
        """
        rows = getattr(self, field)
        if rows is None or len(rows) == 0:
            raise AttackError(
                f"{attack} needs `{field}`, which this context does not hold; grant the knowledge in the experiment"
            )
        return np.asarray(rows, dtype=np.float64)

    def known(self, attack: str, knowledge: Knowledge) -> NDArray[np.float64]:
        """Return the honest rows that a knowledge sees: everyone's for the omniscient, else the attackers' own.

        Raises:
            AttackError: they were not granted.
        """
        return self.need(attack, "honest" if knowledge == "omniscient" else "own")

    def has(self, attack: str, *fields: str) -> None:
        """Raise unless every field is there.

        Raises:
            AttackError: naming the first that is None.

        >>> AttackContext(None, n=4, f=1, rng=np.random.default_rng(0)).has("mpaf", "model")
        Traceback (most recent call last):
        byzantiny.attacks.errors.AttackError: mpaf needs `model`, which this context does not hold; an experiment that \
runs it has to hand it over
        """
        for field in fields:
            if getattr(self, field) is None:
                raise AttackError(
                    f"{attack} needs `{field}`, which this context does not hold; "
                    "an experiment that runs it has to hand it over"
                )

    @property
    def together(self) -> int:
        """How many attackers the cohort has, of which this call may be for a few."""
        return self.f if self.attackers is None else self.attackers

    @property
    def numbers(self) -> tuple[int, ...]:
        """Which of the attackers each row is for, counted from 0."""
        return tuple(range(self.f)) if self.members is None else self.members

    def step(self, attack: str) -> NDArray[np.float64]:
        """Return how many master units one grid step of every coordinate is, `2^shift`, float64 (d,).

        Raises:
            AttackError: no layout or no shifts.
        """
        self.has(attack, "layout", "shifts")
        assert self.layout is not None
        assert self.shifts is not None
        elements = [tensor.elements for tensor in self.layout.tensors]
        return np.repeat(np.ldexp(1.0, np.asarray(self.shifts)), elements)

    @property
    def scale(self) -> NDArray[np.float64] | float:
        """`2^(e_t - e_min)` of every coordinate, the unit of distances (SPEC 3); 1 where no grid is known."""
        if self.layout is None or self.shifts is None:
            return 1.0
        exponents = np.array(self.layout.exponents(self.shifts))
        elements = [tensor.elements for tensor in self.layout.tensors]
        return np.repeat(np.ldexp(1.0, exponents - exponents.min()), elements)


@dataclass(frozen=True, eq=False)
class Place:
    """Where an attacker stands when it poisons its data: its number among f attackers, and what the task is.

    `network` and `model` are those that training starts from, `chosen` the inputs and labels the attack wants.
    """

    index: int = 0
    f: int = 1
    network: Network | None = None
    model: NDArray[np.int32] | None = None
    chosen: Samples | None = None


ALONE = Place()
"""One attacker that knows its own samples and nothing else."""


def _read_only(rows: NDArray[Any] | None) -> NDArray[Any] | None:
    if rows is None:
        return None
    view: NDArray[Any] = rows.view()
    view.setflags(write=False)
    return view
