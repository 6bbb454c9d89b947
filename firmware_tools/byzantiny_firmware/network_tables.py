"""The networks as C: tables of layers and tensors, and the sizes of static buffers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from byzantiny.wire import messages
from byzantiny.wire.codec import max_frame_bytes
from byzantiny_firmware.writing import opening
from byzantiny_models import costs
from byzantiny_models.costs import scratch_bytes
from byzantiny_models.networks import MASTER_FRAC, NETWORKS, WEIGHT_FRAC, Network
from byzantiny_models.plans import HIDDEN_ERROR_FRAC, LayerPlan, layer_plans

MAX_LAYERS = 12
"""Layers of a table: BYZ_LAYERS_MAX of byz_network.h."""
MAX_UNITS = 65_535
"""Numbers of a layer's inputs, outputs or rows: the core's tables have 16 bits for them."""
MAX_POOL = 32_767
"""Pixels of a pooling's window: a share of an error is computed in 32 bits."""


def _identifier(network: Network) -> str:
    return network.name.replace("-", "_")


NETWORKS_SOURCE = "byzantiny_models.networks.NETWORKS"


def networks_header(networks: Mapping[str, Network] = NETWORKS) -> str:
    """`byz_networks.h`: every network by name and by index, and its sizes for static buffers."""
    lines = [
        *opening(NETWORKS_SOURCE, "The networks."),
        "#ifndef BYZ_NETWORKS_H",
        "#define BYZ_NETWORKS_H",
        "",
        '#include "../byz_network.h"',
        "",
    ]
    for network in networks.values():
        name, layout = _identifier(network), network.layout
        lines += [f"extern const byz_network_t byz_net_{name};"]
        sizes = {
            "D": layout.d,
            "MODEL_BYTES": layout.model_bytes,
            "SCRATCH_BYTES": scratch_bytes(network),
            "TENSORS": len(layout.tensors),
            "FEATURES": network.features,
            "CLASSES": network.classes,
        }
        lines += [f"#define BYZ_NET_{name.upper()}_{size} {value}U" for size, value in sizes.items()] + [""]
    lines += [
        "/* All of them, in the order of the definition. */",
        f"#define BYZ_NETWORK_COUNT {len(networks)}U",
        "extern const byz_network_t *const byz_networks[BYZ_NETWORK_COUNT];",
        f"BYZ_ASSERT(BYZ_LAYERS_MAX == {MAX_LAYERS}U, layers_max);",
        "",
        "#endif",
        "",
    ]
    return "\n".join(lines)


def arena_bytes(network: Network, max_payload: int, samples: int = 0) -> int:
    """What `byz_client_arena_bytes` computes: two models, the scratch, a frame, the order of the samples.

    >>> arena_bytes(NETWORKS["mlp-64-32-10"], 240)
    10328
    """
    return costs.arena_bytes(network, max_frame_bytes(max_payload), samples)


def _check_fits_core(network: Network) -> None:
    for tensor in network.layout.tensors:
        if tensor.dtype == "int32" and tensor.byte_offset % 4:
            raise ValueError(
                f"{network.name}: {tensor.name} lies at byte {tensor.byte_offset}, the core reads it aligned to 4"
            )
    if len(network.layout.tensors) > messages.MAX_TENSORS:
        raise ValueError(
            f"{network.name} has {len(network.layout.tensors)} tensors; an offer has room for {messages.MAX_TENSORS}"
        )
    if len(layer_plans(network)) > MAX_LAYERS:
        raise ValueError(
            f"{network.name} has {len(layer_plans(network))} layers; a table has room for {MAX_LAYERS} layers"
        )
    for i, plan in enumerate(layer_plans(network)):  # which refuses what could overflow
        if max(plan.inputs, plan.outputs, plan.fan_in) > MAX_UNITS:
            raise ValueError(
                f"{network.name}, layer {i}: {plan.inputs} -> {plan.outputs}; the core counts to {MAX_UNITS}"
            )
        if plan.kind == "pool" and plan.window is not None and plan.window.taps > MAX_POOL:
            raise ValueError(f"{network.name}, layer {i}: a window of {plan.window.taps}; the core pools {MAX_POOL}")


def _layer_row(plan: LayerPlan) -> str:
    values: dict[str, object] = {} if plan.kind == "dense" else {"ops": f"&byz_{plan.kind}"}
    values |= {
        "inputs": plan.inputs,
        "outputs": plan.outputs,
        "rows": plan.rows,
        "fan_in": plan.fan_in,
        "pass_above": plan.passes[0],
        "pass_below": plan.passes[1],
        "below_limit": plan.below_limit,
    }
    if plan.kind != "pool":
        values |= {
            "low": plan.low,
            "requant_shift": plan.k,
            "error_shift": WEIGHT_FRAC + plan.error_frac - HIDDEN_ERROR_FRAC if plan.backward else 0,
            "weight_step": plan.error_frac + plan.input_frac - MASTER_FRAC,
            "bias_step": plan.error_frac - plan.bias_frac,
            "kernel": plan.tensor,
            "bias": plan.tensor + 1,
        }
    if plan.window is not None:
        values |= asdict(plan.window)
    return "    { " + ", ".join(f".{field} = {value}" for field, value in values.items()) + " },"


def networks_source(networks: Mapping[str, Network] = NETWORKS) -> str:
    """`byz_networks.c`: the tables that the core walks.

    Raises:
        ValueError: a network that the core has no room for, or that could overflow.
    """
    lines = [
        *opening(NETWORKS_SOURCE, "The networks as tables of layers and tensors."),
        '#include "byz_networks.h"',
        '#include "../byz_layers.h"',
        "",
    ]
    for network in networks.values():
        _check_fits_core(network)
        name, layout, plans = _identifier(network), network.layout, layer_plans(network)
        lines.append(f"static const byz_layer_t {name}_layers[{len(plans)}] = {{")
        lines += [_layer_row(plan) for plan in plans]
        lines += ["};", "", f"static const byz_tensor_t {name}_tensors[{len(layout.tensors)}] = {{"]
        lines += [
            f"    {{ .elements = {t.elements}, .flat_offset = {t.offset}, .byte_offset = {t.byte_offset}, "
            f".is_bias = {int(t.dtype == 'int32')}, .frac = {t.frac} }}, /* {t.name} */"
            for t in layout.tensors
        ]
        lines += ["};", "", f"const byz_network_t byz_net_{name} = {{", *_network_fields(network), "};", ""]
    lines += [
        "const byz_network_t *const byz_networks[BYZ_NETWORK_COUNT] = {",
        *(f"    &byz_net_{_identifier(network)}," for network in networks.values()),
        "};",
        "",
    ]
    return "\n".join(lines)


def _network_fields(network: Network) -> list[str]:
    name, layout, plans = _identifier(network), network.layout, layer_plans(network)
    digest = [f"0x{byte:02x}" for byte in layout.sha256]
    values = {
        "name": f'"{network.name}"',
        "layers": f"{name}_layers",
        "tensors": f"{name}_tensors",
        "n_layers": len(plans),
        "n_tensors": len(layout.tensors),
        "n_whole": len(layout.tensors),
        "first": next(i for i, plan in enumerate(plans) if plan.kind != "pool"),
        "features": network.features,
        "outputs": network.outputs,
        "classes": network.classes,
        "head": "BYZ_HEAD_" + network.head.upper().replace("-", "_"),
        "d": layout.d,
        "model_bytes": layout.model_bytes,
    }
    return [
        *(f"    .{field} = {value}," for field, value in values.items()),
        "    .layout_sha256 = { " + ", ".join(digest[:16]) + ",",
        "                       " + ", ".join(digest[16:]) + " },",
    ]


RAM_CLASSES = (32 << 10, 64 << 10)
"""RAM of the microcontrollers that images are linked for."""
FIXED_RAM_BYTES = 6 << 10
"""Beside the arena: the stack, the client, the line, and the order of at least 700 samples."""


def ram_class(network: Network) -> int:
    """Return the RAM of the smallest microcontroller that trains the whole network, in bytes.

    Raises:
        ValueError: it needs more than the largest has.

    >>> ram_class(NETWORKS["mlp-64-32-10"]), ram_class(NETWORKS["mlp-561-16-6"])
    (32768, 65536)
    """
    needed = arena_bytes(network, messages.DEFAULT_PAYLOAD) + FIXED_RAM_BYTES
    for size in RAM_CLASSES:
        if needed <= size:
            return size
    raise ValueError(f"{network.name} needs {needed} bytes of RAM; the largest class has {RAM_CLASSES[-1]}")


def image_source(network: Network) -> str:
    """Return the source of a network's image: what main.c is compiled for."""
    name = _identifier(network)
    return "\n".join(
        [
            *opening(NETWORKS_SOURCE, f"The image of {network.name}."),
            f"#define BYZ_BOARD_NETWORK {name}",
            f"#define BYZ_BOARD_SIZES {name.upper()}",
            f"#define BYZ_BOARD_RAM {ram_class(network)}",
            '#include "../main.c"',
            "",
        ]
    )
