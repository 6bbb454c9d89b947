"""One training step, layer by layer, for many clients at once: forward, backward, update (INT8-SR; training.py).

A layer works on the first m clients of a chunk, those that still have samples; arrays are (m, ...).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from byzantiny_models.inference import Floats, Int32s, forward_layer
from byzantiny_models.layouts import LIMITS, MASTER_FRAC, WEIGHT_FRAC
from byzantiny_models.networks import Network
from byzantiny_models.plans import HIDDEN_ERROR_FRAC, LayerPlan
from byzantiny_models.quantization import derive_weights, rounding_shift, saturate, stochastic_shift
from byzantiny_models.rng import draw
from byzantiny_models.windows import average_pool, gather, scatter, spread_error

Noise = NDArray[np.uint32]


@dataclass(frozen=True)
class WeightFormat:
    """How the weights of a trained kernel are kept: format, saturation, the int8 weights of them, the rounding of a step."""

    frac: int
    limit: int
    derive: Callable[[Int32s], Int32s]
    rounded: Callable[[Int32s, int, Noise], Int32s]


MASTERS = WeightFormat(MASTER_FRAC, LIMITS["int16"], derive_weights, stochastic_shift)
"""int16 masters, Q14: INT8-SR."""


class LayerState(Protocol):
    """A layer of a chunk of clients, its weights kept in step with the models they are views of."""

    def forward(self, x: Int32s) -> Int32s:
        """Return the outputs (m, outputs)."""
        ...

    def backward(self, error: Int32s, x: Int32s) -> Int32s:
        """Return the error of the layer below (m, inputs), through the weights as they are."""
        ...

    def update(self, error: Int32s, x: Int32s, a: Noise, b: Noise) -> None:
        """Take the step; `draw(i, a, b)` is the noise of the element at flat offset i."""
        ...


def make_layer(
    network: Network, plan: LayerPlan, models: Int32s, lr_shift: int, weights: WeightFormat = MASTERS
) -> LayerState:
    """Return the state of a layer over the models (n, d) of n clients, which training writes to."""
    if plan.kind == "pool":
        return _Pool(plan)
    return (_Dense if plan.window is None else _Conv)(network, plan, models, lr_shift, weights)


class _Pool:
    def __init__(self, plan: LayerPlan) -> None:
        self.plan = plan

    def forward(self, x: Int32s) -> Int32s:
        assert self.plan.window is not None
        return average_pool(self.plan.window, x)

    def backward(self, error: Int32s, x: Int32s) -> Int32s:
        assert self.plan.window is not None
        return masked(self.plan, spread_error(self.plan.window, error), x)

    def update(self, error: Int32s, x: Int32s, a: Noise, b: Noise) -> None:
        pass


class _Weighted:
    def __init__(self, network: Network, plan: LayerPlan, models: Int32s, lr_shift: int, weights: WeightFormat) -> None:
        self.plan, self.format, n = plan, weights, len(models)
        self.masters = None if plan.kernel is None else models[:, plan.kernel].reshape(n, plan.rows, plan.fan_in)
        self.biases = None if plan.bias is None else models[:, plan.bias]
        if self.masters is None:
            w8 = network.frozen_tensor(plan.tensor).reshape(plan.rows, plan.fan_in)
            self.weights: Floats = np.broadcast_to(w8.astype(plan.dtype), (n, plan.rows, plan.fan_in))
        else:
            self.weights = weights.derive(self.masters).astype(plan.dtype)
        self.weight_shift = plan.error_frac + plan.input_frac + lr_shift - weights.frac
        self.bias_shift = plan.error_frac + lr_shift - plan.bias_frac
        frozen_bias = np.broadcast_to(network.frozen_tensor(plan.tensor + 1), (n, plan.rows))
        self.current_biases = frozen_bias if self.biases is None else self.biases

    def forward(self, x: Int32s) -> Int32s:
        return forward_layer(self.plan, self.weights[: len(x)], self.current_biases[: len(x)], x)

    def _scaled(self, total: Floats, x: Int32s) -> Int32s:
        shift = WEIGHT_FRAC + self.plan.error_frac - HIDDEN_ERROR_FRAC
        return masked(self.plan, rounding_shift(total.astype(np.int32), shift), x)


class _Dense(_Weighted):
    def backward(self, error: Int32s, x: Int32s) -> Int32s:
        plan = self.plan
        total = np.matmul(error[:, np.newaxis, :].astype(plan.dtype), self.weights[: len(error)])[:, 0]
        return self._scaled(total, x)

    def update(self, error: Int32s, x: Int32s, a: Noise, b: Noise) -> None:
        plan = self.plan
        # A row whose error is 0 does not change, SR(0, s) being 0 whatever the noise: only the others are touched.
        clients, rows = np.nonzero(error)
        if len(clients) == 0:
            return
        e, a, b = error[clients, rows], a[clients], b[clients]
        if self.masters is not None and plan.kernel is not None:
            offsets = (plan.kernel.start + rows * plan.fan_in).astype(np.uint32)[:, np.newaxis]
            noise = draw(offsets + np.arange(plan.fan_in, dtype=np.uint32), a[:, np.newaxis], b[:, np.newaxis])
            moved = self.masters[clients, rows]
            moved -= self.format.rounded(e[:, np.newaxis] * x[clients], self.weight_shift, noise)
            moved = saturate(moved, self.format.limit)
            self.masters[clients, rows] = moved
            self.weights[clients, rows] = self.format.derive(moved)
        if self.biases is not None and plan.bias is not None:
            change = stochastic_shift(e, self.bias_shift, draw(plan.bias.start + rows, a, b))
            self.biases[clients, rows] = saturate(self.biases[clients, rows] - change, LIMITS["int32"])


class _Conv(_Weighted):
    def backward(self, error: Int32s, x: Int32s) -> Int32s:
        assert self.plan.window is not None
        e = self._by_position(error).astype(np.float64)
        return self._scaled(scatter(self.plan.window, np.matmul(e, self.weights[: len(e)])), x)

    def update(self, error: Int32s, x: Int32s, a: Noise, b: Noise) -> None:
        plan, m = self.plan, len(error)
        assert plan.window is not None
        e = self._by_position(error)
        a, b = a[:, np.newaxis], b[:, np.newaxis]
        if self.masters is not None and plan.kernel is not None:
            seen = gather(plan.window, x).astype(np.float64)
            gradient = np.matmul(np.swapaxes(e, 1, 2).astype(np.float64), seen).astype(np.int32).reshape(m, -1)
            noise = draw(np.arange(plan.kernel.start, plan.kernel.stop, dtype=np.uint32), a, b)
            step = self.format.rounded(gradient, self.weight_shift, noise).reshape(m, plan.rows, plan.fan_in)
            self.masters[:m] = saturate(self.masters[:m] - step, self.format.limit)
            self.weights[:m] = self.format.derive(self.masters[:m])
        if self.biases is not None and plan.bias is not None:
            noise = draw(np.arange(plan.bias.start, plan.bias.stop, dtype=np.uint32), a, b)
            step = stochastic_shift(e.sum(axis=1, dtype=np.int32), self.bias_shift, noise)
            self.biases[:m] = saturate(self.biases[:m] - step, LIMITS["int32"])

    def _by_position(self, error: Int32s) -> Int32s:
        assert self.plan.window is not None
        return error.reshape(len(error), self.plan.window.positions, self.plan.rows)


def masked(plan: LayerPlan, error: Int32s, x: Int32s) -> Int32s:
    """Within the limit of the layer below, and 0 where its activation is clamped: no gradient passes there."""
    below: Int32s = np.minimum(np.maximum(error, -plan.below_limit - 1), plan.below_limit)
    low, high = plan.passes
    below[(x <= low) | (x >= high)] = 0
    return below
