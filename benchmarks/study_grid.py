"""The grid of the updates on digits: what its step costs and buys, fixed and adapted.

python benchmarks/study_grid.py --slack      what rounding adds to honest norms (docs/decisions/0010)
"""

from __future__ import annotations

import argparse
import math

import numpy as np

from byzantiny.validation import norm_limit, squared_norm
from byzantiny_models.encoding import encode
from byzantiny_models.networks import initial_model
from byzantiny_models.partitions import dirichlet
from byzantiny_models.quantization import isqrt_ceil
from byzantiny_models.rng import Stream, derive_key, rng_for
from byzantiny_models.tasks import load_task
from byzantiny_models.training import train_many

CLIENTS, EPOCHS, LR_SHIFT, ALPHA = 12, 2, 5, 100.0
NAMES = [f"dev-{number:02d}" for number in range(1, CLIENTS + 1)]
BOUND_SHIFT, BOUND = 6, 800
"""The default L2 bound, 16 ceil(sqrt d), on the default grid; elsewhere its real length is kept."""


def first_updates(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The initial model of digits, and what it became at each of the clients in round 1."""
    task = load_task("digits")
    shares = dirichlet(rng_for(seed, Stream.PARTITION), task.train_y, CLIENTS, ALPHA, 8)
    model = initial_model(task.network, seed)
    order, noise = (
        [derive_key(seed, name, 1, stream) for name in NAMES] for stream in (Stream.SAMPLE_ORDER, Stream.TRAINING)
    )
    x, y = [task.train_x[share] for share in shares], [task.train_y[share] for share in shares]
    return model, train_many(task.network, model, x, y, order, noise, EPOCHS, LR_SHIFT)


def slack() -> None:
    """Print how many honest first updates the limit of the norm refuses, before and now, on coarser tensors."""
    layout = load_task("digits").network.layout
    grids = ((6, 4, 6, 3), (10, 4, 6, 3), (11, 4, 6, 3), (12, 4, 6, 3), (12, 2, 6, 1), (6, 4, 12, 3))
    rows = {shifts: [0, 0, 0, -math.inf] for shifts in grids}
    for seed in range(1, 6):
        model, local = first_updates(seed)
        for shifts, row in rows.items():
            exponents = layout.exponents(shifts)
            bound = math.ceil(BOUND * 2.0 ** (BOUND_SHIFT - 14 - min(exponents)))
            limit = norm_limit(bound, layout, shifts)
            for name, weights in zip(NAMES, local, strict=True):
                codes = encode(layout, model, weights, shifts, bound, derive_key(seed, name, 1, Stream.CODES))
                norm = squared_norm(codes, layout, shifts)
                row[0] += 1
                row[1] += norm > (bound + 2 * isqrt_ceil(layout.d)) ** 2
                row[2] += norm > limit**2
                row[3] = max(row[3], 2 * (math.sqrt(norm) - bound) / (limit - bound))
    print("shifts            updates  refused before  refused now  largest (norm - B) / S")
    for shifts, (updates, before, now, largest) in rows.items():
        print(f"{shifts!s:17} {updates:7} {before:15} {now:12} {largest:12.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slack", action="store_true", help="print what rounding adds to honest norms")
    options = parser.parse_args()
    if options.slack:
        slack()


if __name__ == "__main__":
    main()
