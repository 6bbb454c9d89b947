"""An oracle beside the engine: federated averaging as a straight line of Python integers.

What is shared with the program is the client's arithmetic (`train_many` and `encode`, which have oracles of their own in
tests/models) and the keys; partition to shares, packing, the rules, rounding, saturation and hashing are written here.
"""

from __future__ import annotations

import hashlib
import math
import statistics
import struct
from fractions import Fraction

import pytest

from byzantiny_models.encoding import encode
from byzantiny_models.networks import initial_model
from byzantiny_models.partitions import iid
from byzantiny_models.rng import Stream, derive_key, rng_for
from byzantiny_models.tasks import load_task
from byzantiny_models.training import train_many

CLIENTS, ROUNDS, SHIFT, LR_SHIFT = 18, 20, 6, 5
WEIGHTS = (64 * 32, 32 * 10)
BIASES = (32, 10)
BIAS_FRAC = (12, 11)


def pack(model):
    """int16 weights and int32 biases, layer by layer, little-endian."""
    out, at = b"", 0
    for weights, biases in zip(WEIGHTS, BIASES, strict=True):
        out += struct.pack(f"<{weights}h", *model[at : at + weights])
        out += struct.pack(f"<{biases}i", *model[at + weights : at + weights + biases])
        at += weights + biases
    return out


def per_coordinate(for_weights, for_biases):
    return [
        value
        for weights, biases, frac in zip(WEIGHTS, BIASES, BIAS_FRAC, strict=True)
        for value in [for_weights] * weights + [for_biases(frac)] * biases
    ]


def round_half_away(value: Fraction) -> int:
    return math.floor(value + Fraction(1, 2)) if value >= 0 else math.ceil(value - Fraction(1, 2))


def clip(row, bound):
    """The coordinator's re-clip: round(c * floor(B 2^12 / ceil(norm)) / 2^12), if the norm is above B."""
    squares = sum(code * code for code in row)
    if not bound or squares <= bound * bound:
        return row
    root = math.isqrt(squares)
    factor = (bound << 12) // (root + (root * root < squares))
    return [round_half_away(Fraction(code * factor, 1 << 12)) for code in row]


RULES = {
    "mean": lambda column: Fraction(sum(column), len(column)),
    "median": lambda column: Fraction(statistics.median(column)),
}


def simulate(rule, seed, bound):
    task = load_task("digits")
    network = task.network
    names = [f"dev-{number:02d}" for number in range(1, CLIENTS + 1)]
    shares = iid(rng_for(seed, Stream.PARTITION), task.train_y, CLIENTS)
    shifts = per_coordinate(SHIFT, lambda frac: SHIFT - (14 - frac))
    limits = per_coordinate(32_512, lambda _: (1 << 24) - 1)
    offered = (SHIFT, SHIFT - 2, SHIFT, SHIFT - 3)
    model = [int(value) for value in initial_model(network, seed)]
    hashes = []
    for round_num in range(1, ROUNDS + 1):
        keys = {stream: [derive_key(seed, name, round_num, stream) for name in names] for stream in Stream}
        trained = train_many(
            network, model, [task.train_x[share] for share in shares], [task.train_y[share] for share in shares],
            keys[Stream.SAMPLE_ORDER], keys[Stream.TRAINING], 1, LR_SHIFT,
        )  # fmt: skip
        rows = [
            clip(encode(network.layout, model, local, offered, bound, key).tolist(), bound)
            for local, key in zip(trained, keys[Stream.CODES], strict=True)
        ]
        steps = [RULES[rule](column) for column in zip(*rows, strict=True)]
        model = [
            max(-limit, min(limit, weight + round_half_away(step * 2**shift)))
            for weight, step, shift, limit in zip(model, steps, shifts, limits, strict=True)
        ]
        hashes.append(hashlib.sha256(pack(model)).hexdigest())
    return hashes


@pytest.mark.parametrize(
    ("rule", "bound", "seed"), [("mean", 0, 1), ("mean", 200, 2), ("median", 0, 3), ("median", 200, 1)]
)
def test_the_engine_computes_what_a_straight_line_of_integers_computes(run, rule, bound, seed):
    outcome = run({
        "rounds": ROUNDS, "seeds": [seed], "partition": {"name": "iid"},
        "training": {"epochs": 1, "lr_shift": LR_SHIFT, "shift": SHIFT},
        "round": {"l2_bound": bound or "off"},
        "clients": [{"prefix": "dev", "count": CLIENTS}],
        "defence": {"pipeline": [{"name": rule}]},
    })  # fmt: skip
    clipped = [row for row in outcome.rows("clients", seed=seed) if (row["clip_factor"] or 1.0) < 1.0]
    assert bool(clipped) == bool(bound), "the bound is meant to bind where there is one"
    assert outcome.models(seed=seed) == simulate(rule, seed, bound)
