"""The tables of the deployed model: scores of its forms, classes and clients, bits and arithmetics, costs."""

from __future__ import annotations

from collections.abc import Sequence

from byzantiny.report import deployed
from byzantiny.report.arms import ArmSummary
from byzantiny.report.metric import metric_name, metric_title
from byzantiny.report.run import Run
from byzantiny.report.tables import Table
from byzantiny.report.targets import percent
from byzantiny.report.units import grouped

MOST_MISTAKES = 12

COSTS = {
    "parameters": ("parameters trained", ""),
    "inference_macs": ("an inference, multiply-accumulates", "counted from the network's table"),
    "training_macs": ("a training step, multiply-accumulates", "counted from the network's table"),
    "training_arena_bytes": ("RAM to train, bytes", "two models, scratch and a frame; stack and client come on top"),
    "activation_bytes": ("RAM of an inference, bytes", "int8 activations held at once, the least an interpreter needs"),
    "weight_flash_bytes": ("flash of the weights, bytes", "int8 kernels, int32 biases"),
    "base_flash_bytes": ("flash of the frozen part while training, bytes", ""),
    "tflite_bytes": ("the exported .tflite, bytes", "weights included"),
    "down_bytes": ("a client's round down, bytes", "offer and model, before framing"),
    "up_bytes": ("a client's round up, bytes", "update, before framing"),
}
"""What the manifest's costs are called, and what they are."""


def forms_table(run: Run, arms: Sequence[ArmSummary]) -> Table:
    """The three forms' scores, mean over the last tenth of the rounds and the seeds."""
    metric = metric_title(metric_name(run.manifest))
    rows = []
    for arm in arms:
        shares = [deployed.figure_of(run, arm.info.name, share) for share in deployed.FORMS.values()]
        control, _, exported = shares
        lost = "–" if control is None or exported is None else f"{100 * (control - exported):+.2f} points"
        rows.append((_title(arm), *map(percent, shares), lost))
    header = ("arm", *(f"{metric}: {name}" for name in deployed.FORMS), "control minus exported")
    return Table(f"{metric} of the three forms, last tenth of the rounds", header, tuple(rows))


def asr_table(run: Run, arms: Sequence[ArmSummary]) -> Table:
    """Attack success of the three forms, last tenth of the rounds, beside the floor; empty where no attack has probes."""
    names, rows = deployed.probed(run), []
    for arm in arms:
        name = arm.info.name
        if name not in names:
            continue
        shares = [
            deployed.figure_of(run, name, share)
            for share in (lambda row: row.asr_float, lambda row: row.asr, lambda row: row.asr_exported)
        ]
        confidence = deployed.figure_of(run, name, lambda row: row.asr_confidence)
        floor = deployed.asr_floor(run, name)
        shown = ("–", "–") if floor is None else (percent(floor.rate), floor.source)
        rows.append((_title(arm), *map(percent, (*shares, confidence)), *shown))
    header = ("arm", *(f"ASR: {name}" for name in deployed.FORMS), "mean confidence", "floor", "floor is of")
    return Table("Attack success rate, last tenth of the rounds", header, tuple(rows))


def class_table(run: Run, arms: Sequence[ArmSummary]) -> Table:
    """Recall by class and arm after the last round."""
    columns = [dict(deployed.class_recalls(run, arm.info.name)) for arm in arms]
    names = list(dict.fromkeys(name for column in columns for name in column))
    rows = [(name, *(percent(column.get(name)) for column in columns)) for name in names]
    if rows:
        rows.append(("mean of the classes", *(percent(_mean(list(column.values()))) for column in columns)))
    return Table("Recall by class after the last round", ("class", *map(_title, arms)), tuple(rows))


def mistake_table(run: Run, arms: Sequence[ArmSummary]) -> Table:
    """The commonest confusions of every arm."""
    rows, left = [], 0
    for arm in arms:
        found = deployed.confusions(run, arm.info.name)
        rows += [(_title(arm), true, said, str(count)) for true, said, count in found[:MOST_MISTAKES]]
        left += len(found[MOST_MISTAKES:])
    note = f"{left} rarer pairs are in final.json, `last.confusion`." if left else ""
    header = ("arm", "class", "taken for", "test samples")
    return Table("Commonest mistakes after the last round, over all seeds", header, tuple(rows), note)


def tail_table(run: Run, arms: Sequence[ArmSummary]) -> Table:
    """Mean and tail over clients, last tenth of the rounds."""
    shares = (
        *deployed.STRATA.values(),
        lambda row: row.clients_mean,
        lambda row: row.clients_p10,
        lambda row: row.clients_min,
    )
    rows = []
    for arm in arms:
        values = [deployed.figure_of(run, arm.info.name, share) for share in shares]
        if any(value is not None for value in values):
            rows.append((_title(arm), *map(percent, values)))
    kinds = [f"{whose}: {name}" for whose in ("honest", "all") for name in deployed.STRATA]
    return Table("Accuracy on clients' own samples, last tenth of the rounds", ("arm", *kinds), tuple(rows))


def axes_table(run: Run, arms: Sequence[ArmSummary]) -> Table:
    """The last models with fewer bits, a column an arithmetic; ASR beside the score where there are probes."""
    rows: list[tuple[str, ...]] = []
    arithmetics = list(dict.fromkeys(cell.arithmetic for arm in arms for cell in deployed.axes(run, arm.info.name)))
    for arm in arms:
        by_bits: dict[tuple[int, int], dict[str, str]] = {}
        for cell in deployed.axes(run, arm.info.name):
            text = percent(cell.accuracy) + ("" if cell.asr is None else f", ASR {percent(cell.asr)}")
            by_bits.setdefault((cell.bits, cell.weight_bytes), {})[cell.arithmetic] = text
        for (bits, packed), cells in by_bits.items():
            row = (_title(arm), str(bits), grouped(packed), *(cells.get(name, "–") for name in arithmetics))
            rows.append(row)
    header = ("arm", "bits a weight", "weights, bytes (modelled)", *arithmetics)
    return Table("The last model with fewer bits a weight, in other arithmetics", header, tuple(rows))


def cost_table(run: Run, arms: Sequence[ArmSummary]) -> Table:
    """What the network costs, counted; and what was measured in this run: flash, RAM, instructions, bytes on the line."""
    rows = [
        (label, grouped(run.manifest.costs[name]), how)
        for name, (label, how) in COSTS.items()
        if run.manifest.costs.get(name)
    ]
    for image in run.manifest.firmware:
        measured = (
            ("flash of the image, bytes", image.flash_bytes, "from its ELF file"),
            ("static RAM of the image, bytes", image.ram_bytes, "from its ELF file"),
            ("a training step, instructions (emulated)", image.instructions_per_step, "counted in this run"),
            (
                "an inference, instructions (emulated)",
                image.instructions_per_inference,
                "counted on an image that only infers, on samples without zeros",
            ),
        )
        rows += [(f"{image.name}: {label}", grouped(n), how) for label, n, how in measured if n is not None]
    rounds = sum(arm.rounds for arm in arms)
    offered = sum(row.cohort for rows_ in run.rounds.values() for row in rows_)
    if rounds and offered:
        for label, per_seed in (("down", "bytes_down"), ("up", "bytes_up")):
            total = sum(getattr(outcome, per_seed) for arm in arms for outcome in arm.outcomes)
            how = "measured: whole frames, those sent again included, mean over clients and rounds"
            rows.append((f"a client's round {label} on the line, bytes", grouped(total / offered), how))
    return Table("Costs of the network", ("what", "figure", "how it was found"), tuple(rows))


def _title(arm: ArmSummary) -> str:
    return arm.info.title or arm.info.name


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
