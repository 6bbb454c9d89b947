"""`byzantiny firmware ...`: build the firmware, size it, run a board. Thin: everything is a function elsewhere."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from byzantiny.bodies.base import DeviceSpec
from byzantiny_firmware import library, sizes
from byzantiny_firmware.attacked import IN_FIRMWARE, attacked_image
from byzantiny_firmware.errors import FirmwareError
from byzantiny_firmware.images import CORES, DEFAULT_NETWORK, MAX_PAYLOAD
from byzantiny_models.networks import NETWORKS

app = typer.Typer(help="The client firmware: build it, size it, run it on an emulated board.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
_POLL_S = 0.5
_DEMO_SAMPLES = 60


@app.command()
def build(
    force: Annotated[bool, typer.Option("--force", help="Rebuild even what is up to date.")] = False,
    attack: Annotated[str | None, typer.Option("--attack", help=f"Images that lie: {', '.join(IN_FIRMWARE)}.")] = None,
    parameters: Annotated[
        list[str] | None, typer.Option("--param", metavar="NAME=INTEGER", help="A parameter of the attack.")
    ] = None,
    core: Annotated[str | None, typer.Option("--core", help="With --attack: this core alone.")] = None,
    network: Annotated[str, typer.Option(help="With --attack: the images of this network.")] = DEFAULT_NETWORK,
    as_json: Json = False,
) -> None:
    """Build the native libraries and the firmware images from their sources, with the compiler of the ziglang wheel."""
    if attack is None and (parameters or core):
        raise FirmwareError("--param and --core are about an attack; name it with --attack")
    if attack is None:
        paths = library.rebuild(force=force)
    else:
        given = _parameters(parameters or [])
        paths = [attacked_image(each, network, attack, given) for each in ([core] if core else CORES)]
    if as_json:
        _print_json({"built": [str(path) for path in paths]})
    else:
        sys.stdout.write("".join(f"{path}\n" for path in paths))


@app.command()
def size(
    image: Annotated[str | None, typer.Argument(help=f"One of {', '.join(CORES)}; default: all.")] = None,
    network: Annotated[str, typer.Option(help=f"The images of this network: {', '.join(NETWORKS)}.")] = DEFAULT_NETWORK,
    as_json: Json = False,
) -> None:
    """Print flash and static RAM of a network's images, from their ELF sections."""
    rows = [sizes.image_sizes(image, network)] if image else sizes.all_sizes(network)
    if as_json:
        derived = ("flash_bytes", "static_ram_bytes", "ram_bytes", "max_samples")
        _print_json({"images": [{**asdict(row), **{name: getattr(row, name) for name in derived}} for row in rows]})
        return
    table = Table(title=f"{network}, payload {MAX_PAYLOAD}, data set in flash, {rows[0].ram_bytes:,} bytes of RAM")
    for column in ("image", "flash", "code", "constants", "static RAM", "stack reserved", "most samples"):
        table.add_column(column, justify="left" if column == "image" else "right")
    for row in rows:
        numbers = (row.flash_bytes, row.text_bytes, row.rodata_bytes, row.static_ram_bytes, row.stack_reserved_bytes)
        table.add_row(row.image, *(f"{number:,} B" for number in numbers), f"{row.max_samples:,}")
    Console().print(table)


@app.command()
def run(
    image: Annotated[str, typer.Argument(help=f"One of {', '.join(CORES)}, or an ELF file.")] = "m4f",
    client_id: Annotated[str, typer.Option(help="The device's name: 1 to 16 of a-z, 0-9 and -.")] = "dev-01",
    secret: Annotated[str, typer.Option(help="The device's 32-byte secret in hex.")] = "00" * 32,
    data: Annotated[Path | None, typer.Option(help="A data set file (docs/wire.md 3); default: noise.")] = None,
    network: Annotated[str, typer.Option(help=f"What it trains: {', '.join(NETWORKS)}.")] = DEFAULT_NETWORK,
    base: Annotated[
        Path | None, typer.Option(help="The frozen part (docs/wire.md 3); default: none is frozen.")
    ] = None,
    address: Annotated[int, typer.Option(help="The device's address on its line.")] = 1,
    boot_id: Annotated[int, typer.Option(help="The boot_id it reports.")] = 1,
    pty: Annotated[bool, typer.Option("--pty", help="A pseudo-terminal instead of a loopback socket.")] = False,
    as_json: Json = False,
) -> None:
    """Run one board under Unicorn, print the URL of its serial line, and count instructions until Ctrl-C."""
    from byzantiny_firmware.unicorn import start_board

    blob, frozen = _data(data, network), b"" if base is None else _read(base, "base")
    spec = DeviceSpec(client_id, _secret(secret), blob, network, address=address, boot_id=boot_id, base=frozen)
    with start_board(spec, image, pty=pty) as board:
        url = board.url
        try:
            if as_json:
                _print_json({"url": url, "client_id": client_id, "image": image})
            else:
                sys.stdout.write(f"{client_id} ({image}) is on {url}; Ctrl-C ends it\n")
            sys.stdout.flush()
            while board.fault is None:
                time.sleep(_POLL_S)
            raise FirmwareError(f"the firmware has crashed: {board.fault}")
        except KeyboardInterrupt:
            stats = board.stats()
        if as_json:
            _print_json({"stats": asdict(stats)})
        else:
            sys.stdout.write(
                f"\n{stats.trainings} trainings, {stats.steps} steps, {stats.instructions:,} instructions in all; "
                f"the last training took {stats.last_instructions:,}\n"
            )


@app.command()
def measure(
    network: Annotated[str | None, typer.Argument(help="One network; default: all, and the record is written.")] = None,
    as_json: Json = False,
) -> None:
    """Count the instructions of an inference on every emulated core, on images built for it (a minute for all)."""
    from byzantiny_firmware import measuring

    if network is not None and network not in NETWORKS:
        raise FirmwareError(f"there is no network {network!r}; there are {', '.join(NETWORKS)}")
    if network is None:
        found = measuring.measure_all()
        measuring.write(found)
        counts = found["instructions"]
    else:
        counts = {network: {core: measuring.inference_instructions(network, core) for core in CORES}}
    if as_json:
        _print_json({"instructions_per_inference": counts})
        return
    table = Table(title="instructions per inference (emulated)", title_justify="left")
    table.add_column("network")
    for core in CORES:
        table.add_column(core, justify="right")
    for name, by_core in counts.items():
        table.add_row(name, *(f"{by_core[core]:,.0f}" for core in CORES))
    Console().print(table)


def _parameters(settings: list[str]) -> dict[str, int]:
    """Parse NAME=INTEGER.

    >>> _parameters(["scale=4"])
    {'scale': 4}
    """
    parsed = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or not value.strip().lstrip("-").isdigit():
            raise FirmwareError(f"--param {setting}: write NAME=INTEGER, e.g. --param scale=4")
        parsed[name.strip()] = int(value)
    return parsed


def _secret(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise FirmwareError(f"the secret {text!r} is not hex: {error}; give 64 hex digits") from error


def _data(path: Path | None, network: str) -> bytes:
    if path is not None:
        return _read(path, "data set")
    import numpy as np

    from byzantiny_models import datasets

    if network not in NETWORKS:
        raise FirmwareError(f"there is no image for the network {network!r}; there are {', '.join(NETWORKS)}")
    rng, shape = np.random.default_rng(0), NETWORKS[network]
    x = rng.integers(-64, 64, (_DEMO_SAMPLES, shape.features))
    return datasets.pack(x, rng.integers(0, shape.classes, _DEMO_SAMPLES), shape.classes)


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FirmwareError(f"the {what} {path} cannot be read: {error}") from error


def _print_json(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
