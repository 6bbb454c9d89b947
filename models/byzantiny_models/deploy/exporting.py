"""From a model to the file that is deployed: which template, the patch, and a check of what was made by running it."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from byzantiny_models.deploy.arithmetic import DEVICE
from byzantiny_models.deploy.files import read_file
from byzantiny_models.deploy.interpreter import run
from byzantiny_models.deploy.model_file import ModelFileError, parse_model
from byzantiny_models.deploy.runtimes import Runtime, opened
from byzantiny_models.deploy.template import Template, build_template, load_template, patch, shown
from byzantiny_models.inference import forward
from byzantiny_models.networks import Network

RANDOM_SAMPLES = 200


@dataclass(frozen=True, eq=False)
class Export:
    """A deployed model: its bytes, where its template is from, and who ran it on how many samples without a difference."""

    data: bytes
    template: Template
    origin: str
    runtime: Runtime
    samples: int

    @property
    def sha256(self) -> str:
        """The SHA-256 of the file."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def map_json(self) -> str:
        """The map that makes the file a template again, for `--template`."""
        return Template(
            self.template.network, self.template.whole_layout_sha256, self.data, self.template.places
        ).to_json()


def find_template(
    network: Network, *, file: Path | None = None, rebuild: bool = False, python: str = sys.executable
) -> tuple[Template, str]:
    """Return a network's template and where it is from: a file with its map beside it, the package's, or TensorFlow.

    Raises:
        ModelFileError: a file, or a map, that is no template.
        MissingDependencyError: it has to be built, and `python` has no TensorFlow.
    """
    if file is not None:
        return Template.from_json(read_file(file.with_suffix(".json")), read_file(file)), str(file)
    if not rebuild:
        try:
            committed = load_template(network.whole.name)
        except ModelFileError:
            committed = None
        if committed is not None and committed.whole_layout_sha256 == network.whole.layout.sha256.hex():
            return committed, "committed"
    return build_template(network, python), "built by Keras and TensorFlow"


def export(
    network: Network, model: ArrayLike, x: NDArray[np.int8], template: Template, origin: str, package: str | None = None
) -> Export:
    """Return the deployed model, after it answered x int8 (n, features) and random samples as the integer forward pass does.

    The arithmetic of the device is computed by NumPy; whichever interpreter runs here must answer as its own arithmetic does.

    Raises:
        ModelFileError: the file answers otherwise than the model, or the template is another network's.
        RuntimeMissingError: the interpreter that was asked for does not run here.
    """
    data = patch(template, network, model)
    drawn = np.random.default_rng(0).integers(-128, 128, (RANDOM_SAMPLES, network.features)).astype(np.int8)
    asked = np.concatenate([np.asarray(x, dtype=np.int8), drawn])
    file, given = parse_model(data, f"the export of {network.name}"), shown(network, asked)
    if not np.array_equal(run(file, given).reshape(len(asked), -1), forward(network, model, asked)):
        raise ModelFileError(f"the export of {network.name} answers otherwise than the model; build its template again")
    with opened(package) as (session, runtime):
        answers = session.run(data, given)
        if runtime.arithmetic is not None and not np.array_equal(answers, run(file, given, runtime.arithmetic)):
            raise ModelFileError(
                f"{runtime.package} {runtime.version} answers otherwise than {runtime.arithmetic} does; use another interpreter"
            )
    return Export(data, template, origin, runtime, len(asked))


def checked_sentence(made: Export) -> str:
    """Return who ran the file and what that proves, for people."""
    who = f"{made.samples} samples, {made.runtime.package} {made.runtime.version} ({made.runtime.resolver})"
    if made.runtime.arithmetic == DEVICE:
        return f"{who}: every output is the integer forward pass's"
    named = made.runtime.arithmetic or "none that is known"
    return f"{who}: every output is that of its own arithmetic, {named}; NumPy's {DEVICE} is the integer forward pass's"
