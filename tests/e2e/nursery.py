"""A process that has imported everything and forks one coordinator (or one fleet) per order, so that fifty kills are cheap.

An order is one line of JSON on standard input, `{"what": ..., "kill_after_s": number or null, ...}`; the answer is one
line with the child's exit status, -9 where it was killed. It forks while it has one thread, which pytest cannot promise.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
import traceback
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from byzantiny.bodies.base import DeviceSpec
from byzantiny.bodies.registry import load_body
from byzantiny.coordinator import ClientFacts, Coordinator, Link, RealClock, Surroundings
from byzantiny.experiment import rundir
from byzantiny.experiment.cast import make_cast
from byzantiny.experiment.engine import Engine
from byzantiny.experiment.events import Event, Notice
from byzantiny.experiment.resolve import make_federation, make_plan
from byzantiny.fleet import AdversaryPlan, Fleet, FleetThread, Member, Relay
from byzantiny.records import Evaluated
from byzantiny.transport.mqtt import MqttTransport
from byzantiny.transport.mqtt_fleet import MqttFleetLink
from byzantiny.wire.auth import derive_keys
from byzantiny_models.networks import initial_model
from byzantiny_models.tasks import load_task

SEED = 1
FLEET = "survivor"


class Heart:
    """Says through a pipe, once, that a round is open: its nonce is drawn, or it is told of as one left open."""

    def __init__(self, order: dict[str, Any]) -> None:
        self._pipe: int | None = order["heart"] if order.get("within_a_round") else None

    def beat(self) -> None:
        if self._pipe is not None:
            os.write(self._pipe, b".")
            self._pipe = None

    def entropy(self, count: int) -> bytes:
        if count == 16:
            self.beat()
        return os.urandom(count)

    def listener(self, event: Event) -> None:
        if isinstance(event, Notice) and event.text.startswith("going on"):
            self.beat()


def engine(order: dict[str, Any]) -> None:
    """Everything in one process: coordinator, fleet, bodies."""
    run_dir, heart = Path(order["run_dir"]), Heart(order)
    Engine(heart.listener, entropy=heart.entropy, broker=order["broker"]).run(rundir.load_config(run_dir), run_dir)


def coordinator(order: dict[str, Any]) -> None:
    """The coordinator alone; its fleet is another process."""
    run_dir, heart = Path(order["run_dir"]), Heart(order)
    experiment = rundir.load_config(run_dir)
    arm, run = next(iter(experiment.arms.items()))
    task = load_task(run.task)
    cast = make_cast(run, SEED, task)
    with rundir.open_ledger(rundir.arm_dir(run_dir, arm, SEED), keep_updates=False) as ledger:
        world = Surroundings(
            transport=MqttTransport(order["broker"], FLEET),
            clock=RealClock(),
            ledger=ledger,
            keys={role.client_id: derive_keys(role.secret) for role in cast.roles},
            clients={role.client_id: ClientFacts("native", "mqtt", role.byzantine) for role in cast.roles},
            evaluate=lambda *_: Evaluated(accuracy=0.5),
            entropy=heart.entropy,
            instructions=dict,
            stop=lambda: False,
            notice=lambda text: heart.listener(Notice(text)),
            on_round=lambda _: None,
            links={role.client_id: Link(max_payload=4096) for role in cast.roles},
            poll_s=0.05,
        )
        plan, federation = make_plan(run, arm, SEED, task.network.layout), make_federation(run, task.network.layout)
        Coordinator(plan, task.network.layout, federation, world).run(initial_model(task.network, SEED))


def fleet(order: dict[str, Any]) -> None:
    """The fleet alone; it makes the file `ready` when it is connected, and ends when that is gone, or its parent."""
    ready, parent = Path(order["ready"]), os.getppid()
    run_dir = Path(order["run_dir"])
    run = next(iter(rundir.load_config(run_dir).arms.values()))
    task = load_task(run.task)
    cast = make_cast(run, SEED, task)
    specs = [
        DeviceSpec(
            role.client_id, role.secret, role.dataset, task.network.name, boot_id=number * 2 + 1, max_payload=4096
        )
        for number, role in enumerate(cast.roles)
    ]
    body = load_body("native")(specs)
    members = []
    for slot, (spec, role) in enumerate(zip(specs, cast.roles, strict=True)):
        jitter = np.random.default_rng(slot)
        relay = Relay(spec, task.network.layout, AdversaryPlan(cast.attack), jitter) if role.byzantine else None
        members.append(Member(role.client_id, body, slot, relay))
    link = MqttFleetLink(order["broker"], FLEET, [spec.client_id for spec in specs])
    with ExitStack() as stack:
        thread = FleetThread(Fleet(members), link, time.monotonic)
        stack.callback(thread.stop)
        thread.start()
        ready.touch()
        while ready.exists() and os.getppid() == parent:
            thread.check()
            time.sleep(0.05)


WHAT = {"engine": engine, "coordinator": coordinator, "fleet": fleet}


def obey(order: dict[str, Any]) -> int:
    """Fork, kill after the time ordered, and return the exit status; a child that ends by itself is not waited out."""
    ended, end = os.pipe()
    child = os.fork()
    if not child:
        status = 1
        try:
            os.close(ended)
            WHAT[order["what"]]({**order, "heart": end})
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    os.close(end)
    try:
        if order["kill_after_s"] is not None:
            if order.get("within_a_round"):
                os.read(ended, 1)
            select.select([ended], [], [], order["kill_after_s"])
            os.kill(child, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    finally:
        os.close(ended)


def main() -> None:
    """Take orders until standard input ends."""
    load_task("digits")
    load_body("native")
    sys.stdout.write("up\n")
    sys.stdout.flush()
    for line in sys.stdin:
        sys.stdout.write(json.dumps({"status": obey(json.loads(line))}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
