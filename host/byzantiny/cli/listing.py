"""`byzantiny list`: every zoo with its cards."""

from __future__ import annotations

import dataclasses
import inspect
import json as json_module
import math
import sys
from collections.abc import Callable, Mapping
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from byzantiny.aggregators import load_aggregators
from byzantiny.attacks import load_attacks
from byzantiny.bodies.ports import port_names
from byzantiny.bodies.registry import body_names
from byzantiny.experiment.config import ConfigError
from byzantiny.experiment.costs import scope_costs
from byzantiny.preaggregators import load_preaggregators
from byzantiny.screening import load_screening
from byzantiny.suggest import unknown_name
from byzantiny.updates.rules import PROPERTIES, STREAMS, Bound, Kappa
from byzantiny_models.metrics import TITLES
from byzantiny_models.networks import NETWORKS
from byzantiny_models.tasks import load_tasks
from byzantiny_models.trainers import TRAINERS
from byzantiny_models.trainers.base import TrainerInfo

Row = dict[str, Any]
Rows = list[Row]

REACH = {
    "breakdown": "the share of liars up to which there is a bound at all",
    "stays": "a coordinate of the aggregate, against the honest values of it",
    "kappa": "||aggregate - honest mean||^2 is at most kappa times the honest rows' mean squared distance from it",
}
"""What the bounds on a card mean."""

REFERENCE = (20, 4)
"""The n and f at which a listing compares the rules' kappas; every rule of the zoo accepts them."""


def card(factory: Callable[..., Any]) -> Row:
    """Return the card of a rule or an attack as JSON has it: its fields, and the parameters it is built with.

    >>> from byzantiny.aggregators import Krum
    >>> row = card(Krum)
    >>> row["name"], row["parameters"], row["keeps"][:2]
    ('krum', [{'name': 'f', 'required': True, 'default': None}], ['exact', 'permutation-up-to-ties'])
    """
    info = factory.info  # type: ignore[attr-defined]
    row = {field.name: _plain(getattr(info, field.name)) for field in dataclasses.fields(info)}
    parameters = [_parameter(parameter, factory) for parameter in inspect.signature(factory).parameters.values()]
    return {"name": row.pop("name"), "formula": row.pop("formula"), "parameters": parameters, **row}


def facts(row: Mapping[str, Any]) -> dict[str, str]:
    """Return a row as text for people, by label: what does not apply is left out.

    >>> from byzantiny.aggregators import Meamed
    >>> shown = facts(card(Meamed))
    >>> shown["parameters"], shown["stays"]
    ('f', 'within the honest values, or f / (n - f) of their range beyond')
    """
    shown = {key: value for key, value in row.items() if key not in ("name", "hull_steps", "hull_spread")}
    if shown.get("kappa"):
        shown["kappa"] = _kappa(shown["kappa"])
    if isinstance(shown.get("parameters"), list):
        shown["parameters"] = [
            one["name"] if one["required"] else f"{one['name']} = {_shown(one['default'])}"
            for one in shown["parameters"]
        ]
    if row.get("hull_steps") is not None:
        shown["stays"] = _stays(row["hull_steps"], row["hull_spread"])
    if "answer" in shown:
        shown["refused as"] = shown.pop("answer")
    if "paper" in shown:
        shown["paper"] = shown.pop("paper")  # last
    texts = {key: ", ".join(map(str, value)) if isinstance(value, list) else str(value) for key, value in shown.items()}
    return {key: text for key, text in texts.items() if text and shown[key] is not None}


def _plain(value: object) -> object:
    if isinstance(value, Bound):
        return value.formula
    if isinstance(value, Kappa):
        number, (n, f) = value.of(*REFERENCE), REFERENCE
        at = {"n": n, "f": f, "value": number if math.isfinite(number) else None}
        return {"formula": value.formula, "source": value.source, "at": at}
    if isinstance(value, frozenset):
        return [name for name in PROPERTIES if name in value] + sorted(set(map(str, value)) - PROPERTIES.keys())
    return list(value) if isinstance(value, tuple) else value


def _parameter(parameter: inspect.Parameter, factory: Callable[..., Any]) -> Row:
    default = parameter.default
    for field in dataclasses.fields(factory) if dataclasses.is_dataclass(factory) else ():
        if field.name == parameter.name and field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
    required = default is parameter.empty
    return {"name": parameter.name, "required": required, "default": None if required else _plain(default)}


def _shown(value: object) -> str:
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _kappa(kappa: Mapping[str, Any]) -> str:
    """Return a kappa with a value to compare.

    >>> from byzantiny.aggregators import TrimmedMean
    >>> facts(card(TrimmedMean))["kappa"][:54]
    '0.333 at n = 20, f = 4: f / (n - 2f); attained, and th'
    """
    at = kappa["at"]
    number = "" if at["value"] is None else f"{at['value']:.3g} at n = {at['n']}, f = {at['f']}: "
    return f"{number}{kappa['formula']} ({kappa['source']})"


def _stays(steps: float, spread: str | None) -> str:
    beyond = [f"{steps:g} step{'' if steps <= 1 else 's'}"] if steps else []
    beyond += [f"{spread} of their range"] if spread else []
    return "within the honest values" + (f", or {' and '.join(beyond)} beyond" if beyond else "")


def _cards(zoo: Mapping[str, Callable[..., Any]]) -> Rows:
    return [card(factory) for factory in zoo.values()]


def _networks() -> Rows:
    """Every network with what it costs, whole and in part.

    >>> row = _networks()[0]
    >>> row["name"], row["inference macs"], row["bytes up a round"]
    ('mlp-64-32-10', '2368', 'all 2538, last-layer 458, biases 170')
    """
    rows = []
    for network in NETWORKS.values():
        scopes = scope_costs(network)
        whole = scopes["all"]
        row = {"name": network.name, "features": str(network.features), "classes": str(network.classes)}
        for label, key in _WHOLE.items():
            row[label] = str(whole.get(key, "no template"))
        for label, key in _BY_SCOPE.items():
            row[label] = ", ".join(f"{scope} {found[key]}" for scope, found in scopes.items())
        rows.append(row)
    return rows


_WHOLE = {
    "parameters": "parameters",
    "model bytes": "model_bytes",
    "inference macs": "inference_macs",
    "activation bytes": "activation_bytes",
    "weight flash bytes": "weight_flash_bytes",
    "tflite bytes": "tflite_bytes",
}
_BY_SCOPE = {
    "training macs": "training_macs",
    "training arena bytes": "training_arena_bytes",
    "bytes down a round": "down_bytes",
    "bytes up a round": "up_bytes",
}
"""Labels of a listing and their names in `network_costs`."""


def _trainers() -> Rows:
    return [_trainer(trainer.info) for trainer in TRAINERS.values()]


def _trainer(info: TrainerInfo) -> Row:
    row = {field.name: _plain(getattr(info, field.name)) for field in dataclasses.fields(info)}
    del row["lr_shifts"]
    row["lr_shift"] = "{} .. {}".format(*info.lr_shifts)
    row["runs_on"] = "every body" if row.pop("core") else "body numpy"
    return row


def _tasks() -> Rows:
    """The cards of the tasks; none is loaded, so what is not installed or not there is no obstacle."""
    return [
        {
            "name": source.name,
            "data": source.data,
            "samples": source.samples,
            "features": source.features,
            "network": source.network,
            "metric": TITLES[source.metric],
            "partition_key": source.key or "none",
            "needs": ", ".join(filter(None, [source.files and f"`data`: {source.files}", source.needs])) or "nothing",
        }
        for source in load_tasks().values()
    ]


KINDS: dict[str, Callable[[], Rows]] = {
    "aggregators": lambda: _cards(load_aggregators()),
    "preaggregators": lambda: _cards(load_preaggregators()),
    "screening": lambda: _cards(load_screening()),
    "attacks": lambda: _cards(load_attacks()),
    "tasks": _tasks,
    "networks": _networks,
    "trainers": _trainers,
    "bodies": lambda: [{"name": name} for name in body_names()],
    "ports": lambda: [{"name": name} for name in port_names()],
}


def print_listing(what: str | None, *, json: bool) -> None:
    """Print one kind, or all. Raises ConfigError naming the nearest kind."""
    if what is not None and what not in KINDS:
        raise ConfigError(unknown_name("kind", what, KINDS))
    chosen = {name: rows() for name, rows in KINDS.items() if what in (None, name)}
    if json:
        sys.stdout.write(json_module.dumps(chosen, indent=2) + "\n")
        return
    console = Console(highlight=False)
    for number, (name, rows) in enumerate(chosen.items()):
        if number:
            console.print()
        console.print(Text(name, style="bold underline"))
        if not rows:
            console.print("  none yet")
        shown = {row["name"]: facts(row) for row in rows}
        labels = max((cell_len(label) for texts in shown.values() for label in texts), default=0)
        for called, texts in shown.items():
            console.print(Text("  ").append(called, style="bold"))
            for label, text in texts.items():
                _print_field(console, label.replace("_", " "), text, labels)
        if any("keeps" in row for row in rows) and what == name:
            _print_legend(console)


def _print_legend(console: Console) -> None:
    for title, words in (
        ("what a rule keeps", PROPERTIES),
        ("how a rule streams", STREAMS),
        ("how far f liars can take it", REACH),
    ):
        console.print(Text(f"\n{title}", style="bold underline"))
        labels = max(map(cell_len, words))
        for word, text in words.items():
            _print_field(console, word, text, labels)


def _print_field(console: Console, label: str, text: str, labels: int) -> None:
    """One field a line, folded under itself: as a table, a dozen columns would fold every word on a terminal of 80."""
    for number, line in enumerate(Text(text).wrap(console, console.width - labels - 6)):
        line.rstrip()
        console.print(Text(f"    {'' if number else label:{labels}}  ").append_text(line), soft_wrap=True)
