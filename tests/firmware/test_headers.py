"""The generated headers are what their definitions say, and nobody has edited them."""

from __future__ import annotations

import re
import struct

import pytest

from byzantiny.wire import messages
from byzantiny_firmware import headers
from byzantiny_firmware.network_tables import networks_source
from byzantiny_models.networks import NETWORKS, AveragePool1D, Dense, Flatten, Network


@pytest.mark.parametrize("name", headers.GENERATORS)
def test_the_committed_file_is_what_the_generator_writes(name):
    assert (headers.GENERATED / name).read_text(encoding="utf-8") == headers.GENERATORS[name]()


def test_check_accepts_what_is_committed(capsys):
    assert headers.main(["--check"]) == 0
    assert capsys.readouterr().out == ""


def test_check_names_the_file_that_differs_and_writes_nothing(tmp_path, monkeypatch, capsys):
    for name, generate in headers.GENERATORS.items():
        (tmp_path / name).write_text(generate(), encoding="utf-8")
    (tmp_path / "byz_wire.h").write_text("edited", encoding="utf-8")
    monkeypatch.setattr(headers, "GENERATED", tmp_path)
    assert headers.main(["--check"]) == 1
    assert capsys.readouterr().out.startswith("byz_wire.h: differs")
    assert (tmp_path / "byz_wire.h").read_text(encoding="utf-8") == "edited"
    assert headers.main([]) == 0
    assert headers.main(["--check"]) == 0


def test_an_unknown_argument_is_a_usage_error(capsys):
    assert headers.main(["--chekc"]) == 2
    assert "usage" in capsys.readouterr().err


def _defines():
    return dict(re.findall(r"#define (BYZ_\w+) (\w+)U", headers.wire_header()))


@pytest.mark.parametrize("prefix", headers.STRUCTS)
def test_every_offset_in_the_header_is_where_struct_puts_the_field(prefix):
    layout, names = headers.STRUCTS[prefix]
    defines = _defines()
    codes = _codes(layout)
    for index, (name, offset, size) in enumerate(headers.field_offsets(layout, names)):
        assert int(defines[f"BYZ_{prefix}_{name.upper()}"]) == offset
        # A structure in which this field alone is set has its bytes there and nowhere else.
        values = [b"" if code[-1] == "s" else 0 for code in codes]
        values[index] = b"\xff" * size if codes[index][-1] == "s" else (1 << 8 * size) - 1
        assert [i for i, byte in enumerate(layout.pack(*values)) if byte] == list(range(offset, offset + size))


def _codes(layout):
    found = []
    for count, code in re.findall(r"(\d*)([a-zA-Z])", layout.format):
        found += [count + code] if code == "s" else [code] * int(count or 1) if code != "x" else []
    return found


def test_names_that_do_not_fit_a_format_are_refused():
    with pytest.raises(ValueError, match="do not fit"):
        headers.field_offsets(struct.Struct("<II"), ("a", "b", "c"))


def test_enumerations_have_their_values_and_masks():
    defines = dict(re.findall(r"#define (BYZ_\w+) (\w+?)U?\n", headers.wire_header()))
    assert int(defines["BYZ_STATUS_NO_OFFER"]) == messages.Status.NO_OFFER
    assert int(defines["BYZ_REJECT_PAYLOAD"]) == messages.Reject.PAYLOAD
    assert int(defines["BYZ_REJECT_COUNT"]) == len(messages.Reject)
    known = int(defines["BYZ_STATUS_KNOWN"], 16)
    assert {v for v in range(32) if known >> v & 1} == {int(s) for s in messages.Status}


REFUSED = {
    "aligned to 4": (Dense(3, 1, "linear"),),
    "an offer has room for 32": tuple(Dense(2, 2, "linear") for _ in range(17)),
    "a table has room for 12 layers": tuple(Dense(2, 2, "linear") for _ in range(13)),
    "layer 0: 65536 -> 2; the core counts to 65535": (Dense(65_536, 2, "linear"),),
    "a window of 32768; the core pools 32767": (AveragePool1D((32_768, 1), 32_768), Flatten((1, 1)), Dense(1, 2, "linear")),
}  # fmt: skip


@pytest.mark.parametrize("why", REFUSED)
def test_a_network_that_the_core_has_no_room_for_is_refused(why):
    with pytest.raises(ValueError, match=why):
        networks_source({"odd": Network("odd", REFUSED[why])})


def test_every_network_of_the_definition_is_in_the_tables():
    text = networks_source()
    for network in NETWORKS.values():
        assert f'.name = "{network.name}"' in text
        assert ", ".join(f"0x{byte:02x}" for byte in network.layout.sha256[:16]) in text
