"""Firmware that lies: the attacks that are build options of the client, their parameters, and where the builds are.

An attacked build is made when it is asked for, into the git-ignored folder of the builds, under a name with the attack's and the
hash of its options. It needs the compiler of the `firmware` extra and the C sources: a wheel has honest firmware only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from byzantiny.attacks.triggers import shape_of
from byzantiny.suggest import unknown_name
from byzantiny_firmware import build, library, zigcc
from byzantiny_firmware.errors import FirmwareError
from byzantiny_firmware.images import BOARD, CORES
from byzantiny_models.networks import NETWORKS, Network

ATTACKED = build.BUILT / "attacked"


@dataclass(frozen=True, slots=True)
class Option:
    """A build option: the attack's number in byz_attack.h, its parameters with their ranges and macros."""

    number: int
    parameters: Mapping[str, tuple[str, int, int]]
    """Parameter -> (macro, least, most)."""
    without: str = ""
    """What it does not do that the attack of the same name in front of a board does."""


IN_FIRMWARE: Mapping[str, Option] = {
    "sign-flip": Option(
        1, {"scale": ("SCALE", 1, 64)}, "acts before the rounding, and is clipped to the bound in integers"
    ),
    "boost": Option(
        2, {"factor": ("SCALE", 1, 64)}, "acts before the rounding, and is clipped to the bound in integers"
    ),
    "label-flip": Option(3, {}, "mirrors the labels alone"),
    "backdoor": Option(
        4,
        {"target": ("TARGET", 0, 254), "value": ("VALUE", -128, 127), "sixteenths": ("SIXTEENTHS", 1, 16)},
        "the patch alone, on so many of every 16 samples, in their order",
    ),
    "gaussian": Option(
        5, {"sigma": ("SIGMA", 1, 1000)}, "twelve uniform draws for a normal one; never adds to the update"
    ),
    "replay": Option(
        6, {}, "sends the codes of its first update in every round, under a fresh manifest: it is accepted"
    ),
    "directed-rounding": Option(7, {}, "knows its own update alone"),
}
"""The attacks that are build options, by the names that they have in front of a board."""


def options(attack: str, network: Network, parameters: Mapping[str, int] | None = None) -> tuple[str, ...]:
    """Return the compiler's options of an attack. Raises FirmwareError naming value, limit and remedy.

    >>> options("sign-flip", NETWORKS["mlp-64-32-10"], {"scale": 4})
    ('-DBYZ_ATTACK=1', '-DBYZ_ATTACK_SCALE=4')
    """
    if attack not in IN_FIRMWARE:
        raise FirmwareError(unknown_name("attack in the firmware", attack, IN_FIRMWARE))
    option, found = IN_FIRMWARE[attack], [f"-DBYZ_ATTACK={IN_FIRMWARE[attack].number}"]
    for name, value in sorted((parameters or {}).items()):
        if name not in option.parameters:
            raise FirmwareError(unknown_name(f"parameter of {attack} in the firmware", name, option.parameters))
        macro, least, most = option.parameters[name]
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise FirmwareError(
                f"{attack} in the firmware: {name} is {value!r}; it must be an integer from {least} to {most}"
            )
        found.append(f"-DBYZ_ATTACK_{macro}={value}")
    if attack == "backdoor":
        found += _patch(network)
    if attack == "replay":
        found.append(f"-DBYZ_ATTACK_MAX_CODES={network.whole.layout.d}")
    return tuple(found)


def _patch(network: Network) -> list[str]:
    """The corner that `byzantiny.attacks.triggers.patch` stamps, for samples laid out as this network has them."""
    rows, columns = shape_of(network.features, network)
    high, wide = (min(3, max(1, side // 4)) for side in (rows, columns))
    return [
        f"-DBYZ_ATTACK_COLUMNS={columns}",
        f"-DBYZ_ATTACK_PATCH_ROWS={high}",
        f"-DBYZ_ATTACK_PATCH_COLUMNS={wide}",
        f"-DBYZ_ATTACK_MAX_FEATURES={network.features}",
    ]


def attacked_image(core: str, network: str, attack: str, parameters: Mapping[str, int] | None = None) -> Path:
    """Return the ELF file of a core's image with an attack inside, built if it is not there.

    Raises:
        FirmwareError: no such core, network, attack or parameter; no sources or no compiler to build with.
    """
    if core not in CORES or network not in NETWORKS:
        raise FirmwareError(f"there is no image {core!r} of {network!r}; the images are {', '.join(CORES)}")
    defines = options(attack, NETWORKS[network], parameters)
    _check_sources(attack)
    try:
        return build.build_attacked_image(BOARD, core, network, attack, defines, ATTACKED)
    except zigcc.CompileError as error:
        raise FirmwareError(f"the image with {attack} inside cannot be built: {error}") from error


def attacked_library(network: str, attack: str, parameters: Mapping[str, int] | None = None) -> Path:
    """Return the native library with an attack inside, in this processor's variant, built if it is not there.

    Raises:
        FirmwareError: as `attacked_image`.
    """
    defines = options(attack, NETWORKS[network], parameters)
    _check_sources(attack)
    variant = next(each for each in build.native_variants() if each.name == library.variant_name())
    try:
        return build.build_attacked_library(variant, attack, defines, ATTACKED)
    except zigcc.CompileError as error:
        raise FirmwareError(f"the native library with {attack} inside cannot be built: {error}") from error


def _check_sources(attack: str) -> None:
    if not build.in_checkout():
        raise FirmwareError(
            f"firmware with {attack} inside is built from the C sources, which an installed package has not; use a checkout"
            " of the project and its extra `firmware`"
        )
