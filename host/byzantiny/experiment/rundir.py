"""The run directory: created once, exported from the ledgers, sufficient to resume and to reproduce."""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from byzantiny.errors import ByzantinyError
from byzantiny.experiment.config import Experiment, parse_experiment
from byzantiny.ledger import Ledger
from byzantiny.records import ClientRow, Final, Manifest, RoundRow

CONFIG = "experiment.json"
MANIFEST = "manifest.json"
LEDGER = "ledger.sqlite"
ROUNDS = "rounds.jsonl"
START = "start.json"


class RunError(ByzantinyError):
    """A run directory cannot be created, or is not one."""


def create(parent: Path, run_id: str, experiment: Experiment) -> Path:
    """Make `parent/run_id` with the resolved config in it. Raises RunError."""
    path = parent / run_id
    try:
        path.mkdir(parents=True, exist_ok=False)
    except FileExistsError as error:
        raise RunError(f"{path} exists; resume it with `byzantiny resume {path}`, or choose another --out") from error
    except OSError as error:
        raise RunError(f"{path} cannot be created ({error.strerror}); choose another --out") from error
    write_json(path / CONFIG, experiment.source)
    return path


def has_begun(run_dir: Path) -> bool:
    """Whether there is something to resume: some ledger has opened a round, or cannot be read and so may have."""
    for path in run_dir.glob("arms/*/*/ledger.sqlite"):
        try:
            with Ledger.open(path) as ledger:
                if ledger.rounds():
                    return True
        except (ByzantinyError, sqlite3.Error):
            return True
    return False


def discard_unbegun(run_dir: Path) -> None:
    """Remove the directory of a run that came to nothing; nothing is touched once a round was opened."""
    if has_begun(run_dir):
        return
    for path in [*run_dir.glob("arms/*/*/*"), run_dir / CONFIG, run_dir / MANIFEST, run_dir / START]:
        path.unlink(missing_ok=True)
    for folder in [*run_dir.glob("arms/*/*"), *run_dir.glob("arms/*"), run_dir / "arms", run_dir]:
        with suppress(OSError):  # whatever else is in it is not ours
            folder.rmdir()


def load_config(run_dir: Path) -> Experiment:
    """Read a run directory's resolved config. Raises RunError and ConfigError."""
    path = run_dir / CONFIG
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunError(f"{run_dir} is not a run directory: it has no {CONFIG}") from error
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read ({error}); restore it, the run cannot go on without") from error
    if not isinstance(table, dict):
        raise RunError(f"{path} holds no table but {type(table).__name__}; restore it, the run cannot go on without")
    return parse_experiment(table, where=str(path))


def load_manifest(run_dir: Path) -> Manifest:
    """Read a run directory's manifest. Raises RunError."""
    path = run_dir / MANIFEST
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError as error:
        raise RunError(f"{run_dir} has no {MANIFEST}; it never began a round, start it again") from error
    except (OSError, msgspec.DecodeError) as error:
        raise RunError(f"{path} cannot be read ({error}); restore it, or delete it and resume the run") from error


def begun(run_dir: Path, experiment: Experiment) -> Manifest | None:
    """Return the manifest of a run that has begun, None of one that has not. Raises RunError if its config was changed."""
    if not (run_dir / MANIFEST).exists():
        return None
    manifest = load_manifest(run_dir)
    if manifest.config_sha256 != experiment.sha256:
        raise RunError(
            f"{run_dir / CONFIG} is not what this run began with (its manifest has another config_sha256); "
            "restore it, or start a new run"
        )
    return manifest


@contextmanager
def locked(run_dir: Path) -> Iterator[None]:
    """Keep every other process off the run while the block runs; the kernel lets go however this process ends.

    Two coordinators on one ledger could receipt an update after the other had read its round's inputs. Raises RunError.
    """
    try:
        descriptor = os.open(run_dir, os.O_RDONLY)
    except OSError as error:
        raise RunError(f"{run_dir} cannot be opened ({error.strerror}); check its permissions") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunError(f"{run_dir} is being run by another process; wait for it, or stop it with Ctrl-C") from error
        yield
    finally:
        os.close(descriptor)


@contextmanager
def naming_damage(folder: Path) -> Iterator[None]:
    """Turn what SQLite says of a damaged ledger into RunError."""
    try:
        yield
    except sqlite3.Error as error:
        raise RunError(
            f"{folder / LEDGER} cannot be read or written ({error}); check the disk, or restore the file from a copy"
        ) from error


def arm_dir(run_dir: Path, arm: str, seed: int) -> Path:
    """Return the folder of one arm and seed."""
    return run_dir / "arms" / arm / f"seed-{seed}"


def open_ledger(folder: Path, *, keep_updates: bool) -> Ledger:
    """Create or open the ledger of one arm and seed. Raises LedgerError, and RunError where only its traces are left.

    It is created under another name and then renamed, whole: a `kill -9` in between leaves nothing that resume refuses.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LEDGER
    if not path.exists():
        orphan = next((file for name in (f"{LEDGER}-wal", ROUNDS) if (file := folder / name).exists()), None)
        if orphan is not None:
            raise RunError(
                f"{orphan} is there but {path} is not; restore it, or delete {folder} to run it from the start"
            )
        unborn = folder / f"{LEDGER}.new"
        for leftover in folder.glob(f"{unborn.name}*"):
            leftover.unlink()
        Ledger.create(unborn).close()
        os.replace(unborn, path)  # noqa: PTH105 - as in write_json
    return Ledger.open(path, keep_updates=keep_updates)


def export(folder: Path, ledger: Ledger) -> tuple[list[RoundRow], list[ClientRow]]:
    """Write rounds.jsonl and clients.jsonl from the ledger, which is the truth, and return the rows."""
    rounds = [msgspec.convert(row, RoundRow) for row in ledger.rows("round")]
    clients = [msgspec.convert(row, ClientRow) for row in ledger.rows("client")]
    _write_lines(folder / ROUNDS, rounds)
    _write_lines(folder / "clients.jsonl", clients)
    return rounds, clients


def finish(folder: Path, rounds: list[RoundRow]) -> Final:
    """Write final.json: the outcome of one arm and seed whose last round is closed."""
    after = rounds[-1]
    tail = [row.accuracy for row in rounds[-max(1, len(rounds) // 10) :] if row.accuracy is not None]
    if after.accuracy is None:
        raise RunError(f"{folder / LEDGER}: its last round has no accuracy; delete {folder} to run it from the start")
    final = Final(
        arm=rounds[0].arm,
        seed=rounds[0].seed,
        accuracy=after.accuracy,
        accuracy_last_tenth=sum(tail) / len(tail),
        accuracy_float=after.accuracy_float,
        accuracy_exported=after.accuracy_exported,
        interpreter=after.interpreter,
        arithmetic=after.arithmetic,
        asr=after.asr,
        asr_exported=after.asr_exported,
        last=after.last,
        rounds=len(rounds),
        no_aggregate=sum(row.outcome != "aggregated" for row in rounds),
        accepted=sum(row.accepted for row in rounds),
        refused=sum(row.refused for row in rounds),
        bytes_up=sum(row.bytes_up for row in rounds),
        bytes_down=sum(row.bytes_down for row in rounds),
        wall_s=round(sum(row.wall_s for row in rounds), 3),
        model_sha256=rounds[-1].model_sha256,
    )
    write_json(folder / "final.json", final.to_dict())
    return final


def load_final(folder: Path) -> Final | None:
    """Return the outcome of a finished arm and seed; None while it is not finished."""
    path = folder / "final.json"
    if not path.exists():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=Final)
    except msgspec.DecodeError as error:
        raise RunError(f"{path} cannot be read ({error}); delete it and resume the run to write it again") from error


def write_json(path: Path, value: Any) -> None:
    """Write JSON so that a reader sees the old file or the new one, never half of one."""
    temporary = path.with_suffix(path.suffix + ".tmp")
    temporary.write_bytes(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")
    os.replace(temporary, path)  # noqa: PTH105 - atomic, and Path.replace says nothing more


def _write_lines(path: Path, rows: list[RoundRow] | list[ClientRow]) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
    os.replace(temporary, path)  # noqa: PTH105 - as above
