"""Putting the page together: charts in two themes, tables, words, downloads, and one template."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from byzantiny.charts.render import ChartError, png
from byzantiny.charts.style import DARK, LIGHT, Spec, Theme, arm_style
from byzantiny.report import deployed, deployed_tables, tables, words
from byzantiny.report.arms import ArmSummary, summarize_arms
from byzantiny.report.charts.accuracy import accuracy_chart
from byzantiny.report.charts.asr import asr_chart
from byzantiny.report.charts.classes import MOST_CLASSES, class_chart
from byzantiny.report.charts.forms import clients_chart, forms_chart
from byzantiny.report.charts.grid import grid_chart
from byzantiny.report.charts.multiples import MARKERS
from byzantiny.report.charts.norms import norm_chart
from byzantiny.report.charts.traffic import traffic_chart
from byzantiny.report.charts.verdicts import MOST_CLIENTS, verdict_chart
from byzantiny.report.downloads import downloads
from byzantiny.report.grid import adapted
from byzantiny.report.metric import metric_heading, metric_name, metric_title
from byzantiny.report.run import ReportError, Run, load_run
from byzantiny.report.template import Figure, environment, figure_of

TEMPLATE = "report.html.j2"
_Chart = Callable[[Run, Sequence[ArmSummary], Theme], Spec]


def write_report(run_dir: str | Path) -> Path:
    """Read the run directory and write its `report.html`; returns the page's path.

    Raises ReportError where the run cannot be read, the page cannot be written, or the `report` extra is missing.
    """
    run = load_run(run_dir)
    text = render_page(run)
    target = run.path / "report.html"
    try:
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ReportError(f"{target} cannot be written: {error.strerror}; check the directory's permissions") from error
    return target


def write_picture(run_dir: str | Path, path_png: str | Path) -> Path:
    """Write the accuracy chart of a run as PNG, two pixels to the point, on white; returns its path.

    Raises ReportError where the run cannot be read, the picture cannot be written, or the `report` extra is missing.
    """
    run, target = load_run(run_dir), Path(path_png)
    title = run.manifest.title or run.manifest.name
    chart = {**accuracy_chart(run, summarize_arms(run), LIGHT, title=title), "background": LIGHT.paper, "padding": 16}
    try:
        target.write_bytes(png(chart))
    except ChartError as error:
        raise ReportError(str(error)) from error
    except OSError as error:
        raise ReportError(f"{target} cannot be written: {error.strerror}; check that its directory is there") from error
    return target


def render_page(run: Run) -> str:
    """The page as one HTML text."""
    template = environment().get_template(TEMPLATE)
    arms = summarize_arms(run)
    label = "{} of {}".format
    title = run.manifest.title or run.manifest.name
    metric = metric_name(run.manifest)
    return template.render(
        run=run,
        manifest=run.manifest,
        manifest_json=msgspec.json.format(msgspec.json.encode(run.manifest), indent=2).decode(),
        arms=arms,
        headline=words.headline(run, arms),
        basis=words.basis(run, arms),
        metric=metric_title(metric),
        heading=metric_heading(metric),
        caveats=words.caveats(run, arms),
        light=LIGHT,
        dark=DARK,
        arm_style=arm_style,
        markers=MARKERS,
        accuracy=_figure(run, arms, accuracy_chart, "accuracy", label(f"{metric_heading(metric)} per round", title)),
        traffic=_figure(run, arms, traffic_chart, "traffic", label("Bytes up and down per round", title)),
        verdicts=_figure(run, arms, verdict_chart, "verdicts", label("Verdicts per client", title)),
        norms=_figure(run, arms, norm_chart, "norms", label("Update norms per round", title)),
        grid=_figure(run, arms, grid_chart, "grid", label("Grid per round", title)) if adapted(run, arms) else None,
        grid_table=tables.grid_table(run, arms),
        deployed=_deployed(run, arms, title) if deployed.evaluated(run) else None,
        cost_table=deployed_tables.cost_table(run, arms),
        most_clients=MOST_CLIENTS,
        accuracy_table=tables.accuracy_table(run, arms),
        traffic_table=tables.traffic_table(run, arms),
        verdict_table=tables.verdict_table(run, arms),
        reason_table=tables.reason_table(run, arms),
        norm_table=tables.norm_table(run, arms),
        client_table=tables.client_table(run, arms),
        firmware_table=tables.firmware_table(run),
        downloads=downloads(run),
    )


@dataclass(frozen=True)
class Deployed:
    """The section on the deployed model; a figure is None where nothing of the kind was measured."""

    answered_by: list[tuple[str, str]]
    agreement: tuple[int, int]
    forms: Figure
    asr: Figure | None
    classes: Figure | None
    clients: Figure | None
    forms_table: tables.Table
    asr_table: tables.Table
    class_table: tables.Table
    mistake_table: tables.Table
    tail_table: tables.Table
    axes_table: tables.Table
    most_classes: int


def _deployed(run: Run, arms: Sequence[ArmSummary], title: str) -> Deployed:
    label = "{} of {}".format
    asr, classes = deployed_tables.asr_table(run, arms), deployed_tables.class_table(run, arms)
    tail = deployed_tables.tail_table(run, arms)
    return Deployed(
        answered_by=deployed.answered_by(run),
        agreement=deployed.agreement(run),
        forms=_figure(run, arms, forms_chart, "forms", label("Float control, integers and exported model", title)),
        asr=_figure(run, arms, asr_chart, "asr", label("Attack success rate per round", title)) if asr.rows else None,
        classes=_figure(run, arms, class_chart, "classes", label("Recall by class", title)) if classes.rows else None,
        clients=_figure(run, arms, clients_chart, "tails", label("Accuracy on clients' own samples", title))
        if tail.rows
        else None,
        forms_table=deployed_tables.forms_table(run, arms),
        asr_table=asr,
        class_table=classes,
        mistake_table=deployed_tables.mistake_table(run, arms),
        tail_table=tail,
        axes_table=deployed_tables.axes_table(run, arms),
        most_classes=MOST_CLASSES,
    )


def _figure(run: Run, arms: Sequence[ArmSummary], chart: _Chart, name: str, label: str) -> Figure:
    return figure_of(lambda theme: chart(run, arms, theme), name, label)
