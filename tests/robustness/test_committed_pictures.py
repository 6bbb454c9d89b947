"""The pictures of the pages: small, each on its page, drawn of what the command would draw."""

from __future__ import annotations

from pathlib import Path

import pytest

from byzantiny.robustness.breakdown import page_defences, pages

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize("rule", pages())
def test_a_rule_s_page_ends_with_its_picture(rule):
    page = (DOCS / "rules" / f"{rule}.md").read_text(encoding="utf-8")
    section = page.rpartition("\n## ")[2]
    assert section.startswith("Breakdown\n")
    assert f"](breakdown/{rule}.svg)" in section
    assert f"`byzantiny breakdown {rule}`" in section
    picture = DOCS / "rules" / "breakdown" / f"{rule}.svg"
    text = picture.read_text(encoding="utf-8")
    assert len(text) < 60_000
    assert f">{page_defences(rule)[-1]}: error against the share of liars<" in text
    assert 'fill="#ffffff"' in text, "paper of its own: the page behind may be dark"


def test_no_picture_is_left_over_or_large():
    assert {path.stem for path in (DOCS / "rules" / "breakdown").iterdir()} == set(pages())
    page = "".join((DOCS / name).read_text(encoding="utf-8") for name in ("robustness.md", "data.md"))
    for path in (DOCS / "pictures").iterdir():
        assert path.stat().st_size < 200_000
        assert f"](pictures/{path.name})" in page, f"{path.name} is on no page"
