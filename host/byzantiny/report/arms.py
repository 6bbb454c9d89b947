"""One line an arm: what the table, the headline, the terminal and the JSON show. Computed once, from the records."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from byzantiny.records import ArmInfo
from byzantiny.report import deployed
from byzantiny.report.metric import metric_name
from byzantiny.report.run import Run
from byzantiny.report.statistics import Summary, last_tenth, summarize
from byzantiny.report.targets import Verdict, judge

BOOTSTRAP_SEED = 0
"""The interval is part of the report, so the report of one run is the same every time."""


@dataclass(frozen=True)
class Outcome:
    """One arm and seed; from `final.json`, or from the rounds where the run was cut short."""

    seed: int
    rounds: int
    accuracy: float | None
    accuracy_last_tenth: float | None
    no_aggregate: int
    accepted: int
    refused: int
    bytes_up: int
    bytes_down: int
    wall_s: float


@dataclass(frozen=True)
class ArmSummary:
    """One arm over its seeds: accuracy over the last tenth of the rounds, counts summed, bytes and seconds a seed."""

    info: ArmInfo
    outcomes: tuple[Outcome, ...]
    accuracy: Summary | None
    accuracy_final: Summary | None
    accepted: int
    refused: int
    no_aggregate: int
    rounds: int
    bytes_up: float
    bytes_down: float
    wall_s: float
    verdict: Verdict

    @property
    def attacked(self) -> bool:
        """Whether an adversary is at work in this arm."""
        return self.info.attack not in {"", "none"}


def summarize_arms(run: Run, rng: np.random.Generator | None = None) -> tuple[ArmSummary, ...]:
    """One summary an arm, in the manifest's order; `rng` draws the bootstrap (default: a fixed seed)."""
    rng = np.random.default_rng(BOOTSTRAP_SEED) if rng is None else rng
    return tuple(_summarize_arm(run, arm, rng) for arm in run.arms)


def _summarize_arm(run: Run, arm: ArmInfo, rng: np.random.Generator) -> ArmSummary:
    outcomes = tuple(_outcome(run, arm.name, seed) for seed in run.seeds_of(arm.name))
    last = [o.accuracy_last_tenth for o in outcomes if o.accuracy_last_tenth is not None]
    final = [o.accuracy for o in outcomes if o.accuracy is not None]
    accuracy = summarize(last, rng) if last else None
    return ArmSummary(
        info=arm,
        outcomes=outcomes,
        accuracy=accuracy,
        accuracy_final=summarize(final, rng) if final else None,
        accepted=sum(o.accepted for o in outcomes),
        refused=sum(o.refused for o in outcomes),
        no_aggregate=sum(o.no_aggregate for o in outcomes),
        rounds=sum(o.rounds for o in outcomes),
        bytes_up=_mean([o.bytes_up for o in outcomes]),
        bytes_down=_mean([o.bytes_down for o in outcomes]),
        wall_s=_mean([o.wall_s for o in outcomes]),
        verdict=judge(arm.target, accuracy.mean if accuracy else None, finished=_finished(run, outcomes)),
    )


def _finished(run: Run, outcomes: Sequence[Outcome]) -> bool:
    """Whether every seed went through all of its rounds: a mean over fewer is another figure than the target's."""
    return len(outcomes) == len(run.manifest.seeds) and all(o.rounds >= run.manifest.rounds for o in outcomes)


def _outcome(run: Run, arm: str, seed: int) -> Outcome:
    """The outcome of one arm and seed of which at least one round is there."""
    final, rows = run.finals.get((arm, seed)), run.rounds[arm, seed]
    if final is not None:
        return Outcome(
            seed=seed,
            rounds=final.rounds,
            accuracy=final.accuracy,
            accuracy_last_tenth=final.accuracy_last_tenth,
            no_aggregate=final.no_aggregate,
            accepted=final.accepted,
            refused=final.refused,
            bytes_up=final.bytes_up,
            bytes_down=final.bytes_down,
            wall_s=final.wall_s,
        )
    accuracies = [row.accuracy for row in rows]
    return Outcome(
        seed=seed,
        rounds=len(rows),
        accuracy=next((value for value in reversed(accuracies) if value is not None), None),
        accuracy_last_tenth=last_tenth(accuracies),
        no_aggregate=sum(row.outcome == "no-aggregate" for row in rows),
        accepted=sum(row.accepted for row in rows),
        refused=sum(row.refused for row in rows),
        bytes_up=sum(row.bytes_up for row in rows),
        bytes_down=sum(row.bytes_down for row in rows),
        wall_s=math.fsum(row.wall_s for row in rows),
    )


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else 0.0


def summary(run: Run) -> dict[str, object]:
    """The run's figures as plain dicts, lists, numbers and strings, ready for `json.dumps`.

    What is called accuracy is in the metric that `metric` names.
    """
    return {
        "schema": "byzantiny.summary/1",
        "run_id": run.manifest.run_id,
        "title": run.manifest.title,
        "metric": metric_name(run.manifest),
        "complete": run.complete,
        "problems": list(run.problems),
        "arms": [_arm_json(arm) | _deployed_json(run, arm.info.name) for arm in summarize_arms(run)],
    }


def _arm_json(arm: ArmSummary) -> dict[str, object]:
    accuracy, final = arm.accuracy, arm.accuracy_final
    return {
        "arm": arm.info.name,
        "title": arm.info.title,
        "attack": arm.info.attack,
        "seeds": [o.seed for o in arm.outcomes],
        "accuracy_last_tenth": accuracy.mean if accuracy else None,
        "accuracy_last_tenth_per_seed": list(accuracy.values) if accuracy else [],
        "accuracy_last_tenth_median": accuracy.median if accuracy else None,
        "accuracy_last_tenth_iqm": accuracy.iqm if accuracy else None,
        "accuracy_last_tenth_ci95": [accuracy.low, accuracy.high] if accuracy and accuracy.low is not None else None,
        "accuracy": final.mean if final else None,
        "target": arm.info.target,
        "target_met": arm.verdict.met,
        "accepted": arm.accepted,
        "refused": arm.refused,
        "rounds": arm.rounds,
        "no_aggregate": arm.no_aggregate,
        "bytes_up_per_seed": arm.bytes_up,
        "bytes_down_per_seed": arm.bytes_down,
        "wall_s_per_seed": arm.wall_s,
    }


def _deployed_json(run: Run, arm: str) -> dict[str, object]:
    """The deployed model's figures over the last tenth of the rounds; None for what was not measured."""
    floor = deployed.asr_floor(run, arm)
    shares: dict[str, deployed.Share] = {
        "accuracy_float_last_tenth": lambda row: row.accuracy_float,
        "accuracy_exported_last_tenth": lambda row: row.accuracy_exported,
        "asr_last_tenth": deployed.asr_of,
        "clients_p10_last_tenth": lambda row: row.clients_p10,
        "clients_min_last_tenth": lambda row: row.clients_min,
        "honest_p10_last_tenth": lambda row: row.honest_p10,
        "honest_min_last_tenth": lambda row: row.honest_min,
    }
    figures: dict[str, object] = {name: deployed.figure_of(run, arm, share) for name, share in shares.items()}
    return figures | {
        "asr_floor": None if floor is None else floor.rate,
        "asr_floor_of": None if floor is None else floor.source,
    }
