"""The page's cost table is the record's; `python tests/docs/test_byzantine_board.py` writes it anew."""

import re
from pathlib import Path

from byzantiny_firmware import attack_cost
from byzantiny_firmware.attacked import IN_FIRMWARE

PAGE = Path(__file__).resolve().parents[2] / "docs" / "byzantine-board.md"
BLOCK = r"(<!-- costs: begin -->\n)(.*?)(<!-- costs: end -->)"


def signed(value):
    return "–" if value is None else f"{value:+,}".replace("-", "−")


def table():
    rows = [
        "| attack | where | flash, bytes | static RAM, bytes | instructions a round | RAM, bytes, modelled | note |",
        "|---|---|---|---|---|---|---|",
    ]
    for cost in attack_cost.record()["costs"]:
        numbers = (cost[key] for key in ("flash_bytes", "static_ram_bytes", "instructions", "ram_modelled_bytes"))
        rows.append(f"| `{cost['attack']}` | {cost['where']} | {' | '.join(map(signed, numbers))} | {cost['note']} |")
    honest = attack_cost.record()["honest_instructions"]
    return "\n".join(rows) + f"\n\nAn honest update takes {honest:,} instructions.\n"


def test_the_page_has_the_recorded_costs():
    found = re.search(BLOCK, PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    assert found[2] == table(), "run: python tests/docs/test_byzantine_board.py"


def test_the_page_describes_every_build_option_with_its_parameters():
    text = PAGE.read_text(encoding="utf-8")
    for attack, option in IN_FIRMWARE.items():
        (row,) = re.findall(rf"^\| `{attack}` \| (?!firmware)(.*)$", text, re.MULTILINE)
        assert all(f"`{name}`" in row for name in option.parameters), attack


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(re.sub(BLOCK, lambda m: m[1] + table() + m[3], text, flags=re.DOTALL), encoding="utf-8")
