"""`byzantiny plan`: numbers, tables, mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

HARD = Path(__file__).resolve().parents[2] / "experiments" / "hard.toml"
SAMPLED = ("plan", "--fleet", "100", "--byzantine", "0.1", "--cohort", "20", "--rounds", "50")


def test_the_plan_as_an_object(cli):
    said = cli(*SAMPLED, "--f-declared", "4", "krum", "--json")
    code, out = said.status, said.out
    plan = json.loads(out)
    assert code == 0
    assert plan["schema"] == "byzantiny.plan/1"
    assert plan["exceeded_round"] == pytest.approx(0.02546454642704, abs=1e-12), (
        "scipy.stats.hypergeom(100, 10, 20).sf(4)"
    )
    assert plan["exceeded_run"] == pytest.approx(1 - (1 - 0.02546454642704) ** 50, abs=1e-9)
    assert plan["f_declared_needed"] == 7
    (krum,) = plan["defences"]
    assert (krum["needs"], krum["admissible"]) == (17, True), "2 f + 3"
    assert plan["down_bytes_round"] == 20 * 5040
    assert plan["bytes_run"] == 50 * (20 * 5040 + 20 * 2538)


def test_the_plan_for_people(cli):
    said = cli(*SAMPLED, "--f-declared", "4", "--dropout", "0.05")
    code, out = said.status, said.out
    assert code == 0
    assert "more than f_declared = 4: 2.5 % of rounds; some round of the run: 72.5 %" in out
    assert "nnm+trimmed-mean" in out
    assert "too small" in out, "bulyan needs more than 20"


def test_an_experiment_gives_the_numbers_and_its_own_defence_is_asked(cli):
    said = cli("plan", "--config", str(HARD), "--json")
    code, out = said.status, said.out
    plan = json.loads(out)
    assert code == 0
    assert plan["fleet"] == 24
    assert plan["f_declared"] > 0
    assert plan["defences"][0]["defence"] == "the experiment's"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--fleet is missing"),
        (("--fleet", "10"), "--byzantine is missing"),
        (("--fleet", "10", "--byzantine", "2.5"), "give a whole number, or a share below 1"),
        (("--fleet", "10", "--byzantine", "11"), "liars = 11"),
        (("--fleet", "10", "--byzantine", "2", "--cohort", "11"), "cohort = 11"),
        (("--fleet", "10", "--byzantine", "2", "--level", "0"), "a probability above 0"),
        (("--fleet", "10", "--byzantine", "2", "krmu"), "did you mean 'krum'"),
        (("--fleet", "10", "--byzantine", "2", "--task", "digist"), "did you mean `digits`"),
        (("--config", str(HARD), "--arm", "median"), "unknown arm `median`"),
    ],
)
def test_a_mistake_names_value_limit_and_remedy(cli, arguments, said):
    found = cli("plan", *arguments)
    assert found.status == 2
    assert said in found.err
    assert "Traceback" not in found.err
