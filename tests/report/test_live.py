"""The live view and the final table: what a log shows, what a terminal shows, and what neither lets through."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from byzantiny.cli.live import Live, arms_table, print_table, sparkline
from byzantiny.experiment.events import ArmFinished, ArmStarted, Notice, RoundClosed
from byzantiny.report import load_run, summarize_arms, summary
from byzantiny.report.units import human_bytes, human_seconds

EVIL = "[red]x[/red]\x1b[2J\x07"


def closed(number: int, *, rounds: int = 40, accuracy: float | None = 0.5, **more) -> RoundClosed:
    return RoundClosed("mean", number, rounds, accuracy, 10, 2, 1000, 3000, 30.0, **more)


def console(*, width: int = 110, terminal: bool = False) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, width=width, force_terminal=terminal, highlight=False, color_system=None), file


def play(live: Live, rounds: int = 40) -> None:
    with live:
        live.on_event(Notice(EVIL))
        live.on_event(ArmStarted("mean", "mean " + EVIL, 1, 2, rounds, 3))
        for number in range(1, rounds + 1):
            live.on_event(closed(number, rounds=rounds, accuracy=None if number == rounds else number / rounds))
        live.on_event(ArmFinished("mean", 3, 0.93, 12.0))


@pytest.mark.parametrize("rounds", [1, 7, 40, 1000])
def test_a_log_gets_at_most_one_line_a_tenth(rounds):
    out, file = console()
    play(Live(console=out), rounds)
    lines = file.getvalue().splitlines()
    assert len(lines) == 3 + min(rounds, 10)
    assert f"round {rounds}/{rounds}" in lines[-2]
    assert lines[-1].endswith("done in 12 s, accuracy 93.0 % (last tenth)")


def test_a_line_counts_the_whole_run_so_far():
    out, file = console()
    play(Live(console=out))
    assert (
        "round 8/40, accuracy 20.0 %, accepted 80, refused 16, up 8.00 KB, down 24.0 KB, 30 s left" in file.getvalue()
    )


def test_a_line_tells_the_exported_model_where_it_differs_and_the_attack_s_success():
    out, file = console()
    live = Live(console=out)
    live.on_event(ArmStarted("mean", "mean", 1, 1, 2, 3))
    live.on_event(closed(1, rounds=2, exported=0.5, asr=0.25))
    live.on_event(closed(2, rounds=2, exported=0.48))
    first, second = file.getvalue().splitlines()[1:]
    assert "accuracy 50.0 %, ASR 25.0 %, accepted" in first
    assert "accuracy 50.0 % (exported 48.0 %), accepted" in second


@pytest.mark.parametrize("interactive", [False, True])
def test_escape_sequences_and_markup_never_reach_the_terminal(interactive):
    out, file = console()
    play(Live(console=out, interactive=interactive))
    assert "[red]x[/red]" in file.getvalue()
    assert "\x1b[2J" not in file.getvalue()
    assert "\x07" not in file.getvalue()


def test_a_terminal_gets_a_table_with_a_curve_and_the_time_left():
    out, file = console(terminal=True)
    live = Live(console=out, interactive=True)
    with live:
        live.on_event(ArmStarted("mean", "the mean", 2, 3, 40, 1))
        for number in range(1, 21):
            live.on_event(closed(number, accuracy=number / 20, seed=1))
    shown = file.getvalue()
    assert "the mean" in shown
    assert "20/40" in shown
    assert "▁▁▂▂▃▃▃▄▄▅▅▅▆▆▇▇▇███ 100.0 %" in shown
    assert "run 2 of 3, about 30 s left" in shown
    assert "\x1b[?25h" in shown, "the cursor is given back"


def test_a_disabled_view_says_nothing():
    out, file = console()
    play(Live(enabled=False, console=out))
    assert file.getvalue() == ""


def test_no_color_is_respected(monkeypatch, run_dir):
    monkeypatch.setenv("NO_COLOR", "1")
    file = io.StringIO()
    print_table(load_run(run_dir), Console(file=file, force_terminal=True, width=90))
    assert "\x1b[3" not in file.getvalue()
    assert "✓ met" in file.getvalue()


def test_rounds_of_parallel_seeds_are_kept_apart():
    out, file = console()
    live = Live(console=out)
    for seed in (1, 2):
        live.on_event(ArmStarted("mean", "mean", seed, 2, 10, seed))
    for seed in (1, 2, 1):
        live.on_event(closed(10, rounds=10, seed=seed))
    live.on_event(closed(10, rounds=10))
    accepted = [line.split("accepted ")[1].split(",")[0] for line in file.getvalue().splitlines()[2:]]
    assert accepted == ["10", "10", "20", "20"]


def test_an_event_of_an_unknown_arm_is_ignored():
    out, file = console()
    Live(console=out).on_event(closed(4))
    assert file.getvalue() == ""


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("width", [100, 80, 60, 40])
def test_the_final_table_shows_every_name_and_figure_at_every_width(run_dir, width, encoding):
    run = load_run(run_dir)
    out, file = console(width=width)
    out.print(arms_table(run, width=width, encoding=encoding))
    text = file.getvalue()
    assert max(map(len, text.splitlines())) <= width
    words, signs = text.split(), "utf-8" in encoding
    for arm in summarize_arms(run):
        assert arm.accuracy is not None
        assert set(arm.info.title.split()) <= set(words)
        assert f"{100 * arm.accuracy.mean:.1f} %" in text
        for figure in (f"{arm.accepted} accepted", f"{arm.refused} refused", human_seconds(arm.wall_s)):
            assert figure in text
        for size, way in ((arm.bytes_up, "up"), (arm.bytes_down, "down")):
            assert f"{human_bytes(size)} {way}" in text
        assert (arm.verdict.target if signs else arm.info.target) in text
    assert text.count("✓ met") == (2 if signs else 0)
    assert words.count("met") == 2
    assert words.count("missed") == 1
    assert text.isascii() is not signs


def test_a_name_of_one_long_word_is_not_broken_for_the_figures(make_run):
    path = make_run()
    manifest = path / "manifest.json"
    manifest.write_text(manifest.read_text().replace("mean, nobody lies", "m" * 50))
    out, file = console(width=80)
    print_table(load_run(path), out)
    assert "m" * 50 in file.getvalue()


@pytest.mark.parametrize("width", [100, 80, 60, 40])
def test_the_live_table_cuts_the_name_and_never_a_figure(width):
    out, file = console(width=width, terminal=True)
    live = Live(console=out, interactive=True)
    with live:
        live.on_event(ArmStarted("mean", "coordinate-wise median under attack", 1, 2, 40, 3))
        for number in range(1, 31):
            live.on_event(closed(number, accuracy=number / 40, seed=3))
    last = [line for line in file.getvalue().split("\n") if "coordinate-wise" in line][-1]
    assert "30/40 " in last
    assert "75.0 %" in last


@pytest.mark.parametrize("rounds_left", [7, 0])
def test_an_arm_that_is_not_finished_is_not_judged(make_run, rounds_left):
    path = make_run(finished=False)
    for seed in (1, 2):
        folder = path / f"arms/clean/seed-{seed}"
        (folder / "final.json").unlink()
        for name, each in (("rounds.jsonl", 1), ("clients.jsonl", 10)):
            lines = (folder / name).read_text().splitlines(keepends=True)
            (folder / name).write_text("".join(lines[: each * rounds_left]))
    run = load_run(path)
    verdict = summarize_arms(run)[0].verdict
    assert (verdict.target, verdict.met) == ("≥ 90 %", None)
    assert verdict.word == ("unfinished" if rounds_left else "not measured")
    assert summary(run)["arms"][0]["target_met"] is None
    out, file = console()
    print_table(run, out)
    assert file.getvalue().count("✓ met") == 1
    assert ">=" not in file.getvalue()


def test_the_final_table_names_what_is_missing(make_run):
    out, file = console()
    print_table(load_run(make_run(finished=False)), out)
    assert "unfinished: the manifest says that the run has not finished" in file.getvalue()


def test_three_seeds_bring_an_interval_to_the_table(make_run):
    out, file = console()
    out.print(arms_table(load_run(make_run(seeds=(1, 2, 3)))))
    assert file.getvalue().count("± ") == 3


def test_the_summary_is_json_and_says_what_the_table_says(run_dir):
    run = load_run(run_dir)
    found = json.loads(json.dumps(summary(run)))
    assert found["schema"] == "byzantiny.summary/1"
    assert found["complete"] is True
    for arm, row in zip(summarize_arms(run), found["arms"], strict=True):
        assert arm.accuracy is not None
        assert row["accuracy_last_tenth"] == arm.accuracy.mean
        assert row["target_met"] is arm.verdict.met
        assert (row["accepted"], row["refused"]) == (arm.accepted, arm.refused)
        assert row["accuracy_last_tenth_ci95"] is None


def test_without_unicode_the_curve_is_ascii():
    assert sparkline([0.0, 1.0], sparks="_.:-=+*#") == "_#"
    assert sparkline([]) == ""
    assert sparkline([-1.0, 2.0]) == "▁█"
