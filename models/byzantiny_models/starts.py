"""A starting point: a model in a file of its own, with the hash of its layout and where it comes from.

    {"schema": "byzantiny.start/1", "network": "mlp-64-32-10", "layout_sha256": "...", "model_sha256": "...",
     "provenance": {...}, "model": "<base64 of the model object>"}

The model is the whole network's (SPEC 3, "The model object"), whatever part of it an experiment then trains. The file is a
stranger's: any bytes give a model of the network or a `StartError`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from byzantiny_models.errors import InvalidValueError, LayoutError
from byzantiny_models.networks import Network

SCHEMA: Final = "byzantiny.start/1"
MOST_BYTES: Final = 96 << 20
_FIELDS: Final = ("schema", "network", "layout_sha256", "model_sha256", "provenance", "model")


class StartError(InvalidValueError):
    """Bytes that are no starting point, or one of another network."""


@dataclass(frozen=True, eq=False)
class Start:
    """A model int32 (d,) of a whole network; `provenance` is plain data for people and records."""

    network: str
    layout_sha256: str
    model: NDArray[np.int32]
    provenance: dict[str, Any]


def pack_start(network: Network, model: ArrayLike, provenance: dict[str, Any]) -> bytes:
    """Return the file of a model of the whole network.

    Raises:
        LayoutError: not a model of it.

    >>> from byzantiny_models.networks import NETWORKS, initial_model
    >>> network = NETWORKS["mlp-64-32-10"]
    >>> blob = pack_start(network, initial_model(network, 1), {"source": "drawn"})
    >>> read_start(blob, network).provenance, bool((read_start(blob, network).model == initial_model(network, 1)).all())
    ({'source': 'drawn'}, True)
    """
    whole = network.whole
    packed = whole.layout.pack(model)
    values = (
        SCHEMA, whole.name, whole.layout.sha256.hex(), hashlib.sha256(packed).hexdigest(), provenance,
        base64.b64encode(packed).decode("ascii"),
    )  # fmt: skip
    return (json.dumps(dict(zip(_FIELDS, values, strict=True)), indent=1) + "\n").encode()


def read_start(data: bytes, network: Network, where: str = "the starting point") -> Start:
    """Return a starting point of a network; `where` names the file.

    Raises:
        StartError: no such file, one that was changed, or one of another network; nothing else, on any bytes.
    """
    if len(data) > MOST_BYTES:
        raise StartError(f"{where}: {len(data)} bytes; the limit is {MOST_BYTES}")
    try:
        table = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise StartError(
            f"{where} is no starting point: {str(error)[:120]}; make one with `byzantiny model import`"
        ) from None
    if not isinstance(table, dict) or table.get("schema") != SCHEMA:
        found = table.get("schema") if isinstance(table, dict) else type(table).__name__
        raise StartError(
            f"{where}, schema: {str(found)[:60]!r} is not {SCHEMA!r}; make one with `byzantiny model import`"
        )
    if set(table) != set(_FIELDS) or not isinstance(table["provenance"], dict):
        wrong = sorted(map(str, set(table) ^ set(_FIELDS)))[:3] or ["provenance"]
        raise StartError(f"{where}, {', '.join(wrong)[:120]}: its fields are {', '.join(_FIELDS)}; make it again")
    whole = network.whole
    if table["layout_sha256"] != whole.layout.sha256.hex():
        raise StartError(
            f"{where}, layout_sha256: a model of {str(table['network'])[:40]!r} ({str(table['layout_sha256'])[:12]}), not of "
            f"{whole.name} ({whole.layout.sha256.hex()[:12]}); take the start of this network"
        )
    try:
        packed = base64.b64decode(table["model"], validate=True)
        if hashlib.sha256(packed).hexdigest() != table["model_sha256"]:
            raise StartError(
                f"{where}, model_sha256: {str(table['model_sha256'])[:12]!r} is not the model's; it was changed"
            )
        return Start(whole.name, table["layout_sha256"], whole.layout.unpack(packed), table["provenance"])
    except (binascii.Error, TypeError, ValueError) as error:
        if isinstance(error, StartError):
            raise
        kind = "" if isinstance(error, LayoutError) else " is not base64"
        raise StartError(f"{where}, model{kind}: {str(error)[:200]}") from None
