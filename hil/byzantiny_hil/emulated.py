"""The made-up device of an emulated entry: the same identity, secret and data every time, so that logs can be compared."""

from __future__ import annotations

import hashlib
import secrets

import numpy as np

from byzantiny.bodies.base import DeviceSpec
from byzantiny.suggest import unknown_name
from byzantiny_hil.boardmap import Emulated, Mapped
from byzantiny_hil.errors import HilError
from byzantiny_models import datasets
from byzantiny_models.networks import NETWORKS, Network


def emulated_spec(board: Mapped) -> DeviceSpec:
    """Return the device that an emulated entry stands for; only its boot_id is random, as a board's is.

    Raises HilError for a network that does not exist.

    >>> from byzantiny_hil.boardmap import load_map, PACKAGED
    >>> emulated_spec(load_map(PACKAGED).find("emulated-m4f")).client_id
    'emulated-m4f'
    """
    entry = board.entry
    assert isinstance(entry, Emulated), "a real board is not made up"
    return DeviceSpec(
        client_id=board.device_id,
        secret=hashlib.sha256(b"byzantiny-emulated-board-1" + board.device_id.encode()).digest(),
        dataset=_dataset(network_of(board), entry.samples),
        network=entry.network,
        address=entry.address,
        boot_id=new_boot_id(),
        max_payload=entry.max_payload,
    )


def network_of(board: Mapped) -> Network:
    """Return the network a board's firmware is built for; raises HilError naming the nearest."""
    try:
        return NETWORKS[board.entry.network]
    except KeyError:
        raise HilError(f"{board.at}: {unknown_name('network', board.entry.network, NETWORKS)}") from None


def new_boot_id() -> int:
    """Return a random boot id, never 0."""
    return secrets.randbits(32) | 1


def _dataset(network: Network, samples: int) -> bytes:
    """Noise with a pattern for each label: something can be learned, and weights move in every tensor."""
    rng = np.random.default_rng(samples)
    labels = rng.integers(0, network.classes, samples)
    pattern = 40 * (np.arange(network.features) % network.classes == labels[:, np.newaxis])
    noise = rng.integers(-24, 25, (samples, network.features))
    return datasets.pack(noise + pattern, labels, network.classes)
