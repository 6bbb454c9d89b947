"""Reading a run directory: strict where a file is wrong, forgiving only where a run was cut short.

What a `kill -9` or a Ctrl-C leaves behind loads and is marked: fewer rounds, no `final.json`, a last line torn in the
middle. Anything else that does not fit the schema is an error that names the file, the field and the remedy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from byzantiny.errors import ByzantinyError
from byzantiny.records import ArmInfo, ClientRow, Final, Manifest, RoundRow

RunKey = tuple[str, int]
"""An arm's name and a seed."""

_Row = TypeVar("_Row", Manifest, RoundRow, ClientRow, Final)
_Line = TypeVar("_Line", RoundRow, ClientRow)


_SHARES = (
    "accuracy", "accuracy_float", "accuracy_exported", "asr", "asr_float", "asr_exported", "asr_confidence",
    "clients_mean", "clients_p10", "clients_min", "honest_mean", "honest_p10", "honest_min",
)  # fmt: skip


_SCHEMAS = {
    kind: next(str(field.default) for field in msgspec.structs.fields(kind) if field.name == "schema")
    for kind in (Manifest, RoundRow, ClientRow, Final)
}


class ReportError(ByzantinyError):
    """A run directory that cannot be read, or a report that cannot be written."""


class _SchemaOnly(msgspec.Struct):
    """The one field that every version of a record has."""

    schema: str


@dataclass(frozen=True)
class Run:
    """A run directory in memory; `problems` are sentences for the reader, empty for a run that is whole."""

    path: Path
    manifest: Manifest
    rounds: Mapping[RunKey, Sequence[RoundRow]]
    clients: Mapping[RunKey, Sequence[ClientRow]]
    finals: Mapping[RunKey, Final]
    problems: tuple[str, ...] = ()

    @property
    def arms(self) -> Sequence[ArmInfo]:
        """The arms in the manifest's order."""
        return self.manifest.arms

    @property
    def complete(self) -> bool:
        """Whether the experiment ended by itself and left every file."""
        return self.manifest.finished and not self.problems

    def seeds_of(self, arm: str) -> list[int]:
        """The seeds of which at least one round of `arm` is there."""
        return [seed for seed in self.manifest.seeds if self.rounds.get((arm, seed))]


def load_run(path: str | Path) -> Run:
    """Read the run directory at `path`.

    Raises ReportError where a file is missing, malformed, of another schema, or contradicts the manifest.
    """
    path = Path(path)
    if not (path / "manifest.json").is_file():
        remedy = "give the directory that holds it, usually runs/<run_id>, or a sweep's with its sweep.json"
        raise ReportError(f"{path} is not a run directory: it has no manifest.json; {remedy}")
    manifest = _decode(path / "manifest.json", Manifest)
    if not manifest.arms or not manifest.seeds:
        raise ReportError(f"{path / 'manifest.json'}: `arms` and `seeds` must not be empty; run the experiment again")
    problems: list[str] = []
    rounds: dict[RunKey, Sequence[RoundRow]] = {}
    clients: dict[RunKey, Sequence[ClientRow]] = {}
    finals: dict[RunKey, Final] = {}
    for arm in manifest.arms:
        for seed in manifest.seeds:
            key, folder = (arm.name, seed), _arm_folder(path, arm.name, seed)
            rounds[key] = _decode_lines(folder / "rounds.jsonl", RoundRow, key, problems)
            clients[key] = _decode_lines(folder / "clients.jsonl", ClientRow, key, problems)
            _check_rounds(folder / "rounds.jsonl", rounds[key])
            if (folder / "final.json").is_file():
                finals[key] = _decode(folder / "final.json", Final)
                _check_owner(folder / "final.json", finals[key], key)
            problem = _shortfall(manifest, key, len(rounds[key]), key in finals)
            problems += [problem] if problem else []
    if not manifest.finished and not problems:
        problems.append("the manifest says that the run has not finished")
    return Run(path, manifest, rounds, clients, finals, tuple(problems))


def _arm_folder(path: Path, arm: str, seed: int) -> Path:
    """Where the files of one arm and seed are; an arm's name is a folder name, nothing more.

    >>> _arm_folder(Path("runs/a"), "median", 3).as_posix()
    'runs/a/arms/median/seed-3'
    """
    if arm in {"", ".", ".."} or "/" in arm or "\\" in arm or "\0" in arm:
        remedy = "an arm's name must be one folder name; correct it"
        raise ReportError(f"{path / 'manifest.json'}: `arms[].name` is {arm!r}; {remedy}")
    return path / "arms" / arm / f"seed-{seed}"


def _shortfall(manifest: Manifest, key: RunKey, rounds: int, has_final: bool) -> str | None:
    """What one arm and seed lacks, as a sentence; None when nothing."""
    where = f"{key[0]}, seed {key[1]}"
    if rounds == 0:
        return f"{where}: no round was recorded"
    if rounds < manifest.rounds:
        return f"{where}: {rounds} of {manifest.rounds} rounds were recorded"
    return None if has_final else f"{where}: final.json is missing; its figures are computed from rounds.jsonl"


def _decode(file: Path, kind: type[_Row]) -> _Row:
    """One record from one file."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ReportError(f"{file} cannot be read: {error.strerror}; check the file and its permissions") from error
    return _decode_record(data, kind, str(file))


def _decode_record(data: bytes, kind: type[_Row], where: str) -> _Row:
    """One strict record; one of another schema is called that, not malformed."""
    try:
        record = msgspec.json.decode(data, type=kind)
        if record.schema != _SCHEMAS[kind]:
            _refuse_schema(record.schema, kind, where)
    except msgspec.ValidationError as error:
        _refuse_schema(_schema_of(data), kind, where)
        remedy = "the file was edited or written by another version; run the experiment again"
        raise ReportError(f"{where}: {error}; {remedy}") from error
    except msgspec.DecodeError as error:
        remedy = "restore the file, or run the experiment again"
        raise ReportError(f"{where}: not valid JSON ({error}); {remedy}") from error
    for name in _SHARES:
        share = getattr(record, name, None)
        if share is not None and not 0.0 <= share <= 1.0:
            raise ReportError(f"{where}: `{name}` is {share}, outside 0..1; it is a share, not a percentage")
    return record


def _schema_of(data: bytes) -> str | None:
    """The schema that a record names, whatever else is in it."""
    try:
        return msgspec.json.decode(data, type=_SchemaOnly).schema
    except msgspec.DecodeError:
        return None


def _refuse_schema(found: str | None, kind: type[_Row], where: str) -> None:
    """Raise ReportError for a record of another schema; one that names none is judged by its fields."""
    if found is not None and found != _SCHEMAS[kind]:
        remedy = "use the version of byzantiny that wrote the run, named in its manifest.json"
        raise ReportError(f"{where}: schema {found!r}, but this version reads {_SCHEMAS[kind]!r}; {remedy}")


def _decode_lines(file: Path, kind: type[_Line], key: RunKey, problems: list[str]) -> Sequence[_Line]:
    """The records of one JSONL file; a last line without its newline that is not JSON is torn, and told."""
    if not file.is_file():
        return ()
    lines = file.read_bytes().split(b"\n")
    torn = lines.pop()  # what follows the last newline: nothing, unless the writer was killed
    rows = [_decode_record(line, kind, f"{file}, line {number}") for number, line in enumerate(lines, 1)]
    if torn:
        try:
            msgspec.json.decode(torn)
        except msgspec.DecodeError:
            problems.append(f"{file}, line {len(lines) + 1}: torn ({len(torn)} bytes) and left out")
        else:
            rows.append(_decode_record(torn, kind, f"{file}, line {len(lines) + 1}"))
    for number, row in enumerate(rows, 1):
        _check_owner(f"{file}, line {number}", row, key)
    return rows


def _check_owner(where: str | Path, row: RoundRow | ClientRow | Final, key: RunKey) -> None:
    """Refuse a record that lies in another arm's or seed's folder."""
    if (row.arm, row.seed) != key:
        field, found, expected = ("arm", row.arm, key[0]) if row.arm != key[0] else ("seed", row.seed, key[1])
        remedy = "the file belongs to another folder; put it back"
        raise ReportError(f"{where}: `{field}` is {found!r}, but the folder is that of {expected!r}; {remedy}")


def _check_rounds(file: Path, rows: Sequence[RoundRow]) -> None:
    """Refuse rounds that are not 1, 2, 3, ... in order: a mean over them would be of something else."""
    for number, row in enumerate(rows, 1):
        if row.round_num != number:
            remedy = "rounds count from 1 without gaps; export the run again"
            raise ReportError(f"{file}, line {number}: `round_num` is {row.round_num}, expected {number}; {remedy}")
