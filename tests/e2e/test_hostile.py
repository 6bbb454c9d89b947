"""P3: whatever a client sends is refused by name, counted, shown, and changes nothing.

A hostile device with real keys takes part over the memory transport among five honest ones (native and NumPy). It gets
its offers as any device does and then uploads objects built by hand. Every round must close with the models of a run in
which that client never answered, and every refusal must be in the ledger, in clients.jsonl and in report.html.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from byzantiny.bodies.base import DeviceSpec
from byzantiny.coordinator import Suspended
from byzantiny.experiment import rundir
from byzantiny.experiment.config import Experiment, parse_experiment
from byzantiny.experiment.engine import Engine
from byzantiny.experiment.events import ignore
from byzantiny.fleet import Fleet
from byzantiny.ledger import Ledger
from byzantiny.report import write_report
from byzantiny.wire.auth import derive_keys, manifest_for, tag
from byzantiny.wire.codec import decode_offer, encode_manifest, encode_offer
from byzantiny.wire.device import DeviceIdentity, DeviceMachine, TrainRequest, _Update
from byzantiny.wire.messages import Cap, Kind, Manifest, Start
from byzantiny_models.networks import NETWORKS

Check = Callable[[Path, int], Counter[str]]
ROUNDS = 2
LAYOUT = NETWORKS["mlp-64-32-10"].layout
EVIL = "evil-01"
HONEST = [f"nat-0{n}" for n in (1, 2, 3)] + ["np-01", "np-02"]


@dataclass
class Forgery:
    """An update object, every field of which can be set; what is not set is right."""

    request: TrainRequest
    spec: DeviceSpec
    codes: bytes = bytes([0, 1, 0, 255, 2]) * 482
    manifest: dict[str, Any] = field(default_factory=dict)
    start: dict[str, Any] = field(default_factory=dict)
    key: bytes | None = None
    head: Callable[[bytes], bytes] = lambda head: head

    def build(self) -> _Update:
        offer = self.request.offer
        right = manifest_for(EVIL, offer.round_num, hashlib.sha256(self.request.offer_body).digest(), 1, 60, self.codes)
        head = self.head(encode_manifest(replace(right, **self.manifest)))
        key = derive_keys(self.spec.secret).up if self.key is None else self.key
        blob = head + tag(key, head) + self.codes
        start = Start(offer.round_num, Kind.UPDATE, len(blob), 4096, hashlib.sha256(blob).digest())
        return _Update(replace(start, **self.start), blob)


Plot = Callable[[Forgery], Sequence[Forgery]]
"""The objects a hostile device uploads in a round, one after the other."""


class HostileBody:
    """One slot that answers like any device, but uploads what its plot says; `stray` frames go out with every answer."""

    realtime = False

    def __init__(self, spec: DeviceSpec, plot: Plot, stray: Sequence[bytes] = ()) -> None:
        self._spec, self._plot, self._stray = spec, plot, stray
        self._queue: list[_Update] = []
        self._machine = DeviceMachine(
            DeviceIdentity(
                EVIL, derive_keys(spec.secret), 1, 7, 4096, 32, bytes(8), 1, int(Cap.TRAIN_INT8_SR), LAYOUT.model_bytes,
                60, bytes(32), LAYOUT.sha256, LAYOUT.model_bytes, LAYOUT.d, len(LAYOUT.tensors),
            )
        )  # fmt: skip
        self._greeted = False

    def exchange(self, frames: Sequence[tuple[int, bytes]], now_ms: int) -> list[tuple[int, bytes]]:
        out: list[bytes] = []
        if not self._greeted:
            self._greeted = True
            out.append(self._machine.banner())
        for _, frame in frames:
            sending = self._machine._sender
            answers, request = self._machine.on_frame(frame)
            out += answers
            if request is not None:
                self._queue = [forgery.build() for forgery in self._plot(Forgery(request, self._spec))]
                self._machine._training = None
                out += self._next()
            elif sending is not None and self._machine._sender is None and self._queue:
                out += self._next()
        if frames:
            out += self._stray
        return [(0, frame) for frame in out]

    def reboot(self, slot: int, boot_id: int) -> None: ...

    def close(self) -> None: ...

    def _next(self) -> list[bytes]:
        if not self._queue:
            return []
        self._machine._update, self._machine._sender = self._queue.pop(0), None
        return self._machine._send_update()


def one(**changes: Any) -> Plot:
    return lambda right: [replace(right, **changes)]


def silent(_: Forgery) -> Sequence[Forgery]:
    return []


def experiment(**more: Any) -> Experiment:
    return parse_experiment(
        {
            "name": "hostile",
            "rounds": ROUNDS,
            "training": {"epochs": 1},
            "clients": [
                {"prefix": "nat", "count": 3},
                {"prefix": "np", "count": 2, "body": "numpy"},
                {"prefix": "evil", "body": "hostile"},
            ],
            "round": {"deadline_s": 20.0},
            "defence": {"pipeline": [{"name": "median"}], "f_declared": 1},
            **more,
        }
    )


PLUGIN = """
make = None

def body(specs):
    return make(specs)
"""


@dataclass
class Stage:
    """A folder for one run, with the body `hostile` plugged in as anyone's would be."""

    folder: Path
    plugin: ModuleType

    def run(
        self, plot: Plot, *, stray: Sequence[bytes] = (), stop: bool = False, kind: type[HostileBody] = HostileBody,
        **engine: Any,
    ) -> Path:  # fmt: skip
        self.plugin.make = lambda specs: kind(specs[0], plot, stray)  # type: ignore[attr-defined]
        run_dir = self.folder / "run"
        if not run_dir.exists():
            rundir.create(self.folder, "run", experiment())
        Engine(ignore, stop=lambda: stop, **engine).run(experiment(), run_dir)
        return run_dir


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory, digits: None) -> Iterator[ModuleType]:
    """The module behind the entry point; `make` is what a test wants the body to be."""
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "hostile_plugin.py").write_text(PLUGIN)
    facts = folder / "hostile-0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: hostile\nVersion: 0\n")
    (facts / "entry_points.txt").write_text("[byzantiny.bodies]\nhostile = hostile_plugin:body\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield importlib.import_module("hostile_plugin")
    del sys.modules["hostile_plugin"]


@pytest.fixture
def stage(tmp_path: Path, plugin: ModuleType) -> Stage:
    return Stage(tmp_path, plugin)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, plugin: ModuleType) -> list[str]:
    """The models of the rounds without the hostile client."""
    run_dir = Stage(tmp_path_factory.mktemp("undisturbed"), plugin).run(silent)
    assert [row["verdict"] for row in rows(run_dir, "clients") if row["client_id"] == EVIL] == ["missing"] * ROUNDS
    return [row["model_sha256"] for row in rows(run_dir, "rounds")]


def rows(run_dir: Path, table: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run_dir / "arms/main/seed-1" / f"{table}.jsonl").read_text().splitlines()]


def ledger_of(run_dir: Path) -> Path:
    return rundir.arm_dir(run_dir, "main", 1) / "ledger.sqlite"


def judged(run_dir: Path, client_id: str = EVIL) -> Counter[str]:
    """The verdicts on one client's updates, from the ledger."""
    with Ledger.open(ledger_of(run_dir)) as ledger:
        return Counter(
            receipt.name
            for number in range(ROUNDS + 1)
            for receipt in ledger.receipts(number)
            if receipt.client_id == client_id
        )


CODES = np.zeros(LAYOUT.d, np.int8)
WITH_128 = CODES.copy()
WITH_128[5] = -128
LOUD = np.full(LAYOUT.d, 127, np.int8).tobytes()
OFFER = hashlib.sha256(b"an offer nobody made").digest()

REFUSED: dict[str, tuple[Plot, str]] = {
    "the manifest names another round": (one(manifest={"round_num": 77}), "WRONG_ROUND"),
    "START names another round": (one(start={"round_num": 77}), "WRONG_ROUND"),
    "an offer that was never made": (one(manifest={"offer_sha256": OFFER}), "UNKNOWN_OFFER"),
    "another device's name": (one(manifest={"device_id": "nat-01"}), "WRONG_DEVICE"),
    "a key that is not in force": (one(manifest={"key_id": 3}), "UNKNOWN_KEY"),
    "a tag by another key": (one(key=bytes(32)), "BAD_TAG"),
    "no manifest": (one(head=lambda head: b"EVIL" + head[4:]), "MALFORMED"),
    "a client_id that is none": (one(head=lambda head: head[:12] + b"\xff" * 16 + head[28:]), "MALFORMED"),
    "fewer codes than the manifest says": (one(manifest={"payload_bytes": 9}), "WRONG_LENGTH"),
    "codes of another layout": (one(codes=bytes(LAYOUT.d - 1)), "WRONG_LAYOUT"),
    "codes that are not the hashed ones": (one(manifest={"payload_sha256": bytes(32)}), "BAD_HASH"),
    "a code of -128": (one(codes=WITH_128.tobytes()), "CODE_RANGE"),
    "a norm over the bound": (one(codes=LOUD), "NORM"),
    "no samples": (one(manifest={"n_samples": 0}), "SAMPLES"),
    "more samples than a device can hold": (one(manifest={"n_samples": 1 << 31}), "SAMPLES"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_forged_update_is_refused_by_its_own_name_and_changes_no_model(
    what: str, stage: Stage, undisturbed: list[str], check_exactly_once: Check
) -> None:
    plot, reason = REFUSED[what]
    run_dir = stage.run(plot)
    seen = judged(run_dir)
    assert set(seen) == {f"REJECTED:{reason}"}, seen
    assert seen.total() >= ROUNDS
    assert check_exactly_once(ledger_of(run_dir), ROUNDS)["ACCEPTED"] == len(HONEST) * ROUNDS
    assert [row["model_sha256"] for row in rows(run_dir, "rounds")] == undisturbed
    assert all(row["refused"] >= 1 for row in rows(run_dir, "rounds"))
    for row in rows(run_dir, "clients"):
        if row["client_id"] == EVIL:
            assert row["verdict"] == "rejected"
            assert row["refusals"][f"rejected:{reason}".lower()] >= 1
            assert row["reason"], "the sentence with the value and the limit"
        else:
            assert (row["verdict"], row["refusals"]) == ("accepted", {})
    page = write_report(run_dir).read_text(encoding="utf-8")
    assert reason.lower().replace("_", " ") in page.lower().replace("_", " ")
    assert EVIL in page


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"nonce": b"another nonce..."}, "STALE_NONCE"),
        ({"model_sha256": bytes(32)}, "WRONG_MODEL"),
        ({"shifts": (5,) * len(LAYOUT.tensors)}, "WRONG_LAYOUT"),
    ],
    ids=["nonce", "model", "grid"],
)
def test_an_update_for_another_offer_of_the_same_round_is_refused_by_what_differs(
    stage: Stage, undisturbed: list[str], change: dict[str, Any], reason: str
) -> None:
    with pytest.raises(Suspended):
        stage.run(silent, stop=True)
    path = ledger_of(stage.folder / "run")
    with Ledger.open(path) as ledger:
        opening = ledger.open_round_record()
    assert opening is not None

    def plot(right: Forgery) -> Sequence[Forgery]:
        body = encode_offer(replace(right.request.offer, **change))
        return [replace(right, manifest={"offer_sha256": hashlib.sha256(body).digest()})]

    other = encode_offer(replace(decode_offer(opening.offer_body), **change))
    db = sqlite3.connect(path)
    with db:
        db.execute("INSERT INTO offer VALUES (?, ?, ?)", (hashlib.sha256(other).digest(), 1, other))
    db.close()
    run_dir = stage.run(plot)
    assert judged(run_dir)[f"REJECTED:{reason}"] >= 1
    assert [row["model_sha256"] for row in rows(run_dir, "rounds")] == undisturbed


def test_the_first_of_two_different_updates_counts_and_the_second_is_a_conflict(
    stage: Stage, check_exactly_once: Check
) -> None:
    run_dir = stage.run(lambda right: [right, replace(right, codes=CODES.tobytes())])
    seen = judged(run_dir)
    assert seen["ACCEPTED"] == ROUNDS
    assert set(seen) <= {"ACCEPTED", "CONFLICT", "STALE"}
    check_exactly_once(ledger_of(run_dir), ROUNDS)


def test_an_old_update_sent_again_in_a_later_round_is_stale_and_changes_no_model(
    stage: Stage, undisturbed: list[str], check_exactly_once: Check
) -> None:
    first: list[Forgery] = []

    def plot(right: Forgery) -> Sequence[Forgery]:
        first.append(right)
        # Round 1: nothing at all; round 2: a whole and valid answer to round 1.
        return [] if right.request.offer.round_num == 1 else [first[0]]

    run_dir = stage.run(plot)
    assert set(judged(run_dir)) == {"STALE"}
    check_exactly_once(ledger_of(run_dir), ROUNDS)
    assert [row["model_sha256"] for row in rows(run_dir, "rounds")] == undisturbed
    assert rows(run_dir, "rounds")[1]["stale"] >= 1


def test_garbage_frames_stop_no_round(stage: Stage, undisturbed: list[str]) -> None:
    chance = np.random.default_rng(3)
    stray = [b"", b"\x00", *(chance.bytes(int(size)) for size in chance.integers(1, 5000, 20))]
    run_dir = stage.run(silent, stray=stray)
    assert [row["model_sha256"] for row in rows(run_dir, "rounds")] == undisturbed
    assert judged(run_dir) == Counter()


def test_an_object_longer_than_any_update_is_refused_before_it_is_received(
    stage: Stage, undisturbed: list[str]
) -> None:
    run_dir = stage.run(one(codes=bytes(100_000)))
    assert [row["model_sha256"] for row in rows(run_dir, "rounds")] == undisturbed
    assert judged(run_dir) == Counter(), "START was refused; there is no update to judge"
    refused = [row["refusals"] for row in rows(run_dir, "clients") if row["client_id"] == EVIL]
    assert refused == [{"device": 1}] * ROUNDS


def test_frames_of_an_unknown_device_reach_no_session_and_are_recorded_under_its_name(
    stage: Stage, undisturbed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange = Fleet.exchange

    def with_a_stranger(self: Fleet, frames: Any, now: float) -> list[tuple[str, bytes]]:
        out = exchange(self, frames, now)
        return out + [("stranger", frame) for client_id, frame in out if client_id == "nat-01"]

    monkeypatch.setattr(Fleet, "exchange", with_a_stranger)
    run_dir = stage.run(silent)
    assert [row["model_sha256"] for row in rows(run_dir, "rounds")] == undisturbed
    assert judged(run_dir, "stranger") == Counter({"REJECTED:UNKNOWN_DEVICE": ROUNDS})
    stranger = [row for row in rows(run_dir, "clients") if row["client_id"] == "stranger"]
    assert [row["refusals"] for row in stranger] == [{"rejected:unknown_device": 1}] * ROUNDS
    assert all("frames of no client" in row["reason"] for row in stranger)
    assert "stranger" in write_report(run_dir).read_text("utf-8")


def test_an_update_from_outside_the_cohort_is_refused_as_that(tmp_path: Path, stage: Stage) -> None:
    """It took part in round 1 and has a session; in round 2 it is not drawn, but a colluder tells it the offer."""
    run_dir = tmp_path / "run"
    told: list[Manifest] = []

    class Colluder(HostileBody):
        realtime = True

        def exchange(self, frames: Sequence[tuple[int, bytes]], now_ms: int) -> list[tuple[int, bytes]]:
            out = super().exchange(frames, now_ms)
            with Ledger.open(ledger_of(run_dir)) as ledger:
                opening = ledger.open_round_record()
            if opening is not None and opening.round_num == 2 and not told:
                codes = CODES.tobytes()
                manifest = manifest_for(EVIL, 2, opening.offer_sha256, 9, 60, codes)
                told.append(manifest)
                head = encode_manifest(manifest)
                blob = head + tag(derive_keys(self._spec.secret).up, head) + codes
                start = Start(2, Kind.UPDATE, len(blob), 4096, hashlib.sha256(blob).digest())
                self._queue = [_Update(start, blob)]
                out += [(0, frame) for frame in self._next()]
            return out

    cohorts = {("main", 1): {1: tuple(sorted([*HONEST, EVIL])), 2: tuple(HONEST)}}
    stage.run(lambda right: [right], kind=Colluder, cohorts=cohorts)
    assert told
    assert judged(run_dir) == Counter({"ACCEPTED": 1, "REJECTED:NOT_IN_COHORT": 1})
    (row,) = [row for row in rows(run_dir, "clients") if row["client_id"] == EVIL and row["round_num"] == 2]
    assert row["refusals"] == {"rejected:not_in_cohort": 1}
    assert rows(run_dir, "rounds")[1]["accepted"] == len(HONEST)
