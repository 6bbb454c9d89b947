"""Every attack on the manifest, on links and on the way down, in whole runs: it is answered as its card says, and leaves what
its card says. The models are compared, byte for byte, with those of a run without it, and of a run without its clients.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from byzantiny.attacks import ATTACKS
from byzantiny.coordinator.plan import make_round
from byzantiny.errors import ByzantinyError
from byzantiny.experiment import inprocess, rundir
from byzantiny.experiment.config import ConfigError, parse_experiment
from byzantiny.experiment.engine import Engine
from byzantiny.experiment.events import ignore
from byzantiny.experiment.inprocess import run_inprocess
from byzantiny.experiment.shares import share_out
from byzantiny.report import write_report
from byzantiny_models.tasks import load_task

Check = Callable[[Path, int], Counter[str]]
ROUNDS = 5
ON_WIRE = [name for name, attack in ATTACKS.items() if attack.info.on_wire]
HELD = ["dev-02", "dev-05"]


def config(attack: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "rounds": ROUNDS,
        "clients": [{"prefix": "dev", "count": 5, "body": "numpy"}],
        "round": {"deadline_s": 12.0},
        "defence": {"pipeline": [{"name": "median"}], "f_declared": 1},
        "evaluation": {"deployed": False, "per_client": False, "bits": []},
        "attack": attack,
        **more,
    }


@dataclass(frozen=True)
class Ran:
    path: Path
    models: list[str]
    rounds: list[dict[str, Any]]
    clients: list[dict[str, Any]]

    def refused(self, byzantine: bool | None = None) -> Counter[str]:
        found: Counter[str] = Counter()
        for row in self.clients:
            if byzantine is None or row["byzantine"] == byzantine:
                found.update(row["refusals"])
                if row["verdict"] == "missing":
                    found["missing"] += 1
        return found

    def verdicts(self, byzantine: bool) -> set[str]:
        return {row["verdict"] for row in self.clients if row["byzantine"] == byzantine}


def ran(folder: Path, table: dict[str, Any]) -> Ran:
    experiment = parse_experiment(table)
    path = rundir.create(folder, "run", experiment)
    Engine(ignore).run(experiment, path)
    arm = rundir.arm_dir(path, "main", 1)
    rounds, clients = (
        [json.loads(line) for line in (arm / f"{name}.jsonl").read_text().splitlines()]
        for name in ("rounds", "clients")
    )
    return Ran(path, [row["model_sha256"] for row in rounds], rounds, clients)


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory, digits: None) -> list[str]:
    """Without any attack."""
    return ran(tmp_path_factory.mktemp("untouched"), config({})).models


@pytest.fixture(scope="module")
def silent(untouched: list[str]) -> list[str]:
    """Without the clients that are held: the others in process, in a fleet that has the same data."""
    task, found = load_task("digits"), []
    experiment = parse_experiment(config({}))

    def without(*args: Any, **kwargs: Any) -> Any:
        others = tuple(f"dev-0{number}" for number in range(1, 6) if f"dev-0{number}" not in HELD)
        return make_round(*args, cohorts=dict.fromkeys(range(1, ROUNDS + 1), others))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inprocess, "make_round", without)
        found = [row.model_sha256 for row in run_inprocess(experiment.base, 1, task).rows]
    assert found != untouched
    return found


@pytest.mark.parametrize("name", ON_WIRE)
def test_an_attack_on_the_wire_is_answered_and_leaves_what_its_card_says(
    name: str, tmp_path: Path, untouched: list[str], silent: list[str], check_exactly_once: Check
) -> None:
    info = ATTACKS[name].info
    run = ran(tmp_path, config({"name": name, "byzantine": HELD}))
    assert all(row["outcome"] == "aggregated" for row in run.rounds)
    known = {(row["client_id"]) for row in run.clients if row["byzantine"]}
    assert known == set(HELD)
    assert set(run.refused()) - {"missing"} <= set(info.answer), "nothing but what the card says is refused"
    assert set(run.refused()) & set(info.answer) or not info.answer, "and that is"
    if info.leaves == "honest":
        assert run.models == untouched
        assert run.verdicts(byzantine=True) == {"accepted"}
    elif info.leaves == "silent":
        assert run.models == silent
        assert "accepted" not in run.verdicts(byzantine=True)
    else:
        assert run.models != untouched
        assert run.verdicts(byzantine=True) == {"accepted"}, "a lie with a good key is not told from an honest update"
    honest = {row["verdict"] for row in run.clients if row["client_id"].startswith("dev") and not row["byzantine"]}
    assert honest == {"accepted"}, "others are not touched"
    counted = check_exactly_once(rundir.arm_dir(run.path, "main", 1) / "ledger.sqlite", ROUNDS)
    assert counted["ACCEPTED"] == ROUNDS * (3 if info.leaves == "silent" else 5), "an input once, or not at all (P2)"
    page = write_report(run.path).read_text("utf-8")
    assert name in page


def test_dropping_frames_denies_rounds_to_a_rule_that_stands_at_its_limit(tmp_path: Path) -> None:
    """Trimmed mean with f = 2 needs 5 of 5 clients; two links are enough to stop it, and no model moves."""
    defence = {"pipeline": [{"name": "trimmed-mean"}], "f_declared": 2}
    run = ran(tmp_path, config({"name": "drop-frames", "byzantine": HELD}, defence=defence))
    assert [row["outcome"] for row in run.rounds] == ["no-aggregate"] * ROUNDS
    assert len(set(run.models)) == 1
    assert all("needs" in row["reason"] for row in run.rounds)


def test_a_slow_loris_holds_a_round_open_until_its_deadline_and_no_longer(tmp_path: Path) -> None:
    run = ran(tmp_path, config({"name": "slow-loris", "byzantine": HELD}))
    assert all(12.0 <= row["open_s"] < 12.1 for row in run.rounds)
    first = run.rounds[0]["bytes_up"]
    assert first > 0


def test_chunks_that_come_behind_the_real_ones_change_nothing(tmp_path: Path, untouched: list[str]) -> None:
    attack = {"name": "overlapping-chunks", "byzantine": HELD, "params": {"order": "after"}}
    run = ran(tmp_path, config(attack))
    assert run.models == untouched
    assert run.refused() == Counter()


def test_three_forgeries_in_a_round_silence_the_device_on_whose_topic_they_come(
    tmp_path: Path, silent: list[str]
) -> None:
    """The price of giving up a link with a wrong key: docs/attacks.md says so."""
    run = ran(tmp_path, config({"name": "spoofed-topic", "byzantine": HELD, "params": {"copies": 3}}))
    assert run.models == silent
    assert run.refused()["rejected:bad_tag"] == 3 * len(HELD) * ROUNDS


def test_a_key_that_did_not_leak_moves_nothing(tmp_path: Path, untouched: list[str]) -> None:
    class Ungranted(ATTACKS["leaked-keys"]):  # type: ignore[misc, name-defined]
        info = replace(ATTACKS["leaked-keys"].info, needs=())

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ATTACKS, "leaked-keys", Ungranted)
        run = ran(tmp_path, config({"name": "leaked-keys", "byzantine": HELD}))
    assert run.models == untouched


def test_an_attack_on_links_begins_in_its_round(tmp_path: Path, untouched: list[str], silent: list[str]) -> None:
    run = ran(tmp_path, config({"name": "drop-frames", "byzantine": HELD, "start_round": 4}))
    assert run.models[:3] == untouched[:3]
    assert run.models[3] != untouched[3]
    late = [row["verdict"] for row in run.clients if row["byzantine"] and row["round_num"] < 4]
    assert set(late) == {"accepted"}


@pytest.mark.parametrize("body", ["native"])
@pytest.mark.parametrize("name", ["sample-inflation", "unsigned-offer", "rolled-back-model", "leaked-keys"])
def test_the_c_core_answers_as_its_numpy_twin(
    name: str, body: str, tmp_path: Path, untouched: list[str], silent: list[str]
) -> None:
    numpy, native = (
        ran(
            tmp_path / each,
            config({"name": name, "byzantine": HELD}, clients=[{"prefix": "dev", "count": 5, "body": each}]),
        )
        for each in ("numpy", body)
    )
    assert native.models == numpy.models
    assert native.refused() == numpy.refused()


def test_with_open_enrolment_sybils_are_clients_and_all_of_them_lie(tmp_path: Path) -> None:
    attack = {"name": "sybil", "byzantine": 3, "params": {"enrolment": "open", "send": "sign-flip"}}
    run = ran(tmp_path, config(attack))
    liars = {row["client_id"] for row in run.clients if row["byzantine"]}
    assert liars == {"sybil-01", "sybil-02", "sybil-03"}
    assert run.rounds[0]["cohort"] == 8
    assert run.refused() == Counter()


def test_honest_shares_do_not_depend_on_who_is_let_in() -> None:
    task = load_task("digits")
    closed = parse_experiment(config({})).base
    opened = parse_experiment(config({"name": "sybil", "byzantine": 3, "params": {"enrolment": "open"}})).base
    before = {share.client_id: share.indices.tolist() for share in share_out(closed, 1, task)}
    after = {share.client_id: share.indices.tolist() for share in share_out(opened, 1, task)}
    assert {name: after[name] for name in before} == before
    assert all(len(after[name]) == 8 for name in after if name not in before)


@pytest.mark.parametrize(
    ("attack", "more", "said"),
    [
        ({"name": "slow-loris", "byzantine": 1, "params": {"interval_s": 0}}, {}, "interval_s is 0"),
        ({"name": "replay", "byzantine": 1, "params": {"back": 9}}, {}, "1 to 8"),
        ({"name": "sybil", "byzantine": 1, "params": {"enrolment": "opne"}}, {}, "provisioned, open"),
        (
            {"name": "drop-frames", "byzantine": 1},
            {"clients": [{"count": 5, "body": "numpy", "transport": "mqtt"}]},
            'transport = "memory"',
        ),
    ],
)
def test_what_cannot_be_is_refused_before_a_round(
    attack: dict[str, Any], more: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ByzantinyError, match=said):
        ran(tmp_path, config(attack, **more))


def test_in_process_there_are_no_frames_to_attack() -> None:
    run = parse_experiment(config({"name": "replay", "byzantine": 1})).base
    with pytest.raises(ConfigError, match="acts on frames"):
        run_inprocess(run, 1, load_task("digits"))
