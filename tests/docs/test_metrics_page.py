"""docs/metrics.md defines every field of the rows that a run leaves behind."""

from pathlib import Path

import msgspec
import pytest

from byzantiny.records import ClientRow, Final, RoundRow

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
NAMES = {"schema", "arm", "seed", "round_num", "client_id", "body", "transport"}
"""Fields that say which row it is, not what was measured."""


@pytest.mark.parametrize("record", [RoundRow, ClientRow, Final])
def test_every_measured_field_is_defined(record):
    missing = [f.name for f in msgspec.structs.fields(record) if f.name not in NAMES and f"`{f.name}`" not in TEXT]
    assert not missing, f"docs/metrics.md does not say what {missing} of {record.__name__} are"
