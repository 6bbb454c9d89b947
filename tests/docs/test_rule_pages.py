"""A page for every rule of every zoo, in one shape, with the card the code has; `python tests/docs/test_rule_pages.py`
writes the cards anew.
"""

import re
from pathlib import Path

import pytest

from byzantiny.aggregators import AGGREGATORS
from byzantiny.cli.listing import card, facts
from byzantiny.preaggregators import PREAGGREGATORS
from byzantiny.screening import SCREENING

RULES = {**AGGREGATORS, **PREAGGREGATORS, **SCREENING}
PAGES = Path(__file__).resolve().parents[2] / "docs" / "rules"
HEADINGS = ["When to use it", "Limit", "Cost", "What breaks it"]
CARD = re.compile(r"<!-- card: begin -->\n(.*?)<!-- card: end -->\n", re.DOTALL)
LINK = re.compile(r"\]\(([\w-]+)\.md\)")


def page(name):
    return (PAGES / f"{name}.md").read_text(encoding="utf-8")


def table(name):
    """The card as the page has it; the formula stands above, the cost and the limit have a section too."""
    rows = facts(card(RULES[name]))
    rows.pop("formula")
    ours = " (this project, docs/robustness.md)"  # the other source of a kappa is named
    escaped = {label: text.removesuffix(ours).replace("|", r"\|") for label, text in rows.items()}
    return "| card | |\n|---|---|\n" + "".join(f"| {label} | {text} |\n" for label, text in escaped.items())


@pytest.mark.parametrize("name", RULES)
def test_a_rule_has_a_page_with_a_formula_and_the_same_headings(name):
    text = page(name)
    assert re.match(rf"# {name}\n\n    \S", text), "a title and a formula"
    found = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert [heading for heading in found if heading in HEADINGS] == HEADINGS
    assert all(re.search(rf"^## {heading}\n\n\S", text, re.MULTILINE) for heading in HEADINGS)
    assert not re.search(r"^\*\*\w+\.\*\*", text, re.MULTILINE), "headings, not bold words"


@pytest.mark.parametrize("name", RULES)
def test_a_page_has_the_card_that_the_code_has(name):
    found = CARD.findall(page(name))
    assert found == [table(name)], "run: python tests/docs/test_rule_pages.py"


def test_the_index_links_every_rule_once_under_its_zoo_and_no_other_page_is_there():
    text = (PAGES / "README.md").read_text(encoding="utf-8")
    before, _, after = text.partition("## Before the aggregator")
    assert sorted(LINK.findall(before)) == sorted(AGGREGATORS)
    assert sorted(LINK.findall(after)) == sorted({**PREAGGREGATORS, **SCREENING})
    assert {path.stem for path in PAGES.glob("*.md")} == {*RULES, "README"}


def test_the_readme_counts_the_rules():
    text = (PAGES.parents[1] / "README.md").read_text(encoding="utf-8")
    assert f"\n{len(AGGREGATORS)} aggregators and {len(PREAGGREGATORS)} stages to put before them" in text


def write_cards():
    """Put every card in its place: between its marks, or before the first heading."""
    for name in RULES:
        text, block = page(name), f"<!-- card: begin -->\n{table(name)}<!-- card: end -->\n"
        text = (
            CARD.sub(lambda _, block=block: block, text)
            if CARD.search(text)
            else text.replace("\n## ", f"\n{block}\n## ", 1)
        )
        (PAGES / f"{name}.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_cards()
