"""The grid of the updates on digits: what its step costs and buys, fixed and adapted (docs/grid.md).

    python benchmarks/study_grid.py                    the study: tables, and docs/grid.png with --png (3 minutes of CPU)
    python benchmarks/study_grid.py --policy           other thresholds and paces than the defaults (3 minutes)
    python benchmarks/study_grid.py --slack            what rounding adds to honest norms (docs/decisions/0010)

Twelve clients, four of them Byzantine where there is an attack, 40 rounds of two epochs. A run is the round loop without
wire and ledger, on the native body's batch calls: the same partition, clients, relays' `craft` and federation, so the
models are those of the engine, byte for byte (tests/experiment/test_grid.py).
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from byzantiny.charts.render import png
from byzantiny.charts.style import LIGHT, Spec, figure
from byzantiny.experiment.cast import Cast, make_cast
from byzantiny.experiment.config import RunConfig, parse_experiment
from byzantiny.experiment.resolve import make_federation, make_plan
from byzantiny.federation import Scales
from byzantiny.fleet import AdversaryPlan, Scene, craft_round
from byzantiny.updates import UpdateBatch
from byzantiny.validation import norm_limit, squared_norm
from byzantiny.wire.messages import Offer
from byzantiny_firmware import library
from byzantiny_models.encoding import encode
from byzantiny_models.networks import NETWORKS, initial_model
from byzantiny_models.quantization import isqrt_ceil
from byzantiny_models.rng import Stream, derive_key, rng_for
from byzantiny_models.tasks import load_task

CLIENTS, LIARS, ROUNDS = 12, 4, 40
SHIFTS = (3, 4, 6, 7, 8, 9, 10, 11, 12)
RULES = ("median", "grouped-median", "sr-median", "trimmed-mean")
ATTACKS = {
    "none": {},
    "sign-flip x4": {"name": "sign-flip", "byzantine": LIARS, "params": {"scale": 4.0}},
    "saturate": {"name": "steer-grid", "byzantine": LIARS},
    "zeros": {"name": "steer-grid", "byzantine": LIARS, "params": {"towards": "fine"}},
    "in turn": {"name": "steer-grid", "byzantine": LIARS, "params": {"towards": "both"}},
}
SHOWN = ("none", "sign-flip x4", "saturate")
BOUND_SHIFT, BOUND = 6, 800
"""The default L2 bound, 16 ceil(sqrt d), on the default grid; on other grids its real length is kept."""


def experiment(
    shift: int, rule: str, attack: str, *, adapt: bool, alpha: float = 100.0, rounds: int = ROUNDS, **grid: int
) -> dict:
    """One cell of the study as an experiment's table: also what `byzantiny run` takes."""
    return {
        "rounds": rounds,
        "training": {"epochs": 2, "shift": shift},
        "grid": {"adapt": adapt, **grid},
        "partition": {"alpha": alpha, "min_samples": 8},
        "round": {"l2_bound": math.ceil(BOUND * 2.0 ** (BOUND_SHIFT - shift))},
        "clients": [{"prefix": "dev", "count": CLIENTS}],
        "attack": ATTACKS[attack],
        "defence": {"pipeline": [{"name": rule}], "f_declared": LIARS},
    }


@dataclass(frozen=True)
class Outcome:
    """`accuracy` over the last tenth of the rounds; by round the honest std / step, the grid and the model's hash."""

    accuracy: float
    ratios: list[float]
    shifts: list[tuple[int, ...]]
    models: list[str]

    @property
    def ratio(self) -> float:
        """The geometric mean over the rounds."""
        return float(np.exp(np.mean(np.log(self.ratios))))


class Clients:
    """The clients of a run, trained and encoded in one native call each."""

    def __init__(self, cast: Cast, seed: int, run: RunConfig) -> None:
        self.task = load_task(run.task)
        self.layout = self.task.network.layout
        self.names = [role.client_id for role in cast.roles]
        self._lib, self._index = library.load(), list(NETWORKS).index(self.task.network.name)
        self._seed, self._training, self._n = seed, run.training, len(cast.roles)
        self._data = [np.frombuffer(role.dataset, np.uint8).copy() for role in cast.roles]
        self._pointers = (ctypes.c_void_p * self._n)(*[blob.ctypes.data for blob in self._data])
        self._lengths = (ctypes.c_uint64 * self._n)(*[len(blob) for blob in self._data])
        self._ids = np.frombuffer(b"".join(name.encode().ljust(16, b"\0") for name in self.names), np.uint8).copy()
        self._scratch = np.zeros(self._lib.byz_batch_scratch_bytes(self._index) // 8 + 1, np.uint64)
        self._test = np.ascontiguousarray(self.task.test_x, np.int8)

    def train(self, model: np.ndarray, round_num: int) -> tuple[np.ndarray, np.ndarray]:
        """The packed model, and what it becomes at each client, one blob after the other."""
        start = np.frombuffer(self.layout.pack(model), np.uint8).copy()
        trained = np.tile(start, self._n)
        steps = self._lib.byz_batch_train(
            self._index, None, 0, trained.ctypes.data, self._pointers, self._lengths, self._ids.ctypes.data, self._seed,
            round_num, self._training.epochs, self._training.lr_shift, self._n, 0, self._n, self._scratch.ctypes.data,
        )  # fmt: skip
        assert steps > 0
        return start, trained

    def encode(
        self, start: np.ndarray, trained: np.ndarray, shifts: tuple[int, ...], bound: int, round_num: int
    ) -> np.ndarray:
        """The honest codes, int8 (n, d)."""
        codes, grid = np.zeros((self._n, self.layout.d), np.int8), np.array(shifts, np.int8)
        status = self._lib.byz_batch_encode(
            self._index, None, 0, start.ctypes.data, trained.ctypes.data, grid.ctypes.data, bound, self._ids.ctypes.data,
            self._seed, round_num, self._n, 0, self._n, codes.ctypes.data, self._scratch.ctypes.data,
        )  # fmt: skip
        assert status == 0
        return codes

    def accuracy(self, model: np.ndarray) -> float:
        """Of the integer model on the test set."""
        blob = np.frombuffer(self.layout.pack(model), np.uint8).copy()
        logits = np.empty((len(self._test), self.task.classes), np.int8)
        status = self._lib.byz_batch_forward(
            self._index, None, 0, blob.ctypes.data, self._test.ctypes.data, len(self._test), self._test.shape[1],
            logits.ctypes.data, self._scratch.ctypes.data,
        )  # fmt: skip
        assert status == 0
        return float(np.mean(logits.argmax(axis=1) == self.task.test_y))


def simulate(table: dict, seed: int) -> Outcome:
    """Run one experiment's table with one seed."""
    run = parse_experiment(table).base
    task = load_task(run.task)
    layout, cast = task.network.layout, make_cast(run, seed, task)
    clients, federation, plan = Clients(cast, seed, run), make_federation(run, layout), make_plan(run, "", seed, layout)
    liars = [i for i, role in enumerate(cast.roles) if role.byzantine]
    honest = [i for i, role in enumerate(cast.roles) if not role.byzantine]
    sizes = [tensor.elements for tensor in layout.tensors]
    state, grid = federation.init(initial_model(task.network, seed)), federation.grid
    out = Outcome(0.0, [], [], [])
    accuracies = []
    for number in range(1, run.rounds + 1):
        shifts = plan.shifts if state.grid is None else state.grid.shifts
        bound = plan.l2_bound if grid is None else grid.bound(shifts)
        start, trained = clients.train(state.model, number)
        codes = clients.encode(start, trained, shifts, bound, number)
        models = np.stack([layout.unpack(blob) for blob in trained.reshape(len(codes), -1)[honest]])
        spread = (models - state.model).std(axis=0, ddof=1) / np.repeat([2.0**s for s in shifts], sizes)
        offer = Offer(
            number, seed, bytes(16), bytes(32), layout.sha256, layout.model_bytes, bound, 0, run.training.epochs,
            run.training.lr_shift, shifts,
        )  # fmt: skip
        own = {clients.names[i]: codes[i].copy() for i in liars}
        crafted = craft_round(AdversaryPlan(cast.attack), Scene(offer, layout, state.model), {}, own)
        for i in liars:
            codes[i] = crafted.codes[clients.names[i]]
        batch = UpdateBatch.from_rows(codes, layout, shifts, clients.names)
        state, _ = federation.apply(state, batch, rng_for(seed, Stream.AGGREGATION, round_num=number))
        state = federation.adapt(state, Scales.of(batch))
        out.ratios.append(float(np.sqrt(np.mean(spread**2))))
        out.shifts.append(shifts)
        out.models.append(hashlib.sha256(layout.pack(state.model)).hexdigest())
        if number > run.rounds - max(1, run.rounds // 10):
            accuracies.append(clients.accuracy(state.model))
    return Outcome(float(np.mean(accuracies)), out.ratios, out.shifts, out.models)


def percent(outcomes: list[Outcome]) -> str:
    return f"{100 * np.mean([each.accuracy for each in outcomes]):.1f}"


def study(seeds: range) -> list[dict]:
    """Print accuracy by rule, shift and attack, fixed and adapted; return the cells for the picture."""
    cells = []
    print("| rule | shift | std / step | no attack | sign flip x4 | impact | saturate | impact |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for rule in RULES:
        for shift in SHIFTS:
            found = {
                (attack, adapt): [simulate(experiment(shift, rule, attack, adapt=adapt), seed) for seed in seeds]
                for attack in SHOWN
                for adapt in (False, True)
            }
            fixed, moved = (float(np.mean([each.ratio for each in found["none", adapt]])) for adapt in (False, True))
            row = [rule, str(shift), f"{fixed:.2f}, {moved:.1f}"]
            clean = [np.mean([each.accuracy for each in found["none", adapt]]) for adapt in (False, True)]
            for attack in SHOWN:
                figures = [np.mean([each.accuracy for each in found[attack, adapt]]) for adapt in (False, True)]
                row.append(", ".join(f"{100 * figure:.1f}" for figure in figures))
                if attack != "none":
                    row.append(", ".join(f"{100 * (c - figure):.1f}" for c, figure in zip(clean, figures, strict=True)))
                cells += [
                    {"rule": rule, "attack": attack, "ratio": fixed, "accuracy": figure, "grid": name}
                    for figure, name in zip(figures, ("fixed", "adapted"), strict=True)
                ]
            print("| " + " | ".join(row) + " |", flush=True)
    return cells


def steering(seeds: range) -> None:
    """Print how far the steering attacks take the grid from where it goes without them."""
    print("\n| shift of round 1 | attack | largest difference of a shift | moves | undone | accuracy |")
    print("|--:|---|--:|--:|--:|--:|")
    for shift in (4, 6, 10):
        alone = [np.array(simulate(experiment(shift, "median", "none", adapt=True), seed).shifts) for seed in seeds]
        for attack in ("none", "saturate", "zeros", "in turn"):
            outcomes = [simulate(experiment(shift, "median", attack, adapt=True), seed) for seed in seeds]
            paths = [np.array(each.shifts) for each in outcomes]
            apart = max(int(np.abs(path - other).max()) for path, other in zip(paths, alone, strict=True))
            steps = [np.diff(path, axis=0) for path in paths]
            undone = sum(int(((each > 0).any(axis=0) & (each < 0).any(axis=0)).sum()) for each in steps)
            moves = np.mean([np.count_nonzero(each) for each in steps])
            print(f"| {shift} | {attack} | {apart} | {moves:.1f} | {undone} | {percent(outcomes)} |", flush=True)


def skew(seeds: range) -> None:
    """Print the same under label skew, Dirichlet(0.3)."""
    print("\n| rule | shift of round 1 | no attack | sign flip x4 |")
    print("|---|--:|--:|--:|")
    for rule in ("median", "sr-median"):
        for shift in (4, 6, 9, 11):
            row = []
            for attack in ("none", "sign-flip x4"):
                pair = [
                    percent([simulate(experiment(shift, rule, attack, adapt=adapt, alpha=0.3), seed) for seed in seeds])
                    for adapt in (False, True)
                ]
                row.append(", ".join(pair))
            print(f"| {rule} | {shift} | " + " | ".join(row) + " |", flush=True)


def policies(seeds: range) -> None:
    """Print accuracy for other thresholds and paces, from four grids to begin with."""
    print("| K | low | high | rule | no attack: 3, 6, 9, 12 | sign flip x4 | in turn | moves |")
    print("|--:|--:|--:|---|---|---|---|--:|")
    for every, low, high in ((1, 4, 32), (3, 4, 32), (8, 4, 32), (3, 1, 8), (3, 2, 16), (3, 8, 64), (3, 16, 127)):
        chosen = {"every_rounds": every, "low_steps": low, "high_steps": high}
        for rule in ("median", "sr-median"):
            row, moves = [], []
            for attack in ("none", "sign-flip x4", "in turn"):
                starts = []
                for shift in (3, 6, 9, 12):
                    table = experiment(shift, rule, attack, adapt=True, **chosen)
                    outcomes = [simulate(table, seed) for seed in seeds]
                    starts.append(percent(outcomes))
                    moves += [np.count_nonzero(np.diff(each.shifts, axis=0)) for each in outcomes if shift == 6]
                row.append(", ".join(starts))
            print(
                f"| {every} | {low} | {high} | {rule} | " + " | ".join(row) + f" | {np.mean(moves):.1f} |", flush=True
            )


ROWS = (
    ("none", "no attack", 0.8),
    ("sign-flip x4", "4 of 12 flip signs x4", 0.8),
    ("saturate", "4 of 12 saturate", 0.2),
)
"""Attack, its words, and where its row's scale of accuracy begins."""


def picture(cells: list[dict], path: Path) -> None:
    """Accuracy against honest std / step, a row an attack, a column a rule."""
    panels = [
        _panel([c for c in cells if (c["attack"], c["rule"]) == (attack, rule)], rule, words, low)
        for attack, words, low in ROWS
        for rule in RULES
    ]
    spec = figure(LIGHT, {"concat": panels, "columns": len(RULES), "align": "all", "spacing": 14})
    path.write_bytes(png({**spec, "background": LIGHT.paper, "padding": 12}, scale=1.5))


def _panel(cells: list[dict], rule: str, words: str, low: float) -> Spec:
    top, left, bottom = words == ROWS[0][1], rule == RULES[0], words == ROWS[-1][1]
    fraction = "datum.value < 1 ? '1/' + (1 / datum.value) : datum.value"
    x: Spec = {
        "field": "ratio", "type": "quantitative", "title": "honest std / step" if bottom else None,
        "scale": {"type": "log", "base": 2, "domain": [0.045, 45], "nice": False},
        "axis": {"values": [0.0625, 0.25, 1, 4, 16], "labelExpr": fraction, "labels": bottom},
    }  # fmt: skip
    y: Spec = {
        "field": "accuracy", "type": "quantitative", "title": words if left else None,
        "scale": {"domain": [low, 1], "nice": False},
        "axis": {"format": ".0%", "tickCount": 4, "labels": left},
    }  # fmt: skip
    hues: Spec = {"domain": ["fixed grid", "adapted, beginning there"], "range": [LIGHT.arms[1], LIGHT.arms[0]]}
    legend = {"title": None, "orient": "top", "labelLimit": 300} if top and left else None
    colour: Spec = {"field": "grid", "type": "nominal", "scale": hues, "legend": legend}
    shape: Spec = {**colour, "scale": {**hues, "range": ["square", "circle"]}}
    names = {"fixed": hues["domain"][0], "adapted": hues["domain"][1]}
    return {
        "width": 160, "height": 110, "data": {"values": [{**cell, "grid": names[cell["grid"]]} for cell in cells]},
        "title": {"text": rule if top else "", "fontSize": 13, "anchor": "middle"},
        "layer": [
            {"mark": {"type": "line", "strokeWidth": 2}, "encoding": {"x": x, "y": y, "color": colour}},
            {
                "mark": {"type": "point", "filled": True, "size": 38, "opacity": 1},
                "encoding": {"x": x, "y": y, "color": colour, "shape": shape},
            },
        ],
    }  # fmt: skip


def slack() -> None:
    """Print how many honest first updates the limit of the norm refuses, before and now, on coarser tensors."""
    layout = load_task("digits").network.layout
    grids = ((6, 4, 6, 3), (10, 4, 6, 3), (11, 4, 6, 3), (12, 4, 6, 3), (12, 2, 6, 1), (6, 4, 12, 3))
    rows = {shifts: [0, 0, 0, -math.inf] for shifts in grids}
    for seed in range(1, 6):
        run = parse_experiment(experiment(6, "median", "none", adapt=False)).base
        clients = Clients(make_cast(run, seed, load_task("digits")), seed, run)
        model = initial_model(clients.task.network, seed)
        local = [layout.unpack(blob) for blob in clients.train(model, 1)[1].reshape(CLIENTS, -1)]
        for shifts, row in rows.items():
            exponents = layout.exponents(shifts)
            bound = math.ceil(BOUND * 2.0 ** (BOUND_SHIFT - 14 - min(exponents)))
            limit = norm_limit(bound, layout, shifts)
            for name, weights in zip(clients.names, local, strict=True):
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
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--png", type=Path, help="where to write the picture")
    parser.add_argument("--policy", action="store_true", help="other thresholds and paces")
    parser.add_argument("--slack", action="store_true", help="what rounding adds to honest norms")
    options = parser.parse_args()
    seeds = range(1, options.seeds + 1)
    if options.slack:
        slack()
    elif options.policy:
        policies(seeds)
    else:
        cells = study(seeds)
        if options.png:
            picture(cells, options.png)
        steering(seeds)
        skew(seeds)


if __name__ == "__main__":
    main()
