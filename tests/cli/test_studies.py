"""The studies from the command line: what they print, what they refuse, how they end early, how they show progress."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from byzantiny.cli import robustness
from byzantiny.cli.progress import Patience

Cli = Callable[..., Any]
QUICK = ("--n", "9", "--d", "200", "--f-step", "2", "--per-octave", "1")


def test_a_phase_picture_in_letters(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    said = cli("phase", "median", "sr-median", *QUICK)
    assert (said.status, said.err) == (0, "")
    lines = [line.rstrip() for line in said.out.splitlines()]
    assert lines[0].split() == ["median", "sr-median"]
    assert [line.split()[0] for line in lines[1:4]] == ["0.44", "0.22", "0.00"]
    assert lines[3].split()[1].startswith("..."), "the median takes no step on the coarsest grids"
    assert lines[3].split()[1].endswith("99")
    assert set(lines[1].split()[3]) == {"-"}, "four of nine that saturate turn it"
    assert "\x1b" not in said.out


def test_a_phase_picture_as_json_is_one_object(cli: Cli) -> None:
    said = cli("phase", "mean", *QUICK, "--json", "--out", "p.png")
    value = json.loads(said.out)
    assert said.out.count("\n") == 1
    assert value["schema"] == "byzantiny.phase/1"
    assert value["panels"][0]["rule"] == "mean"
    assert len(value["spread_steps"]) == len(value["panels"][0]["cosine"][0]) == 10
    assert Path("p.png").read_bytes()[:4] == b"\x89PNG"
    assert cli("phase", "mean", *QUICK, "--json").out == said.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["phase", "medain"], "did you mean 'median'"),
        (["phase", "--attack", "none"], "unknown attack `none`"),
        (["phase", "--n", "1"], "n is 1; the limits are 3 .. 1000: choose one within"),
        (["phase", "--out", "p.gif"], "a picture ends in .svg, .png, .html; name the file so"),
        (["phase", "--out", "no/p.svg"], "is in a folder that does not exist; name a file in a folder that is there"),
        (["bias", "krum:f"], "write key=value, e.g. s=3"),
        (["bias", "nnm+"], "has an empty stage"),
        (["bias", "--f-step", "0"], "f-step is 0; the limits are 1 .. 20"),
        (["bias", "--evaluations", "-1"], "evaluations is -1"),
        (["bias", "krum", "--all"], "leave out the one or the other"),
        (["bias", "nnm"], "then exactly 1 aggregator"),
        (["kappa", "--n", "40"], "n is 40; the limits are 3 .. 16"),
        (["kappa", "--f", "0"], "f is 0; the limits are 1 .. 5"),
        (["breakdown"], "breakdown needs a defence, e.g. krum"),
        (["breakdown", "--all"], "a folder that is there"),
        (["breakdown", "krum", "--trials", "1000"], "trials is 1000; the limits are 1 .. 100"),
        (["breakdown", "krum", "--out", "."], "a picture ends in"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(arguments: list[str], said: str, cli: Cli) -> None:
    assert said in cli(*arguments).refusal


def test_a_number_that_is_none_is_refused_with_status_2(cli: Cli) -> None:
    said = cli("phase", "--n", "many")
    assert said.status == 2
    assert "'--n'" in said.err


def test_the_table_of_biases(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    arguments = ("bias", "mean", "bulyan", "--n", "8", "--d", "20", "--evaluations", "0")
    said = cli(*arguments, "--out", "b.svg")
    assert (said.status, said.err) == (0, "")
    head, mean, bulyan, *_ = said.out.splitlines()
    assert head.split() == ["defence", "sign", "flip", "anything", "0.00", "0.12", "0.25", "0.38"]
    assert mean.split()[:3] == ["mean", "0.12", "0.12"]
    assert bulyan.split()[-1] == "-", "it refuses"
    assert "~" not in mean, "the mean's bias is exact"
    assert Path("b.svg").read_text().startswith("<svg")
    value = json.loads(cli(*arguments, "--json").out)
    assert [curve["defence"] for curve in value["curves"]] == ["mean", "bulyan"]
    assert value["curves"][0]["points"][1]["exact"] is True


def test_the_table_of_kappas(cli: Cli) -> None:
    arguments = ("kappa", "median", "mean", "rlr:theta=3", "multi-krum:m=2", "bulyan", "--n", "9", "--evaluations", "0")
    said = cli(*arguments)
    rows = {line.split()[0]: line.split()[1:] for line in said.out.splitlines()[1:6]}
    assert rows["median"] == ["1.33", "1.33", "1.00"]
    assert rows["mean"] == ["unbounded", "unbounded"]
    assert rows["multi-krum:m=2"][:2] == ["not", "declared"]
    assert rows["bulyan"][-1] == "refused"
    assert "bulyan with f = 2 needs 11 clients; there are 9" in said.out
    value = json.loads(cli(*arguments, "--json").out)
    assert value["rows"][1]["declared"] == "unbounded"


def test_the_breakdown_of_a_rule_and_of_all_rules(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    small = ("--n", "5", "--d", "8", "--trials", "1")
    said = cli("breakdown", "nnm", *small, "--out", "nnm.svg")
    assert (said.status, said.err) == (0, "")
    assert said.out.splitlines()[0].split() == ["krum", "0.00", "0.20", "0.40"]
    assert "nnm+krum" in said.out
    assert "needs 7 clients; there are 5" in said.out
    assert "nnm+krum" in Path("nnm.svg").read_text()
    monkeypatch.setattr(robustness, "pages", lambda: ("krum", "arc"))
    Path("pictures").mkdir()
    said = cli("breakdown", "--all", *small, "--out", "pictures")
    assert "wrote 2 pictures into pictures" in said.out
    assert sorted(path.name for path in Path("pictures").iterdir()) == ["arc.svg", "krum.svg"]
    assert len(json.loads(cli("breakdown", "krum", *small, "--json").out)["curves"]) == 1


def test_a_picture_without_the_report_extra_is_refused_and_letters_are_not(process: Cli) -> None:
    said = process("phase", "mean", *QUICK, "--out", "p.svg", gone=["vl_convert"])
    assert "pip install 'byzantiny[report]'" in said.refusal
    assert process("phase", "mean", *QUICK, gone=["vl_convert", "jinja2"]).status == 0


def test_ctrl_c_ends_a_study_quietly_and_leaves_no_file(tmp_path: Path) -> None:
    program = (
        "import sys, byzantiny.cli.robustness as r\n"
        "def slow(study, patience):\n"
        "    import time\n"
        "    sys.stderr.write('begun\\n'); sys.stderr.flush(); time.sleep(60)\n"
        "r.phase = slow\n"
        "sys.argv = ['byzantiny', 'phase', '--out', 'p.svg']\n"
        "from byzantiny.cli import main\n"
        "main()\n"
    )
    done = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=os.environ,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert done.stderr is not None
    assert done.stderr.readline() == "begun\n"
    time.sleep(0.1)
    done.send_signal(signal.SIGINT)
    out, err = done.communicate(timeout=30)
    assert (done.returncode, out, err) == (130, "", "stopped; nothing was written\n")
    assert list(tmp_path.iterdir()) == []


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_progress_is_silent_for_two_seconds_and_then_a_few_plain_lines() -> None:
    clock, stream = Clock(), io.StringIO()
    with Patience("phase", console=Console(file=stream, width=80), clock=clock) as patience:
        patience(1, 100)
        assert stream.getvalue() == ""
        for done in range(2, 101):
            clock.now = 0.1 * done
            patience(done, 100)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "phase: 20 of 100, about 8 s left"
    assert len(lines) == 8
    assert "\x1b" not in stream.getvalue()


def test_progress_on_a_terminal_is_a_bar_that_vanishes() -> None:
    clock, stream = Clock(), io.StringIO()
    console = Console(file=stream, width=80, force_terminal=True)
    with Patience("bias", console=console, clock=clock) as patience:
        clock.now = 3.0
        patience(5, 10, "krum")
    assert "bias krum" in stream.getvalue()
    assert stream.getvalue().rstrip().endswith("\x1b[2K"), "the line is wiped"


def test_progress_that_is_not_wanted_says_nothing() -> None:
    clock, stream = Clock(), io.StringIO()
    with Patience("kappa", enabled=False, console=Console(file=stream), clock=clock) as patience:
        clock.now = 9.0
        patience(5, 10)
    assert stream.getvalue() == ""
