"""ByzPy with torch tensors, one a client: its only backend. Without its actor pool: one thread is what is compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from byzpy.aggregators.coordinate_wise.mean_of_medians import MeanOfMedians
from byzpy.aggregators.coordinate_wise.median import CoordinateWiseMedian
from byzpy.aggregators.coordinate_wise.trimmed_mean import CoordinateWiseTrimmedMean
from byzpy.aggregators.geometric_wise.geometric_median import GeometricMedian
from byzpy.aggregators.geometric_wise.krum import Krum, MultiKrum
from byzpy.aggregators.norm_wise.center_clipping import CenteredClipping
from byzpy.pre_aggregators.clipping import Clipping
from byzpy.pre_aggregators.nnm import NearestNeighborMixing

from harness.contestant import Contestant, constant
from harness.inputs import CLIPS, STEPS, Inputs

torch.set_num_threads(1)

CONVENTIONS = {
    "median": "lower",
    "meamed": "lower median, any tie",
    "krum": "n-f-1 neighbours",
    "multi-krum": "n-f-1 neighbours",
    "geometric-median": "from the mean",  # it cannot start at zero
    "centered-clipping": "from zero",  # nor here at another point
    "norm-clip": "real",
}


def contestants(rule: str, inputs: Inputs) -> list[Contestant]:
    f = inputs.f
    operators: dict[str, Callable[[], Any]] = {
        "median": CoordinateWiseMedian,
        "trimmed-mean": lambda: CoordinateWiseTrimmedMean(f),
        "meamed": lambda: MeanOfMedians(f),
        "krum": lambda: Krum(f),
        "multi-krum": lambda: MultiKrum(f, q=inputs.n - f),
        "nnm": lambda: NearestNeighborMixing(f),
        "geometric-median": lambda: GeometricMedian(init="mean", max_iter=STEPS, tol=1e-30),
        "centered-clipping": lambda: CenteredClipping(c_tau=inputs.tau, M=CLIPS, init="zero"),
        "norm-clip": lambda: Clipping(float(inputs.bound)),
    }
    if rule not in operators:
        return []
    operator, rows = operators[rule](), list(inputs.tensor.unbind(0))
    act = operator.pre_aggregate if rule in ("nnm", "norm-clip") else operator.aggregate
    return [Contestant("byzpy", constant(lambda: act(rows)), CONVENTIONS.get(rule, ""))]
