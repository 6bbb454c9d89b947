"""The page of the zoo has the cards that the code has; `python tests/docs/test_attack_zoo.py` writes them anew."""

import re
from pathlib import Path

import pytest

from byzantiny.attacks import ATTACKS
from byzantiny.cli.listing import card, facts

PAGE = Path(__file__).resolve().parents[2] / "docs" / "attack-zoo.md"
FAMILIES = ("data", "untargeted", "targeted", "pretrained", "quantized")
ON_WIRE = ("manifest", "link", "downlink")
BLOCK = r"(<!-- cards: {} -->\n)(.*?)(<!-- cards: end -->)"


def family(attack):
    return attack.__module__.split(".")[-2]


def table(name):
    return wire_table(name) if name in ON_WIRE else craft_table(name)


def wire_table(name):
    rows = [
        "| name | what it does | parameters | refused as | leaves | ATLAS | NIST |",
        "|---|---|---|---|---|---|---|",
    ]
    for attack in ATTACKS.values():
        if family(attack) == name:
            info = attack.info
            refused = ", ".join(f"`{answer}`" for answer in info.answer) or "–"
            cells = [f"`{info.name}`", info.formula, facts(card(attack)).get("parameters", ""), refused, info.leaves]
            rows.append(f"| {' | '.join([*cells, *taxonomies(info)])} |")
    return "\n".join(rows) + "\n"


def taxonomies(info):
    atlas = ", ".join(code.removeprefix("AML.") for code in info.atlas)
    return atlas, ", ".join(code.removeprefix("NISTAML") for code in info.nist)


def craft_table(name):
    rows = [
        "| name | formula | parameters | knowledge | needs | aims at | access | ATLAS | NIST |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for attack in ATTACKS.values():
        if family(attack) == name:
            info = attack.info
            cells = [
                f"`{info.name}`",
                info.formula.replace("|", r"\|"),
                facts(card(attack)).get("parameters", ""),
                info.knowledge,
                ", ".join(info.needs),
                info.aims_at,
            ]
            rows.append(f"| {' | '.join([*cells, info.access, *taxonomies(info)])} |")
    return "\n".join(rows) + "\n"


@pytest.mark.parametrize("name", FAMILIES + ON_WIRE)
def test_the_page_has_the_cards_of_a_family(name):
    text = PAGE.read_text(encoding="utf-8")
    found = re.search(BLOCK.format(name), text, re.DOTALL)
    assert found is not None
    assert found[2] == table(name), "run: python tests/docs/test_attack_zoo.py"
    section = text[found.end() :].split("\n## ")[0]
    assert (
        name == "quantized" or "**What breaks it.**" in section or (name in ON_WIRE and "**What meets it.**" in section)
    )


def test_every_attack_is_of_a_family_on_the_page():
    assert {family(attack) for attack in ATTACKS.values()} == {*FAMILIES, *ON_WIRE}


if __name__ == "__main__":
    page = PAGE.read_text(encoding="utf-8")
    for each in FAMILIES + ON_WIRE:
        page = re.sub(BLOCK.format(each), lambda m, each=each: m[1] + table(each) + m[3], page, flags=re.DOTALL)
    PAGE.write_text(page, encoding="utf-8")
