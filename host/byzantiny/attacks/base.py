"""What an attack is, and the doors through which it is run: `craft` for updates, `poison` for data, `hand_over` for starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from byzantiny.attacks.card import KNOWLEDGE, AttackInfo, Knowledge
from byzantiny.attacks.context import ALONE, AttackContext, Place, Samples
from byzantiny.attacks.errors import AttackError, AttackWarning
from byzantiny.attacks.frames import LinkAttack
from byzantiny.attacks.objects import ManifestAttack
from byzantiny_models.errors import LayoutError
from byzantiny_models.networks import Network

__all__ = [
    "ALONE",
    "KNOWLEDGE",
    "Attack",
    "AttackContext",
    "AttackError",
    "AttackInfo",
    "AttackWarning",
    "Constrained",
    "DataAttack",
    "Knowledge",
    "LinkAttack",
    "ManifestAttack",
    "Measured",
    "Place",
    "Samples",
    "StartAttack",
    "UpdateAttack",
    "craft",
    "hand_over",
    "poison",
]


class UpdateAttack(Protocol):
    """A frozen dataclass that crafts the rows the attackers would like to send; pure, like an aggregator."""

    name: ClassVar[str]
    info: ClassVar[AttackInfo]

    @property
    def knowledge(self) -> Knowledge:
        """What it needs to know as parametrised; with "own", row i may depend on `own[i]` and `data[i]` alone."""
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
        self, x: NDArray[Any], y: NDArray[Any], classes: int, rng: np.random.Generator, place: Place = ALONE
    ) -> Samples:
        """Return the poisoned samples and labels, as new arrays.

        Raises:
            AttackError: labels outside 0 .. classes - 1, or a class the task does not have.
        """
        ...


class StartAttack(Protocol):
    """A frozen dataclass that makes the model which round 1 begins with; every client is honest from then on."""

    name: ClassVar[str]
    info: ClassVar[AttackInfo]

    @property
    def knowledge(self) -> Knowledge:
        """Always "own": it sees the attackers' data and the model that would have been, before there is any update."""
        ...

    def start(
        self,
        network: Network,
        data: Sequence[Samples],
        model: NDArray[np.int32],
        rng: np.random.Generator,
        chosen: Samples | None = None,
    ) -> NDArray[np.int32]:
        """Return the first model, int32 (d,) of the whole network.

        `data`: a pair (x, y) an attacker, as its device has them. `model`: what the round would begin with. `chosen`: the
        inputs it is to be measured on, where it aims at such.

        Raises:
            AttackError: no data, a class the network does not have, chosen inputs that were not handed over.
        """
        ...


@runtime_checkable
class Measured(Protocol):
    """A targeted attack, of data or of updates, that says on what its success is measured."""

    def probes(
        self, x: NDArray[Any], y: NDArray[Any], classes: int, rng: np.random.Generator, place: Place = ALONE
    ) -> Samples | None:
        """Return inputs made of test samples, and the label each is to get; success is the share that gets it.

        A sample that has the wanted label anyway is not asked, or success would be free. None: as parametrised it wants
        nothing in particular. With `aims_at = "chosen inputs"` the same pair is handed back as `context.chosen` or
        `place.chosen`.

        Raises:
            AttackError: a class the task does not have, or no test sample can show it.
        """
        ...


@runtime_checkable
class Constrained(Protocol):
    """An update attack that promises to stay within something: a radius, a box, an honest rounding."""

    def kept(self, context: AttackContext, codes: NDArray[np.int8]) -> NDArray[np.bool_]:
        """Return, for every row of codes (f, d), whether it is within."""
        ...


Attack: TypeAlias = UpdateAttack | DataAttack | StartAttack | ManifestAttack | LinkAttack


def craft(attack: UpdateAttack, context: AttackContext, *, defence_known: bool = False) -> NDArray[np.float64]:
    """Run an update attack with exactly the knowledge it declares, and check what it returns.

    Raises:
        AttackError: knowledge it needs is missing, or rows that are not (f, d) float64 without nan.
    """
    if context.f < 1:
        raise AttackError(f"{attack.name} with f = {context.f}: an attack needs at least 1 attacker; set f")
    rows = attack.craft(context.granted(attack.knowledge, defence=defence_known))
    known = next((a for a in (context.own, context.honest, context.model) if a is not None), None)
    d = rows.shape[-1] if known is None else known.shape[-1]
    if rows.dtype != np.float64 or rows.shape != (context.f, d) or np.isnan(rows).any():
        raise AttackError(
            f"{attack.name} crafted {rows.dtype} {rows.shape}, or nan: need float64 ({context.f}, {d}); fix the attack"
        )
    return rows


def poison(
    attack: DataAttack,
    x: NDArray[Any],
    y: NDArray[Any],
    classes: int,
    rng: np.random.Generator,
    place: Place = ALONE,
) -> Samples:
    """Run a data attack, and check what goes in and what comes out.

    Raises:
        AttackError: labels outside 0 .. classes - 1, before or after; samples or labels of another type or shape.

    >>> from byzantiny.attacks import LabelFlip
    >>> x, y = np.zeros((2, 3), dtype=np.int8), np.array([0, 9])
    >>> poison(LabelFlip(), x, y, 10, np.random.default_rng(0))[1].tolist()
    [9, 0]
    """
    check_labels(attack.name, y, classes)
    poisoned, labels = attack.poison(x, y, classes, rng, place)
    if poisoned.dtype != x.dtype or poisoned.shape[1:] != x.shape[1:] or labels.shape != (len(poisoned),):
        raise AttackError(
            f"{attack.name} made samples {poisoned.dtype} {poisoned.shape} and labels {labels.shape} of "
            f"{x.dtype} {x.shape}: need the same type and features, a label each; fix the attack"
        )
    check_labels(attack.name, labels, classes)
    return poisoned, labels.astype(y.dtype)


def hand_over(
    attack: StartAttack,
    network: Network,
    data: Sequence[Samples],
    model: NDArray[np.int32],
    rng: np.random.Generator,
    chosen: Samples | None = None,
) -> NDArray[np.int32]:
    """Run an attack on the start, and check what it returns. What it is handed is read-only, what comes back a copy.

    Raises:
        AttackError: labels outside the network's classes; a result that is no model of the network.

    >>> from byzantiny.attacks import PoisonedStart
    >>> from byzantiny_models.networks import NETWORKS, initial_model
    >>> network, data = NETWORKS["mlp-64-32-10"], [(np.zeros((2, 64), dtype=np.int8), np.array([1, 2]))]
    >>> model = initial_model(network, 1)
    >>> bool((hand_over(PoisonedStart(), network, data, model, np.random.default_rng(0)) == model).all())
    False
    """
    for _, y in data:
        check_labels(attack.name, y, network.classes)
    shown = [(_frozen(x), _frozen(y)) for x, y in data]
    made = attack.start(network, shown, _frozen(model), rng, chosen)
    try:
        whole = network.layout.check(made)
    except LayoutError as error:
        raise AttackError(f"{attack.name} made no model of {network.name}: {error}; fix the attack") from error
    if made.dtype != np.int32:
        raise AttackError(f"{attack.name} made a model of {made.dtype}: need int32; fix the attack")
    return whole


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    view: NDArray[Any] = np.asarray(array).view()
    view.setflags(write=False)
    return view


def check_labels(attack: str, y: NDArray[Any], classes: int) -> None:
    """Raise unless labels are of the task.

    Raises:
        AttackError: one outside 0 .. classes - 1.
    """
    if y.size and not (int(y.min()) >= 0 and int(y.max()) < classes):
        raise AttackError(f"{attack}: labels {y.min()} .. {y.max()}; the task has classes 0 .. {classes - 1}")
