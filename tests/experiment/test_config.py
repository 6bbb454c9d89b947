"""A checked experiment: every mistake is one sentence that names the key, the value and what would do."""

from __future__ import annotations

import pytest

from byzantiny.cli.app import parse_settings
from byzantiny.experiment.config import ConfigError, load_experiment, parse_experiment

TWO = [{"prefix": "dev", "count": 2}]


def refusal(table, **more):
    with pytest.raises(ConfigError) as caught:
        parse_experiment(table, where="x.toml", **more)
    text = str(caught.value)
    assert "\n" not in text, "one sentence"
    assert text.startswith(("x.toml: ", "--set")), "it says where"
    return text


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"ronds": 3}, "unknown key `ronds`; did you mean `rounds`?"),
        ({"training": {"lr_shft": 5}}, "unknown key `training.lr_shft`; did you mean `lr_shift`?"),
        ({"clients": [{"prefix": "a"}, {"cuont": 2}]}, "unknown key `clients.cuont`; did you mean `count`?"),
        ({"link": {"zzz": 1}}, "unknown key `link.zzz`; known keys: corrupt, delay_s, drop, duplicate, reorder"),
        ({"arms": {"a": {"defense": {}}}}, "arms.a: unknown key `defense`; did you mean `defence`?"),
    ],
)
def test_an_unknown_key_names_the_nearest(table, said):
    assert said in refusal(table)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"rounds": "three"}, "`rounds`"),
        ({"rounds": 0}, "`rounds`"),
        ({"rounds": True}, "`rounds`"),
        ({"seeds": []}, "`seeds`"),
        ({"seeds": [-1]}, "`seeds[0]`"),
        ({"name": "Upper Case"}, "`name`"),
        ({"training": {"lr_shift": 3}}, "`training.lr_shift`"),
        ({"training": 5}, "`training`"),
        ({"clients": []}, "`clients`"),
        ({"clients": [{"transport": "carrier-pigeon"}]}, "`clients[0].transport`"),
        ({"clients": [{"payload_bytes": 100}]}, "`clients[0].payload_bytes`"),
        ({"round": {"deadline_s": 0}}, "`round.deadline_s`"),
        ({"round": {"deadline_s": float("inf")}}, "`round.deadline_s`"),
        ({"round": {"deadline_s": float("nan")}}, "`round.deadline_s`"),
        ({"round": {"l2_bound": "on"}}, "`round.l2_bound`"),
        ({"round": {"l2_bound": 1 << 20}}, "`round.l2_bound`"),
        ({"link": {"drop": 1.0}}, "`link.drop`"),
        ({"schema": "byzantiny.experiment/2"}, "`schema`"),
    ],
)
def test_a_wrong_type_or_a_value_out_of_range_names_the_key(table, said):
    assert said in refusal(table)


@pytest.mark.parametrize("key", ["name", "task", "seeds", "clients", "mqtt", "rounds"])
def test_an_arm_may_not_override_what_the_arms_share(key):
    assert refusal({"arms": {"a": {key: 1}}}) == f"x.toml: arms.a: `{key}` is shared by all arms; set it outside [arms]"


@pytest.mark.parametrize("arms", [3, {"a": 3}, ["a"]])
def test_arms_are_tables(arms):
    assert "`arms` must be a table of tables" in refusal({"arms": arms})


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"clients": [*TWO, *TWO]}, "two groups give the client id `dev-01`; give them other prefixes"),
        ({"clients": [{"prefix": "eleven-char", "count": 10000}]}, "`eleven-char-00001` has more than 16 characters"),
        (
            {"clients": TWO, "attack": {"byzantine": ["dev-01", "eve"]}},
            "names `eve`, which is no client (dev-01 .. dev-02)",
        ),
        ({"clients": TWO, "attack": {"byzantine": 3}}, "attack.byzantine = 3, but there are 2 clients"),
        ({"clients": TWO, "attack": {"byzantine": 1.5}}, "attack.byzantine"),
        (
            {"clients": TWO, "attack": {"byzantine": 1, "start_round": 3, "stop_round": 2}},
            "stop_round = 2 comes before start_round = 3",
        ),
        (
            {"clients": TWO, "attack": {"byzantine": ["dev-01"], "attackers": "resampled"}},
            "give a number for attack.byzantine, no ids",
        ),
        ({"clients": TWO, "round": {"cohort": 3}}, "round.cohort = 3 is more than 2; 0 means all"),
        ({"clients": TWO, "round": {"cohort": 1, "quorum": 2}}, "round.quorum = 2 is more than 1; 0 means all"),
        ({"clients": [{"body": "board", "transport": "serial"}]}, 'body = "board" needs `board = NAME`'),
        ({"clients": [{"body": "board", "board": "x"}]}, 'transport = "serial"'),
        ({"clients": [{"transport": "serial", "payload_bytes": 1024}]}, "more than the 512 of a serial line"),
        ({"clients": [{"transport": "mqtt"}], "link": {"drop": 0.1}}, "which only the memory transport has"),
        ({"mqtt": {"broker": "mqtt://me:secret@host"}}, "leave it out and set BYZANTINY_MQTT_PASSWORD"),
    ],
)
def test_what_types_cannot_say_is_checked(table, said):
    assert said in refusal(table)


def test_an_arm_changes_what_its_table_names_and_nothing_else():
    table = {
        "title": "base", "clients": TWO, "training": {"epochs": 2, "shift": 7},
        "arms": {"a": {}, "b": {"training": {"epochs": 3}, "title": "B"}},
    }  # fmt: skip
    experiment = parse_experiment(table)
    a, b = experiment.arms["a"], experiment.arms["b"]
    assert (a.title, a.training.epochs, a.training.shift) == ("base", 2, 7)
    assert (b.title, b.training.epochs, b.training.shift) == ("B", 3, 7)
    assert a.clients == b.clients
    assert list(experiment.arms) == ["a", "b"]
    assert "arms" in table, "the caller's table is left alone"


def test_the_resolved_table_reads_back_as_the_same_experiment():
    for table in ({"rounds": 3}, {"clients": TWO, "arms": {"a": {}, "b": {"training": {"epochs": 3}}}}):
        experiment = parse_experiment(table)
        again = parse_experiment(experiment.source)
        assert (again.arms, again.sha256) == (experiment.arms, experiment.sha256)
    assert parse_experiment({"rounds": 3}).sha256 != parse_experiment({"rounds": 4}).sha256


def test_client_ids_are_counted_with_as_many_digits_as_the_group_needs():
    ids = parse_experiment({"clients": [{"prefix": "a", "count": 2}, {"prefix": "b", "count": 100}]}).base.client_ids()
    assert (ids[:3], ids[-1], len(set(ids))) == (["a-01", "a-02", "b-001"], "b-100", 102)


def test_settings_are_toml_values_and_otherwise_text():
    given = [
        "rounds=3",
        "attack.name = sign-flip",
        "attack.byzantine=['a-01']",
        "training.shift=7",
        "title=a=b",
        "keep_updates=true",
    ]
    assert parse_settings(given) == {
        "rounds": 3, "attack.name": "sign-flip", "attack.byzantine": ["a-01"], "training.shift": 7, "title": "a=b",
        "keep_updates": True,
    }  # fmt: skip


@pytest.mark.parametrize("setting", ["rounds", "=3", " = 3"])
def test_a_setting_without_key_or_value_is_refused(setting):
    with pytest.raises(ConfigError, match="write KEY=VALUE"):
        parse_settings([setting])


def test_settings_reach_into_tables_and_make_them():
    base = parse_experiment({"rounds": 3}, overrides={"rounds": 4, "training.epochs": 2, "arms.a.training.epochs": 5})
    assert (base.base.rounds, base.base.training.epochs) == (4, 5)
    assert refusal({"rounds": 3}, overrides={"rounds.x": 1}) == "--set rounds.x: `rounds` is not a table"
    assert "did you mean `rounds`?" in refusal({}, overrides={"ronds": 1})


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"rounds = ", "not valid TOML"), (b"\xff", "cannot be read"), (None, "no such experiment file")],
)
def test_a_file_that_cannot_be_read_says_so(tmp_path, content, said):
    path = tmp_path / "my.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=said) as caught:
        load_experiment(path)
    assert str(path) in str(caught.value)


def test_an_experiment_without_a_name_has_its_files(tmp_path):
    path = tmp_path / "quick-look.toml"
    path.write_text("rounds = 2\n")
    assert load_experiment(path, {"rounds": 3}).base.name == "quick-look"
    assert load_experiment(path, {"rounds": 3}).base.rounds == 3
