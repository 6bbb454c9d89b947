"""What an attack is, what it may know, and the one door through which it is run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from byzantiny.errors import ByzantinyError

Knowledge: TypeAlias = Literal["own", "colluding", "omniscient"]
"""Whose honest codes an attacker sees: its own body's, those of all attackers' bodies, or everyone's."""

KNOWLEDGE: tuple[Knowledge, ...] = ("own", "colluding", "omniscient")
"""From least to most."""


class AttackError(ByzantinyError):
    """An attack that cannot be built or run as asked: a parameter, missing knowledge, rows of the wrong shape."""


class AttackWarning(UserWarning):
    """An attack that runs as asked and is none: it says so, because a defence would look better than it is."""


@dataclass(frozen=True, slots=True)
class AttackInfo:
    """The card of an attack; `knowledge` is the least it needs with its default parameters."""

    name: str
    formula: str
    goal: Literal["untargeted", "targeted"]
    knowledge: Knowledge
    capability: Literal["data", "update", "manifest", "link"]
    paper: str


@dataclass(frozen=True, eq=False)
class AttackContext:
    """What the adversary has in a round; a field the experiment does not grant is None.

    `honest`: the honest clients' rows (n - f, d), in grid steps. `own`: the rows (f, d) the attackers' own bodies
    trained honestly. `defence`: the coordinator's pipeline. `history`: the global models of earlier rounds.
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


class UpdateAttack(Protocol):
    """A frozen dataclass that crafts the rows the attackers would like to send; pure, like an aggregator."""

    name: ClassVar[str]
    info: ClassVar[AttackInfo]

    @property
    def knowledge(self) -> Knowledge:
        """What it needs to know as parametrised; with "own", row i may depend on `own[i]` alone."""
        ...

    def craft(self, context: AttackContext) -> NDArray[np.float64]:
        """Return the (f, d) rows, in grid steps, before they are put on the grid.

        Raises:
            AttackError: knowledge it needs was not granted.
        """
        ...


class DataAttack(Protocol):
    """A frozen dataclass that changes an attacker's own data; its body then trains on it as told."""

    name: ClassVar[str]
    info: ClassVar[AttackInfo]

    @property
    def knowledge(self) -> Knowledge:
        """Always "own": it sees its own data."""
        ...

    def poison(
        self, x: NDArray[Any], y: NDArray[Any], classes: int, rng: np.random.Generator
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the poisoned samples and labels, as new arrays.

        Raises:
            AttackError: labels outside 0 .. classes - 1, or a class the task does not have.
        """
        ...


@runtime_checkable
class Measured(Protocol):
    """What a targeted attack has beside its own method: the inputs by which its success is measured."""

    def probes(
        self, x: NDArray[Any], y: NDArray[Any], classes: int, rng: np.random.Generator
    ) -> tuple[NDArray[Any], NDArray[Any]] | None:
        """Return `(x, wanted)`, made of the test samples x (n, features) and y (n,), or None where it wants nothing in particular.

        `x` int8 (m, features): a trigger on samples whose class is not the target's, or chosen inputs. `wanted` (m,): the label
        the adversary wants for each. The attack success rate is the share that the model gives (docs/metrics.md).

        Raises:
            AttackError: a class the task does not have.
        """
        ...


Attack: TypeAlias = UpdateAttack | DataAttack


def craft(attack: UpdateAttack, context: AttackContext, *, defence_known: bool = False) -> NDArray[np.float64]:
    """Run an update attack with exactly the knowledge it declares, and check what it returns.

    Raises:
        AttackError: knowledge it needs is missing, or rows that are not (f, d) float64 without nan.
    """
    if context.f < 1:
        raise AttackError(f"{attack.name} with f = {context.f}: an attack needs at least 1 attacker; set f")
    rows = attack.craft(context.granted(attack.knowledge, defence=defence_known))
    known = context.own if context.own is not None else context.honest
    d = rows.shape[-1] if known is None else known.shape[-1]
    if rows.dtype != np.float64 or rows.shape != (context.f, d) or np.isnan(rows).any():
        raise AttackError(
            f"{attack.name} crafted {rows.dtype} {rows.shape}, or nan: need float64 ({context.f}, {d}); fix the attack"
        )
    return rows


def _read_only(rows: NDArray[Any] | None) -> NDArray[Any] | None:
    if rows is None:
        return None
    view: NDArray[Any] = rows.view()
    view.setflags(write=False)
    return view
