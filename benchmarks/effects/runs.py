"""The runs of benchmarks/study_effects.py: one wire, one seed, one attack; rows of a table with a number a seed."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from itertools import product
from typing import Any

import numpy as np

from byzantiny.attacks import ModelReplacement
from byzantiny.experiment.cast import chosen_of
from byzantiny.experiment.config import parse_experiment
from byzantiny.experiment.opening import Opening, open_first
from byzantiny.experiment.wires import Wire, run_on
from byzantiny.updates import CODE_LIMIT
from byzantiny_models.networks import initial_model
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
    warm: int = WARM
    """Honest rounds before."""

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
    Effect("ipm", f=4, rule="krum", params={"epsilon": 0.1}, note=" x0.1, from scratch", warm=0),
    Effect("alie", f=4, rule="median", params={"z": 1.5}, note=" z1.5"),
    Effect("alie", f=4, rule="median", params={"z": 1.5}, note=" z1.5, from scratch", warm=0),
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
def warmed(seed: int, n: int = CLIENTS, rounds: int = WARM) -> Opening:
    """The model that every run of a seed begins with."""
    if not rounds:
        return Opening(DIGITS, initial_model(DIGITS.network, seed))
    run = parse_experiment(table_of(None, 0, rounds, n, "mean", "off")).base
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
def unattacked(wire: str, seed: int, rule: str, f: int, bound: int | str, warm: int) -> Any:
    """The rounds of a wire and rule in which nobody lies."""
    return simulate(WIRES[wire], seed, None, f, rule=rule, bound=bound, opening=warmed(seed, rounds=warm))[0]


def beside(wire: str, seed: int, effect: Effect, f: int) -> Any:
    """The unattacked run beside an attacked one."""
    return unattacked(wire, seed, effect.rule, 0 if effect.rule == "mean" else f, effect.l2_bound, effect.warm)


def attacked(wire: str, seed: int, effect: Effect, f: int) -> Run:
    """One attacked run beside the unattacked one."""
    done, cast, answers, over = simulate(
        WIRES[wire], seed, effect, f, rule=effect.rule, bound=effect.l2_bound, opening=warmed(seed, rounds=effect.warm)
    )
    floor = None
    if cast.chosen is not None:
        x, wanted = cast.chosen
        honest = beside(wire, seed, effect, f).model
        floor = float(np.mean(np.argmax(answers(honest, x), axis=1) == wanted))
    kept = float(np.mean([account.byzantine_kept > 0 for account in done.accounts[1:]]))
    asr = None if floor is None else [row.asr for row in done.rows]
    return Run([row.accuracy for row in done.rows], asr, floor, over, kept)


def clean_tail(wire: str, seed: int, effect: Effect, f: int) -> float:
    return float(np.mean([row.accuracy for row in beside(wire, seed, effect, f).rows[-TAIL:]]))


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


ALIE = Effect("alie", f=5, rule="median", params={"z": 1.5}, warm=0)


def alie_row(parts: tuple[str, bool, str], seeds: int) -> dict[str, Any]:
    """Twenty rounds of ALIE against the median from scratch on one wire, seed by seed."""
    columns: dict[str, list[float]] = {"clean": [], "accuracy": [], "lost": []}
    for seed in range(1, seeds + 1):
        opening = warmed(seed, rounds=0)
        clean, attacked = (
            simulate(Wire(*parts), seed, effect, ALIE.f, rule=ALIE.rule, opening=opening)[0].rows[-TAIL:]
            for effect in (None, ALIE)
        )
        columns["clean"].append(float(np.mean([row.accuracy for row in clean])))
        columns["accuracy"].append(float(np.mean([row.accuracy for row in attacked])))
        columns["lost"].append(columns["clean"][-1] - columns["accuracy"][-1])
    return {"training": parts[0], "box": parts[1], "rounding": parts[2]} | columns


def open_probes(seed: int) -> Any:
    return chosen_of(ModelReplacement(), seed, DIGITS)


FACTORS = list(product(("float", "int8"), (False, True), ("none", "nearest", "sr")))


def start_row(wire: str, f: int, rule: str, seeds: int, marks: tuple[int, ...] = (0, 1, 5, 20, 40)) -> dict[str, Any]:
    """A poisoned start, made from f clients' shares, and its durability."""
    columns: dict[str, list[Any]] = {f"{what}_{mark}": [] for mark in marks for what in ("asr", "accuracy")}
    columns |= {"floor": [], "clean": []}
    for seed in range(1, seeds + 1):
        table = table_of(Effect("poisoned-start"), f, max(marks), CLIENTS, rule, "default")
        table["attack"]["start_round"] = 1
        table["defence"]["f_declared"] = 0 if rule == "mean" else 4
        run = parse_experiment(table).base
        opening = open_first(run, seed, DIGITS)
        done, cast, answers = run_on(WIRES[wire], run, seed, DIGITS, opening=opening)
        x, wanted = cast.chosen
        honest = parse_experiment({**table, "attack": {}}).base
        clean = run_on(WIRES[wire], honest, seed, DIGITS)[0]
        columns["clean"].append(clean.rows[-1].accuracy)
        floor = clean.model
        columns["floor"].append(float(np.mean(np.argmax(answers(floor, x), axis=1) == wanted)))
        for mark in marks:
            model = opening.model if mark == 0 else None
            asr = np.mean(np.argmax(answers(model, x), axis=1) == wanted) if mark == 0 else done.rows[mark - 1].asr
            right = np.argmax(answers(model, DIGITS.test_x), axis=1) == DIGITS.test_y if mark == 0 else None
            columns[f"asr_{mark}"].append(float(asr))
            columns[f"accuracy_{mark}"].append(float(np.mean(right)) if mark == 0 else done.rows[mark - 1].accuracy)
    return {"wire": wire, "rule": rule, "f": f} | columns
