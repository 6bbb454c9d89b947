"""Who is let in. Keys are provisioned device by device; where anybody may enrol, Sybils are clients like others.

Then there is nothing on the wire to refuse, and the experiment is another one: the fleet has so many clients more, all of them
Byzantine, without data to speak of. So `sybil` with `enrolment = "open"` is resolved before anything runs.
"""

from __future__ import annotations

import msgspec

from byzantiny.attacks.link.sybil import PREFIX, Sybil
from byzantiny.experiment.errors import ConfigError
from byzantiny.experiment.schema import ClientGroup, RunConfig

BORROWED = 8
"""Samples that a fake client holds, so that its body has something to train on."""


def let_in(run: RunConfig, where: str) -> RunConfig:
    """Return the experiment with its Sybils as clients, where its enrolment is open; else as it is.

    Raises:
        ConfigError: parameters that the attack does not take; no number of fakes.

    >>> from byzantiny.experiment.schema import Attack
    >>> open_ = Attack(name="sybil", byzantine=2, params={"enrolment": "open"})
    >>> run = let_in(RunConfig(clients=[ClientGroup(count=3)], attack=open_), "experiment")
    >>> run.client_ids(), run.attack.name, run.attack.byzantine
    (['dev-01', 'dev-02', 'dev-03', 'sybil-01', 'sybil-02'], 'mpaf', ['sybil-01', 'sybil-02'])
    """
    if run.attack.name != Sybil.name or run.attack.params.get("enrolment") != "open":
        return run
    try:
        sybil = Sybil(**run.attack.params)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}: attack {Sybil.name}: {error}") from error
    count = sybil.fakes or run.liars
    if not count:
        return run
    group = ClientGroup(prefix=PREFIX, count=count, body="numpy", transport="memory", borrowed=BORROWED)
    attack = msgspec.structs.replace(
        run.attack, name=sybil.send, byzantine=RunConfig(clients=[group]).client_ids(), params={}
    )
    return msgspec.structs.replace(run, clients=[*run.clients, group], attack=attack)
