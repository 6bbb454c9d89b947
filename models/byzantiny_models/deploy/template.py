"""Templates: a network's `.tflite` and a map of where its numbers lie, so that a round's model is patched in, not converted.

A template has the network's power-of-two scales and zero points 0 already; weights and biases are written over. That needs
NumPy alone and takes microseconds, where a conversion takes TensorFlow, 600 MB and a tenth of a second. The bytes are those a
fresh export of the same weights has.
"""

from __future__ import annotations

import hashlib
import json
import struct
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from byzantiny_models.deploy.model_file import ModelFile, ModelFileError, Operator, TensorInfo, parse_model
from byzantiny_models.deploy.programs import run_program
from byzantiny_models.layers import KINDS
from byzantiny_models.layouts import HIDDEN_FRAC, INPUT_FRAC, LOGIT_FRAC, WEIGHT_FRAC
from byzantiny_models.networks import Network
from byzantiny_models.plans import LayerPlan, layer_plans
from byzantiny_models.quantization import derive_weights

FORMAT = "byzantiny.template/1"
_FOLDER = "templates"
_SEED = 0
_EXPORT = "byzantiny_models.deploy.keras_export"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the values of one tensor of the whole layout lie in the file: int8 weights, or int32 biases."""

    tensor: str
    offset: int
    elements: int


@dataclass(frozen=True, eq=False)
class Template:
    """A network's `.tflite` and its offset map.

    Raises:
        ModelFileError: a map that does not fit the file.
    """

    network: str
    whole_layout_sha256: str
    data: bytes
    places: tuple[Place, ...]

    def __post_init__(self) -> None:
        for place in self.places:
            end = place.offset + place.elements * (4 if place.tensor.endswith("/bias") else 1)
            if not 0 <= place.offset < end <= len(self.data):
                raise ModelFileError(
                    f"template of {self.network}: {place.tensor} at {place.offset} .. {end} of {len(self.data)} bytes; "
                    "export it again with `byzantiny model export`"
                )

    def to_json(self) -> str:
        """Return the map as the JSON that lies beside the file."""
        table = {
            "format": FORMAT,
            "network": self.network,
            "whole_layout_sha256": self.whole_layout_sha256,
            "template_sha256": hashlib.sha256(self.data).hexdigest(),
            "places": [asdict(place) for place in self.places],
        }
        return json.dumps(table, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes, data: bytes) -> Template:
        """Return the template of a map and its file.

        Raises:
            ModelFileError: no map, or one of another file.
        """
        try:
            table = json.loads(text)
            if table["format"] != FORMAT or table["template_sha256"] != hashlib.sha256(data).hexdigest():
                raise ModelFileError(f"a template map of {table['format']!r} for another file; build both again")
            places = tuple(Place(**place) for place in table["places"])
            return cls(table["network"], table["whole_layout_sha256"], data, places)
        except (ValueError, KeyError, TypeError) as error:
            if isinstance(error, ModelFileError):
                raise
            raise ModelFileError(f"this is no template map: {error}; build it again") from error


def patch(template: Template, network: Network, flat: ArrayLike) -> bytes:
    """Return the deployed `.tflite` of a model, int32 (d,) of the network or of its trained part.

    Weights are the int8 ones that the forward pass uses, `min(127, (w16 + 128) >> 8)`; biases are the masters.

    Raises:
        ModelFileError: a template of another network.
        LayoutError: not a model of the network.
    """
    if template.whole_layout_sha256 != network.whole.layout.sha256.hex():
        raise ModelFileError(
            f"the template of {template.network} (layout {template.whole_layout_sha256[:12]}) is not {network.name}'s "
            f"({network.whole.layout.sha256.hex()[:12]}); export this network"
        )
    model = network.merge(flat)
    data = bytearray(template.data)
    for place, where in zip(template.places, network.whole.layout.slices, strict=True):
        values = model[where]
        raw = values.astype("<i4") if place.tensor.endswith("/bias") else derive_weights(values).astype("i1")
        data[place.offset : place.offset + raw.nbytes] = raw.tobytes()
    return bytes(data)


@cache
def load_template(name: str) -> Template:
    """Return a zoo network's template as it is shipped.

    Raises:
        ModelFileError: there is none.
    """
    folder = resources.files("byzantiny_models.deploy") / _FOLDER
    try:
        return Template.from_json((folder / f"{name}.json").read_bytes(), (folder / f"{name}.tflite").read_bytes())
    except OSError as error:
        raise ModelFileError(
            f"there is no template of {name!r}; build it with `byzantiny model export` where TensorFlow is installed"
        ) from error


def build_template(network: Network, python: str = sys.executable) -> Template:
    """Return a network's template, built by Keras and TensorFlow in a process of their own.

    Raises:
        MissingDependencyError: that Python has no TensorFlow.
        ModelFileError: what was built is not the network.
    """
    given = json.dumps(describe(network)).encode()
    return as_template(network, run_program(_EXPORT, given, f"building the template of {network.name}", python=python))


def describe(network: Network) -> dict[str, Any]:
    """Return what `keras_export` builds the network from, as plain data.

    >>> from byzantiny_models.networks import NETWORKS
    >>> describe(NETWORKS["mlp-64-32-10"])["layers"][1]
    {'kind': 'dense', 'inputs': 32, 'outputs': 10, 'activation': 'linear'}
    """
    layers = [{"kind": KINDS[type(layer)], **asdict(layer)} for layer in network.layers]
    return {"seed": _SEED, "input_shape": list(network.layers[0].input_shape), "layers": layers}


def as_template(network: Network, data: bytes) -> Template:
    """Return the template that a converted `.tflite` of the network makes, its scales and zero points set.

    Raises:
        ModelFileError: operators or sizes that are not the network's, a missing bias, buffers that are shared.
    """
    model = parse_model(data, f"the export of {network.name}")
    plans, weighted = layer_plans(network.whole), [op for op in model.operators if op.name in _WEIGHTED]
    wanted = [plan for plan in plans if plan.kind != "pool"]
    pools = [op for op in model.operators if op.name == "AVERAGE_POOL_2D"]
    if len(weighted) != len(wanted) or len(pools) != len(plans) - len(wanted):
        raise ModelFileError(
            f"{network.name}: {len(weighted)} weighted operators and {len(pools)} poolings in the file, "
            f"{len(wanted)} and {len(plans) - len(wanted)} in the network"
        )
    names = [spec.name for spec in network.whole.layout.tensors]
    patched, places = bytearray(data), []
    fracs = _activation_fracs(network, model, dict(zip(map(id, weighted), wanted, strict=True)))
    for index, frac in fracs.items():
        _set_scale(patched, model.tensors[index], 2.0**-frac)
    for i, (op, plan) in enumerate(zip(weighted, wanted, strict=True)):
        kernel, bias = (model.tensors[t] if t >= 0 else None for t in (*op.inputs, -1, -1)[1:3])
        if kernel is None or bias is None or kernel.buffer_bytes == 0 or bias.buffer_bytes == 0:
            raise ModelFileError(f"{network.name}: operator {op.name} {i} has no weights or no bias of its own")
        if kernel.buffer_bytes != plan.rows * plan.fan_in or bias.buffer_bytes != 4 * plan.rows:
            raise ModelFileError(
                f"{network.name}: operator {op.name} {i} holds {kernel.buffer_bytes} and {bias.buffer_bytes} bytes; "
                f"the network needs {plan.rows * plan.fan_in} and {4 * plan.rows}"
            )
        _set_scale(patched, kernel, 2.0**-WEIGHT_FRAC)
        _set_scale(patched, bias, 2.0**-plan.bias_frac)
        places += [
            Place(names[2 * i], kernel.offset, plan.rows * plan.fan_in),
            Place(names[2 * i + 1], bias.offset, plan.rows),
        ]
    if len({place.offset for place in places}) != len(places):
        raise ModelFileError(f"{network.name}: two tensors share a buffer; export with weights that differ")
    for place in places:
        size = place.elements * (4 if place.tensor.endswith("/bias") else 1)
        patched[place.offset : place.offset + size] = bytes(size)
    return Template(network.name, network.whole.layout.sha256.hex(), bytes(patched), tuple(places))


_WEIGHTED = ("FULLY_CONNECTED", "CONV_2D")


def _activation_fracs(network: Network, model: ModelFile, plan_of: dict[int, LayerPlan]) -> dict[int, int]:
    """The fractional bits of every computed tensor: set by weighted operators, handed on by the others."""
    fracs = {model.input: INPUT_FRAC}
    last = LOGIT_FRAC if network.head == "softmax" else INPUT_FRAC
    for op in model.operators:
        if op.inputs[0] not in fracs:
            raise ModelFileError(f"{network.name}: operator {op.name} reads a tensor before it is computed")
        plan = plan_of.get(id(op))
        if plan is not None:
            _check_activation(network, op, plan)
        fracs[op.outputs[0]] = fracs[op.inputs[0]] if plan is None else HIDDEN_FRAC if plan.hidden else last
    return fracs


def _check_activation(network: Network, op: Operator, plan: LayerPlan) -> None:
    if (op.activation == "relu") != (plan.low == 0):
        raise ModelFileError(
            f"{network.name}: operator {op.name} has activation {op.activation}; another than the network's"
        )


def _set_scale(data: bytearray, tensor: TensorInfo, scale: float) -> None:
    _write(data, tensor.scales_offset, "<f", [scale] * len(tensor.scales), tensor.name)
    if tensor.zero_points_offset:
        _write(data, tensor.zero_points_offset, "<q", [0] * len(tensor.zero_points), tensor.name)
    elif any(tensor.zero_points):
        raise ModelFileError(f"tensor {tensor.name!r} has zero points that cannot be found")


def _write(data: bytearray, offset: int, form: str, values: Sequence[float | int], name: str) -> None:
    if offset == 0 or not values:
        raise ModelFileError(f"tensor {name!r} has no scales; export it fully quantized")
    size = struct.calcsize(form)
    for i, value in enumerate(values):
        struct.pack_into(form, data, offset + i * size, value)


def shown(network: Network, x: ArrayLike) -> np.ndarray[Any, np.dtype[np.int8]]:
    """Return inputs int8 (n, features) in the shape the `.tflite` takes, (n, *input shape).

    >>> from byzantiny_models.networks import NETWORKS
    >>> shown(NETWORKS["mlp-64-32-10"], np.zeros((3, 64), np.int8)).shape
    (3, 64)
    """
    samples = np.asarray(x, dtype=np.int8)
    return samples.reshape(len(samples), *network.layers[0].input_shape)
