"""The adversary of an arm: what it is granted, and a trial before anything runs."""

from __future__ import annotations

import warnings

import numpy as np

from byzantiny.attacks import KNOWLEDGE, AttackError, AttackWarning
from byzantiny.experiment.cast import Cast, make_attack
from byzantiny.experiment.config import ConfigError, RunConfig
from byzantiny.experiment.resolve import make_federation, make_plan
from byzantiny.fleet.adversary import AdversaryPlan, Scene, craft_rows_of
from byzantiny.updates import quantize_rows
from byzantiny.wire.messages import Offer
from byzantiny_models.networks import Layout

_TRIAL_HONEST = 8
"""Made-up honest rows of a trial, where an experiment has more."""


def make_adversary(run: RunConfig, cast: Cast, layout: Layout) -> AdversaryPlan | None:
    """Return what the Byzantine clients do beyond training on their data; None where there is no such thing."""
    if cast.attack is None or cast.poisons_data or not cast.byzantine:
        return None
    return _plan(run, cast.attack, layout)


def check_adversary(arm: str, run: RunConfig, layout: Layout) -> None:
    """Craft once from made-up updates, so that an attack that cannot work here is refused before a round.

    Raises:
        ConfigError: knowledge that the experiment does not grant, or an attack that refuses n, f or the network.
    """
    attack = make_attack(run)
    liars = run.attack.byzantine if isinstance(run.attack.byzantine, int) else len(run.attack.byzantine)
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
    if hasattr(attack, "poison"):
        return
    f = max(1, min(liars, round(liars * n / len(run.client_ids()))))
    try:
        _trial(_plan(run, attack, layout), run, layout, max(n, f + 1), f)
    except AttackError as error:
        raise ConfigError(
            f"arms.{arm}: {run.attack.name} fails on a trial round of made-up updates: {error}"
        ) from error


def _plan(run: RunConfig, attack: object, layout: Layout) -> AdversaryPlan:
    defence = make_federation(run, layout).pipeline if run.attack.defence_known else None
    return AdversaryPlan(
        attack,  # type: ignore[arg-type]
        start_round=run.attack.start_round,
        defence=defence,
        history=run.attack.history,
    )


def _trial(plan: AdversaryPlan, run: RunConfig, layout: Layout, n: int, f: int) -> None:
    rng = np.random.default_rng(0)
    ids = [f"c{i:05d}" for i in range(n)]
    honest = {name: rng.integers(-5, 6, layout.d).astype(np.int8) for name in ids[f:][:_TRIAL_HONEST]}
    if n - f <= _TRIAL_HONEST or plan.defence is not None:
        honest = {name: rng.integers(-5, 6, layout.d).astype(np.int8) for name in ids[f:]}
    own = {name: rng.integers(-5, 6, layout.d).astype(np.int8) for name in ids[:f]}
    numbers = make_plan(run, "", run.seeds[0], layout)
    model = np.zeros(layout.d, dtype=np.int32)
    nothing = bytes(32)
    offer = Offer(
        round_num=max(2, plan.start_round),
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
    scene = Scene(offer, layout, model, [model] * (offer.round_num - 1) if plan.history else None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AttackWarning)  # the run itself will say it
        craft_rows_of(plan, scene, honest, own, n, quantize_rows)
