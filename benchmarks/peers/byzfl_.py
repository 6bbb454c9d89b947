"""ByzFL, with NumPy arrays (`byzfl`) and with torch tensors (`byzfl-torch`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import byzfl
import torch

from harness.clock import Prepare
from harness.contestant import Contestant, constant
from harness.inputs import CLIPS, NU, STEPS, Inputs

torch.set_num_threads(1)

CONVENTIONS = {"krum": "n-f-1 neighbours", "multi-krum": "n-f-1 neighbours", "meamed": "any tie", "norm-clip": "real"}


def contestants(rule: str, inputs: Inputs) -> list[Contestant]:
    f = inputs.f
    operators: dict[str, Callable[[], Any]] = {
        "mean": byzfl.Average,
        "median": byzfl.Median,
        "trimmed-mean": lambda: byzfl.TrMean(f),
        "meamed": lambda: byzfl.Meamed(f),
        "krum": lambda: byzfl.Krum(f),
        "multi-krum": lambda: byzfl.MultiKrum(f),
        "nnm": lambda: byzfl.NNM(f),
        "geometric-median": lambda: byzfl.GeometricMedian(nu=NU, T=STEPS),
        "norm-clip": lambda: byzfl.Clipping(float(inputs.bound)),
    }
    convention = CONVENTIONS.get(rule, "")
    if rule == "centered-clipping":
        return [Contestant("byzfl", _clipping(inputs, False)), Contestant("byzfl-torch", _clipping(inputs, True))]
    if rule not in operators:
        return []
    operator = operators[rule]()
    if rule == "norm-clip":  # it writes into its argument
        overwritten: dict[str, Prepare] = {
            "byzfl": lambda: _bind(operator, inputs.real_copy()),
            "byzfl-torch": lambda: _bind(operator, inputs.tensor.clone()),
        }
        return [Contestant(name, prepare, convention) for name, prepare in overwritten.items()]
    return [
        Contestant("byzfl", constant(lambda: operator(inputs.real)), convention),
        Contestant("byzfl-torch", constant(lambda: operator(inputs.tensor)), convention),
    ]


def _bind(operator: Any, rows: Any) -> Callable[[], Any]:
    return lambda: operator(rows)


def _clipping(inputs: Inputs, as_tensor: bool) -> Prepare:
    """The momentum is set after construction: the constructor refuses any. It is kept between calls, so each has its own."""

    def prepare() -> Callable[[], Any]:
        operator = byzfl.CenteredClipping(L=CLIPS, tau=inputs.tau)
        momentum = inputs.momentum.astype("float32")
        operator.m = torch.from_numpy(momentum) if as_tensor else momentum
        return _bind(operator, inputs.tensor if as_tensor else inputs.real)

    return prepare
