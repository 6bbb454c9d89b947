"""The harness of benchmarks/aggregation.py, without peers: what it says about numbers it is given, and that it says it."""

import argparse
import doctest
import json
import sys
import time
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import aggregation
import peers
from harness import (
    clock,
    contestant,
    expected,
    inputs,
    measure,
    ours,
    reading,
    results,
    run,
    streaming,
    table,
    targets,
    trial,
)

SMALL = inputs.Inputs(11, 130)
RIGHT = expected.Expected(SMALL)


def result(rule="median", n=100, d=300_000, **seconds):
    entries = [results.Entry(name, value, samples=5) for name, value in seconds.items()]
    return results.Result(rule, n, d, tuple(entries))


@pytest.mark.parametrize("rule", ours.PARAMETERS)
def test_ours_gives_what_plain_numpy_works_out(rule):
    made = ours.ours(rule, SMALL)
    assert RIGHT.excess(rule, "", made.values(made.prepare()())) <= 1


@pytest.mark.parametrize("rule", ours.PARAMETERS)
def test_a_number_that_is_wrong_by_one_step_is_found(rule):
    made = ours.ours(rule, SMALL)
    values = np.array(made.values(made.prepare()()), dtype=np.float64)
    honest = values[~SMALL.loud] if values.ndim == 2 else values
    honest[..., 3] += 1.0
    if values.ndim == 2:
        values[~SMALL.loud] = honest
    assert RIGHT.excess(rule, "", values) > 1


@pytest.mark.parametrize("values", [np.zeros(129), np.full(130, np.nan), np.full(130, np.inf)])
def test_a_missing_or_non_finite_number_is_wrong(values):
    assert expected.exactly(np.zeros(130)).excess(values) == np.inf


def test_a_tie_may_go_either_way_only_where_the_convention_says_so():
    ranked, centre = np.array([[-1.0], [0.0], [1.0]]), np.array([0.0])
    assert expected.around(ranked, centre, 2, "").high.tolist() == [-0.5]
    assert expected.around(ranked, centre, 2, "any tie").high.tolist() == [0.5]


@pytest.mark.parametrize(
    ("measure_name", "limit", "met", "missed"),
    [("times flower", 150, {"flower": 1.5}, {"flower": 1.49}), ("reads", 2.5, {"read": 0.004}, {"read": 0.0039})],
)
def test_a_target_is_met_at_its_limit_and_missed_beyond_it(measure_name, limit, met, missed):
    target = targets.Target("median", measure_name, limit)
    words = [targets.judge([result(ours=0.01, **seconds)], "icelake", [target])[0].word for seconds in (met, missed)]
    assert words == ["met", "missed"]


def test_streaming_is_judged_by_rate_and_memory_of_each_size():
    measured = {"clients": 65_535, "d": 50_000, "updates_per_s": {"put": 40_001.0}, "megabytes": {"resident": 52.1}}
    assert [v.word for v in streaming.judged([measured])] == ["met", "missed"]


def test_a_target_is_judged_only_for_its_sizes_and_variants():
    median = targets.Target("median", "reads", 2.5)
    assert [t.value for t in targets.judge([result(ours=2.0, read=1.0)], "v4", [median])] == [2.0]
    assert targets.judge([result(ours=2.0, read=1.0)], "v3", [median]) == []
    assert targets.judge([result(n=10, d=2_000, ours=2.0, read=1.0)], "v4", [median]) == []


def test_a_target_without_its_peer_is_not_measured_and_says_why():
    late = results.Entry("flower", None, reason="longer than 60 s")
    bulyan = results.Result("bulyan", 1000, 50_000, (results.Entry("ours", 0.1, 5), late))
    verdict = targets.judge([bulyan], "icelake")[0]
    assert (verdict.word, "longer than 60 s" in verdict.sentence) == ("not measured", True)


def test_no_ratio_is_taken_to_a_wrong_result_however_fast():
    wrong = results.Entry("byzpy", 0.001, 5, excess=7.0)
    right = results.Entry("byzfl", 1.0, 5)
    measured = results.Result("krum", 10, 2_000, (results.Entry("ours", 0.01, 5), wrong, right))
    assert (measured.best_peer, measured.ratio_to_best, measured.ratio_to("byzpy")) == (right, 100.0, None)


def test_our_own_wrong_result_gives_no_ratio_either():
    measured = results.Result(
        "krum", 10, 2_000, (results.Entry("ours", 0.01, 5, excess=2.0), results.Entry("byzfl", 1.0, 5))
    )
    assert measured.ratio_to_best is None


def test_the_table_numbers_the_reason_of_everything_that_did_not_count():
    late = results.Entry("flower", None, reason="longer than 60 s")
    wrong = results.Entry("byzpy", 0.001, 5, excess=7.0)
    once = results.Entry("byzfl", 1.0, 1)
    measured = results.Result("bulyan", 1000, 50_000, (results.Entry("ours", 0.01, 5), late, wrong, once))
    lines, notes = table.table([measured], repeats=5)
    assert [("- [1]" in lines[2], "1.00 [2]" in lines[2] or "1 [2]" in lines[2], "(1x)" in lines[2])] == [
        (True, True, True)
    ]
    assert ["longer than 60 s" in notes[0], "7 tolerances" in notes[1]] == [True, True]


def burn():
    begin = time.process_time()
    while time.process_time() - begin < clock.LEAST_S:
        pass


def test_contestants_take_turns_and_one_with_fewer_sits_out_the_last():
    order = []

    def contestant_named(name):
        return lambda: lambda: (order.append(name), burn())

    timings = clock.take_turns({name: contestant_named(name) for name in "AB"}, {"A": 3, "B": 1})
    warm_up, turns = "A", "ABAA"
    assert "".join(order) == warm_up + turns
    assert {name: len(timing.samples) for name, timing in timings.items()} == {"A": 3, "B": 1}


def test_preparing_a_call_is_not_timed():
    assert clock.cpu_seconds(lambda: (burn(), lambda: None)[1]) < clock.LEAST_S / 2


def nothing(values):
    return 0.0


def test_a_trial_brings_back_time_memory_and_judgement():
    made = trial.try_once(
        contestant.Contestant("x", lambda: lambda: np.ones(1 << 22)), lambda v: float(v[0]), 10, 1 << 30
    )
    assert (made.reason, made.excess, made.output_bytes) == ("", 1.0, 8 << 22)
    assert 0.9 * (8 << 22) < made.extra_bytes < 1.2 * (8 << 22)


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda: time.sleep(30), "longer than 0 s"),
        (lambda: np.ones(1 << 40), "out of memory: "),
        (lambda: [][0], "IndexError: list index out of range"),
    ],
)
def test_a_trial_that_fails_is_a_reason_not_an_end(call, reason):
    made = trial.try_once(contestant.Contestant("x", lambda: call), nothing, 0.3, 1 << 30)
    assert made.reason.startswith(reason)


def test_a_contestant_is_not_begun_that_would_take_too_long():
    earlier = [result("bulyan", 10, 1_000, flower=1.0)]
    assert measure.predicted("bulyan", "flower", inputs.Inputs(20, 2_000), earlier) == pytest.approx(16.0)
    assert measure.predicted("bulyan", "byzfl", inputs.Inputs(20, 2_000), earlier) == 0.0


def test_a_slow_contestant_has_as_many_turns_as_fit():
    budget = measure.Budget(repeats=5, total_s=20.0)
    assert [budget.turns(s) for s in (0.1, 4.0, 5.0, 9.0, 30.0)] == [5, 5, 4, 2, 0]


def test_the_read_refuses_codes_it_would_stop_at():
    with pytest.raises(ValueError, match="-128"):
        reading.reading(np.full(9, -128, dtype=np.int8))


def test_a_peer_that_is_not_installed_is_named_with_the_command(monkeypatch):
    monkeypatch.setattr(peers, "MODULES", {"flwr": "peers.no_such_module"})
    found = peers.find()
    text = "\n".join(
        run.preamble(found, dict.fromkeys(("processor", "cores", "pinned_to", "load", "byzantiny", "kernels")))
    )
    assert (found.versions, "flwr is not here: No module named 'peers.no_such_module'" in text) == ({}, True)
    assert "`make bench-peers`" in text


def test_a_run_without_peers_measures_our_own_columns(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(peers, "MODULES", {})
    file = tmp_path / "out.json"
    run.run(
        aggregation.options(["--sizes", "7x64", "--rules", "median,nnm", "--repeats", "2", "--json", str(file)]), None
    )
    names = [[e["name"] for e in r["contestants"]] for r in json.loads(file.read_text())["results"]]
    assert names == [["read", "kernel", "ours"], ["read", "ours"]]
    printed = capsys.readouterr().out
    assert "| median | 7, 64 |" in printed
    run.show(file)
    table_again = capsys.readouterr().out.partition("\n")[2]
    assert printed.endswith(table_again)


@pytest.mark.parametrize(
    "arguments", [["--sizes", "100"], ["--sizes", "6x10"], ["--repeats", "0"], ["--limit", "-1"], ["--what"]]
)
def test_an_option_that_cannot_be_followed_ends_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        aggregation.options(arguments)
    assert ended.value.code == 2
    assert "error: " in capsys.readouterr().err


def test_an_unknown_rule_and_a_missing_folder_are_refused_before_anything_is_measured(tmp_path):
    nobody = argparse.Namespace(rules="median,mode", json=None)
    with pytest.raises(run.UsageError, match="mode: not measured here; there are mean, median"):
        run.run(nobody, cpu=None)
    with pytest.raises(run.UsageError, match="no file that --json wrote"):
        run.show(tmp_path / "x.json")
    nowhere = argparse.Namespace(rules=None, json=tmp_path / "no" / "x.json")
    with pytest.raises(run.UsageError, match="no folder"):
        run.run(nowhere, cpu=None)


@pytest.mark.parametrize("module", [clock, table])
def test_the_examples_run(module):
    assert doctest.testmod(module).failed == 0
