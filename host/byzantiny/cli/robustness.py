"""`byzantiny phase`, `bias`, `kappa`, `breakdown`: studies of what a bound means, without an experiment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from byzantiny.aggregators import load_aggregators
from byzantiny.charts.style import Spec, Theme
from byzantiny.cli import studies
from byzantiny.cli.study import command, finish, say_where, study
from byzantiny.federation import load_zoos
from byzantiny.robustness.bias import BiasCurve, bias_curve
from byzantiny.robustness.breakdown import BreakdownCurve, breakdown_curve, page_defences, pages, smaller
from byzantiny.robustness.defences import PIPELINES, Scale, parse_defence
from byzantiny.robustness.errors import RobustnessError
from byzantiny.robustness.honest import Model
from byzantiny.robustness.kappa import KappaRow, kappa_row
from byzantiny.robustness.phase import PANELS, PhaseStudy, phase
from byzantiny.robustness.pictures.bias import bias_chart
from byzantiny.robustness.pictures.breakdown import breakdown_chart
from byzantiny.robustness.pictures.phase import phase_chart
from byzantiny.robustness.pictures.save import save

Defences = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[DEFENCE]...", help="Rules joined by +, parameters after a colon: arc+nnm+krum, bucketing:s=3+median."
    ),
]
N = Annotated[int, typer.Option("--n", help="Clients.")]
D = Annotated[int, typer.Option("--d", help="Coordinates.")]
Signal = Annotated[float, typer.Option("--signal", help="Size of the honest mean, in honest standard deviations.")]
Spread = Annotated[float, typer.Option("--spread", help="Honest standard deviation, in grid steps.")]
Seed = Annotated[int, typer.Option("--seed", help="Everything drawn is drawn from it.")]
Trials = Annotated[int, typer.Option("--trials", help="Independent rounds to average over.")]
FStep = Annotated[int, typer.Option("--f-step", help="Take every so many f.")]
All = Annotated[bool, typer.Option("--all", help="All aggregators, and pipelines in common use.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables and progress.")]
Out = Annotated[Path | None, typer.Option("--out", help="Write a picture: FILE.svg, FILE.png or FILE.html.")]
Evaluations = Annotated[int, typer.Option("--evaluations", help="Steps of the search's hill climbing.")]

LONG = ("smea", "caf")
"""What `bias --all` leaves out and says so: at n = 20 one aggregation takes a tenth of a second, a search thousands."""

SOME = ("mean", "median", "trimmed-mean", "krum", "multi-krum", "nnm+trimmed-mean")
"""What `bias` and `kappa` compare if nothing is named."""


def phase_(
    rules: Defences = None,
    n: N = 50,
    d: D = 1000,
    signal: Signal = 0.5,
    attack: Annotated[str, typer.Option("--attack", help="sign-flip, saturate, ipm or alie.")] = "saturate",
    factor: Annotated[float | None, typer.Option("--factor", help="The attack's scale, reach, epsilon or z.")] = None,
    trials: Trials = 1,
    f_step: FStep = 1,
    per_octave: Annotated[int, typer.Option("--per-octave", help="Columns to the octave.")] = 2,
    seed: Seed = 1,
    json: Json = False,
    out: Out = None,
) -> None:
    """On which grid, with how many liars, a rule still points where the honest clients point: cosine, as a picture."""
    asked = PhaseStudy(tuple(rules or PANELS), n, d, signal, attack, factor, trials, f_step, per_octave, seed)
    with study("phase", json=json, out=out) as patience:
        answer = phase(asked, patience)

    def chart(theme: Theme) -> Spec:
        return phase_chart(answer, theme)

    console = finish(json, answer.record(), out, chart, "Phase picture")
    if console is not None:
        studies.print_phase(answer, console)
        say_where(console, out)


def bias(
    defences: Defences = None,
    all_: All = False,
    n: N = 20,
    d: D = 64,
    spread: Spread = 8.0,
    signal: Signal = 0.5,
    f_step: FStep = 1,
    evaluations: Evaluations = 300,
    seed: Seed = 1,
    json: Json = False,
    out: Out = None,
) -> None:
    """How far the worst lies move the aggregate, in honest standard deviations; and from which f / n they turn it."""
    model, names = Model(n, d, spread, signal, seed), _chosen(defences, all_)
    left_out = [name for name in LONG if all_]
    names = tuple(name for name in names if name not in left_out)
    curves: list[BiasCurve] = []
    with study("bias", json=json, out=out) as patience:
        zoos = load_zoos()
        parsed = [parse_defence(name, zoos) for name in names]
        for defence in parsed:
            defence.build(Scale(n, 0, d, spread))
        for number, defence in enumerate(parsed):
            points = len(range(0, (n + 1) // 2, f_step)) if f_step > 0 else 1

            def heard(point: Any, number: int = number, points: int = points, name: str = defence.name) -> None:
                patience(number * points + point.f // f_step + 1, len(parsed) * points, name)

            curves.append(bias_curve(defence, model, evaluations=evaluations, f_step=f_step, on_point=heard))

    def chart(theme: Theme) -> Spec:
        return bias_chart(curves, model, theme)

    record = {
        "schema": "byzantiny.bias/1",
        "study": _model(model),
        "left_out": left_out,
        "curves": [curve.record() for curve in curves],
    }
    console = finish(json, record, out, chart, "Max-bias curves")
    if console is not None:
        console.print(studies.bias_table(curves, width=console.width, encoding=console.encoding))
        note = (
            "sign flip, anything: smallest f / n with a step against the honest mean. Other columns, by f / n: the worst "
            "shift in honest standard deviations; ~: found by search, not known to be the worst."
        )
        console.print(Text(note, style="dim"), soft_wrap=not console.is_terminal)
        if left_out:
            console.print(
                Text(f"left out, too slow to search: {', '.join(left_out)}; name them, with --n 12", style="yellow")
            )
        say_where(console, out)


def kappa(
    defences: Defences = None,
    all_: All = False,
    n: N = 11,
    f: Annotated[int, typer.Option("--f", help="Liars.")] = 2,
    d: D = 2,
    evaluations: Evaluations = 400,
    seed: Seed = 1,
    json: Json = False,
) -> None:
    """The (f, kappa)-robustness that theory declares, beside the worst found over all sets of n - f rows."""
    names = _chosen(defences, all_)
    rows: list[KappaRow] = []
    with study("kappa", json=json) as patience:
        zoos = load_zoos()
        parsed = [parse_defence(name, zoos) for name in names]
        for number, defence in enumerate(parsed):
            patience(number, len(parsed), defence.name)
            rows.append(kappa_row(defence, n, f, d=d, evaluations=evaluations, seed=seed))
    record = {
        "schema": "byzantiny.kappa/1",
        "n": n,
        "f": f,
        "d": d,
        "seed": seed,
        "rows": [row.record() for row in rows],
    }
    console = finish(json, record)
    if console is not None:
        console.print(studies.kappa_table(rows))
        _say_refusals(console, [row.refused for row in rows])


def breakdown(
    defences: Defences = None,
    all_: Annotated[
        bool, typer.Option("--all", help="One picture a page of docs/rules, into the folder --out.")
    ] = False,
    n: N = 20,
    d: D = 64,
    spread: Spread = 8.0,
    signal: Signal = 0.5,
    trials: Trials = 4,
    seed: Seed = 1,
    json: Json = False,
    out: Out = None,
) -> None:
    """Error against f / n under ALIE, sign flip and IPM: the picture on every rule's page."""
    model, pictures = Model(n, d, spread, signal, seed), _pictures(defences, all_, out)
    drawn: list[tuple[Path | None, list[BreakdownCurve]]] = []
    with study("breakdown", json=json, out=pictures[0][1]) as patience:
        zoos = load_zoos()
        for number, (names, target) in enumerate(pictures):
            patience(number, len(pictures), names[-1])
            parsed = [parse_defence(name, zoos) for name in names]
            curves = [breakdown_curve(one, smaller(one.name, model), trials=trials) for one in parsed]
            drawn.append((target, curves))
    for target, curves in drawn:
        if target is not None:
            _save_breakdown(target, curves)
    every = [curve for _, curves in drawn for curve in curves]
    console = finish(json, {"schema": "byzantiny.breakdown/1", "curves": [curve.record() for curve in every]})
    if console is not None and all_:
        console.print(f"wrote {len(pictures)} pictures into {out}", soft_wrap=True)
    elif console is not None:
        for curve in every:
            console.print(studies.breakdown_table(curve))
        _say_refusals(console, [curve.refused for curve in every])
        say_where(console, out)


def _pictures(defences: list[str] | None, all_: bool, out: Path | None) -> list[tuple[tuple[str, ...], Path | None]]:
    """What is drawn, and into which file."""
    if all_ and (defences or out is None or not out.is_dir()):
        raise RobustnessError(
            f"--all with {', '.join(defences or ['no names'])} and --out {out}: it takes no names and a folder that is "
            "there; e.g. --all --out docs/rules/breakdown"
        )
    if all_ and out is not None:
        return [(page_defences(rule), out / f"{rule}.svg") for rule in pages()]
    if not defences:
        raise RobustnessError("breakdown needs a defence, e.g. krum or nnm+krum; or --all with a folder as --out")
    return [(page_defences(defences[0]) if len(defences) == 1 else tuple(defences), out)]


def _save_breakdown(target: Path, curves: list[BreakdownCurve]) -> None:
    def chart(theme: Theme) -> Spec:
        return breakdown_chart(curves, theme)

    record = [curve.record() for curve in curves]
    save(target, chart, title=f"Breakdown of {curves[-1].defence}", command=command(), record=record)


def _say_refusals(console: Console, reasons: list[str]) -> None:
    for reason in filter(None, reasons):
        console.print(Text(reason, style="yellow"), soft_wrap=True)


def _chosen(defences: list[str] | None, all_: bool) -> tuple[str, ...]:
    if all_ and defences:
        raise RobustnessError(f"--all with {', '.join(defences)}: it takes no names; leave out the one or the other")
    return (*load_aggregators(), *PIPELINES) if all_ else tuple(defences or SOME)


def _model(model: Model) -> dict[str, Any]:
    return {"n": model.n, "d": model.d, "spread_steps": model.spread, "signal": model.signal, "seed": model.seed}
