"""The adversary of an arm: what it is granted, and a trial before anything runs."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from byzantiny.attacks import KNOWLEDGE, AttackError, AttackWarning
from byzantiny.bodies.base import DeviceSpec
from byzantiny.bodies.batch import load_batch
from byzantiny.experiment.cast import Cast, Role, chosen_of, make_attack, schedule_of
from byzantiny.experiment.config import ConfigError, RunConfig
from byzantiny.experiment.resolve import make_federation, make_plan
from byzantiny.fleet.adversary import AdversaryPlan, Scene, craft_rows_of
from byzantiny.updates import quantize_rows
from byzantiny.wire.messages import Offer
from byzantiny_models import datasets
from byzantiny_models.encoding import clipped_change
from byzantiny_models.networks import Layout, Network
from byzantiny_models.tasks import Task

_TRIAL_CLIENTS = 512
"""Made-up rows of a trial, where an experiment has more; the share of attackers is then the same."""


def make_adversary(run: RunConfig, seed: int, cast: Cast, network: Network) -> AdversaryPlan | None:
    """Return what the Byzantine clients do beyond training on their data; None where there is no such thing."""
    if not cast.crafts or not cast.attackers:
        return None
    data = {
        role.client_id: datasets.unpack(role.dataset)[:2] for role in cast.roles if role.client_id in cast.attackers
    }
    plan = replace(
        _plan(run, cast.attack, network.layout),
        network=network,
        data=data,
        chosen=cast.chosen,
        schedule=schedule_of(run, seed),
    )
    return replace(plan, unrounded=_unrounded(run, cast, network)) if _rounds(cast.attack) else plan


def _rounds(attack: object) -> bool:
    return "unrounded" in attack.info.needs  # type: ignore[attr-defined]


def device_of(run: RunConfig, role: Role, network: Network) -> DeviceSpec:
    """Return a client as a batch call knows it: no address, no boot."""
    return DeviceSpec(
        role.client_id, role.secret, role.dataset, network.name, base=network.base, trainer=run.training.trainer
    )


def _unrounded(
    run: RunConfig, cast: Cast, network: Network
) -> Callable[[Sequence[str], Scene], npt.NDArray[np.float64]]:
    """Train again what an attacker's body trains: a batch call gives the same integers, whatever the body (P1)."""
    roles = [role for role in cast.roles if role.client_id in cast.attackers]
    slots = {role.client_id: slot for slot, role in enumerate(roles)}
    trainer = load_batch(trainer=run.training.trainer)([device_of(run, role, network) for role in roles])
    layout = network.layout

    def unrounded(ids: Sequence[str], scene: Scene) -> npt.NDArray[np.float64]:
        offer = scene.offer
        steps = np.repeat(np.ldexp(1.0, np.array(offer.shifts)), [tensor.elements for tensor in layout.tensors])
        trained = trainer.models([slots[client_id] for client_id in ids], scene.model, offer)
        changes = [clipped_change(layout, scene.model, local, offer.shifts, offer.l2_bound) for local in trained]
        rows: npt.NDArray[np.float64] = np.stack(changes) / steps
        return rows

    return unrounded


def check_adversary(arm: str, run: RunConfig, task: Task) -> None:
    """Craft once from made-up updates, so that an attack that cannot work here is refused before a round.

    Raises:
        ConfigError: knowledge that the experiment does not grant, or an attack that refuses n, f or the network.
    """
    attack, layout = make_attack(run), task.network.layout
    liars = run.liars
    n = run.round.cohort or len(run.client_ids())
    if attack is None or not liars:
        return
    if liars >= len(run.client_ids()):
        raise ConfigError(
            f"arms.{arm}: attack.byzantine = {liars} of {len(run.client_ids())} clients leaves nobody honest; lower it"
        )
    granted = run.attack.knowledge
    if granted is not None and KNOWLEDGE.index(attack.knowledge) > KNOWLEDGE.index(granted):
        raise ConfigError(
            f"arms.{arm}: {run.attack.name} needs to be {attack.knowledge}, the experiment grants {granted!r}; set"
            f" attack.knowledge = {attack.knowledge!r}, or choose parameters that need no more"
        )
    if attack.info.on_wire:
        _check_on_wire(arm, run)
        return
    if not hasattr(attack, "craft"):
        return
    f = max(1, min(liars, round(liars * n / len(run.client_ids()))))
    if n > _TRIAL_CLIENTS:
        n, f = _TRIAL_CLIENTS, max(1, f * _TRIAL_CLIENTS // n)
    try:
        chosen = chosen_of(attack, run.seeds[0], task)
        plan = replace(_plan(run, attack, layout), network=task.network, chosen=chosen)
        _trial(plan, run, task, max(n, f + 1), f)
    except AttackError as error:
        raise ConfigError(
            f"arms.{arm}: {run.attack.name} fails on a trial round of made-up updates: {error}"
        ) from error


def _check_on_wire(arm: str, run: RunConfig) -> None:
    elsewhere = next((group for group in run.clients if group.transport != "memory"), None)
    if elsewhere is not None:
        raise ConfigError(
            f"arms.{arm}: {run.attack.name} acts on frames in virtual time, and `{elsewhere.prefix}` has transport = "
            f'"{elsewhere.transport}"; set transport = "memory" for all clients'
        )


def _plan(run: RunConfig, attack: object, layout: Layout) -> AdversaryPlan:
    defence = make_federation(run, layout).pipeline if run.attack.defence_known else None
    return AdversaryPlan(
        attack,  # type: ignore[arg-type]
        defence=defence,
        history=run.attack.history,
    )


def _trial(plan: AdversaryPlan, run: RunConfig, task: Task, n: int, f: int) -> None:
    rng, layout = np.random.default_rng(0), task.network.layout
    ids = [f"c{i:05d}" for i in range(n)]
    honest = {name: rng.integers(-5, 6, layout.d).astype(np.int8) for name in ids[f:]}
    own = {name: rng.integers(-5, 6, layout.d).astype(np.int8) for name in ids[:f]}
    data = {name: (task.train_x[i : i + 8], task.train_y[i : i + 8]) for i, name in enumerate(own)}
    numbers = make_plan(run, "", run.seeds[0], layout)
    model = np.zeros(layout.d, dtype=np.int32)
    nothing = bytes(32)
    offer = Offer(
        round_num=max(2, run.attack.start_round),
        seed=numbers.seed,
        nonce=nothing[:16],
        model_sha256=nothing,
        layout_sha256=layout.sha256,
        model_bytes=layout.model_bytes,
        l2_bound=numbers.l2_bound,
        deadline_ms=1000,
        epochs=numbers.epochs,
        lr_shift=numbers.lr_shift,
        shifts=numbers.shifts,
    )
    history = [model] * (offer.round_num - 1) if plan.history else None
    scene = Scene(offer, layout, model, history, tuple(ids), tuple(own))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AttackWarning)  # the run itself will say it
        before = (
            (lambda ids, _: np.stack([own[each].astype(np.float64) for each in ids])) if _rounds(plan.attack) else None
        )
        craft_rows_of(replace(plan, data=data, unrounded=before), scene, honest, own, quantize_rows)
