"""Our rules as contestants: the whole `apply` on tiles as they lie after arrival, and, where there is one, the kernel alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from byzantiny import kernels
from byzantiny.aggregators import AGGREGATORS
from byzantiny.preaggregators import PREAGGREGATORS
from harness.contestant import Contestant
from harness.inputs import CLIPS, NU, STEPS, Inputs

PARAMETERS: Mapping[str, Callable[[Inputs], dict[str, Any]]] = {
    "mean": lambda _: {},
    "median": lambda i: {"f": i.f},
    "trimmed-mean": lambda i: {"f": i.f},
    "meamed": lambda i: {"f": i.f},
    "krum": lambda i: {"f": i.f},
    "multi-krum": lambda i: {"f": i.f},
    "bulyan": lambda i: {"f": i.f_bulyan},
    "nnm": lambda i: {"f": i.f},
    "geometric-median": lambda _: {"nu": NU, "max_iterations": STEPS, "tolerance": 0.0, "start": "zero"},
    "centered-clipping": lambda i: {"tau": i.tau, "L": CLIPS},
    "norm-clip": lambda i: {"bound": i.bound},
}
"""The rules that are measured, in the order of the table, with their parameters."""

COLUMN_RULES = frozenset({"mean", "median", "trimmed-mean", "meamed"})


def ours(rule: str, inputs: Inputs) -> Contestant:
    """The whole rule, diagnostics and all."""
    stage = (AGGREGATORS if rule in AGGREGATORS else PREAGGREGATORS)[rule](**PARAMETERS[rule](inputs))
    state = stage.init(inputs.batch().layout)
    if rule == "centered-clipping":
        state = {"momentum": inputs.momentum, "shifts": [0]}
    rng = np.random.default_rng(0)

    def prepare() -> Callable[[], Any]:
        batch = inputs.batch()
        return lambda: _made(stage.apply(batch, state, rng))

    return Contestant("ours", prepare, values=values)


def _made(result: Any) -> Any:
    """The result, every number of it made once: rows that are means are made when they are read, block by block."""
    if getattr(result[0], "members", None) is not None:
        deque(result[0].blocks(), maxlen=0)
    return result


def values(result: Any) -> Any:
    """Numbers of what `apply` returned: an aggregate's values, a batch's rows."""
    made = result[0]
    return made.rows if hasattr(made, "rows") else made.values


def kernel(rule: str, inputs: Inputs) -> Contestant | None:
    """The one kernel a rule spends its time in, where it is one call."""
    tiles, d, f = inputs.tiles, inputs.d, inputs.f
    calls: dict[str, Callable[[], Any]] = {
        "mean": lambda: kernels.column_sum(tiles, d),
        "median": lambda: kernels.median(tiles, d),
        "trimmed-mean": lambda: kernels.trimmed_sum(tiles, d, f),
        "norm-clip": lambda: kernels.squared_norms(tiles, [slice(0, d)]),
        "multi-krum": lambda: kernels.gram(tiles, [slice(0, d)], np.ones(1, dtype=np.int64)),
    }
    return Contestant("kernel", lambda: calls[rule]) if rule in calls else None
