"""From cells and results to the numbers of a report: one group a (task, alpha, wire, defence, f, f_declared)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from byzantiny.scores import metrics
from byzantiny.scores.on_wire import is_on_wire, wire_row
from byzantiny.scores.records import Cell, Result
from byzantiny.scores.statistics import estimate, iqm, kendall_tau, split_half_tau

CLEAN = "none"
CONTROL = "float+box"
"""The wire that rankings on others are compared with, where the grid has it."""
Setting = tuple[str, float | None, str, str, int, int]
"""(task, alpha, wire, defence, f, f_declared)."""
Results = Mapping[str, Result]


def setting_of(cell: Cell) -> Setting:
    """Return everything of a cell but its attack and seed."""
    return cell.task, cell.alpha, cell.wire, cell.defence, cell.f, cell.f_declared


def score(cells: Sequence[Cell], results: Results) -> dict[str, Any]:
    """Return every metric of the sweep, as plain data for `scores.json`."""
    done = [cell for cell in cells if cell.run in results and results[cell.run].status == "done"]
    failed = [cell for cell in cells if cell.run in results and results[cell.run].status != "done"]
    by_setting: dict[Setting, dict[str, list[Cell]]] = {}
    on_the_wire: dict[Setting, dict[str, list[Cell]]] = {}
    for cell in done:
        into = on_the_wire if is_on_wire(results[cell.run]) else by_setting
        into.setdefault(setting_of(cell), {}).setdefault(cell.attack, []).append(cell)
    attacks = [
        _attack_row(setting, attack, group, of.get(CLEAN, []), results)
        for setting, of in sorted(by_setting.items(), key=_order)
        for attack, group in sorted(of.items())
    ]
    defences = [
        _defence_row(setting, of, by_setting, results) for setting, of in sorted(by_setting.items(), key=_order)
    ]
    return {
        "schema": "byzantiny.scores/1",
        "cells": len(cells),
        "done": len(done),
        "failed": [{"cell": _name(cell), "error": results[cell.run].error} for cell in failed],
        "attacks": [row for row in attacks if row is not None],
        "defences": defences,
        "on_wire": _on_wire(on_the_wire, by_setting, results),
        "rankings": _rankings(defences, by_setting, results),
    }


def _on_wire(
    found: Mapping[Setting, Mapping[str, Sequence[Cell]]],
    others: Mapping[Setting, Mapping[str, Sequence[Cell]]],
    results: Results,
) -> list[dict[str, Any]]:
    rows = []
    for setting, of in sorted(found.items(), key=_order):
        clean = others.get(setting, {}).get(CLEAN, [])
        for attack, group in of.items():
            row = wire_row(attack, group, clean, results)
            rows += [_fields(setting) | row] if row is not None else []
    return rows


def _order(item: tuple[Setting, object]) -> tuple[Any, ...]:
    return tuple((value is None, value if value is not None else 0) for value in item[0])


def _name(cell: Cell) -> str:
    alpha = "" if cell.alpha is None else f" alpha {cell.alpha:g}"
    return f"{cell.defence} against {cell.attack}, f {cell.f}, {cell.wire}, {cell.task}{alpha}, seed {cell.seed}"


def _fields(setting: Setting) -> dict[str, Any]:
    return dict(zip(("task", "alpha", "wire", "defence", "f", "f_declared"), setting, strict=True))


def _values(cells: Iterable[Cell], results: Results, of: Callable[[Result], float | None]) -> dict[int, float]:
    """One number a scored seed; tuning seeds are scored nowhere."""
    found = {cell.seed: of(results[cell.run]) for cell in cells if not cell.tuning}
    return {seed: value for seed, value in sorted(found.items()) if value is not None}


def _estimate(values: Mapping[int, float]) -> dict[str, Any] | None:
    found = estimate(list(values.values()))
    return None if found is None else found.to_dict()


def _interval(a: Sequence[float], b: Sequence[float]) -> list[float | None] | None:
    """The bootstrap interval of the paired differences a - b; None below three pairs."""
    found = estimate([x - y for x, y in zip(a, b, strict=True)])
    return None if found is None or found.low is None else [found.low, found.high]


def _paired(a: Mapping[int, float], b: Mapping[int, float]) -> tuple[list[float], list[float]]:
    both = sorted(set(a) & set(b))
    return [a[seed] for seed in both], [b[seed] for seed in both]


def _rate(cells: Sequence[Cell], results: Results, of: Callable[[Result], float | None]) -> float | None:
    values = list(_values(cells, results, of).values())
    return sum(values) / len(values) if values else None


def _attack_row(
    setting: Setting, attack: str, group: Sequence[Cell], clean: Sequence[Cell], results: Results
) -> dict[str, Any] | None:
    accuracy = _values(group, results, metrics.accuracy)
    if not accuracy:
        return None
    clean_pairs, attacked_pairs = _paired(_values(clean, results, metrics.accuracy), accuracy)
    return _fields(setting) | {
        "attack": attack,
        "bypass": group[0].bypass,
        "accuracy": _estimate(accuracy),
        "by_seed": {str(seed): value for seed, value in accuracy.items()},
        "impact": metrics.impact(clean_pairs, attacked_pairs) if attack != CLEAN else None,
        "impact_interval": _interval(clean_pairs, attacked_pairs) if attack != CLEAN else None,
        "asr": _estimate(_values(group, results, metrics.attack_success)),
        "asr_floor": _rate(group, results, lambda result: result.asr_floor),
        "honest_rejection": _rate(group, results, metrics.rejection_rate),
        "minority_rejection": _rate(group, results, lambda result: metrics.rejection_rate(result, "minority")),
        "precision": _rate(group, results, lambda result: metrics.detection(result)[0]),
        "recall": _rate(group, results, lambda result: metrics.detection(result)[1]),
        "denial_rate": _rate(group, results, metrics.denial_rate),
        "divergence_rate": _rate(group, results, lambda result: _as_number(metrics.diverged(result))),
        "spread_steps": _rate(
            group, results, lambda r: None if r.series is None else metrics.tail(r.series.spread_steps)
        ),
        "deployed": _deployed(group, results),
    }


def _as_number(flag: bool | None) -> float | None:
    return None if flag is None else float(flag)


def _deployed(group: Sequence[Cell], results: Results) -> dict[str, Any]:
    names = sorted({name for cell in group for name in results[cell.run].deployed})
    return {name: _rate(group, results, lambda result, name=name: result.deployed.get(name)) for name in names}  # type: ignore[misc]


def _tuned_worst(of: Mapping[str, Sequence[Cell]], results: Results) -> tuple[str | None, bool]:
    """Return the worst attack of a setting, and whether it was chosen on seeds that are not scored."""
    attacks = {name: group for name, group in of.items() if name != CLEAN}
    tuned = any(cell.tuning for group in attacks.values() for cell in group)
    scores = {}
    for name, group in attacks.items():
        chosen = [metrics.accuracy(results[cell.run]) for cell in group if cell.tuning or not tuned]
        scores[name] = [value for value in chosen if value is not None]
    return metrics.worst_attack(scores), tuned


def _defence_row(
    setting: Setting,
    of: Mapping[str, Sequence[Cell]],
    everything: Mapping[Setting, Mapping[str, Sequence[Cell]]],
    results: Results,
) -> dict[str, Any]:
    worst, tuned = _tuned_worst(of, results)
    clean = _values(of.get(CLEAN, []), results, metrics.accuracy)
    task, alpha, wire, defence, _f, declared = setting
    base = everything.get((task, alpha, wire, defence, 0, 0), {})
    unguarded, guarded = _paired(_values(base.get(CLEAN, []), results, metrics.accuracy), clean)
    return _fields(setting) | {
        "clean": _estimate(clean),
        "worst_attack": worst,
        "chosen_on_tuning_seeds": tuned,
        "worst": None if worst is None else _estimate(_values(of[worst], results, metrics.accuracy)),
        "cost_of_caution": metrics.cost_of_caution(unguarded, guarded) if declared else None,
    }


def _rankings(
    defences: Sequence[Mapping[str, Any]], everything: Mapping[Setting, Mapping[str, Sequence[Cell]]], results: Results
) -> list[dict[str, Any]]:
    """Kendall's tau of the defences' worst cases on each wire and on the control, beside the control's own noise ceiling."""
    keys = {(row["task"], row["alpha"], row["f"]) for row in defences if row["f"]}
    out = []
    for task, alpha, f in sorted(keys, key=lambda key: (key[0], key[1] is None, key[1] or 0.0, key[2])):
        by_wire: dict[str, dict[str, dict[int, float]]] = {}
        for setting, of in everything.items():
            if (setting[0], setting[1], setting[4]) == (task, alpha, f) and setting[5] >= f:
                worst, _ = _tuned_worst(of, results)
                if worst is not None:
                    by_wire.setdefault(setting[2], {})[setting[3]] = _values(of[worst], results, metrics.accuracy)
        control = by_wire.get(CONTROL)
        if control is None:
            continue
        for wire, scores in sorted(by_wire.items()):
            shared = sorted(name for name in scores if name in control and scores[name] and control[name])
            seeds = sorted(set.intersection(*(set(control[name]) for name in shared))) if shared else []
            mine = [iqm(list(scores[name].values())) for name in shared]
            theirs = [iqm(list(control[name].values())) for name in shared]
            ceiling = split_half_tau([[control[name][seed] for seed in seeds] for name in shared])
            place = {"task": task, "alpha": alpha, "f": f, "wire": wire, "control": CONTROL, "defences": shared}
            both = {name: [a, b] for name, a, b in zip(shared, theirs, mine, strict=True)}
            out.append(place | {"tau": kendall_tau(theirs, mine), "ceiling": ceiling, "worst": both})
    return out
