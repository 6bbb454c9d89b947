"""What the pages point at is there: links, headings, files of the repository, names of the packages."""

import importlib
import re
from importlib.metadata import entry_points
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
PATH = re.compile(r"(?<![\w/.-])((?:tests|docs|host|models|firmware_tools|hil|experiments|benchmarks)/[\w./*-]*[\w/*])")
NAME = re.compile(r"`(byzantiny(?:_models|_firmware|_hil)?(?:\.\w+)+)(?:\(\))?`")
GROUPS = {
    f"byzantiny.{kind}"
    for kind in ("bodies", "ports", "commands", "aggregators", "preaggregators", "screening", "attacks", "tasks")
}
"""Groups of entry points, of which some are modules too."""


def prose(page):
    """The page without its blocks of code."""
    return FENCED.sub("", page.read_text(encoding="utf-8"))


def slugs(page):
    """The anchors of a page's headings, as GitHub makes them."""
    found = set()
    for line in prose(page).splitlines():
        if line.startswith("#"):
            text = re.sub(r"[`*]|\]\([^)]*\)|\[", "", line.lstrip("#").strip()).lower()
            found.add(re.sub(r"[^\w\- ]", "", text).replace(" ", "-"))
    return found


def page_id(page):
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_relative_link_leads_to_a_file_and_every_anchor_to_a_heading(page):
    for target in LINK.findall(CODE.sub("", prose(page))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = unquote(target).partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), f"{page_id(page)} links to {target}"
        if anchor and file.suffix == ".md":
            assert anchor in slugs(file), f"{page_id(page)} links to {target}; the headings are {sorted(slugs(file))}"


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_file_of_the_repository_that_is_named_exists(page):
    for name in PATH.findall(re.sub(r"\w+://\S+", "", prose(page))):
        assert any(ROOT.glob(name.rstrip("/"))), f"{page_id(page)} names {name}"


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_name_of_a_package_that_is_written_out_exists(page):
    for name in NAME.findall(prose(page)):
        assert name in GROUPS or exists(name), f"{page_id(page)} names {name}"


def exists(name):
    """Whether a dotted name is a module, or an attribute of one."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            thing = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        try:
            for attribute in parts[cut:]:
                thing = getattr(thing, attribute)
        except AttributeError:
            return False
        return True
    return False


def test_every_page_is_on_the_map():
    start = ROOT / "docs" / "README.md"
    linked = {(start.parent / target.partition("#")[0]).resolve() for target in LINK.findall(prose(start))}
    missing = {page for page in (ROOT / "docs").rglob("*.md") if page != start} - linked
    assert not missing, f"docs/README.md leaves out {sorted(map(page_id, missing))}"


def test_every_body_and_port_that_is_installed_is_described():
    text = (ROOT / "docs" / "bodies.md").read_text(encoding="utf-8")
    for group in ("byzantiny.bodies", "byzantiny.ports"):
        assert all(f"`{point.name}`" in text for point in entry_points(group=group))


def test_decisions_are_numbered_without_gaps_and_short():
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert len(text.splitlines()) < 60, page.name
        assert all(f"\n## {part}\n" in text for part in ("Context", "Decision", "Consequences")), page.name
