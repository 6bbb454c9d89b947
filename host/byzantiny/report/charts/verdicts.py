"""Accepted and refused per client: a bar a client, a panel an arm; fill tells the verdict, colour and ▲ the client."""

from __future__ import annotations

from collections.abc import Sequence

from byzantiny.charts.style import Spec, Theme
from byzantiny.report.arms import ArmSummary
from byzantiny.report.charts.multiples import multiples, panel
from byzantiny.report.run import Run
from byzantiny.report.text import printable
from byzantiny.report.verdicts import KINDS, ClientVerdicts, client_verdicts

BAR_STEP = 19
MOST_CLIENTS = 24


def shown_clients(clients: Sequence[ClientVerdicts]) -> list[ClientVerdicts]:
    """At most MOST_CLIENTS of them: those that are Byzantine, refused or missing come first; the order is kept."""
    if len(clients) <= MOST_CLIENTS:
        return list(clients)
    ranked = sorted(clients, key=lambda c: (not c.byzantine, -c.counts["refused"] - c.counts["missing"], c.client_id))
    chosen = {client.client_id for client in ranked[:MOST_CLIENTS]}
    return [client for client in clients if client.client_id in chosen]


def verdict_chart(run: Run, arms: Sequence[ArmSummary], theme: Theme) -> Spec:
    """The chart; bars count rounds over all seeds, on one scale for all panels."""
    columns = [client_verdicts(run, arm.info.name) for arm in arms]
    longest = max((sum(client.counts.values()) for column in columns for client in column), default=1)
    panels = [
        panel(theme, index, arm.info.title or arm.info.name, _panel(shown_clients(column), longest, theme))
        for index, (arm, column) in enumerate(zip(arms, columns, strict=True))
    ]
    return multiples(theme, panels)


def client_label(client: ClientVerdicts) -> str:
    """The client's name for an axis; Byzantine ones carry a triangle."""
    return ("▲ " if client.byzantine else "") + printable(client.client_id, 18)


def _panel(clients: Sequence[ClientVerdicts], longest: int, theme: Theme) -> Spec:
    labels = [client_label(client) for client in clients]
    x: Spec = {
        "type": "quantitative",
        "title": "rounds",
        "scale": {"domain": [0, longest], "nice": False},
        "axis": {"tickCount": 5, "format": "d"},
    }
    y: Spec = {"field": "client", "type": "nominal", "sort": labels, "title": None, "scale": {"domain": labels}}
    layers: list[Spec] = []
    for byzantine, colour in ((False, theme.honest), (True, theme.byzantine)):
        for kind in KINDS[:3]:
            values = [_bar(client, kind) for client in clients if client.byzantine == byzantine and client.counts[kind]]
            if values:
                encoding = {"x": {**x, "field": "from"}, "x2": {"field": "to"}, "y": y}
                layers.append({"data": {"values": values}, "mark": _fill(kind, colour, theme), "encoding": encoding})
    if not layers:
        nothing = [{"client": label, "from": 0, "to": 0} for label in labels] or [{"client": "", "from": 0, "to": 0}]
        encoding = {"x": {**x, "field": "from"}, "x2": {"field": "to"}, "y": {**y, "scale": {}}}
        layers.append({"data": {"values": nothing}, "mark": "bar", "encoding": encoding})
    return {"height": {"step": BAR_STEP}, "layer": layers}


def _bar(client: ClientVerdicts, kind: str) -> Spec:
    start = sum(client.counts[before] for before in KINDS[: KINDS.index(kind)])
    return {"client": client_label(client), "from": start, "to": start + client.counts[kind]}


def _fill(kind: str, colour: str, theme: Theme) -> Spec:
    """Solid: accepted; pale: set aside by the defence; hollow: refused; nothing at all: missing."""
    fills: dict[str, Spec] = {
        "accepted": {"fill": colour, "fillOpacity": 1},
        "set aside": {"fill": colour, "fillOpacity": 0.35},
        "refused": {"fill": theme.paper, "fillOpacity": 1},
    }
    return {"type": "bar", "height": 11, "stroke": colour, "strokeWidth": 1.2, **fills[kind]}
