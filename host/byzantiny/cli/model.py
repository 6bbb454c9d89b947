"""`byzantiny model ...`: the deployed file of a run, somebody else's model as a start, a C array, fewer bits. Thin."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from byzantiny.cli import models
from byzantiny.cli.runs import Output
from byzantiny.experiment.config import ConfigError
from byzantiny_models.deploy.c_array import c_array
from byzantiny_models.deploy.exporting import checked_sentence
from byzantiny_models.deploy.files import read_file, write_files
from byzantiny_models.deploy.model_file import parse_model
from byzantiny_models.deploy.ptq import BITS

app = typer.Typer(
    help="Models: export what a board runs, import what somebody trained, as C source, in fewer bits.",
    no_args_is_help=True,
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
TaskName = Annotated[str | None, typer.Argument(metavar="[TASK]", help="A task: its network, as the seed draws it.")]
Run = Annotated[Path | None, typer.Option("--run", metavar="RUN", help="A run directory: its global model.")]
Start = Annotated[Path | None, typer.Option("--start", help="A starting point of the task, of `model import`.")]
Arm = Annotated[str | None, typer.Option("--arm", help="The run's arm; needed where it has several.")]
Seed = Annotated[int | None, typer.Option("--seed", help="The run's seed (default: its first), or the task's (1).")]
Round = Annotated[
    int | None, typer.Option("--round", min=1, help="After this round (default: the last); earlier ones are run again.")
]
Rebuild = Annotated[
    bool, typer.Option("--rebuild", help="Build the template with Keras and TensorFlow, not the package's.")
]
TemplateFile = Annotated[
    Path | None,
    typer.Option("--template", help="A .tflite of `model export TASK`, its .json beside it, as the template."),
]
Python = Annotated[str, typer.Option("--python", help="The Python that has TensorFlow, where this one has not.")]
Interpreter = Annotated[
    str | None, typer.Option("--interpreter", help="Who runs the file; default: the first that works.")
]


@app.command()
def export(
    out: Annotated[Path, typer.Option("-o", "--out", help="The .tflite to write.")],
    task: TaskName = None,
    run: Run = None,
    start: Start = None,
    arm: Arm = None,
    seed: Seed = None,
    round_num: Round = None,
    rebuild: Rebuild = False,
    template: TemplateFile = None,
    interpreter: Interpreter = None,
    python: Python = sys.executable,
    json: Json = False,
) -> None:
    """Write the int8 .tflite of a run's model, or of a task's network; the file is run before it is written.

    Of a task a map is written beside it (.json): with it the file serves as a template wherever there is no TensorFlow.
    """
    output = Output(json)
    source = models.open_source(output, task, run, start, arm, seed, round_num)
    with output.waiting("building the template with TensorFlow" if rebuild else "exporting"):
        made = models.export_source(source, template=template, rebuild=rebuild, python=python, interpreter=interpreter)
    files = {out: made.data}
    if run is None:
        files[out.with_suffix(".json")] = made.map_json.encode()
    models.check_targets(files)
    write_files(files)
    score = models.metric_of(source)
    output.say(f"{out}    {len(made.data):,} bytes, {source.network.name}, template {made.origin}")
    output.say(f"sha256     {made.sha256}")
    output.say(f"model      {source.title}, {score.title} {score.shown}")
    output.say(f"arithmetic {made.runtime.arithmetic or 'none that is known'}")
    output.say(f"checked    {checked_sentence(made)}")
    output.give(models.export_record(source, made, out, score, list(files)))


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .keras, .h5 or int8 .tflite file.")],
    task: Annotated[str, typer.Option("--task", help="The task whose network it is.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The starting point to write, a .json.")],
    input_scale: Annotated[
        float,
        typer.Option("--input-scale", help="What a real feature was multiplied with in training; docs/deploy.md."),
    ] = 1.0,
    per_channel: Annotated[
        bool, typer.Option("--per-channel", help="Take a .tflite whose dense layers have a scale a channel.")
    ] = False,
    python: Python = sys.executable,
    json: Json = False,
) -> None:
    """Bring a pretrained model onto the device's grid, as what an experiment begins with ([model] start = "FILE")."""
    output = Output(json)
    with output.waiting(f"reading {file}"):
        made = models.import_model(file, task, input_scale=input_scale, per_channel=per_channel, python=python)
    models.check_targets([out])
    write_files({out: made.data})
    output.say(f"{out}    {made.layers}")
    output.say(f"sha256     {made.sha256}")
    output.say(f"{made.before.title:<10} {made.before.shown} as trained, {made.after.shown} on the device's grid")
    output.say(f'use it     [model] start = "{out}"')
    output.give(made.record(out))


@app.command("c-array")
def c_array_(
    out: Annotated[Path, typer.Option("-o", "--out", help="The C header to write.")],
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="A .tflite.")] = None,
    run: Run = None,
    arm: Arm = None,
    seed: Seed = None,
    round_num: Round = None,
    name: Annotated[str | None, typer.Option("--name", help="The array's name; default: the header's.")] = None,
    template: TemplateFile = None,
    json: Json = False,
) -> None:
    """Write a .tflite, or a run's model, as a C header for firmware that runs it with TFLM."""
    output = Output(json)
    if (file is None) == (run is None):
        raise ConfigError("name a .tflite or a run directory (--run RUN), one of the two")
    if file is not None:
        data = read_file(file)
        parse_model(data, str(file))
    else:
        source = models.open_source(output, None, run, None, arm, seed, round_num)
        data = models.export_source(source, template=template).data
    called = name or re.sub(r"\W", "_", out.stem, flags=re.ASCII)
    text = c_array(data, called)
    models.check_targets([out])
    write_files({out: text.encode()})
    output.say(f"{out}    {called}[{len(data)}]")
    output.give({"schema": "byzantiny.c-array/1", "file": str(out), "name": called, "bytes": len(data)})


@app.command()
def quantize(
    task: TaskName = None,
    run: Run = None,
    start: Start = None,
    arm: Arm = None,
    seed: Seed = None,
    round_num: Round = None,
    bits: Annotated[str, typer.Option("--bits", help="Bits a weight, 2 to 8, with commas.")] = ",".join(map(str, BITS)),
    qat_epochs: Annotated[
        int,
        typer.Option("--qat-epochs", min=0, max=1000, help="Train so many epochs on rounded weights (TensorFlow)."),
    ] = 0,
    template: TemplateFile = None,
    python: Python = sys.executable,
    json: Json = False,
) -> None:
    """What a model is worth with weights of 8, 4, 3 and 2 bits: float, integer, and exported."""
    output = Output(json)
    source = models.open_source(output, task, run, start, arm, seed, round_num)
    with output.waiting("training and quantizing" if qat_epochs else "quantizing"):
        rows = models.bits_rows(
            source, models.parse_bits(bits), qat_epochs=qat_epochs, template=template, python=python
        )
    if not json:
        table = Table(title=f"{source.title}: {models.metric_of(source).title} by bits a weight", title_justify="left")
        for column in ("training", "bits", "float", "integer", "exported", "packed weights"):
            table.add_column(column, justify="left" if column == "training" else "right")
        for training, row in rows:
            scores = (f"{100 * value:.1f} %" for value in (row.float_score, row.integer_score, row.exported_score))
            table.add_row(training, str(row.bits), *scores, f"{row.weight_bytes:,} B")
        models.console().print(table)
    output.give(models.bits_record(source, rows))
