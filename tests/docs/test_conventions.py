"""Every test that a page names is there."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
NAMES = sorted(
    {
        (page.relative_to(ROOT).as_posix(), *found)
        for page in ROOT.glob("docs/**/*.md")
        for found in NAMED.findall(page.read_text())
    }
)


@cache
def defined(path):
    return {node.name for node in ast.parse((ROOT / path).read_text()).body if hasattr(node, "name")}


@pytest.mark.parametrize("page", sorted({page for page, _, _ in NAMES}))
def test_the_tests_that_a_page_names_exist(page):
    missing = [f"{path}::{name}" for where, path, name in NAMES if where == page and name not in defined(path)]
    assert not missing


def test_conventions_and_defects_each_name_a_test():
    rows = [line for line in (ROOT / "docs/conventions.md").read_text().splitlines() if line.startswith("| ")]
    without = [row for row in rows if "::" not in row and "| test |" not in row]
    assert len(rows) > 40
    assert not without
