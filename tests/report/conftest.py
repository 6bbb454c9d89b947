"""A synthetic run directory: three arms, some seeds, twelve rounds, written with the records an experiment writes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from byzantiny.records import (
    ArmInfo,
    AxisScore,
    ClientRow,
    Final,
    FirmwareInfo,
    LastEvaluation,
    Manifest,
    RoundRow,
)

HOSTILE = "<script>alert('x')</script>"
CLIENTS = [f"dev-{i:02d}" for i in range(1, 11)]
BYZANTINE = ["dev-09", "dev-10"]
START = 5


@dataclasses.dataclass(frozen=True)
class Shape:
    """What a synthetic run is like."""

    seeds: tuple[int, ...] = (1, 2)
    rounds: int = 12
    hostile: bool = True
    finished: bool = True
    adapts: tuple[str, ...] = ()
    """Arms whose grid adapts."""
    deployed: bool = False
    """Whether rounds have the float control, the exported model, attack success, classes and clients."""


def arm_infos(shape: Shape) -> list[ArmInfo]:
    tail = f" {HOSTILE}" if shape.hostile else ""
    flip = "sign-flip(scale=3)"
    common = {"attack_start_round": START, "byzantine": BYZANTINE}
    return [
        ArmInfo(
            name="clean",
            title="mean, nobody lies",
            attack="none",
            attack_start_round=None,
            byzantine=[],
            defence=["mean"],
            target=">= 90 %",
        ),
        ArmInfo(
            name="mean", title="mean under attack" + tail, attack=flip, defence=["mean"], target="<= 40 %", **common
        ),
        ArmInfo(
            name="median",
            title="coordinate-wise median under attack",
            attack=flip,
            defence=["norm-clip(2.0)", "median"],
            target=">= 95 %",
            **common,
        ),
    ]


def accuracy_of(arm: str, seed: int, number: int) -> float:
    """A learning curve with a collapse where the mean is attacked; multiples of 1/360, like the digits."""
    rng = np.random.default_rng([seed, number, len(arm)])
    value = 0.96 - 0.86 * math.exp(-number / 2.2) + 0.008 * rng.standard_normal()
    if arm == "mean" and number >= START:
        value = max(0.12, value - 0.16 * (number - START + 1)) + 0.02 * rng.standard_normal()
    if arm == "median":
        value -= 0.025
    return round(min(max(value, 0.0), 1.0) * 360) / 360


def client_row(shape: Shape, arm: str, seed: int, number: int, index: int) -> ClientRow:
    client_id = CLIENTS[index]
    byzantine = arm != "clean" and client_id in BYZANTINE
    lies = byzantine and number >= START
    rng = np.random.default_rng([seed, number, index, len(arm)])
    refused = lies and (number + index) % 4 == 0
    verdict, reason = ("rejected", f"norm {HOSTILE}" if shape.hostile else "norm") if refused else ("accepted", "")
    refusals = {reason: 1} if refused else {}
    if client_id == "dev-03" and number in {4, 8}:
        verdict, reason, refusals = "stale", "deadline", {"deadline": 1, "crc": 2}
    if client_id == "dev-07" and number == 6:
        verdict, reason, refusals = "missing", "", {}
    heard = verdict != "missing"
    norm = float(np.round(180 / math.sqrt(number) * rng.uniform(0.8, 1.2) * (9 if lies else 1), 1))
    return ClientRow(
        arm=arm,
        seed=seed,
        round_num=number,
        client_id=client_id,
        body="unicorn" if index < 4 else "native",
        transport="serial" if index == 0 else "mqtt",
        byzantine=byzantine,
        attack="sign-flip" if lies else "",
        verdict=verdict,
        reason=reason,
        refusals=refusals,
        n_samples=100 + index if heard else None,
        norm_steps=norm if heard else None,
        saturated=0,
        kept=(not lies) if arm == "median" and heard else None,
        bytes_up=2700 + int(rng.integers(0, 90)) if heard else 0,
        bytes_down=5100 + int(rng.integers(0, 60)),
        instructions=4_100_000 + 1000 * index + number if index < 4 and heard else None,
    )


def shifts_of(seed: int, number: int) -> list[int]:
    """A kernel that moves to a finer step in rounds 4 and 7 of seed 1, in 5 of others, and a bias that stays."""
    moves = (4, 7) if seed == 1 else (5,)
    return [6 - sum(number >= move for move in moves), 4]


def round_row(shape: Shape, arm: str, seed: int, number: int, rows: list[ClientRow]) -> RoundRow:
    empty = arm == "median" and seed == 2 and number == 7
    return RoundRow(
        arm=arm,
        seed=seed,
        round_num=number,
        outcome="no-aggregate" if empty else "aggregated",
        reason="beyond the breakdown point" if empty else "",
        accuracy=accuracy_of(arm, seed, number),
        cohort=len(rows),
        accepted=sum(r.verdict == "accepted" for r in rows),
        refused=sum(sum(r.refusals.values()) for r in rows),
        stale=sum(r.verdict == "stale" for r in rows),
        duplicate=0,
        conflict=0,
        bytes_up=sum(r.bytes_up for r in rows),
        bytes_down=sum(r.bytes_down for r in rows),
        bytes_resent=0,
        model_sha256="ab" * 32,
        wall_s=0.5,
        server_ms=1.2,
        shifts=shifts_of(seed, number) if arm in shape.adapts else [],
    )


def evaluated(row: RoundRow) -> RoundRow:
    """The row with what an evaluation of the deployed model adds; the exported model is the integers' twin but in one round."""
    value, attacked = row.accuracy or 0.0, row.arm != "clean"
    asr = round(min(1.0, 0.1 * row.round_num), 4) if attacked else None
    confusion = [[36 if i == j else int((i, j) == (3, 8)) for j in range(10)] for i in range(10)]
    last = LastEvaluation(
        confusion=confusion,
        clients={client: round(value - 0.01 * i, 4) for i, client in enumerate(CLIENTS)},
        axes=[
            AxisScore(bits=bits, arithmetic=a, weight_bytes=317 * bits, accuracy=round(value * bits / 8, 4), asr=asr)
            for bits in (8, 4)
            for a in ("tflm-double", "ruy")
        ],
        asr_initial=0.3 if attacked else None,
        asr_of={} if attacked else {"mean": 0.02 * row.seed},
    )
    return msgspec.structs.replace(
        row,
        accuracy_float=value + 0.004 if value < 0.99 else value,
        accuracy_exported=value - 1 / 360 if row.round_num == 3 else value,
        interpreter=f"tflite-micro 1.0 ({HOSTILE})",
        arithmetic="tflm-double",
        asr=asr,
        asr_float=asr,
        asr_exported=None if asr is None else asr / 2,
        asr_confidence=None if asr is None else 0.25,
        recall=[1.0] * 3 + [36 / 37] + [None] + [0.5] * 5,
        clients_mean=value,
        clients_p10=value * 0.9,
        clients_min=value * 0.8,
        honest_mean=value,
        honest_p10=value * 0.95,
        honest_min=value * 0.85,
        evaluation_ms=4.5,
        last=last if row.round_num == 12 else None,
    )


def final_of(rows: list[RoundRow]) -> Final:
    tail = [r.accuracy for r in rows[-max(1, len(rows) // 10) :]]
    return Final(
        arm=rows[0].arm,
        seed=rows[0].seed,
        accuracy=rows[-1].accuracy or 0.0,
        accuracy_last_tenth=math.fsum(tail) / len(tail),
        rounds=len(rows),
        no_aggregate=sum(r.outcome == "no-aggregate" for r in rows),
        accepted=sum(r.accepted for r in rows),
        refused=sum(r.refused for r in rows),
        bytes_up=sum(r.bytes_up for r in rows),
        bytes_down=sum(r.bytes_down for r in rows),
        wall_s=math.fsum(r.wall_s for r in rows),
        model_sha256=rows[-1].model_sha256,
    )


def manifest_of(shape: Shape) -> Manifest:
    title = "Median against sign-flip on ten emulated clients" + (f" {HOSTILE}" if shape.hostile else "")
    clients = [
        {
            "client_id": c,
            "body": "unicorn" if i < 4 else "native",
            "transport": "serial" if i == 0 else "mqtt",
            "samples": 100 + i,
            "byzantine": c in BYZANTINE,
        }
        for i, c in enumerate(CLIENTS)
    ]
    firmware = [
        FirmwareInfo(
            name="m0",
            sha256="cd" * 32,
            compiler="clang 20",
            flash_bytes=14_212,
            ram_bytes=21_000,
            instructions_per_step=41_250.0,
        )
    ]
    return Manifest(
        run_id="3f2a9c01b7de",
        name="demo",
        title=title,
        created_utc="2026-11-21T10:15:00Z",
        command=["byzantiny", "demo", "--set", f"a={HOSTILE}" if shape.hostile else "rounds=12"],
        config_sha256="ef" * 32,
        version="0.1.0",
        wire_version=1,
        git_commit="0123456789abcdef0123456789abcdef01234567",
        git_dirty=True,
        python="3.11.7",
        platform="Linux x86_64",
        cpu="a CPU",
        cores=2,
        packages={"numpy": "2.4.6", "msgspec": "0.22.0"},
        task={
            "name": "digits",
            "train": 1437,
            "test": 360,
            "partition": "dirichlet",
            "alpha": 100.0,
            "network": "mlp-64-32-10",
        },
        training={"epochs": 1, "lr_shift": 6},
        tensors=["dense0/kernel", "dense0/bias" + (HOSTILE if shape.hostile else "")],
        class_names=["zero", *map(str, range(1, 9)), HOSTILE] if shape.deployed else [],
        costs={"parameters": 2410, "inference_macs": 2368, "up_bytes": 2538} if shape.deployed else {},
        clients=clients,
        arms=arm_infos(shape),
        seeds=list(shape.seeds),
        rounds=shape.rounds,
        broker="amqtt 0.11.4",
        kernels="c",
        firmware=firmware,
        finished=shape.finished,
        wall_s=36.0,
        notes=[HOSTILE] if shape.hostile else [],
    )


def write_lines(file: Path, rows: Iterable[msgspec.Struct]) -> None:
    file.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))


def write_run(path: Path, shape: Shape) -> Path:
    """Write a whole run directory at `path`."""
    path.mkdir(parents=True)
    (path / "manifest.json").write_bytes(msgspec.json.encode(manifest_of(shape)))
    for arm in arm_infos(shape):
        for seed in shape.seeds:
            folder = path / "arms" / arm.name / f"seed-{seed}"
            folder.mkdir(parents=True)
            numbers = range(1, shape.rounds + 1)
            clients = [[client_row(shape, arm.name, seed, n, i) for i in range(len(CLIENTS))] for n in numbers]
            rounds = [round_row(shape, arm.name, seed, n, rows) for n, rows in zip(numbers, clients, strict=True)]
            rounds = [evaluated(row) for row in rounds] if shape.deployed else rounds
            write_lines(folder / "clients.jsonl", [row for rows in clients for row in rows])
            write_lines(folder / "rounds.jsonl", rounds)
            (folder / "final.json").write_bytes(msgspec.json.encode(final_of(rounds)))
    return path


MakeRun = Callable[..., Path]


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """`make_run(seeds=..., rounds=..., hostile=..., finished=...)` writes a run directory of one's own."""

    def make(**shape: object) -> Path:
        return write_run(tmp_path / "runs" / "3f2a9c01b7de", Shape(**shape))  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One hostile run for tests that only read."""
    return write_run(tmp_path_factory.mktemp("report") / "run", Shape())


@pytest.fixture(scope="session")
def page(run_dir: Path) -> str:
    """Its report."""
    from byzantiny.report import write_report

    return write_report(run_dir).read_text(encoding="utf-8")
