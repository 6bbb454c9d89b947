"""Flower: the functions of its strategies on arrays that are decoded already.

It has two sets. `flower` is `flwr.server.strategy`: distances in loops, Bulyan as in the paper. `flower-app` is
`flwr.serverapp.strategy`: distances by one matrix product, and a Bulyan that takes the theta best Krum scores at once,
which is another rule. Median, trimmed mean and mean are the same NumPy calls in both, so they are measured once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from flwr.server.strategy import aggregate as legacy
from flwr.serverapp.strategy.bulyan import aggregate_n_closest_weights
from flwr.serverapp.strategy.multikrum import select_multikrum
from flwr.serverapp.strategy.strategy_utils import aggregate_arrayrecords
from numpy.typing import NDArray

from harness.contestant import Contestant, constant
from harness.inputs import Inputs


class Record:
    """Stands for a client's RecordDict, its ArrayRecord and its Array, none of which has to be decoded."""

    def __init__(self, row: NDArray[np.float32]) -> None:
        self._row = row
        self.array_records = {"arrays": self}
        self.metric_records = {"metrics": {"num-examples": 1}}

    def __getitem__(self, key: str) -> Record:
        return self

    def items(self) -> list[tuple[str, Record]]:
        return [("w", self)]

    def numpy(self) -> NDArray[np.float32]:
        return self._row

    def to_numpy_ndarrays(self) -> list[NDArray[np.float32]]:
        return [self._row]


def contestants(rule: str, inputs: Inputs) -> list[Contestant]:
    n, f = inputs.n, inputs.f
    results = [([row], 1) for row in inputs.real]
    calls: dict[str, Callable[[], Any]] = {
        "mean": lambda: legacy.aggregate(results),
        "median": lambda: legacy.aggregate_median(results),
        "trimmed-mean": lambda: legacy.aggregate_trimmed_avg(results, (f + 0.5) / n),  # it takes int(share * n)
        "krum": lambda: legacy.aggregate_krum(results, f, to_keep=0),
        "multi-krum": lambda: legacy.aggregate_krum(results, f, to_keep=n - f),
    }
    found = [Contestant("flower", constant(calls[rule]))] if rule in calls else []
    if rule == "bulyan":
        found.append(Contestant("flower", lambda: _bulyan(list(results), inputs.f_bulyan), "any tie"))
    if rule in ("krum", "multi-krum", "bulyan"):
        records = [Record(row) for row in inputs.real]
        found.append(_app(rule, records, inputs))
    return found


def _bulyan(results: list[Any], f: int) -> Callable[[], Any]:
    """It empties the list it is given."""
    return lambda: legacy.aggregate_bulyan(results, f, legacy.aggregate_krum, to_keep=0)


def _app(rule: str, records: list[Record], inputs: Inputs) -> Contestant:
    if rule == "bulyan":
        return Contestant("flower-app", constant(lambda: _bulyan_at_once(records, inputs.f_bulyan)), "at once, any tie")
    keep = 1 if rule == "krum" else inputs.n - inputs.f

    def call() -> Any:
        return aggregate_arrayrecords(select_multikrum(records, inputs.f, keep), "num-examples")  # type: ignore[arg-type]

    return Contestant("flower-app", constant(call), values=lambda record: next(iter(record.values())).numpy())


def _bulyan_at_once(records: list[Record], f: int) -> Any:
    """What `Bulyan.aggregate_train` does after it has looked at the messages."""
    theta = len(records) - 2 * f
    chosen = [record.to_numpy_ndarrays() for record in select_multikrum(records, f, theta)]  # type: ignore[arg-type]
    median = [np.median(layer, axis=0) for layer in zip(*chosen, strict=True)]
    return aggregate_n_closest_weights(median, chosen, theta - 2 * f)
