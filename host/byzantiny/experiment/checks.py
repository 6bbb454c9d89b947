"""What the types of an experiment cannot say: ids, counts that depend on each other, bodies and links that fit together."""

from __future__ import annotations

import msgspec

from byzantiny.experiment.errors import ConfigError
from byzantiny.experiment.schema import ClientGroup, RunConfig
from byzantiny.suggest import unknown_name
from byzantiny.transport.mqtt_names import PASSWORD_ENV
from byzantiny.wire.messages import UART_PAYLOAD_MAX
from byzantiny_models.networks import SCOPES
from byzantiny_models.trainers import TRAINERS


def check_run(run: RunConfig, where: str) -> None:
    """Check one arm; raises ConfigError with the value, the limit and the remedy."""
    ids = run.client_ids()
    _check_ids(ids, where)
    repeated = _first_duplicate([str(seed) for seed in run.seeds])
    if repeated is not None:
        raise ConfigError(f"{where}: seeds names {repeated} twice; the same run is no second witness")
    _check_attack(run, ids, where)
    _check_training(run, where)
    _check_grid(run, where)
    _check_broker(run, where)
    _check_evaluation(run, where)
    _check_round(run, len(ids), where)
    for group in run.clients:
        _check_group(group, where)
    faulty = any(probability > 0 for probability in msgspec.structs.astuple(run.link))
    if faulty and {group.transport for group in run.clients} != {"memory"}:
        raise ConfigError(f"{where}: [link] injects faults in virtual time, which only the memory transport has")


def _check_ids(ids: list[str], where: str) -> None:
    twice = _first_duplicate(ids)
    if twice is not None:
        raise ConfigError(f"{where}: two groups give the client id `{twice}`; give them other prefixes")
    too_long = next((client_id for client_id in ids if len(client_id) > 16), None)
    if too_long is not None:
        raise ConfigError(f"{where}: client id `{too_long}` has more than 16 characters; shorten the prefix")


def _check_attack(run: RunConfig, ids: list[str], where: str) -> None:
    byzantine, stop = run.attack.byzantine, run.attack.stop_round
    if stop is not None and stop < run.attack.start_round:
        raise ConfigError(
            f"{where}: attack.stop_round = {stop} comes before start_round = {run.attack.start_round}; raise it, or leave it out"
        )
    if run.attack.attackers == "resampled" and isinstance(byzantine, list):
        raise ConfigError(
            f'{where}: attack.attackers = "resampled" draws who lies in every round; give a number for attack.byzantine, no ids'
        )
    if not isinstance(byzantine, list):
        if byzantine > len(ids):
            raise ConfigError(f"{where}: attack.byzantine = {byzantine}, but there are {len(ids)} clients")
        return
    twice = _first_duplicate(byzantine)
    if twice is not None:
        raise ConfigError(f"{where}: attack.byzantine names `{twice}` twice; name it once")
    stranger = next((client_id for client_id in byzantine if client_id not in ids), None)
    if stranger is not None:
        raise ConfigError(f"{where}: attack.byzantine names `{stranger}`, which is no client ({ids[0]} .. {ids[-1]})")


def _check_broker(run: RunConfig, where: str) -> None:
    """A password in the experiment would be kept in every run directory."""
    user, colon, _ = (run.mqtt.broker or "").rpartition("@")[0].rpartition("//")[2].partition(":")
    if colon:
        raise ConfigError(
            f"{where}: mqtt.broker holds the password of `{user}`, which every run directory would keep; "
            f"leave it out and set {PASSWORD_ENV}"
        )


def _check_training(run: RunConfig, where: str) -> None:
    name = run.training.trainer
    if name in SCOPES:
        raise ConfigError(f'{where}: training.trainer = "{name}" is a scope; set training.scope = "{name}"')
    if name not in TRAINERS:
        raise ConfigError(f"{where}: {unknown_name('trainer', name, TRAINERS)}")
    elsewhere = next((group for group in run.clients if group.body != "numpy"), None)
    if not TRAINERS[name].info.core and elsewhere is not None:
        raise ConfigError(
            f'{where}: training.trainer = "{name}" runs on body = "numpy" alone, and `{elsewhere.prefix}` has body = '
            f'"{elsewhere.body}", which trains int8-sr; change the body or the trainer'
        )
    twice = None if isinstance(run.training.scope, str) else _first_duplicate(run.training.scope)
    if twice is not None:
        raise ConfigError(f"{where}: training.scope names `{twice}` twice; name it once")


def _check_evaluation(run: RunConfig, where: str) -> None:
    asked = run.evaluation
    if asked.arithmetic != "auto" and asked.interpreter not in ("auto", "numpy"):
        raise ConfigError(
            f'{where}: evaluation.arithmetic = "{asked.arithmetic}" with interpreter = "{asked.interpreter}", which has its'
            ' own; leave one of them at "auto"'
        )
    for key, values in (("bits", asked.bits), ("arithmetics", asked.arithmetics)):
        twice = _first_duplicate([str(value) for value in values])
        if twice is not None:
            raise ConfigError(f"{where}: evaluation.{key} names {twice} twice; name it once")


def _check_grid(run: RunConfig, where: str) -> None:
    low, high = run.grid.low_steps, run.grid.high_steps
    if high < 2 * low + 3:
        raise ConfigError(
            f"{where}: grid.high_steps = {high} is below 2 low_steps + 3 = {2 * low + 3}: a move of the grid could be undone"
            " by the next; raise high_steps or lower low_steps"
        )


def _check_round(run: RunConfig, n: int, where: str) -> None:
    cohort, quorum = run.round.cohort, run.round.quorum
    for key, value, limit in (("cohort", cohort, n), ("quorum", quorum, cohort or n)):
        if value > limit:
            raise ConfigError(f"{where}: round.{key} = {value} is more than {limit}; 0 means all")


def _check_group(group: ClientGroup, where: str) -> None:
    if group.firmware_params and group.firmware_attack is None:
        raise ConfigError(f"{where}: firmware_params of `{group.prefix}` without a firmware_attack; name the attack")
    if group.firmware_attack is not None and group.body == "board":
        raise ConfigError(
            f"{where}: firmware_attack of `{group.prefix}`: a real board runs what it was flashed with; flash an image built by"
            f" `byzantiny firmware build --attack {group.firmware_attack}`, and leave it out here"
        )
    if group.body == "board" and (group.board is None or group.count != 1 or group.transport != "serial"):
        raise ConfigError(
            f'{where}: body = "board" needs `board = NAME` of boards.toml, transport = "serial" and count = 1'
        )
    if group.transport == "serial" and (group.payload_bytes or 0) > UART_PAYLOAD_MAX:
        raise ConfigError(
            f"{where}: payload_bytes = {group.payload_bytes} of `{group.prefix}` is more than the"
            f" {UART_PAYLOAD_MAX} of a serial line; lower it"
        )


def _first_duplicate(items: list[str]) -> str | None:
    seen: set[str] = set()
    for item in items:
        if item in seen:
            return item
        seen.add(item)
    return None
