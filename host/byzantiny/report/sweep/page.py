"""The page of a sweep, and the same as plain data."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from byzantiny.charts.style import DARK, LIGHT
from byzantiny.report.downloads import MOST_EMBEDDED_BYTES, Download
from byzantiny.report.run import ReportError
from byzantiny.report.sweep import tables, words
from byzantiny.report.sweep.charts.curves import curves_chart
from byzantiny.report.sweep.charts.factors import factors_chart
from byzantiny.report.sweep.charts.heat import heat_chart
from byzantiny.report.sweep.charts.slope import slope_chart
from byzantiny.report.sweep.curves import CurveSet, curve_sets
from byzantiny.report.sweep.factors import Effect, effects
from byzantiny.report.sweep.load import SweepRun, place
from byzantiny.report.sweep.on_wire import wire_table
from byzantiny.report.sweep.panels import MOST_PANELS, Heat, Pair, attack_panels, grid_panels
from byzantiny.report.template import Figure, environment, figure_of

TEMPLATE, SCRIPT = "sweep/sweep.html.j2", "sort.js"
MOST_GRIDS = 24


@dataclass(frozen=True)
class Contents:
    """Everything that the page and the JSON hold, before it is drawn."""

    pairs: list[Pair]
    curves: list[CurveSet]
    grids: list[Heat]
    effects: list[Effect]
    rankings: list[Mapping[str, Any]]
    omitted: dict[str, str]


def contents(run: SweepRun) -> Contents:
    """Compute it once."""
    pairs, curves, grids, found = attack_panels(run), curve_sets(run), grid_panels(run), effects(run)
    rankings = [row for row in run.scores["rankings"] if row["wire"] != row["control"] and len(row["worst"]) > 1]
    has = {
        "asr": any(pair.asr for pair in pairs),
        "heatmaps": pairs,
        "curves": curves,
        "grid": grids,
        "factors": found,
        "slope": rankings,
    }
    return Contents(pairs, curves, grids, found, rankings, words.omissions({name for name, it in has.items() if it}))


def sweep_summary(run: SweepRun) -> dict[str, Any]:
    """Return what the page holds as plain data: sentences, scores, effects, failed cells and how to run each again."""
    held = contents(run)
    return {
        "schema": "byzantiny.sweepreport/1",
        "sweep": run.sweep.name,
        "title": run.sweep.title,
        "headline": words.headline(run),
        "problems": words.problems(run),
        "misjudged": words.misjudged(run),
        "missing": run.missing,
        "scores": dict(run.scores),
        "curves": [asdict(each) for each in held.curves],
        "grids": [asdict(each) for each in held.grids],
        "factors": [asdict(each) for each in held.effects],
        "failed": [{"cell": cell, "error": error, "reproduce": line} for cell, error, line in tables.failures(run)],
        "reproduce": {row[0].text: row[2].text for row in tables.reproduce_table(run).rows},
        "left_out": held.omitted,
    }


def write_sweep_report(run: SweepRun) -> Path:
    """Write `report.html` into the sweep's directory; returns its path. Raises ReportError."""
    target = run.path / "report.html"
    try:
        target.write_text(render_sweep_page(run), encoding="utf-8")
    except OSError as error:
        raise ReportError(f"{target} cannot be written: {error.strerror}; check the directory's permissions") from error
    return target


def render_sweep_page(run: SweepRun) -> str:
    """The page as one HTML text. Its one script is allowed by its hash, and sorts tables."""
    template = environment().get_template(TEMPLATE)
    held = contents(run)
    script = files("byzantiny.report.sweep").joinpath(SCRIPT).read_text(encoding="utf-8")
    order = run.ordered("defence")
    return template.render(
        run=run,
        sweep=run.sweep,
        light=LIGHT,
        dark=DARK,
        script=script,
        script_sha256=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        headline=words.headline(run),
        basis=words.basis(run),
        problems=words.problems(run),
        misjudged=words.misjudged(run),
        caveats=words.caveats(run),
        omitted=held.omitted,
        pairs=[_pair(pair, index) for index, pair in enumerate(held.pairs[:MOST_PANELS])],
        more_pairs=max(0, len(held.pairs) - MOST_PANELS),
        curves=[(each.place, _curves(each, order, index)) for index, each in enumerate(held.curves)],
        grids=[_grid(heat, index) for index, heat in enumerate(held.grids[:MOST_GRIDS])],
        more_grids=max(0, len(held.grids) - MOST_GRIDS),
        factors=_factors(held.effects, order),
        slopes=[_slope(run, ranking, index, order) for index, ranking in enumerate(held.rankings[:MOST_PANELS])],
        defence_table=tables.defence_table(run),
        attack_table=tables.attack_table(run),
        effect_table=tables.effect_table(held.effects),
        reproduce_table=tables.reproduce_table(run),
        wire_table=wire_table(run),
        failures=tables.failures(run),
        downloads=downloads(run.path),
        grid_json=msgspec.json.format(msgspec.json.encode(run.sweep.grid), indent=2).decode(),
    )


def _pair(pair: Pair, index: int) -> tuple[Pair, list[Figure]]:
    figures = [
        figure_of(lambda theme: heat_chart(pair.accuracy, theme, hue=theme.arms[0]), f"heat-{index}", _label(pair))
    ]
    if pair.asr is not None:
        asr = pair.asr
        figures.append(
            figure_of(
                lambda theme: heat_chart(asr, theme, hue=theme.byzantine),
                f"asr-{index}",
                f"Attack success, {pair.place}",
            )
        )
    return pair, figures


def _label(pair: Pair) -> str:
    return f"Accuracy, attack by defence, {pair.place}".removesuffix(", ")


def _curves(drawn: CurveSet, order: Sequence[str], index: int) -> Figure:
    label = f"Accuracy per round, {drawn.place}".removesuffix(", ")
    return figure_of(lambda theme: curves_chart(drawn, order, theme), f"curves-{index}", label)


def _grid(heat: Heat, index: int) -> Figure:
    label = f"Worst-case accuracy, f by alpha, {heat.title}, {heat.subtitle}".removesuffix(", ")
    return figure_of(
        lambda theme: heat_chart(heat, theme, hue=theme.arms[0], x_title="alpha (skew →)", y_title="f"),
        f"grid-{index}",
        label,
    )


def _factors(found: Sequence[Effect], order: Sequence[str]) -> list[tuple[str, Figure]]:
    places = list(dict.fromkeys(effect.where for effect in found))[:MOST_PANELS]
    return [
        (where, _factor_figure([effect for effect in found if effect.where == where], index, order))
        for index, where in enumerate(places)
    ]


def _factor_figure(found: Sequence[Effect], index: int, order: Sequence[str]) -> Figure:
    label = f"What each part of the wire does to accuracy, {found[0].where}".removesuffix(", ")
    return figure_of(lambda theme: factors_chart(found, order, theme), f"factors-{index}", label)


def _slope(run: SweepRun, ranking: Mapping[str, Any], index: int, order: Sequence[str]) -> tuple[str, Figure]:
    axes = [axis for axis in run.varying if axis in {"task", "alpha", "f"}]
    where = place(ranking, axes)
    tau, ceiling = (
        "not defined" if value is None else f"{value:.2f}" for value in (ranking["tau"], ranking["ceiling"])
    )
    said = f"{where + ': ' if where else ''}tau {tau}, ceiling {ceiling}"
    label = f"Ranks on {ranking['control']} and on {ranking['wire']}, {where}"
    return said, figure_of(lambda theme: slope_chart(ranking, said, order, theme), f"slope-{index}", label)


def downloads(folder: Path) -> list[Download]:
    """Links to results.csv, in the page itself where it is small, and to the files beside the page."""
    found = []
    for name in ("results.csv", "results.parquet", "scores.json", "cells.jsonl", "sweep.json"):
        path = folder / name
        if not path.is_file():
            continue
        n_bytes, href, embedded = path.stat().st_size, name, False
        if name == "results.csv" and n_bytes <= MOST_EMBEDDED_BYTES:
            href, embedded = "data:text/csv;base64," + base64.b64encode(path.read_bytes()).decode(), True
        found.append(Download(name, n_bytes, 0, href, embedded))
    return found
