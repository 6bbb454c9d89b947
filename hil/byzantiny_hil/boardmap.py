"""The map of boards, `boards.toml`: which board is where, and who it must say it is. Strict: a typo is an error.

What is copied: Zephyr twister's hardware map (one entry a board, notes) and labgrid's rule that a board is found by a
stable path. What differs: the firmware itself must report the mapped identity, so a swapped cable is an error by name.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal

import msgspec
from msgspec import Meta

from byzantiny.suggest import unknown_name
from byzantiny_hil.errors import HilError

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover - the backport has the same interface
    import tomli as tomllib

PACKAGED: Final = Path(__file__).with_name("boards.toml")
VARIABLE: Final = "BYZANTINY_BOARDS"
HERE: Final = (Path("boards.toml"), Path("hil/boards.toml"))
SECRET_BYTES: Final = 32

DeviceId = Annotated[str, Meta(pattern="^[a-z0-9-]{1,16}$")]
Seconds = Annotated[float, Meta(gt=0)]


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What boards of all kinds have."""

    address: Annotated[int, Meta(ge=1, le=65_534)] = 1
    max_payload: Literal[64, 128, 240, 512] = 240
    answer_timeout_s: Seconds = 5.0
    round_timeout_s: Seconds = 120.0
    network: str = "mlp-64-32-10"
    notes: str = ""


class Emulated(_Entry, frozen=True, kw_only=True):
    """A firmware image under Unicorn, in a process of its own; its identity, secret and data are made up."""

    kind: ClassVar[str] = "unicorn"
    image: str = "m4f"
    device_id: DeviceId | None = None
    """None: the entry's name."""
    samples: Annotated[int, Meta(ge=1, le=1000)] = 60


class Wired(_Entry, frozen=True, kw_only=True):
    """A board on a serial port, or on anything pyserial has a URL for. Files are relative to the map."""

    kind: ClassVar[str] = "serial"
    port: str
    device_id: DeviceId
    secret_file: str
    baud: Annotated[int, Meta(ge=300)] = 115_200
    dtr: bool = True
    dataset_file: str | None = None
    own_data: bool = False


Entry = Emulated | Wired
KINDS: Final[Mapping[str, type[Emulated | Wired]]] = {kind.kind: kind for kind in (Emulated, Wired)}


@dataclass(frozen=True, slots=True)
class Mapped:
    """One board of a map: its name, its entry, and the map's file."""

    name: str
    entry: Entry
    path: Path

    @property
    def device_id(self) -> str:
        """Who the board must say it is."""
        return self.entry.device_id or self.name

    def secret(self) -> bytes:
        """Return a real board's 32 bytes, from its file.

        Raises HilError: no such file, not to be read, not 64 hex digits.
        """
        assert isinstance(self.entry, Wired), "an emulated board's secret is made up"
        path = self._beside(self.entry.secret_file)
        remedy = f"put the {2 * SECRET_BYTES} hex digits it was provisioned with there, and keep the file out of git"
        try:
            text = path.read_text(encoding="ascii")
            secret = bytes.fromhex(text)
        except FileNotFoundError as error:
            raise HilError(f"{self.at}: there is no secret_file {path}; {remedy}") from error
        except OSError as error:
            raise HilError(f"{self.at}: secret_file {path} cannot be read ({error.strerror}); {remedy}") from error
        except ValueError as error:  # the text stays out of the message
            raise HilError(f"{self.at}: secret_file {path} is not hex; {remedy}") from error
        if len(secret) != SECRET_BYTES:
            raise HilError(f"{self.at}: secret_file {path} has {len(secret)} bytes, not {SECRET_BYTES}; {remedy}")
        return secret

    def dataset(self) -> bytes | None:
        """Return the bytes in a real board's flash where the map names them; raises HilError on an unreadable file."""
        if not isinstance(self.entry, Wired) or self.entry.dataset_file is None:
            return None
        path = self._beside(self.entry.dataset_file)
        try:
            return path.read_bytes()
        except OSError as error:
            raise HilError(
                f"{self.at}: dataset_file {path} cannot be read ({error.strerror}); name the file whose bytes are in "
                "the board's flash, or leave the key out"
            ) from error

    @property
    def at(self) -> str:
        """Where the entry is, for messages."""
        return f"{self.path}: [boards.{self.name}]"

    def _beside(self, text: str) -> Path:
        return self.path.parent / Path(text).expanduser()


@dataclass(frozen=True, slots=True)
class BoardMap:
    """A map that has been read."""

    path: Path
    boards: Mapping[str, Entry]

    def find(self, name: str) -> Mapped:
        """Return one board; raises HilError naming the nearest.

        >>> load_map(PACKAGED).find("emulated-m4f").entry.image
        'm4f'
        """
        if name not in self.boards:
            raise HilError(f"{self.path}: {unknown_name('board', name, self.boards)}")
        return Mapped(name, self.boards[name], self.path)

    def all(self) -> list[Mapped]:
        """Return every board, in the file's order."""
        return [Mapped(name, entry, self.path) for name, entry in self.boards.items()]


def locate(given: Path | None = None) -> Path:
    """Return the map that counts: `given`, $BYZANTINY_BOARDS, ./boards.toml, ./hil/boards.toml, the packaged one.

    Raises HilError when a file that was named does not exist.
    """
    variable = os.environ.get(VARIABLE)
    for path, said in ((given, "--boards"), (Path(variable) if variable else None, f"${VARIABLE}")):
        if path is not None:
            if not path.is_file():
                raise HilError(
                    f"{said} names {path}, which is no file; write one (docs/hil.md), or leave {said} out for the "
                    "map that comes with byzantiny"
                )
            return path
    return next((path for path in HERE if path.is_file()), PACKAGED)


def load_map(given: Path | None = None) -> BoardMap:
    """Read the map that `locate` finds; raises HilError naming the file, the key and what would be right.

    >>> list(load_map(PACKAGED).boards)
    ['emulated-m4f']
    """
    path = locate(given)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise HilError(f"{path}: cannot be read ({error})") from error
    except tomllib.TOMLDecodeError as error:
        raise HilError(f"{path}: not valid TOML: {error}") from error
    return BoardMap(path, parse_map(table, str(path)))


def parse_map(table: Mapping[str, Any], where: str = "boards.toml") -> dict[str, Entry]:
    """Check a map given as a table; raises HilError.

    >>> parse_map({"boards": {"a": {"kind": "unicorn", "imgae": "m0"}}})
    Traceback (most recent call last):
    ...
    byzantiny_hil.errors.HilError: boards.toml: [boards.a]: unknown key `imgae`; did you mean `image`?
    """
    for key in table:
        if key not in ("schema", "boards"):
            raise HilError(f"{where}: {unknown_name('key', key, ('schema', 'boards'))}")
    schema, boards = table.get("schema", "byzantiny.boards/1"), table.get("boards", {})
    if schema != "byzantiny.boards/1":
        raise HilError(f'{where}: schema {schema!r} is not "byzantiny.boards/1", the one this version reads')
    if not isinstance(boards, dict) or not boards:
        raise HilError(f"{where}: no boards; add a table [boards.NAME] (docs/hil.md)")
    entries = {name: _entry(name, entry, f"{where}: [boards.{name}]") for name, entry in boards.items()}
    ports: dict[str, str] = {}
    for name, entry in entries.items():
        if isinstance(entry, Wired) and ports.setdefault(entry.port, name) != name:
            raise HilError(
                f"{where}: `{ports[entry.port]}` and `{name}` are both on {entry.port}; a port leads to one board, "
                "so name the other one's"
            )
    return entries


def _entry(name: str, table: Any, where: str) -> Entry:
    if not isinstance(table, dict):
        raise HilError(f"{where}: must be a table, not {table!r}")
    fields = dict(table)
    kind = fields.pop("kind", None)
    if kind is None:
        raise HilError(f'{where}: `kind` is missing; write kind = "serial" (a real board) or kind = "unicorn"')
    if kind not in KINDS:
        raise HilError(f"{where}: {unknown_name('kind', str(kind), KINDS)}")
    known = [field.name for field in msgspec.structs.fields(KINDS[kind])]
    for key in fields:
        if key not in known:
            raise HilError(f"{where}: {unknown_name('key', key, known)}")
    try:
        entry = msgspec.convert(fields, KINDS[kind])
    except msgspec.ValidationError as error:
        raise HilError(f"{where}: {str(error).replace('`$.', '`')}") from error
    if isinstance(entry, Wired) and not entry.port.strip():
        raise HilError(
            f"{where}: `port` is empty; name the board's port, best by /dev/serial/by-id/... "
            "(`byzantiny board list` prints what is there)"
        )
    try:
        msgspec.convert(entry.device_id or name, DeviceId)
    except msgspec.ValidationError as error:
        raise HilError(
            f"{where}: the name cannot be a device id (1 to 16 of a-z, 0-9 and -); set `device_id`"
        ) from error
    return entry
