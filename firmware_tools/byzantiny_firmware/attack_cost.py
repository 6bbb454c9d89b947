"""What an attack costs a board: measured where it is built into the firmware, modelled where a board could run it, else why not.

Measured on one round of one epoch of made-up samples: instructions between two markers that lie around the whole update, of
an image with the attack inside less those of an honest one; flash and static RAM from the ELF files. A modelled number says
so in its name (promise P8).
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from byzantiny.attacks import ATTACKS
from byzantiny.attacks.card import AttackInfo
from byzantiny_firmware import build, zigcc
from byzantiny_firmware.attacked import IN_FIRMWARE, attacked_image, options
from byzantiny_firmware.images import BOARD, image_path
from byzantiny_firmware.measuring import counted_round, samples
from byzantiny_firmware.sizes import elf_sizes
from byzantiny_models.networks import NETWORKS, Network

RECORD = "attack_cost.json"
FORMAT = "byzantiny.attack-cost/1"
CORE, NETWORK, SAMPLES = "m4f", build.DEFAULT_NETWORK, 60


@dataclass(frozen=True, slots=True)
class Cost:
    """What one attack costs beside honest work; None where nothing was measured, or nothing can be said.

    `where`: `firmware` (a build option), `data` (its device's data are poisoned before it is flashed), `board` (would fit, is not
    built in), `computer` (needs floats, or more memory than a board has), `link` (no client at all).
    """

    attack: str
    where: str
    flash_bytes: int | None = None
    static_ram_bytes: int | None = None
    instructions: int | None = None
    """A round, emulated."""
    ram_modelled_bytes: int | None = None
    note: str = ""


def measured(attack: str, *, core: str = CORE, network: str = NETWORK) -> Cost:
    """Measure an attack that is a build option, with its default parameters.

    Raises:
        FirmwareError: no such attack, no emulator, no compiler.
    """
    net = NETWORKS[network]
    honest, lying = (
        elf_sizes(path, f"{name}-{core}", network)
        for name, path in (("honest", image_path(core, network)), (attack, attacked_image(core, network, attack)))
    )
    return Cost(
        attack,
        "firmware",
        lying.flash_bytes - honest.flash_bytes,
        lying.static_ram_bytes - honest.static_ram_bytes,
        _instructions(net, core, options(attack, net)) - _instructions(net, core, ()),
        note=IN_FIRMWARE[attack].without,
    )


@lru_cache(maxsize=64)
def _instructions(network: Network, core: str, defines: tuple[str, ...]) -> int:
    with tempfile.TemporaryDirectory(prefix="byzantiny-count-") as folder:
        path = build.build_counted(Path(folder), BOARD, core, network.name, defines)
        return counted_round(network, str(path), *samples(network, SAMPLES)).last_instructions


def modelled(info: AttackInfo, network: Network) -> Cost:
    """Say what an attack would take that is not built in, from what its card needs.

    >>> modelled(ATTACKS["lazy"].info, NETWORKS["mlp-64-32-10"]).ram_modelled_bytes
    4904
    """
    needs, size = set(info.needs), network.layout.model_bytes
    if info.capability == "link":
        return Cost(info.name, "link", note="acts on frames; no client takes part")
    if info.capability == "manifest":
        return Cost(info.name, "board", ram_modelled_bytes=network.layout.d, note="at most one more update kept")
    if info.capability == "data":
        floats = bool(needs & {"training"}) or info.name in ("back-gradient", "generated")
        said = "crafted on a computer, then flashed" if floats else "flashed as they are"
        return Cost(info.name, "data", note=f"its data are poisoned before: {said}")
    if info.capability != "update":
        return Cost(info.name, "computer", note="acts before the first round, on no device")
    if "training" in needs and info.name != "mpaf":
        return Cost(info.name, "computer", note="trains in floats, on samples and models of its own")
    if info.knowledge != "own" or "defence" in needs:
        return Cost(info.name, "computer", note="needs other clients' updates, which no board has room for")
    if "history" in needs:
        return Cost(info.name, "board", ram_modelled_bytes=size, note="one model more for each round it remembers")
    if info.name == "mpaf":
        return Cost(
            info.name, "board", ram_modelled_bytes=0, note="its base model is drawn anew from a key, element by element"
        )
    return Cost(info.name, "board", ram_modelled_bytes=0, note="elementwise on its own update")


def costs(*, core: str = CORE, network: str = NETWORK) -> list[Cost]:
    """Return the cost of every attack of the zoo, and of those that exist in the firmware alone; measures for half a minute.

    Raises:
        FirmwareError: no emulator, no compiler.
    """
    net = NETWORKS[network]
    zoo = {name: factory.info for name, factory in ATTACKS.items()}  # type: ignore[attr-defined]
    names = [*zoo, *(name for name in IN_FIRMWARE if name not in zoo)]
    return [
        measured(name, core=core, network=network) if name in IN_FIRMWARE else modelled(zoo[name], net)
        for name in names
    ]


def sources_sha256() -> str:
    """Return the hash of the sources that the record is of."""
    return zigcc.sources_sha256(build.FIRMWARE, build.image_sources(BOARD))


def write(found: list[Cost]) -> Path:
    """Write the record beside this module."""
    kept = {
        "format": FORMAT,
        "made_by": "byzantiny attack-cost --write",
        "source_sha256": sources_sha256(),
        "compiler": f"ziglang {zigcc.compiler_version()}",
        "core": CORE,
        "network": NETWORK,
        "samples": SAMPLES,
        "honest_instructions": _instructions(NETWORKS[NETWORK], CORE, ()),
        "costs": [asdict(each) for each in found],
    }
    path = build.PACKAGE / RECORD
    path.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return path


@lru_cache(maxsize=1)
def record() -> dict[str, Any]:
    """Return what was measured when the sources last changed; empty where nothing is recorded."""
    try:
        found: dict[str, Any] = json.loads(files("byzantiny_firmware").joinpath(RECORD).read_text(encoding="utf-8"))
    except OSError:
        return {}
    return found
