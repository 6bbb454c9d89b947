"""The Python in the pages runs: blocks with prompts as doctests, the others as they are, one namespace a page."""

import doctest
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = {page.relative_to(ROOT).as_posix(): PYTHON.findall(page.read_text(encoding="utf-8")) for page in PAGES}


@pytest.mark.parametrize("page", [name for name, blocks in BLOCKS.items() if blocks])
def test_the_python_of_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "__page__"}
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL)
    for number, block in enumerate(BLOCKS[page], 1):
        if ">>>" in block:
            test = doctest.DocTestParser().get_doctest(block, namespace, f"{page}, block {number}", page, 0)
            said = []
            runner.run(test, out=said.append, clear_globs=False)
            assert not said, "".join(said)
            namespace.update(test.globs)
        else:
            exec(compile(block, f"{page}, block {number}", "exec"), namespace)
