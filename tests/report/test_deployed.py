"""The report's section on the deployed model: its figures are those of the files, and what was not measured is not drawn."""

from __future__ import annotations

import math

import pytest

from byzantiny.charts.style import LIGHT
from byzantiny.records import RoundRow
from byzantiny.report import deployed_tables as made
from byzantiny.report import load_run, summarize_arms, write_report
from byzantiny.report.charts.asr import asr_chart
from byzantiny.report.charts.classes import class_chart
from byzantiny.report.charts.forms import clients_chart, forms_chart
from byzantiny.report.deployed import agreement, asr_floor, asr_of, axes, class_recalls, figure_of
from byzantiny.report.downloads import to_csv


@pytest.fixture
def run(make_run):
    return load_run(make_run(deployed=True))


def drawn(spec):
    """Every value of every layer of a chart, whatever the nesting."""
    if isinstance(spec, list):
        return [value for each in spec for value in drawn(each)]
    if not isinstance(spec, dict):
        return []
    own = spec.get("data", {}).get("values", [])
    return [*own, *(value for key, each in spec.items() if key != "data" for value in drawn(each))]


def test_the_section_says_who_answered_and_how_often_the_forms_agree(run):
    text = write_report(run.path).read_text(encoding="utf-8")
    assert text.count('id="deployed"') == 1
    assert "<script>alert" not in text
    assert "arithmetic <b>tflm-double</b>, the device's" in text
    # 3 arms, 2 seeds, 12 rounds; attacked arms' probes differ in every round, round 3 differs everywhere.
    assert agreement(run) == (11 * 2, 72)
    assert "the same in 22 of 72 evaluated rounds" in text


def test_scores_are_means_over_the_last_tenth_and_the_seeds(run):
    arms = summarize_arms(run)
    (name, control, integers, exported, lost), *_ = made.forms_table(run, arms).rows
    value = arms[0].accuracy.mean
    assert name == "mean, nobody lies"
    assert (integers, exported) == (f"{100 * value:.1f} %",) * 2
    assert control == f"{100 * (value + 0.004):.1f} %"
    assert lost == "+0.40 points"


def test_attack_success_stands_beside_its_floor_and_says_whose_that_is(run):
    arms = summarize_arms(run)
    rows = {row[0].split(" <")[0]: row for row in made.asr_table(run, arms).rows}
    assert list(rows) == ["mean under attack", "coordinate-wise median under attack"]
    # Round 12 of 12: min(1, 1.2), exported half of it; the clean arm's rates 0.02 and 0.04 on the probes of `mean` alone.
    assert rows["mean under attack"][1:] == (
        "100.0 %", "100.0 %", "50.0 %", "25.0 %", "3.0 %", "“mean, nobody lies”",
    )  # fmt: skip
    assert rows["coordinate-wise median under attack"][5:] == ("30.0 %", "the untrained first model")
    assert asr_floor(run, "clean") is None


def test_the_attack_chart_draws_the_deployed_model_and_the_floors(run):
    values = drawn(asr_chart(run, summarize_arms(run), LIGHT))
    shares = {round(value["accuracy"], 4) for value in values if "accuracy" in value}
    assert {0.05, 0.25, 0.5, 0.03, 0.3} <= shares
    assert 1.0 not in shares, "the integers' rate"


def test_classes_without_test_samples_are_left_out_and_named_by_the_manifest(run):
    recalls = dict(class_recalls(run, "clean"))
    assert list(recalls)[:4] == ["zero", "1", "2", "3"]
    assert "4" not in recalls
    assert recalls["3"] == 36 / 37
    table = made.class_table(run, summarize_arms(run))
    assert table.rows[-1][0] == "mean of the classes"
    assert table.rows[-1][1] == f"{100 * math.fsum(recalls.values()) / len(recalls):.1f} %"
    assert len([v for v in drawn(class_chart(run, summarize_arms(run), LIGHT)) if "recall" in v]) == 3 * 9
    assert made.mistake_table(run, summarize_arms(run)).rows[0][1:] == ("3", "8", "2"), "two seeds, once each"


def test_tails_are_of_the_honest_clients_and_of_all(run):
    arms = summarize_arms(run)
    value = arms[0].accuracy.mean
    row = made.tail_table(run, arms).rows[0]
    assert row[1:] == tuple(f"{100 * value * part:.1f} %" for part in (1, 0.95, 0.85, 1, 0.9, 0.8))
    worst = min(v["share"] for v in drawn(clients_chart(run, arms, LIGHT)) if "share" in v)
    assert 0 < worst < 0.5


def test_bits_and_arithmetics_are_one_table(run):
    assert [(cell.bits, cell.arithmetic) for cell in axes(run, "mean")] == [
        (8, "tflm-double"), (8, "ruy"), (4, "tflm-double"), (4, "ruy"),
    ]  # fmt: skip
    table = made.axes_table(run, summarize_arms(run))
    assert table.header[3:] == ("tflm-double", "ruy")
    assert len(table.rows) == 6
    assert table.rows[0][2] == "2\u2009536"
    assert "ASR 100.0 %" in table.rows[2][3]


def test_costs_carry_how_they_were_found(run):
    rows = {row[0]: row[1:] for row in made.cost_table(run, summarize_arms(run)).rows}
    assert rows["an inference, multiply-accumulates"] == ("2\u2009368", "counted from the network's table")
    assert rows["m0: a training step, instructions (emulated)"] == ("41\u2009250", "counted in this run")
    sent = sum(row.bytes_up for rows_ in run.rounds.values() for row in rows_)
    offered = sum(row.cohort for rows_ in run.rounds.values() for row in rows_)
    assert rows["a client's round up on the line, bytes"][0].replace("\u2009", "") == f"{sent / offered:.0f}"


def test_a_run_that_measured_none_of_it_has_no_section(page):
    assert 'id="deployed"' not in page


def test_the_csv_has_the_flat_fields_and_not_the_nested_one(run):
    header, first, *_ = to_csv([row for rows in run.rounds.values() for row in rows], RoundRow).splitlines()
    names = header.split(",")
    assert "last" not in names
    cells = dict(zip(names, first.split(","), strict=True))
    assert cells["accuracy_exported"] == cells["accuracy"]
    assert cells["recall"].split(" ")[3:6] == [str(36 / 37), "-", "0.5"]


def test_the_metric_is_called_by_its_name(make_run):
    import msgspec

    from byzantiny.records import Manifest

    path = make_run(deployed=True)
    file = path / "manifest.json"
    manifest = msgspec.json.decode(file.read_bytes(), type=Manifest)
    file.write_bytes(msgspec.json.encode(msgspec.structs.replace(manifest, task=manifest.task | {"metric": "auc"})))
    text = write_report(path).read_text(encoding="utf-8")
    assert "<h2>AUC per round</h2>" in text
    assert "Test-set AUC per round" in text


def test_forms_are_drawn_over_each_other_in_every_arm(run):
    spec = forms_chart(run, summarize_arms(run), LIGHT)
    assert [len(panel["layer"]) for panel in spec["concat"]] == [3, 3, 3]
    assert figure_of(run, "clean", asr_of) is None
