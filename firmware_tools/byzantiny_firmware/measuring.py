"""Instructions of an inference and of a training step on an emulated core: counted, exactly, on made-up samples.

The markers of an image lie around training. An inference has none, so two images are built that do not train: one runs the forward
pass for each sample, one does nothing; the difference is the forward pass. Counts depend on the samples where inputs are 0 (an
image skips those), so the samples here have none: what is counted is an inference with no such luck.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from byzantiny.bodies.base import DeviceSpec
from byzantiny.wire.auth import derive_keys
from byzantiny.wire.codec import encode_offer
from byzantiny.wire.events import RoundWork, UpdateReceived
from byzantiny.wire.host import HostSession
from byzantiny.wire.messages import Offer
from byzantiny_firmware import build, zigcc
from byzantiny_firmware.images import BOARD, CORES
from byzantiny_firmware.inference_cost import RECORD
from byzantiny_firmware.unicorn import BoardStats, UnicornBody
from byzantiny_models import datasets
from byzantiny_models.networks import NETWORKS, Network, initial_model

SAMPLES = 4
FORMAT = "byzantiny.inference/1"


def samples(network: Network, n: int = SAMPLES) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.uint8]]:
    """Return n samples without a zero input, int8 (n, features), and labels.

    >>> x, y = samples(NETWORKS["mlp-64-32-10"])
    >>> x.shape, bool((x != 0).all())
    ((4, 64), True)
    """
    rng = np.random.default_rng(0)
    x = rng.integers(1, 64, (n, network.features)) * rng.choice([-1, 1], (n, network.features))
    return x.astype(np.int8), rng.integers(0, network.classes, n).astype(np.uint8)


def instructions_per_step(
    network: Network, image: str, x: npt.NDArray[np.int8], y: npt.NDArray[np.uint8], lr_shift: int = 5
) -> float:
    """Return the instructions a sample of one epoch on an emulated board; `image` is a core's name or an ELF file.

    Raises:
        FirmwareError: no such image, or no emulator.
    """
    return counted_round(network, image, x, y, lr_shift).instructions_per_step


def counted_round(
    network: Network, image: str, x: npt.NDArray[np.int8], y: npt.NDArray[np.uint8], lr_shift: int = 5
) -> BoardStats:
    """Return what an emulated board has counted in one round of one epoch.

    Raises:
        FirmwareError: no such image, or no emulator.
    """
    secret, layout = bytes(32), network.layout
    spec = DeviceSpec("dev-01", secret, datasets.pack(x, y, network.classes), network.name, base=network.base)
    model = layout.pack(initial_model(network, 1))
    offer = Offer(
        1, 1, bytes(16), hashlib.sha256(model).digest(), layout.sha256, len(model), 0, 60_000, 1, lr_shift,
        layout.default_shifts(6),
    )  # fmt: skip
    session = HostSession(spec.client_id, derive_keys(secret), address=1, max_payload=240, rng=np.random.default_rng(0))
    body = UnicornBody([spec], image=image)
    try:
        began = time.monotonic()
        steps = [session.begin(RoundWork(1, encode_offer(offer), model), 0.0)]
        while not any(isinstance(event, UpdateReceived) for step in steps for event in step.events):
            now = time.monotonic() - began
            sent = [(0, frame) for step in steps for frame in step.frames]
            steps = [session.on_frame(frame, now) for _, frame in body.exchange(sent, int(1000 * now))]
            steps += [] if steps else [session.on_time(now)]
        return body.boards[0].stats()
    finally:
        body.close()


def inference_instructions(network: str, core: str) -> float:
    """Count the instructions of one inference of a network of the zoo on a core; builds two images for it.

    Raises:
        CompileError: no compiler.
        FirmwareError: no emulator.
    """
    x, y = samples(NETWORKS[network])
    with tempfile.TemporaryDirectory(prefix="byzantiny-measure-") as folder:
        inference, nothing = build.build_measuring(Path(folder), BOARD, core, network)
        counted = [instructions_per_step(NETWORKS[network], str(path), x, y) for path in (inference, nothing)]
    return counted[0] - counted[1]


def measure_all() -> dict[str, Any]:
    """Count every network on every core: what the record holds."""
    return {
        "format": FORMAT,
        "made_by": "byzantiny firmware measure",
        "source_sha256": zigcc.sources_sha256(build.FIRMWARE, build.image_sources(BOARD)),
        "compiler": f"ziglang {zigcc.compiler_version()}",
        "instructions": {
            network: {core: inference_instructions(network, core) for core in CORES} for network in NETWORKS
        },
    }


def write(found: dict[str, Any]) -> None:
    """Write the record beside this module."""
    path = build.PACKAGE / RECORD
    path.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
