"""A coordinator in virtual time with a few devices of tiny data, and a link between them that a test can hold in hand."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from byzantiny.bodies.base import DeviceSpec
from byzantiny.bodies.numpy_body import NumpyBody
from byzantiny.coordinator import (
    NOBODY,
    ClientFacts,
    Coordinator,
    Link,
    Plan,
    Surroundings,
    Suspended,
    VirtualClock,
    Witness,
)
from byzantiny.federation import Federation, build_pipeline
from byzantiny.fleet import Fleet, Member, Relay
from byzantiny.ledger import Ledger
from byzantiny.records import Evaluated, RoundRow
from byzantiny.transport.memory import MemoryTransport
from byzantiny.wire.auth import derive_keys
from byzantiny_models import datasets
from byzantiny_models.networks import NETWORKS, initial_model

NETWORK = NETWORKS["mlp-64-32-10"]
LAYOUT = NETWORK.layout
Frames = list[tuple[str, bytes]]
__all__ = ["LAYOUT", "NETWORK", "Bench", "Suspended", "make_spec"]


def make_spec(client_id: str, samples: int = 4, **changes: Any) -> DeviceSpec:
    rng = np.random.default_rng(int.from_bytes(client_id.encode(), "little") % 2**32)
    x = rng.integers(0, 113, (samples, 64)).astype(np.int8)
    y = rng.integers(0, 10, samples).astype(np.uint8)
    secret = hashlib.sha256(client_id.encode()).digest()
    spec = DeviceSpec(client_id, secret, datasets.pack(x, y, 10), boot_id=7, max_payload=4096)
    return replace(spec, **changes)


@dataclass
class Bench:
    """`down` and `up` see every frame as (client_id, frame) and return what goes on; fields may be set until `run`."""

    ids: Sequence[str] = ("dev-01", "dev-02", "dev-03", "dev-04")
    rounds: int = 2
    cohort: int = 0
    quorum: int = 0
    deadline_s: float = 60.0
    l2_bound: int = 0
    pipeline: Sequence[dict[str, Any]] = ({"name": "mean"},)
    f_declared: int = 0
    down: Callable[[str, bytes], list[bytes]] = lambda client_id, frame: [frame]
    up: Callable[[str, bytes], list[bytes]] = lambda client_id, frame: [frame]
    relays: dict[str, Relay] = field(default_factory=dict)
    specs: dict[str, DeviceSpec] = field(default_factory=dict)
    stop: Callable[[], bool] = lambda: False
    cohorts: dict[int, tuple[str, ...]] | None = None
    ledger: Ledger = field(default_factory=lambda: Ledger.create(":memory:", keep_updates=True))
    clock: VirtualClock = field(default_factory=VirtualClock)
    closed: list[RoundRow] = field(default_factory=list)
    closed_at: list[float] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    extra: list[tuple[str, bytes]] = field(default_factory=list)
    """Frames to be delivered to the coordinator as if from a client, before the next ones."""
    fleet: Fleet | None = None
    witness: Witness = NOBODY

    def spec(self, client_id: str) -> DeviceSpec:
        return self.specs.setdefault(client_id, make_spec(client_id))

    @property
    def plan(self) -> Plan:
        cohort = self.cohort or len(self.ids)
        return Plan(
            arm="main", seed=1, rounds=self.rounds, clients=tuple(self.ids), cohort_size=cohort,
            quorum=self.quorum or cohort, deadline_s=self.deadline_s, epochs=1, lr_shift=5,
            shifts=LAYOUT.default_shifts(6), l2_bound=self.l2_bound,
        )  # fmt: skip

    def coordinator(self) -> Coordinator:
        if self.fleet is None:
            body = NumpyBody([self.spec(client_id) for client_id in self.ids])
            self.fleet = Fleet(
                [Member(client_id, body, slot, self.relays.get(client_id)) for slot, client_id in enumerate(self.ids)]
            )
        fleet = self.fleet

        def exchange(frames: Frames) -> Frames:
            inwards = [(client_id, kept) for client_id, frame in frames for kept in self.down(client_id, frame)]
            answers = fleet.exchange(inwards, self.clock.now())
            outwards = [(client_id, kept) for client_id, frame in answers for kept in self.up(client_id, frame)]
            extra, self.extra[:] = list(self.extra), []
            return extra + outwards

        def on_round(row: RoundRow) -> None:
            self.closed.append(row)
            self.closed_at.append(self.clock.now())

        federation = Federation(LAYOUT, build_pipeline(list(self.pipeline), self.f_declared))
        surroundings = Surroundings(
            transport=MemoryTransport(exchange),
            clock=self.clock,
            ledger=self.ledger,
            keys={client_id: derive_keys(self.spec(client_id).secret) for client_id in self.ids},
            clients={client_id: ClientFacts("numpy", "memory") for client_id in self.ids},
            evaluate=lambda round_num, model: Evaluated(accuracy=0.0),
            entropy=os.urandom,
            instructions=dict,
            stop=self.stop,
            notice=self.notices.append,
            on_round=on_round,
            links={client_id: Link(max_payload=4096, rto_s=0.05) for client_id in self.ids},
            wake=lambda: fleet.next_due,
            witness=self.witness,
            cohorts=self.cohorts,
        )
        return Coordinator(self.plan, LAYOUT, federation, surroundings)

    def run(self) -> np.ndarray:
        return self.coordinator().run(initial_model(NETWORK, 1))

    def client(self, client_id: str, round_num: int = 1) -> dict[str, Any]:
        """The row of one client in one round."""
        rows = self.ledger.rows("client")
        return next(row for row in rows if (row["client_id"], row["round_num"]) == (client_id, round_num))

    def close(self) -> None:
        self.ledger.close()
        if self.fleet is not None:
            self.fleet.close()


@pytest.fixture
def bench():
    made = []

    def make(**fields: Any) -> Bench:
        made.append(Bench(**fields))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def layout():
    return LAYOUT
