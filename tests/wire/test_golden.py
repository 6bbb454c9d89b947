"""The golden records, in both directions: nothing on the wire can drift unnoticed."""

from __future__ import annotations

import enum
import json
from pathlib import Path
from typing import Any

import pytest

from byzantiny.wire import messages
from byzantiny.wire.auth import derive_keys, seal_offer, seal_update, verify
from byzantiny.wire.codec import (
    Deframer,
    ObjectError,
    WireError,
    decode_frame,
    decode_manifest,
    decode_offer,
    delimit,
    encode_frame,
    encode_manifest,
    encode_offer,
    split_offer,
    split_update,
)
from byzantiny.wire.messages import Frame, Reason, Reject, Type

RECORDS: list[dict[str, Any]] = [
    json.loads(line) for line in (Path(__file__).parents[1] / "golden" / "wire.jsonl").read_text("utf-8").splitlines()
]
FRAMES = [r for r in RECORDS if "fields" in r and r["direction"] != "object"]
REJECTED = [r for r in RECORDS if "reject" in r]
REFUSED = [r for r in RECORDS if "refused" in r]
OBJECTS = {r["name"]: r for r in RECORDS if r["direction"] == "object" and "fields" in r}


def name_of(record: dict[str, Any]) -> str:
    return f"{record['name']}-{record['direction']}"


def plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, enum.Enum):
        return value.value
    return list(value) if isinstance(value, tuple) else value


def fields_of(item: Any) -> dict[str, object]:
    return {name: plain(getattr(item, name)) for name in item.__dataclass_fields__}


def build(cls: Any, fields: dict[str, Any]) -> Any:
    """An instance from golden fields: hex where the annotation says bytes, tuples where it says so."""
    values = {}
    for name, field in cls.__dataclass_fields__.items():
        value = fields[name]
        kind = str(field.type)
        values[name] = bytes.fromhex(value) if kind == "bytes" else tuple(value) if kind.startswith("tuple") else value
    return cls(**values)


@pytest.mark.parametrize("record", FRAMES, ids=name_of)
def test_frame_decodes_to_its_fields_and_encodes_to_its_bytes(record: dict[str, Any]) -> None:
    to_device, raw, fields = record["direction"] == "to_device", bytes.fromhex(record["hex"]), record["fields"]
    frame = decode_frame(raw, from_device=not to_device)
    assert type(frame.message).__name__ == record["message"]
    head = {key: plain(getattr(frame, key)) for key in ("address", "seq", "xfer", "offset", "flags")}
    assert {**head, **{f"message.{k}": v for k, v in fields_of(frame.message).items()}} == fields
    inner = {key.removeprefix("message."): value for key, value in fields.items() if key.startswith("message.")}
    message = build(getattr(messages, record["message"]), inner)
    again = Frame(message, *(fields[key] for key in ("address", "seq", "xfer", "offset", "flags")))
    assert encode_frame(again, to_device=to_device) == raw
    assert delimit(raw).hex() == record["uart"]
    assert Deframer().feed(bytes.fromhex(record["uart"])) == [raw]


@pytest.mark.parametrize("record", REJECTED, ids=name_of)
def test_dropped_frame_names_its_check(record: dict[str, Any]) -> None:
    with pytest.raises(WireError) as caught:
        decode_frame(bytes.fromhex(record["hex"]), from_device=False, address=3)
    assert caught.value.reject.name == record["reject"]


@pytest.mark.parametrize("record", REFUSED, ids=name_of)
def test_refused_object_names_its_reason(record: dict[str, Any]) -> None:
    decode = decode_offer if record["message"] == "Offer" else decode_manifest
    with pytest.raises(ObjectError) as caught:
        decode(bytes.fromhex(record["hex"]))
    assert caught.value.reason is Reason[record["refused"]]


def test_objects_decode_to_their_fields_and_encode_to_their_bytes() -> None:
    keys = derive_keys(bytes.fromhex(OBJECTS["keys"]["fields"]["secret"]))
    assert (keys.up.hex(), keys.down.hex()) == (OBJECTS["keys"]["fields"]["up"], OBJECTS["keys"]["fields"]["down"])
    body, head = (bytes.fromhex(OBJECTS[name]["hex"]) for name in ("offer", "manifest"))
    assert fields_of(decode_offer(body)) == OBJECTS["offer"]["fields"]
    assert encode_offer(build(messages.Offer, OBJECTS["offer"]["fields"])) == body
    assert fields_of(decode_manifest(head)) == OBJECTS["manifest"]["fields"]
    assert encode_manifest(build(messages.Manifest, OBJECTS["manifest"]["fields"])) == head
    offer = bytes.fromhex(OBJECTS["offer-object"]["hex"])
    assert offer == seal_offer(body, keys.down)
    assert verify(keys.down, *split_offer(offer))
    update, codes = bytes.fromhex(OBJECTS["update"]["hex"]), bytes.fromhex(OBJECTS["update"]["fields"]["codes"])
    assert update == seal_update(decode_manifest(head), keys.up, codes)
    parts = split_update(update)
    assert (parts.manifest_bytes, parts.codes) == (head, codes)
    assert verify(keys.up, parts.manifest_bytes, parts.tag)


def test_every_type_is_there_in_every_direction_it_takes() -> None:
    seen = {(r["direction"], bytes.fromhex(r["hex"])[0] & 15) for r in FRAMES}
    only_up, only_down = {Type.LOG}, {Type.ROUND, Type.RESET_NOTICE}
    assert {t for way, t in seen if way == "to_device"} == set(Type) - only_up
    assert {t for way, t in seen if way == "from_device"} == set(Type) - only_down
    on_the_line = {Reject.COBS, Reject.ADDRESS}
    assert {Reject[r["reject"]] for r in REJECTED} | on_the_line == set(Reject)
