"""A partition as a picture: a row a client, a column a class, the stronger the colour the more samples; sizes beside it."""

from __future__ import annotations

from byzantiny.charts.style import Spec, Theme, figure
from byzantiny.experiment.shares import Shares

MOST_CLIENTS = 60
"""Rows of the picture; of a larger fleet the first ones are drawn, and the picture says so."""
MOST_NUMBERS = 16
"""Classes up to which every cell has room for its number."""
ROW = 18
WIDTH = 480
BARS = 150


def shares_chart(shares: Shares, theme: Theme) -> Spec:
    """The whole figure. Of one hue, so that it is read in any colour vision, and the numbers are there too."""
    shown = shares.clients[:MOST_CLIENTS]
    height = ROW * len(shown)
    left_out = len(shares.clients) - len(shown)
    mark = " ▲: Byzantine." if shares.byzantine else ""
    subtitle = [shares.sentence, f"The stronger the colour, the more samples of the class.{mark}"]
    if left_out:
        subtitle.append(f"The first {len(shown)} of {len(shares.clients)} clients.")
    title: Spec = {
        "text": "Who holds what",
        "subtitle": subtitle,
        "subtitleColor": theme.muted,
        "subtitleFontSize": 12,
        "subtitlePadding": 4,
        "fontSize": 15,
        "offset": 14,
    }
    names = [_label(shares, client_id) for client_id in shown]
    rows: Spec = {"field": "client", "type": "nominal", "sort": names}
    panels = [_cells(shares, names, rows, height, theme), _sizes(shares, names, rows, height, theme)]
    return figure(theme, {"title": title, "hconcat": panels, "spacing": 16})


def _label(shares: Shares, client_id: str) -> str:
    return f"▲ {client_id}" if client_id in shares.byzantine else client_id


def _cells(shares: Shares, names: list[str], rows: Spec, height: int, theme: Theme) -> Spec:
    counts = shares.counts[: len(names)]
    most = max(1, int(counts.max(initial=0)))
    values = [
        {"client": name, "class": label, "n": int(counts[i, c]), "pale": bool(2 * counts[i, c] <= most)}
        for i, name in enumerate(names)
        for c, label in enumerate(shares.classes)
    ]
    many = len(shares.classes) > MOST_NUMBERS
    x: Spec = {
        "field": "class",
        "type": "nominal",
        "sort": list(shares.classes),
        "title": "class",
        "axis": {"labelAngle": -60 if max(map(len, shares.classes)) > 4 else 0, "labelOverlap": many, "ticks": False},
    }
    y = {**rows, "title": None, "axis": {"domain": False, "grid": False, "labelLimit": 160}}
    colour: Spec = {
        "field": "n",
        "type": "quantitative",
        # 0 is the paper itself; Vega's own way between two colours leads through cyan.
        "scale": {"domain": [0, most], "range": [theme.paper, theme.arms[0]], "interpolate": "rgb"},
        "legend": {
            "title": "samples",
            "orient": "bottom",
            "direction": "horizontal",
            "gradientLength": 160,
            "gradientThickness": 10,
            "tickCount": 3,
            "format": "d",
            "labelColor": theme.muted,
            "titleColor": theme.muted,
            "titleFontWeight": "normal",
        },
    }
    layers: list[Spec] = [
        {"mark": {"type": "rect", "stroke": theme.grid}, "encoding": {"x": x, "y": y, "color": colour}}
    ]
    if not many:
        ink: Spec = {"condition": {"test": "datum.pale", "value": theme.ink}, "value": theme.paper}
        layers.append(
            {
                "transform": [{"filter": "datum.n > 0"}],
                "mark": {"type": "text", "fontSize": 10},
                "encoding": {"x": x, "y": y, "text": {"field": "n", "type": "quantitative"}, "color": ink},
            }
        )
    return {"data": {"values": values}, "width": WIDTH, "height": height, "layer": layers}


def _sizes(shares: Shares, names: list[str], rows: Spec, height: int, theme: Theme) -> Spec:
    values = [{"client": name, "n": int(n)} for name, n in zip(names, shares.samples, strict=False)]
    most = max(1, int(shares.samples[: len(names)].max(initial=0)))
    x: Spec = {
        "field": "n",
        "type": "quantitative",
        "title": "samples",
        "scale": {"domain": [0, 1.25 * most], "nice": False},
        "axis": {"tickCount": 3, "format": "d", "grid": False},
    }
    y = {**rows, "axis": None}
    return {
        "data": {"values": values},
        "width": BARS,
        "height": height,
        "layer": [
            {
                "mark": {"type": "bar", "color": theme.arms[0], "height": {"band": 0.7}},
                "encoding": {"x": x, "y": y},
            },
            {
                "mark": {"type": "text", "align": "left", "dx": 4, "fontSize": 10, "color": theme.muted},
                "encoding": {"x": x, "y": y, "text": {"field": "n", "type": "quantitative"}},
            },
        ],
    }
