"""What the report says in sentences: the result in one, and what the numbers do not show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from byzantiny.report.arms import ArmSummary
from byzantiny.report.metric import metric_heading, metric_name, metric_title
from byzantiny.report.run import Run
from byzantiny.report.targets import percent
from byzantiny.report.text import plural

FEW_SEEDS = 5
NEARLY_EQUAL_ALPHA = 10.0
"""From this Dirichlet concentration on, ten classes are spread over the clients almost evenly."""
NAIVE_ATTACKS = frozenset({"sign-flip", "gaussian", "label-flip", "zero", "random", "scale", "steer-grid"})
"""Attacks that look at nothing but the client's own update or data."""

_PARTITION_KEYS = ("alpha", "shards_per_client", "gamma", "bias_steps", "gain_64ths")

_TASK = (
    "One task ({}). On a task that any small network learns, many defences pass alike, "
    "and nothing here says that the order of the arms holds on another."
)
_DATA = (
    "Partition: {}. The more alike the clients' data, the easier it is to tell a liar from them; "
    "strongly unequal data is where defences fail."
)
_ATTACK = (
    "The arms met {}. An adversary that knows the defence and adapts to it does more harm, "
    "and rounding to int8 can hide a naive attack without any robustness behind it."
)
_SEEDS = "{}: enough to see a collapse, not to rank defences that are close (at least {}, better ten)."
_COST = (
    "Bodies: {}. Instructions of an emulated body are counted exactly; they are neither cycles nor microjoules. "
    "Wall time is that of the machine named below."
)
_TRAFFIC = (
    "Bytes are counted at the framing boundary, those sent again included; what MQTT, TCP or a radio adds is not there."
)


def headline(run: Run, arms: Sequence[ArmSummary]) -> str:
    """The run's result in one sentence: the best and the worst attacked arm, beside the best one left alone."""
    measured = [arm for arm in arms if arm.accuracy is not None]
    if not measured:
        return "No round of this run was evaluated, so there is no result yet."
    attacked = sorted((arm for arm in measured if arm.attacked), key=_accuracy, reverse=True)
    alone = max((arm for arm in measured if not arm.attacked), key=_accuracy, default=None)
    metric = metric_title(metric_name(run.manifest))
    parts: list[str] = []
    if attacked:
        best, worst = attacked[0], attacked[-1]
        under = f"{_adversary(run, best)}, {_name(best)} ends at {_figure(best)} {metric}"
        if worst is not best:
            other = "" if _adversary(run, worst) == _adversary(run, best) else f" ({_adversary(run, worst)})"
            under += f" and {_name(worst)} at {_figure(worst)}{other}"
        parts.append(under)
    if alone is not None:
        lead = "without an attack" if attacked else "without an adversary"
        parts.append(f"{lead}, {_name(alone)} ends at {_figure(alone)}" + ("" if attacked else f" {metric}"))
    sentence = "; ".join(parts) + "."
    return ("" if run.complete else "So far: ") + (sentence[0].upper() + sentence[1:] if run.complete else sentence)


def basis(run: Run, arms: Sequence[ArmSummary]) -> str:
    """What the headline's figures are: over how many seeds and rounds, and how the targets fared."""
    counts = {len(arm.outcomes) for arm in arms}
    few, many = min(counts), max(counts)
    seeds = plural(many, "seed") if few == many else f"{few} to {many} seeds"
    tail = max(1, run.manifest.rounds // 10)
    window = "the last round" if tail == 1 else f"the last {tail} rounds"
    text = f"{metric_heading(metric_name(run.manifest))} on the test set over {window} of {run.manifest.rounds}, mean of {seeds}."
    judged = [arm.verdict.met for arm in arms if arm.verdict.met is not None]
    return f"{text} {sum(judged)} of {plural(len(judged), 'target')} met." if judged else text


def caveats(run: Run, arms: Sequence[ArmSummary]) -> list[tuple[str, str]]:
    """What the numbers do not show, as (what, why), from what this run was."""
    facts, seeds = run.manifest.task, len(run.manifest.seeds)
    attacks = sorted({arm.info.attack for arm in arms if arm.attacked})
    bodies = ", ".join(sorted({str(client.get("body", "")) for client in run.manifest.clients} - {""}))
    partition, even = _partition(facts)
    naive = all(attack.partition("(")[0] in NAIVE_ATTACKS for attack in attacks)
    what = "A smoke test" if even and naive else "One experiment"
    found = [
        (f"{what}, not a benchmark.", _TASK.format(facts.get("name", "not recorded"))),
        ("Nearly equal data." if even else "One partition.", _DATA.format(partition)),
    ]
    if attacks:
        found.append(("A naive attack." if naive else "These attacks only.", _ATTACK.format(", ".join(attacks))))
    if seeds < FEW_SEEDS:
        found.append(("Few seeds.", _SEEDS.format(plural(seeds, "seed").capitalize(), FEW_SEEDS)))
    found.append(("Not time, not energy.", _COST.format(bodies or "not recorded")))
    found.append(("Not the whole of the traffic.", _TRAFFIC))
    return found


def _partition(facts: Mapping[str, str | int | float]) -> tuple[str, bool]:
    """The partition in words, and whether it is nearly equal.

    >>> _partition({"partition": "dirichlet", "alpha": 0.3}), _partition({"partition": "iid"})
    (('dirichlet, alpha 0.3', False), ('iid', True))
    >>> _partition({"partition": "shards", "shards_per_client": 2})
    ('shards, shards per client 2', False)
    """
    name, alpha = str(facts.get("partition", "not recorded")), facts.get("alpha")
    if name == "iid":
        return name, True
    given = [f"{key.replace('_', ' ')} {facts[key]}" for key in _PARTITION_KEYS if key in facts]
    even = name == "dirichlet" and isinstance(alpha, int | float) and alpha >= NEARLY_EQUAL_ALPHA
    return ", ".join([name, *given]), even


def _accuracy(arm: ArmSummary) -> float:
    return arm.accuracy.mean if arm.accuracy else 0.0


def _name(arm: ArmSummary) -> str:
    return f"“{arm.info.title or arm.info.name}”"


def _figure(arm: ArmSummary) -> str:
    return percent(_accuracy(arm), beside=arm.info.target)


def _adversary(run: Run, arm: ArmSummary) -> str:
    count, clients = arm.info.f or len(arm.info.byzantine), len(run.manifest.clients)
    return f"with {count} of {plural(clients, 'client')} Byzantine ({arm.info.attack})"
