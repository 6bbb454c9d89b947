"""The map of boards: what is read, where it is looked for, and that every mistake in it is a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from byzantiny_hil.boardmap import PACKAGED, Emulated, Wired, load_map, locate, parse_map, tomllib
from byzantiny_hil.errors import HilError

WIRED = {"kind": "serial", "port": "/dev/serial/by-id/usb-x", "device_id": "lab-01", "secret_file": "x.secret"}


def wired(**changes):
    return {"boards": {"bench": {key: value for key, value in (WIRED | changes).items() if value is not None}}}


def test_a_wired_board_has_the_documented_defaults() -> None:
    entry = parse_map(wired())["bench"]
    assert isinstance(entry, Wired)
    assert (entry.baud, entry.address, entry.max_payload, entry.dtr, entry.own_data) == (115_200, 1, 240, True, False)


def test_the_packaged_map_has_the_emulated_board_and_its_example_is_valid() -> None:
    entry = load_map(PACKAGED).find("emulated-m4f").entry
    assert isinstance(entry, Emulated)
    text = PACKAGED.read_text()
    _, _, example = text.partition("# [boards.bench-m4]")
    shown = tomllib.loads("[boards.bench-m4]" + example.replace("\n# ", "\n"))
    board = parse_map(shown)["bench-m4"]
    assert isinstance(board, Wired)
    assert set(shown["boards"]["bench-m4"]) | {"samples", "image"} >= {"port", "baud", "secret_file", "notes"}


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"board": {}}, "unknown key `board`; did you mean `boards`"),
        ({"schema": "byzantiny.boards/2", "boards": {}}, 'is not "byzantiny.boards/1"'),
        ({"boards": {}}, "no boards; add a table"),
        ({"boards": {"a": 3}}, "must be a table, not 3"),
        (wired(kind=None), "`kind` is missing"),
        (wired(kind="seriel"), "unknown kind `seriel`; did you mean `serial`"),
        (wired(bauds=9600), r"\[boards.bench\]: unknown key `bauds`; did you mean `baud`"),
        (wired(image="m4f"), "unknown key `image`; known: .*secret_file"),
        (wired(port=" "), "`port` is empty; name the board's port"),
        (wired(port=None), "missing required field `port`"),
        (wired(device_id="Lab 1"), r"\[a-z0-9-\]"),
        (wired(baud="fast"), "Expected `int`, got `str` - at `baud`"),
        (wired(max_payload=100), "max_payload"),
        (wired(address=0), "address"),
        (wired(answer_timeout_s=0), "answer_timeout_s"),
        ({"boards": {"a_much_too_long_name_for_an_id": {"kind": "unicorn"}}}, "set `device_id`"),
        ({"boards": {"a": WIRED, "b": WIRED}}, "`a` and `b` are both on /dev/serial/by-id/usb-x"),
    ],
)
def test_a_mistake_is_named_with_what_would_be_right(table: dict, sentence: str) -> None:
    with pytest.raises(HilError, match=sentence):
        parse_map(table, "there.toml")


def test_an_unknown_board_names_the_nearest() -> None:
    with pytest.raises(HilError, match="unknown board `emulated-m4`; did you mean `emulated-m4f`"):
        load_map(PACKAGED).find("emulated-m4")


def test_the_map_is_looked_for_in_the_documented_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BYZANTINY_BOARDS", raising=False)
    assert locate() == PACKAGED
    (tmp_path / "hil").mkdir()
    for path in (Path("hil/boards.toml"), Path("boards.toml")):
        path.write_text("")
        assert locate() == path
    variable, given = tmp_path / "a.toml", tmp_path / "b.toml"
    variable.write_text("")
    given.write_text("")
    monkeypatch.setenv("BYZANTINY_BOARDS", str(variable))
    assert locate() == variable
    assert locate(given) == given


def test_a_map_that_was_named_and_is_not_there_is_an_error_and_not_another_map(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(HilError, match=r"--boards names .*nowhere.toml, which is no file"):
        load_map(tmp_path / "nowhere.toml")
    monkeypatch.setenv("BYZANTINY_BOARDS", str(tmp_path / "nowhere.toml"))
    with pytest.raises(HilError, match=r"\$BYZANTINY_BOARDS names"):
        load_map()


def test_broken_toml_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "boards.toml"
    path.write_text("[boards.a\n")
    with pytest.raises(HilError, match=r"not valid TOML.*line 1"):
        load_map(path)


def find(folder: Path, **changes):
    path = folder / "boards.toml"
    rows = "\n".join(f"{key} = {value!r}" for key, value in wired(**changes)["boards"]["bench"].items())
    path.write_text(f"[boards.bench]\n{rows}\n")
    return load_map(path).find("bench")


def test_a_secret_is_read_beside_the_map(tmp_path: Path) -> None:
    (tmp_path / "x.secret").write_text("ab" * 32 + "\n")
    assert find(tmp_path).secret() == b"\xab" * 32


@pytest.mark.parametrize(
    ("text", "sentence"), [(None, "there is no secret_file"), ("ab" * 16, "16 bytes, not 32"), ("xyz", "is not hex")]
)
def test_a_secret_that_cannot_be_used_is_named_and_never_printed(
    tmp_path: Path, text: str | None, sentence: str
) -> None:
    if text is not None:
        (tmp_path / "x.secret").write_text(text)
    with pytest.raises(HilError, match=sentence) as caught:
        find(tmp_path).secret()
    assert "64 hex digits" in str(caught.value)
    assert text is None or text not in str(caught.value)


def test_a_data_set_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert find(tmp_path).dataset() is None
    with pytest.raises(HilError, match=r"dataset_file .*gone.bin cannot be read"):
        find(tmp_path, dataset_file="gone.bin").dataset()
