"""The commands, and the sub-commands that other packages plug in (entry points `byzantiny.commands`)."""

from __future__ import annotations

import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any

import typer

from byzantiny.cli import doctor as doctor_module
from byzantiny.cli import listing, model, robustness
from byzantiny.cli.partition import show_partition
from byzantiny.cli.plan import Asked, show_plan
from byzantiny.cli.runs import Output, open_report, reproduce_run, resume_run, start_demo, start_run
from byzantiny.cli.sweeps import forecast_sweep, open_sweep_report, reproduce_sweep_cell, start_sweep
from byzantiny.experiment import provenance
from byzantiny.experiment.config import ConfigError
from byzantiny.experiment.exposure import LEVEL
from byzantiny.report.sweep import is_sweep
from byzantiny.sweep.reproduce import is_cell

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables and progress.")]
Out = Annotated[Path, typer.Option("--out", help="Folder that receives the run directory.")]
Broker = Annotated[
    str | None, typer.Option("--broker", help="mqtt://[user:password@]host[:port]; default: a private one is started.")
]
Run = Annotated[Path, typer.Argument(help="A run directory.", metavar="RUN")]
Shown = Annotated[Path, typer.Argument(help="A run directory, or a sweep's.", metavar="RUN|SWEEP")]
Again = Annotated[Path, typer.Argument(help="A run directory, or runs/RUN.json of a sweep.", metavar="RUN")]
File = Annotated[Path, typer.Argument(help="An experiment file, e.g. experiments/hard.toml.", metavar="EXPERIMENT")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key, e.g. --set training.shift=7.")
]


def build_app() -> typer.Typer:
    """Put the command line together."""
    app = typer.Typer(
        name="byzantiny",
        help="Federated learning on microcontrollers, some of which lie.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for command in (demo, run, resume, report, reproduce, sweep):
        app.command()(command)
    app.command("phase")(robustness.phase_)
    for study in (robustness.bias, robustness.kappa, robustness.breakdown):
        app.command()(study)
    app.command()(partition)
    app.command()(plan)
    app.command("list")(list_)
    app.command("ls", hidden=True)(list_)
    app.command()(doctor)
    app.add_typer(model.app, name="model")
    for point in sorted(entry_points(group="byzantiny.commands"), key=lambda point: point.name):
        app.add_typer(point.load(), name=point.name)
    return app


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"byzantiny {provenance.version()}\n")
        raise typer.Exit


Version = Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")]


def _root(
    version: Version = False,
) -> None:
    """Federated learning on microcontrollers, some of which lie."""
    del version


def demo(
    json: Json = False,
    seeds: Annotated[int, typer.Option(min=1, max=1000, help="Run every arm with this many seeds (1, 2, ...).")] = 1,
    rounds: Annotated[int | None, typer.Option(min=1, help="Rounds per arm; default 40.")] = None,
    out: Out = Path("runs"),
    broker: Broker = None,
) -> None:
    """Twelve clients, four of them Byzantine, three arms on the same seed: the smoke test, in under a minute."""
    start_demo(Output(json), out=out, seeds=seeds, rounds=rounds, broker=broker)


def run(
    experiment: File,
    settings: Settings = None,
    json: Json = False,
    out: Out = Path("runs"),
    broker: Broker = None,
) -> None:
    """Run an experiment: every arm with every seed, into a new run directory."""
    start_run(Output(json), experiment, out=out, overrides=parse_settings(settings or []), broker=broker)


def sweep(
    grid: Annotated[Path, typer.Argument(help="A grid file, e.g. experiments/suite-1.toml.", metavar="GRID")],
    engine: Annotated[
        str, typer.Option("--engine", help="inprocess: without frames; frames: the coordinator; ray: a Ray cluster.")
    ] = "inprocess",
    jobs: Annotated[
        int | None, typer.Option("--jobs", min=1, help="Processes; default: the processors there are.")
    ] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run failed cells again.")] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Check the grid; print its runs, those that are there, and about how long."),
    ] = False,
    settings: Settings = None,
    json: Json = False,
    out: Annotated[Path, typer.Option("--out", help="Folder that receives the sweep's directory.")] = Path("sweeps"),
) -> None:
    """Run a grid of attacks, defences, wires, f, skew, tasks and seeds; the same command goes on where it was stopped."""
    if dry_run:
        forecast_sweep(Output(json), grid, out=out, engine=engine, jobs=jobs, overrides=parse_settings(settings or []))
        return
    start_sweep(
        Output(json), grid, out=out, engine=engine, jobs=jobs, retry_failed=retry_failed,
        overrides=parse_settings(settings or []),
    )  # fmt: skip


def resume(run: Run, json: Json = False, broker: Broker = None) -> None:
    """Go on with a run that was suspended (Ctrl-C) or killed; the result is the same, byte for byte."""
    resume_run(Output(json), run, broker=broker)


def report(run: Shown, json: Json = False) -> None:
    """Write report.html of a run, or of a sweep, from its files and print the table."""
    if is_sweep(run):
        open_sweep_report(Output(json), run)
    else:
        open_report(Output(json), run)


def reproduce(run: Again, json: Json = False) -> None:
    """Run it again from its directory, or a sweep's runs/RUN.json; say `identical`, or name the first round that differs."""
    if is_cell(run):
        reproduce_sweep_cell(Output(json), run)
    else:
        reproduce_run(Output(json), run)


def partition(
    experiment: File,
    arm: Annotated[
        str | None, typer.Option("--arm", help="This arm alone; default: every different partition.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", help="One of the experiment's seeds; default: its first.")
    ] = None,
    settings: Settings = None,
    json: Json = False,
    out: Annotated[Path | None, typer.Option("--out", help="Write the picture: .svg, .png or .html.")] = None,
) -> None:
    """Show who would hold which samples: clients by classes, with sizes; nothing is run."""
    overrides = parse_settings(settings or [])
    show_partition(experiment, arm=arm, seed=seed, overrides=overrides, json=json, out=out)


def plan(
    defences: Annotated[
        list[str] | None, typer.Argument(help="Such as krum or nnm+trimmed-mean.", metavar="[DEFENCE]...")
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", help="Take the numbers from an experiment.")] = None,
    arm: Annotated[str | None, typer.Option("--arm", help="Of the experiment; default: the first with liars.")] = None,
    fleet: Annotated[int | None, typer.Option("--fleet", help="Clients there are.")] = None,
    byzantine: Annotated[float | None, typer.Option("--byzantine", help="How many lie, or a share below 1.")] = None,
    cohort: Annotated[int | None, typer.Option("--cohort", help="Drawn for a round; default: all.")] = None,
    rounds: Annotated[int | None, typer.Option("--rounds", help="Rounds of the run; default: 1.")] = None,
    dropout: Annotated[float, typer.Option("--dropout", help="Share of the honest that do not come.")] = 0.0,
    f_declared: Annotated[int | None, typer.Option("--f-declared", help="What the defence is told.", min=0)] = None,
    level: Annotated[float, typer.Option("--level", help="What the run may risk.")] = LEVEL,
    task: Annotated[str | None, typer.Option("--task", help="Whose network's bytes are counted.")] = None,
    json: Json = False,
) -> None:
    """How likely a sampled cohort has more liars than a defence is told; the smallest safe cohort; bytes."""
    asked = Asked(fleet, byzantine, cohort, rounds, dropout, f_declared, level, task)
    show_plan(asked, defences or [], config=config, arm=arm, json=json)


def list_(
    what: Annotated[str | None, typer.Argument(help="One of the kinds; default: all.", metavar="[KIND]")] = None,
    json: Json = False,
) -> None:
    """List aggregators, pre-aggregators, screening, attacks, tasks, networks, trainers, bodies and ports."""
    listing.print_listing(what, json=json)


def doctor(json: Json = False) -> None:
    """Say what is installed, what is missing, and what is unavailable without it."""
    doctor_module.print_diagnosis(json=json)


def parse_settings(settings: list[str]) -> dict[str, Any]:
    """Parse `key=value` with TOML values; what is not TOML is a string.

    >>> parse_settings(["rounds=3", "attack.name=sign-flip", "round.quorum = 0"])
    {'rounds': 3, 'attack.name': 'sign-flip', 'round.quorum': 0}
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:  # pragma: no cover
        import tomli as tomllib

    parsed: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"--set {setting}: write KEY=VALUE, e.g. --set training.shift=7")
        try:
            parsed[key.strip()] = tomllib.loads(f"value = {text.strip()}")["value"]
        except tomllib.TOMLDecodeError:
            parsed[key.strip()] = text.strip()
    return parsed
