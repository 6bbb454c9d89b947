"""A wrong experiment is one sentence with the remedy, before anything is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]

FILES = {
    "no TOML": ("rounds = = 3", "not valid TOML"),
    "an unknown key": ("ronds = 3", "unknown key `ronds`; did you mean `rounds`?"),
    "an unknown nested key": ("training = { lr = 3 }", "unknown key `training.lr`"),
    "a wrong type": ('rounds = "many"', "Expected `int`"),
    "a number out of range": ("rounds = 0", "Expected `int` >= 1"),
    "a number that is none": ("round = { deadline_s = nan }", "`round.deadline_s`"),
    "an endless deadline": ("round = { deadline_s = inf }", "`round.deadline_s`"),
    "another schema": ('schema = "byzantiny.experiment/9"', "`schema`"),
    "an unknown task": ('task = "digitz"', "unknown task `digitz`; did you mean `digits`?"),
    "an unknown attack": ('attack = { name = "sign-flap", byzantine = 1 }', "did you mean `sign-flip`?"),
    "an unknown parameter of an attack": (
        'attack = { name = "sign-flip", byzantine = 1, params = { skale = 2.0 } }',
        "did you mean `scale`?",
    ),
    "a parameter of the wrong type": (
        'attack = { name = "sign-flip", byzantine = 1, params = { scale = "x" } }',
        "attack sign-flip: ",
    ),
    "more liars than clients": ('attack = { name = "sign-flip", byzantine = 9 }', "there are 1 clients"),
    "a liar who is no client": ('attack = { name = "sign-flip", byzantine = ["x"] }', "names `x`"),
    "an unknown aggregator": ('defence = { pipeline = [{ name = "medain" }] }', "did you mean 'median'?"),
    "no aggregator": ("defence = { pipeline = [] }", "exactly 1 aggregator"),
    "a pipeline out of order": (
        'defence = { pipeline = [{ name = "median" }, { name = "norm-clip", bound = 9 }] }',
        "need screening, then pre-aggregators",
    ),
    "a stage of the wrong type": (
        'defence = { pipeline = [{ name = "norm-clip", bound = "x" }, { name = "mean" }] }',
        "bound is 'x'",
    ),
    "a defence that needs more clients": (
        'defence = { pipeline = [{ name = "median" }], f_declared = 4 }',
        "raise the quorum, add clients or lower f_declared",
    ),
    "an unknown body": ('clients = [{ body = "numpi" }]', "unknown body `numpi`; did you mean `numpy`?"),
    "a body that has no port": ('clients = [{ transport = "serial" }]', "`native`"),
    "an unknown transport": ('clients = [{ transport = "lora" }]', "Invalid enum value 'lora'"),
    "no client": ("clients = []", "length >= 1"),
    "two clients of one name": ("clients = [{ count = 2 }, { count = 2 }]", "give them other prefixes"),
    "more clients than samples": ("clients = [{ count = 2000 }]", "lower n or min_samples"),
    "a quorum above the cohort": ("round = { quorum = 5 }", "0 means all"),
    "faults on a link that has none": (
        'link = { drop = 0.1 }\nclients = [{ transport = "mqtt" }]',
        "which only the memory transport has",
    ),
    "an arm that leaves the run directory": ('[arms."../../elsewhere"]', "names a folder"),
    "an arm without a name": ('[arms.""]', "names a folder"),
    "arms that are no tables": ("arms = 3", "must be a table of tables"),
    "an arm with another seed": ("[arms.a]\nseeds = [2]", "set it outside [arms]"),
    "a URL that is none": (
        'mqtt = { broker = "http://x" }\nclients = [{ transport = "mqtt" }]',
        "is not a broker URL; write mqtt://",
    ),
    "a board that is not in the map": (
        'clients = [{ body = "board", board = "nope", transport = "serial" }]',
        "unknown board `nope`",
    ),
    "a board without a name": ('clients = [{ body = "board" }]', "needs `board = NAME`"),
}


@pytest.mark.parametrize("what", FILES)
def test_a_wrong_experiment_is_one_sentence_and_leaves_no_run_behind(
    what: str, cli: Cli, tmp_path: Path, digits: None
) -> None:
    text, sentence = FILES[what]
    (tmp_path / "wrong.toml").write_text(text)
    assert sentence in cli("run", "wrong.toml").refusal
    assert list(tmp_path.glob("runs/*")) == [], "a run directory that nothing can be done with"
    assert sorted(path.name for path in tmp_path.parent.glob("elsewhere*")) == []


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("rounds", "write KEY=VALUE"),
        ("=3", "write KEY=VALUE"),
        ("training.shift=99", "Expected `int` <= 12"),
        ("clients.count=3", "`clients` is not a table"),
        ("task=digitz", "did you mean `digits`?"),
    ],
)
def test_a_wrong_setting_is_one_sentence(setting: str, sentence: str, cli: Cli, experiment: Path) -> None:
    assert sentence in cli("run", experiment, "--set", setting).refusal


def test_a_file_that_is_missing_or_unreadable_is_one_sentence(cli: Cli, tmp_path: Path) -> None:
    assert "nowhere.toml: no such experiment file" in cli("run", "nowhere.toml").refusal
    assert "cannot be read" in cli("run", tmp_path).refusal
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    assert "cannot be read" in cli("run", "binary.toml").refusal


@pytest.mark.parametrize(
    "arguments", [["bogus"], ["run"], ["run", "x", "--bogus"], ["demo", "--rounds", "0"], ["resume"]]
)
def test_wrong_usage_is_said_with_status_2(arguments: list[str], cli: Cli) -> None:
    said = cli(*arguments)
    assert said.status == 2
    assert "Traceback" not in said.err
    assert said.out == ""
