"""The literature's effects on the float wire, on the int8 wire and on those between them (docs/float-and-int8.md).

    python benchmarks/study_effects.py factors            one shot, and MPAF, with the wire taken apart (1 minute of CPU)
    python benchmarks/study_effects.py effects            nine attacks on four wires (6 minutes)
    python benchmarks/study_effects.py bound              the same on int8 with the default L2 bound (1 minute)
    python benchmarks/study_effects.py start              a poisoned start, and honest rounds after it (1 minute)

Digits, 64-32-10, 20 clients (100 where a table says so), iid to all purposes (Dirichlet 100), two epochs a round. Every run
begins with one model, that of 30 honest rounds on the int8 wire, and is honest in its first round; then the attackers lie
in every round. Seeds 1, 2, ... up to --seeds. A number is the interquartile mean over the seeds with its 95 % bootstrap interval.
No L2 bound is announced unless a table is about it. `--json` prints the numbers of every seed.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import product
from typing import Any

import numpy as np

from byzantiny.attacks import ModelReplacement
from byzantiny.experiment.cast import chosen_of
from byzantiny.experiment.config import parse_experiment
from byzantiny.experiment.opening import Opening, open_first
from byzantiny.experiment.wires import Wire, run_on
from byzantiny.scores.statistics import estimate
from byzantiny.updates import CODE_LIMIT
from byzantiny_models.tasks import load_task

DIGITS = load_task("digits")
CLIENTS, MANY = 20, 100
WARM, ATTACKED, TAIL = 30, 20, 5
"""Honest rounds before, attacked rounds, and the last ones over which an accuracy is averaged."""
MOST_F = 6
HONEST = "honest"
"""As an L2 bound: the median length of ten honest updates at the start."""
WIRES = {
    "float": Wire("float", box=False, rounding="none"),
    "float+box": Wire("float", box=True, rounding="none"),
    "int8 without box": Wire("int8", box=False, rounding="sr"),
    "int8": Wire(),
}
MEAN = ({"name": "mean"},)


@dataclass(frozen=True)
class Effect:
    """An attack, by whom, against what."""

    attack: str
    f: int = 1
    rule: str = "mean"
    params: dict[str, Any] = field(default_factory=dict)
    history: bool = False
    l2_bound: int | str = "off"
    note: str = ""

    @property
    def title(self) -> str:
        return f"{self.attack}{self.note}"


EFFECTS = (
    Effect("model-replacement"),
    Effect("model-replacement", l2_bound=HONEST, note=", norm clip"),
    Effect("constrain-and-scale"),
    Effect("alternating-minimisation"),
    Effect("multi-party", f=2),
    Effect("neurotoxin", f=2, history=True),
    Effect("mpaf"),
    Effect("ipm", f=4, rule="krum", params={"epsilon": 0.1}, note=" x0.1"),
    Effect("alie", f=4, rule="median", params={"z": 1.5}, note=" z1.5"),
)


@dataclass(frozen=True)
class Run:
    """What a run came to; shares of 1. `asr` and `floor` are None where nothing in particular is wanted."""

    accuracy: list[float]
    asr: list[float] | None
    floor: float | None
    saturated: float
    kept: float
    """The share of attacked rounds in which the rule kept an attacker's row."""
    model: Any

    @property
    def tail(self) -> float:
        return float(np.mean(self.accuracy[-TAIL:]))

    @property
    def to_half(self) -> int | None:
        """Attacked rounds until half of the probes succeed; round 1 is honest."""
        return next((i for i, asr in enumerate(self.asr or []) if asr > 0.5), None)


def table_of(effect: Effect | None, f: int, rounds: int, n: int, rule: str, bound: int | str) -> dict[str, Any]:
    """The experiment of a run, as `byzantiny run` takes it."""
    table: dict[str, Any] = {
        "rounds": rounds,
        "training": {"epochs": 2},
        "clients": [{"prefix": "dev", "count": n}],
        "round": {"l2_bound": bound},
        "defence": {"pipeline": [{"name": rule}], "f_declared": 0 if rule == "mean" else f},
    }
    if effect is not None:
        params = {"name": effect.attack, "params": effect.params, "history": effect.history, "start_round": 2}
        table["attack"] = {**params, "byzantine": f}
    return table


@cache
def warmed(seed: int, n: int = CLIENTS) -> Opening:
    """The model that every run of a seed begins with."""
    run = parse_experiment(table_of(None, 0, WARM, n, "mean", "off")).base
    return Opening(DIGITS, run_on(Wire(), run, seed, DIGITS)[0].model)


@cache
def honest_norm(seed: int) -> int:
    """The median length of the updates of ten clients in the first round, in grid steps."""
    seen: list[float] = []
    run = parse_experiment(table_of(Effect("sign-flip"), 10, 2, CLIENTS, "mean", "off")).base
    run_on(
        Wire(), run, seed, DIGITS, opening=warmed(seed), watch=lambda rows: seen.extend(np.linalg.norm(rows, axis=1))
    )
    return round(float(np.median(seen)))


def simulate(
    wire: Wire, seed: int, effect: Effect | None, f: int, rounds: int = 1 + ATTACKED, n: int = CLIENTS,
    opening: Opening | None = None, rule: str = "mean", bound: int | str = "off",
) -> tuple[Any, Any, Any, float]:  # fmt: skip
    """One run: what `run_on` returns, and the share of the crafted codes beyond the box."""
    bound = honest_norm(seed) if bound == HONEST else bound
    run = parse_experiment(table_of(effect, f, rounds, n, rule, bound)).base
    over: list[float] = []
    done, cast, answers = run_on(
        wire, run, seed, DIGITS, opening=opening or warmed(seed, n),
        watch=lambda rows: over.append(float(np.mean(np.abs(rows) > CODE_LIMIT))),
    )  # fmt: skip
    return done, cast, answers, float(np.mean(over)) if over else 0.0


@cache
def unattacked(wire: str, seed: int, rule: str, f: int, bound: int | str) -> Any:
    """The rounds of a wire and rule in which nobody lies."""
    return simulate(WIRES[wire], seed, None, f, rule=rule, bound=bound)[0]


def attacked(wire: str, seed: int, effect: Effect, f: int) -> Run:
    """One attacked run beside the unattacked one."""
    done, cast, answers, over = simulate(WIRES[wire], seed, effect, f, rule=effect.rule, bound=effect.l2_bound)
    floor = None
    if cast.chosen is not None:
        x, wanted = cast.chosen
        honest = unattacked(wire, seed, effect.rule, 0 if effect.rule == "mean" else f, effect.l2_bound).model
        floor = float(np.mean(np.argmax(answers(honest, x), axis=1) == wanted))
    kept = float(np.mean([account.byzantine_kept > 0 for account in done.accounts[1:]]))
    asr = None if floor is None else [row.asr for row in done.rows]
    return Run([row.accuracy for row in done.rows], asr, floor, over, kept, done.model)


def clean_tail(wire: str, seed: int, effect: Effect, f: int) -> float:
    rows = unattacked(wire, seed, effect.rule, 0 if effect.rule == "mean" else f, effect.l2_bound).rows
    return float(np.mean([row.accuracy for row in rows[-TAIL:]]))


def harms(run: Run, clean: float) -> bool:
    """More than 5 points of accuracy lost, or an ASR more than 50 points above the floor."""
    planted = run.asr is not None and run.floor is not None and run.asr[-1] > run.floor + 0.5
    return planted or clean - run.tail > 0.05


def effect_row(wire: str, effect: Effect, seeds: int, most_f: int = MOST_F) -> dict[str, Any]:
    """One line of the table, seed by seed."""
    row: dict[str, Any] = {"attack": effect.title, "f": effect.f, "rule": effect.rule, "wire": wire}
    columns: dict[str, list[Any]] = {
        key: [] for key in ("clean", "accuracy", "floor", "asr", "to_half", "smallest_f", "saturated", "kept")
    }
    for seed in range(1, seeds + 1):
        runs = {effect.f: attacked(wire, seed, effect, effect.f)}
        run = runs[effect.f]
        smallest = None
        for f in range(1, most_f + 1):
            runs.setdefault(f, run if f == effect.f else attacked(wire, seed, effect, f))
            if harms(runs[f], clean_tail(wire, seed, effect, f)):
                smallest = f
                break
        values = (
            clean_tail(wire, seed, effect, effect.f), run.tail, run.floor, None if run.asr is None else run.asr[-1],
            run.to_half, smallest, run.saturated, run.kept,
        )  # fmt: skip
        for key, value in zip(columns, values, strict=True):
            columns[key].append(value)
    return row | columns


def factor_row(parts: tuple[str, bool, str], seeds: int) -> dict[str, Any]:
    """One shot of model replacement and twenty rounds of MPAF on one wire, seed by seed."""
    wire = Wire(*parts)
    row: dict[str, Any] = {"training": parts[0], "box": parts[1], "rounding": parts[2]}
    names = ("saturated", "asr", "accuracy", "asr_later", "saturated_many", "asr_many", "mpaf", "mpaf_many")
    columns: dict[str, list[float]] = {name: [] for name in names}
    shot = Effect("model-replacement")
    for seed in range(1, seeds + 1):
        done, _, answers, over = simulate(wire, seed, shot, 1, rounds=2)
        later = simulate(wire, seed, None, 0, rounds=10, opening=Opening(DIGITS, done.model))[0].model
        x, wanted = open_probes(seed)
        many, _, _, over_many = simulate(wire, seed, shot, 1, rounds=2, n=MANY)
        drag = simulate(wire, seed, Effect("mpaf"), 1)[0]
        hard = Effect("mpaf", params={"scale": 100.0})
        far = simulate(wire, seed, hard, 1, n=MANY, rounds=6)[0]
        values = (
            over, done.rows[-1].asr, done.rows[-1].accuracy, float(np.mean(np.argmax(answers(later, x), axis=1) == wanted)),
            over_many, many.rows[-1].asr, float(np.mean([r.accuracy for r in drag.rows[-TAIL:]])), far.rows[-1].accuracy,
        )  # fmt: skip
        for key, value in zip(columns, values, strict=True):
            columns[key].append(value)
    return row | columns


def open_probes(seed: int) -> Any:
    return chosen_of(ModelReplacement(), seed, DIGITS)


FACTORS = list(product(("float", "int8"), (False, True), ("none", "nearest", "sr")))


def start_row(wire: str, f: int, rule: str, seeds: int, marks: tuple[int, ...] = (0, 1, 5, 20, 40)) -> dict[str, Any]:
    """A poisoned start, made from f clients' shares, and its durability."""
    columns: dict[str, list[Any]] = {f"{what}_{mark}": [] for mark in marks for what in ("asr", "accuracy")}
    columns["floor"] = []
    for seed in range(1, seeds + 1):
        table = table_of(Effect("poisoned-start"), f, max(marks), CLIENTS, rule, "default")
        table["attack"]["start_round"] = 1
        table["defence"]["f_declared"] = 0 if rule == "mean" else 4
        run = parse_experiment(table).base
        opening = open_first(run, seed, DIGITS)
        done, cast, answers = run_on(WIRES[wire], run, seed, DIGITS, opening=opening)
        x, wanted = cast.chosen
        honest = parse_experiment({**table, "attack": {}}).base
        floor = run_on(WIRES[wire], honest, seed, DIGITS)[0].model
        columns["floor"].append(float(np.mean(np.argmax(answers(floor, x), axis=1) == wanted)))
        for mark in marks:
            model = opening.model if mark == 0 else None
            asr = np.mean(np.argmax(answers(model, x), axis=1) == wanted) if mark == 0 else done.rows[mark - 1].asr
            right = np.argmax(answers(model, DIGITS.test_x), axis=1) == DIGITS.test_y if mark == 0 else None
            columns[f"asr_{mark}"].append(float(asr))
            columns[f"accuracy_{mark}"].append(float(np.mean(right)) if mark == 0 else done.rows[mark - 1].accuracy)
    return {"wire": wire, "rule": rule, "f": f} | columns


def shown(values: list[float | None], *, percent: bool = True) -> str:
    """The interquartile mean and its interval, in per cent."""
    found = estimate([value for value in values if value is not None])
    if found is None:
        return "-"
    scale = 100 if percent else 1
    if found.low is None or found.high is None or found.low == found.high:
        return f"{scale * found.value:.1f}"
    return f"{scale * found.value:.1f} ({scale * found.low:.1f} .. {scale * found.high:.1f})"


def counted(values: list[int | None], beyond: str) -> str:
    """The median of counts, and their range, where None is more than was tried."""
    ordered = sorted(values, key=lambda value: float("inf") if value is None else value)
    said = [beyond if value is None else str(value) for value in ordered]
    low, middle, high = said[0], said[(len(said) - 1) // 2], said[-1]
    return middle if low == high else f"{middle} ({low} .. {high})"


def grid_of(header: str, rows: list[list[str]]) -> str:
    lines = [f"| {header} |", "|" + "---|" * (header.count("|") + 1)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def print_factors(rows: list[dict[str, Any]]) -> str:
    """The wires, and what each factor does by itself, paired by seed and by the other two."""
    table = [
        [row["training"], "yes" if row["box"] else "no", row["rounding"], *(shown(row[key]) for key in _FACTOR_KEYS)]
        for row in rows
    ]
    wires = grid_of(
        "training | box | rounding | codes beyond the box, % | ASR after one shot, % | accuracy then, % | ASR 10 rounds later, %"
        " | of 100: beyond the box, % | of 100: ASR after one shot, % | MPAF x10, accuracy, % | MPAF x100 of 100, accuracy, %",
        table,
    )
    effects = []
    by_wire = {(row["training"], row["box"], row["rounding"]): row for row in rows}
    for name, index, before, after in _CHANGES:
        pairs = [
            (row, by_wire[tuple(after if i == index else part for i, part in enumerate(wire))])
            for wire, row in by_wire.items()
            if wire[index] == before
        ]
        cells = []
        for key in ("asr", "asr_many", "mpaf", "mpaf_many"):
            seeds = len(pairs[0][0][key])
            cells.append(shown([float(np.mean([b[key][s] - a[key][s] for a, b in pairs])) for s in range(seeds)]))
        effects.append([name, *cells])
    changes = grid_of(
        "factor | ASR after one shot, points | of 100: ASR after one shot | MPAF x10, accuracy | MPAF x100 of 100, accuracy",
        effects,
    )
    return f"{wires}\n\n{changes}"


_FACTOR_KEYS = ("saturated", "asr", "accuracy", "asr_later", "saturated_many", "asr_many", "mpaf", "mpaf_many")
_CHANGES = (
    ("training: float to int8", 0, "float", "int8"),
    ("box: off to on", 1, False, True),
    ("rounding: none to nearest", 2, "none", "nearest"),
    ("rounding: none to stochastic", 2, "none", "sr"),
)


def print_effects(rows: list[dict[str, Any]]) -> str:
    """A line an attack and wire."""
    return grid_of(
        "attack | f | rule | wire | accuracy unattacked, % | accuracy, % | ASR floor, % | ASR, % | rounds to ASR 50 %"
        " | smallest f that harms | codes beyond the box, % | rounds in which Krum took an attacker, %",
        [
            [
                row["attack"], str(row["f"]), row["rule"], row["wire"], shown(row["clean"]), shown(row["accuracy"]),
                shown(row["floor"]), shown(row["asr"]),
                "-" if row["asr"][0] is None else counted(row["to_half"], f"> {ATTACKED}"),
                counted(row["smallest_f"], f"> {MOST_F}"), shown(row["saturated"]),
                shown(row["kept"]) if row["rule"] == "krum" else "-",
            ]
            for row in rows
        ],
    )  # fmt: skip


def print_start(rows: list[dict[str, Any]]) -> str:
    """ASR and accuracy by honest rounds since."""
    marks = [key.removeprefix("asr_") for key in rows[0] if key.startswith("asr_")]
    head = [f"ASR after {mark}, %" for mark in marks] + [f"accuracy after {mark}, %" for mark in marks]
    return grid_of(
        f"wire | rule | shares it has | ASR floor, % | {' | '.join(head)}",
        [
            [
                row["wire"], row["rule"], str(row["f"]), shown(row["floor"]),
                *(shown(row[f"asr_{mark}"]) for mark in marks), *(shown(row[f"accuracy_{mark}"]) for mark in marks),
            ]
            for row in rows
        ],
    )  # fmt: skip


def study(name: str, seeds: int) -> tuple[list[dict[str, Any]], str]:
    """The rows of a table, and the table."""
    if name == "factors":
        rows = [factor_row(parts, seeds) for parts in FACTORS]
        return rows, print_factors(rows)
    if name == "start":
        places = [("int8", f, "mean") for f in (1, 2, 4)] + [("int8", 2, "median"), ("float", 2, "mean")]
        rows = [start_row(wire, f, rule, seeds) for wire, f, rule in places]
        return rows, print_start(rows)
    effects = EFFECTS
    if name == "bound":
        effects = tuple(replace(effect, l2_bound="default") for effect in EFFECTS if effect.l2_bound == "off")
    wires = ("int8",) if name == "bound" else tuple(WIRES)
    rows = [effect_row(wire, effect, seeds) for effect in effects for wire in wires]
    return rows, print_effects(rows)


def main(arguments: list[str] | None = None) -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=("factors", "effects", "bound", "start"))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    rows, text = study(given.table, given.seeds)
    print(json.dumps({"table": given.table, "seeds": given.seeds, "rows": rows}) if given.json else text)


if __name__ == "__main__":
    main()
