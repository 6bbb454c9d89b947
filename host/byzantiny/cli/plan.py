"""`byzantiny plan`: how many liars a sampled cohort may have, what that asks of a defence, and what a run costs in bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from byzantiny.cli.study import finish, study
from byzantiny.experiment.config import ConfigError, RunConfig, load_experiment
from byzantiny.experiment.costs import network_costs
from byzantiny.experiment.exposure import LEVEL, Draw, Fit, Least, fit
from byzantiny.federation import build_pipeline, load_zoos
from byzantiny.report.units import human_bytes
from byzantiny.robustness.defences import Scale, parse_defence
from byzantiny.suggest import unknown_name
from byzantiny_models.networks import Network
from byzantiny_models.tasks import load_task, load_tasks

DEFENCES = ("median", "trimmed-mean", "krum", "bulyan", "nnm+trimmed-mean")
"""Asked unless others are named."""
_OWN = "the experiment's"
_NUMBERS = ("fleet", "cohort", "rounds")


@dataclass(frozen=True, slots=True)
class Asked:
    """What is on the command line; None: as the experiment has it, or the default."""

    fleet: int | None = None
    byzantine: float | None = None
    cohort: int | None = None
    rounds: int | None = None
    dropout: float = 0.0
    f_declared: int | None = None
    level: float = LEVEL
    task: str | None = None


def show_plan(asked: Asked, defences: Sequence[str], *, config: Path | None, arm: str | None, json: bool) -> None:
    """Print the plan. Raises ConfigError, RobustnessError and AggregationError."""
    if not 0.0 < asked.level < 1.0:
        raise ConfigError(f"--level {asked.level}: a probability above 0 and below 1, e.g. 0.01")
    run = None if config is None else _arm(config, arm)
    draw, declared = _draw(asked, run), _declared(asked, run)
    name = asked.task or (run.task if run is not None else "digits")
    if name not in load_tasks():
        raise ConfigError(unknown_name("task", name, load_tasks()))
    with study("plan", json=json):
        network = load_task(name).network
        rules = {name: least_of(name) for name in defences or DEFENCES}
        if run is not None and not defences:
            rules = {_OWN: least_in(run)} | rules
        found = {name: fit(draw, least, asked.level) for name, least in rules.items()}
    record = plan_record(draw, declared, asked.level, found, network)
    console = finish(json, record)
    if console is not None:
        _print(console, record)


def least_of(defence: str) -> Least:
    """Return f_declared -> the fewest updates that a defence needs. Raises RobustnessError and AggregationError.

    >>> [least_of("krum")(f) for f in (0, 1, 4)]
    [3, 5, 11]
    """
    parsed, held = parse_defence(defence, load_zoos()), dict[int, int]()

    def least(f: int) -> int:
        if f not in held:
            held[f] = parsed.build(Scale(n=1 << 16, f=f, d=1, spread=1.0)).min_clients
        return held[f]

    least(0)  # an unknown name is told before anything is counted
    return least


def least_in(run: RunConfig) -> Least:
    """Return the same of an experiment's own defence, whatever f_declared it has now."""
    zoos = load_zoos()
    return lambda f: build_pipeline(run.defence.pipeline, f, finest=0, zoos=zoos).min_clients


def plan_record(
    draw: Draw, declared: int | None, level: float, found: dict[str, Fit], network: Network
) -> dict[str, Any]:
    """Return the plan as plain data."""
    costs, come = network_costs(network), draw.mean + (draw.cohort - draw.mean) * (1.0 - draw.dropout)
    down, up = draw.cohort * costs["down_bytes"], come * costs["up_bytes"]
    above = None if declared is None else draw.above(declared)
    return {
        "schema": "byzantiny.plan/1",
        "fleet": draw.fleet,
        "byzantine": draw.liars,
        "cohort": draw.cohort,
        "rounds": draw.rounds,
        "dropout": draw.dropout,
        "level": level,
        "liars_mean": draw.mean,
        "f_declared": declared,
        "exceeded_round": above,
        "exceeded_run": None if above is None else draw.over_run(above),
        "exceeded_rounds_mean": None if above is None else above * draw.rounds,
        "f_declared_needed": draw.declared(level),
        "defences": [
            {
                "defence": name,
                "needs": each.least,
                "no_aggregate_run": each.denied,
                "admissible": each.safe,
                "smallest_cohort": each.cohort,
                "smallest_cohort_f_declared": each.cohort_declared,
            }
            for name, each in found.items()
        ],
        "network": network.name,
        "down_bytes_round": down,
        "up_bytes_round": round(up),
        "bytes_run": round(draw.rounds * (down + up)),
    }


def _arm(config: Path, arm: str | None) -> RunConfig:
    experiment = load_experiment(config)
    if arm is None:
        told = sorted(experiment.arms.values(), key=lambda run: -2 * bool(run.liars) - bool(run.defence.f_declared))
        return told[0]
    if arm not in experiment.arms:
        raise ConfigError(unknown_name("arm", arm, experiment.arms))
    return experiment.arms[arm]


def _draw(asked: Asked, run: RunConfig | None) -> Draw:
    held = {} if run is None else {"fleet": len(run.client_ids()), "cohort": run.round.cohort, "rounds": run.rounds}
    given = {name: getattr(asked, name) if getattr(asked, name) is not None else held.get(name) for name in _NUMBERS}
    if given["fleet"] is None:
        raise ConfigError("--fleet is missing: how many clients there are; or give --config EXPERIMENT")
    fleet = int(given["fleet"])
    share = asked.byzantine
    if share is None and run is None:
        raise ConfigError("--byzantine is missing: how many of the fleet lie, a number or a share such as 0.1")
    if share is None:
        assert run is not None
        liars = run.liars
    else:
        liars = max(1, int(share * fleet)) if 0.0 < share < 1.0 else int(share)
        if share >= 1.0 and share != liars:
            raise ConfigError(f"--byzantine {share:g}: give a whole number, or a share below 1")
    return Draw(fleet, liars, int(given["cohort"] or fleet), int(given["rounds"] or 1), asked.dropout)


def _declared(asked: Asked, run: RunConfig | None) -> int | None:
    if asked.f_declared is not None or run is None:
        return asked.f_declared
    return run.defence.f_declared


def _print(console: Console, record: dict[str, Any]) -> None:
    whole = "the whole fleet" if record["cohort"] == record["fleet"] else f"{record['cohort']} drawn for each round"
    console.print(
        Text(
            f"{record['fleet']} clients, {record['byzantine']} of them lie; {whole}, {record['rounds']} rounds, "
            f"{100 * record['dropout']:g} % of the honest do not come",
            style="bold",
        ),
        soft_wrap=True,
    )
    console.print(f"liars in a cohort: {record['liars_mean']:.2f} on average")
    if record["f_declared"] is not None:
        console.print(
            f"more than f_declared = {record['f_declared']}: {_chance(record['exceeded_round'])} of rounds; some round of the run:"
            f" {_chance(record['exceeded_run'])}",
            soft_wrap=True,
        )
    console.print(
        f"smallest f_declared that the run exceeds with at most {_chance(record['level'])}: {record['f_declared_needed']}"
    )
    console.print()
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("defence", "needs", "no aggregate in the run", "this cohort", "smallest safe cohort"):
        words = title in ("defence", "this cohort")
        table.add_column(title, justify="left" if words else "right", no_wrap=not title.startswith("no "))
    for row in record["defences"]:
        smallest = row["smallest_cohort"]
        told = "none" if smallest is None else f"{smallest} (f_declared {row['smallest_cohort_f_declared']})"
        fits = "safe" if row["admissible"] else "too small" if row["needs"] > record["cohort"] else "too many drop out"
        table.add_row(row["defence"], str(row["needs"]), _chance(row["no_aggregate_run"]), fits, told)
    console.print(table)
    console.print()
    down, up, all_ = (human_bytes(record[key]) for key in ("down_bytes_round", "up_bytes_round", "bytes_run"))
    said = f"objects of {record['network']}: {down} down and {up} up a round, {all_} in all, before framing"
    console.print(said, soft_wrap=True)


def _chance(value: float) -> str:
    """Say a probability.

    >>> _chance(0.0255), _chance(3e-30), _chance(0.0), _chance(1.0), _chance(0.99999)
    ('2.5 %', '3e-28 %', '0 %', '100 %', '> 99.9 %')
    """
    if 0.0 < value < 1e-4:
        return f"{100 * value:.0e} %"
    if 0.999 < value < 1.0:
        return "> 99.9 %"
    return f"{100 * value:.3g} %" if value < 0.001 else f"{100 * value:.1f} %".replace(".0 %", " %")
