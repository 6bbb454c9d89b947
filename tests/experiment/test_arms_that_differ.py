"""Arms that train differently in one run: manifest, report and grid tell each by what it trains itself."""

from __future__ import annotations

import json

from byzantiny.report.grid import tensor_paths
from byzantiny.report.page import write_report
from byzantiny.report.run import load_run

SCOPED = {
    "rounds": 4,
    "grid": {"adapt": True, "every_rounds": 1},
    "clients": [{"prefix": "np", "count": 12, "body": "numpy"}],
    "arms": {
        "whole": {},
        "only": {"training": {"trainer": "int8-only"}},
        "part": {"training": {"scope": ["dense1/kernel", "dense0/bias"]}},
    },
}


def test_an_arm_of_another_scope_is_told_by_its_own_tensors(run):
    path = run(SCOPED).path
    arms = {arm["name"]: arm["tensors"] for arm in json.loads((path / "manifest.json").read_text())["arms"]}
    assert arms == {"whole": [], "only": [], "part": ["dense0/bias", "dense1/kernel"]}
    loaded = load_run(path)
    assert [each.tensor for each in tensor_paths(loaded, "part")] == ["dense0/bias", "dense1/kernel"]
    assert [each.tensor for each in tensor_paths(loaded, "whole")] == loaded.manifest.tensors


def test_the_report_says_of_an_arm_how_it_trains(run):
    page = write_report(run(SCOPED).path).read_text()
    assert "training: trainer int8-only</span>" in page
    assert "training: scope dense1/kernel, dense0/bias</span>" in page
    assert page.count('<span class="sub">training:') == 2
