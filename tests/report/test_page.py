"""The page: self-contained, escaped, complete, and its numbers are those of the files."""

from __future__ import annotations

import base64
import builtins
import csv
import dataclasses
import io
import re
import statistics as stdlib_statistics
import struct
from collections import Counter
from html.parser import HTMLParser

import msgspec
import numpy as np
import pytest

from byzantiny.charts.style import spread
from byzantiny.records import ClientRow, Final, RoundRow
from byzantiny.report import ReportError, load_run, summarize_arms, write_picture, write_report
from byzantiny.report.charts import verdicts as verdict_charts
from byzantiny.report.downloads import MOST_EMBEDDED_BYTES, to_csv
from byzantiny.report.words import caveats

VOID = {"meta", "link", "img", "br", "hr", "input", "path", "line", "rect"}
SECTIONS = ("result", "arms", "accuracy", "traffic", "verdicts", "norms", "clients", "limits", "manifest")


class Page(HTMLParser):
    """Collects what the tests ask about, and insists that every tag is closed in its order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.ids: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.tables: list[list[list[str]]] = []
        self.text: list[str] = []
        self._in_cell = False
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.ids.update(value for name, value in attrs if name == "id")
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in {"td", "th"}:
            self._in_cell = True
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag, attrs):
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        self._in_cell = self._in_cell and tag not in {"td", "th"}

    def handle_data(self, data):
        self.text.append(data)
        if self._in_cell:
            self.tables[-1][-1][-1] += data + " "

    def row(self, table: int, first: str) -> list[str]:
        return next([" ".join(cell.split()) for cell in row] for row in self.tables[table] if first in row[0])


@pytest.fixture(scope="session")
def parsed(page: str) -> Page:
    return Page(page)


def files(run_dir, arm):
    return [run_dir / "arms" / arm / f"seed-{seed}" for seed in (1, 2)]


def test_nothing_is_fetched(page, parsed):
    assert "http://" not in page
    assert "https://" not in page
    for tag, name, value in parsed.attributes:
        if name in {"src", "href", "xlink:href", "srcset", "data", "action", "poster"}:
            assert value.startswith(("data:", "#")), (tag, name, value[:60])
    assert not {"script", "iframe", "link", "object", "embed", "image", "foreignobject"} & set(parsed.tags)
    assert not re.search(r"@import|url\((?!#)", page)


def test_hostile_text_is_shown_and_never_markup(page, parsed):
    assert "<script" not in page.lower()
    assert "&lt;script&gt;" in page
    assert "<script>alert('x')</script>" in " ".join(parsed.text)
    assert not [name for _, name, _ in parsed.attributes if name.startswith("on")]


def test_every_section_is_there_once_and_ids_do_not_clash(parsed):
    for section in SECTIONS:
        assert parsed.ids[section] == 1, section
    assert max(parsed.ids.values()) == 1


def test_every_reference_into_an_svg_finds_its_id(page, parsed):
    assert set(re.findall(r"url\(#([^)]+)\)", page)) <= set(parsed.ids)


def test_each_chart_is_there_in_both_themes_with_a_name(parsed):
    names = [value for tag, name, value in parsed.attributes if tag == "div" and name == "aria-label"]
    assert parsed.tags["svg"] == len(names) == 8
    assert parsed.tags["details"] == 5


def test_the_page_is_small(page):
    assert len(page.encode()) < 2_000_000


def test_the_table_of_arms_is_what_the_files_say(run_dir, parsed):
    for arm, title in (("clean", "mean, nobody lies"), ("mean", "mean under"), ("median", "coordinate-wise median")):
        finals = [msgspec.json.decode((f / "final.json").read_bytes(), type=Final) for f in files(run_dir, arm)]
        row = parsed.row(0, title)
        expected = 100 * stdlib_statistics.fmean(final.accuracy_last_tenth for final in finals)
        assert row[1].startswith(f"{expected:.1f} %")
        assert all(f"{100 * final.accuracy_last_tenth:.1f} %" in row[1] for final in finals)
        assert row[3] == str(sum(final.accepted for final in finals))
        assert row[4] == str(sum(final.refused for final in finals))
        assert row[5] == f"{sum(final.no_aggregate for final in finals)} of 24"
        assert row[6] == f"{stdlib_statistics.fmean(final.bytes_up for final in finals) / 1000:.0f} KB"
        assert row[7] == f"{stdlib_statistics.fmean(final.bytes_down for final in finals) / 1000:.0f} KB"


def test_targets_are_told_in_words_and_symbols(parsed):
    assert parsed.row(0, "mean, nobody lies")[2] == "≥ 90 % ✓ met"
    assert parsed.row(0, "mean under")[2] == "≤ 40 % ✓ met"
    assert parsed.row(0, "coordinate-wise median")[2] == "≥ 95 % ✗ missed"


def test_the_accuracy_table_holds_the_mean_of_each_round(run_dir, parsed):
    columns = []
    for arm in ("clean", "mean", "median"):
        seeds = [(f / "rounds.jsonl").read_bytes().splitlines() for f in files(run_dir, arm)]
        rows = [[msgspec.json.decode(line, type=RoundRow) for line in lines] for lines in seeds]
        columns.append([f"{100 * (a.accuracy + b.accuracy) / 2:.1f} %" for a, b in zip(*rows, strict=True)])
    expected = [[str(number), *row] for number, row in enumerate(zip(*columns, strict=True), 1)]
    assert [[cell.strip() for cell in row] for row in parsed.tables[1][1:]] == expected


def test_verdicts_and_reasons_are_counted_from_the_clients_rows(run_dir, parsed):
    lines = [line for f in files(run_dir, "median") for line in (f / "clients.jsonl").read_bytes().splitlines()]
    rows = [msgspec.json.decode(line, type=ClientRow) for line in lines]
    liar = [row for row in rows if row.client_id == "dev-10"]
    expected = (
        sum(row.verdict == "accepted" and row.kept is not False for row in liar),
        sum(row.verdict == "accepted" and row.kept is False for row in liar),
        sum(row.verdict == "rejected" for row in liar),
        0,
    )
    table = [[" ".join(cell.split()) for cell in row] for row in parsed.tables[3]]
    assert expected == (8, 12, 4, 0)
    assert ["coordinate-wise median under attack", "dev-10", "▲ Byzantine", *map(str, expected)] in table
    assert ["mean, nobody lies", "dev-07", "honest", "22", "0", "0", "2"] in table
    assert parsed.row(4, "crc")[1:] == ["8", "8", "0", "8", "0"]
    assert parsed.row(4, "deadline")[1:] == ["4", "4", "0", "4", "0"]


def test_instructions_are_called_emulated_and_never_cycles(parsed):
    clients = [[" ".join(cell.split()) for cell in row] for row in parsed.tables[6]]
    assert clients[0][5] == "instructions (emulated), median"
    assert clients[1][5:] == ["4 100 006", "4 100 001 – 4 100 012"]
    assert clients[5][5] == "not counted"
    assert "cycles" not in " ".join(cell for table in parsed.tables for row in table for cell in row)


def test_the_downloads_are_the_rows(run_dir, parsed):
    links = {
        value.partition(",")[2]: None
        for tag, name, value in parsed.attributes
        if tag == "a" and name == "href" and value.startswith("data:text/csv;base64,")
    }
    rounds, clients = (list(csv.DictReader(io.StringIO(base64.b64decode(link).decode()))) for link in links)
    run = load_run(run_dir)
    assert [(r["arm"], r["seed"], r["bytes_up"]) for r in rounds] == [
        (row.arm, str(row.seed), str(row.bytes_up)) for rows in run.rounds.values() for row in rows
    ]
    assert len(clients) == 3 * 2 * 12 * 10
    assert {"crc=2;deadline=1"} <= {row["refusals"] for row in clients}


def test_what_is_too_large_to_embed_lies_beside_the_page(make_run, monkeypatch):
    path = make_run()
    monkeypatch.setattr("byzantiny.report.downloads.MOST_EMBEDDED_BYTES", 20_000)
    text = write_report(path).read_text()
    assert MOST_EMBEDDED_BYTES < 2_000_000
    assert 'href="clients.csv"' in text
    assert len((path / "clients.csv").read_text().splitlines()) == 721


def test_a_grid_that_adapts_is_shown_for_the_arms_where_it_does(make_run):
    text = write_report(make_run(adapts=("median",))).read_text()
    shown = Page(text)
    assert shown.ids["grid"] == 1
    assert shown.tags["svg"] == 10
    table = next(table for table in shown.tables if "shift in round 1" in table[0][2])
    rows = [[" ".join(cell.split()) for cell in row] for row in table[1:]]
    name = "coordinate-wise median under attack"
    assert rows == [
        [name, "dense0/kernel", "6", "4 – 5", "4 – 6", "3"],
        [name, "dense0/bias<script>alert('x')</script>", "4", "4", "4", "0"],
    ]
    assert "<script" not in text.lower()


def test_a_fixed_grid_is_not_spoken_of(parsed):
    assert "grid" not in parsed.ids


def test_shifts_go_into_the_csv_as_they_were_announced(make_run):
    run = load_run(make_run(adapts=("median",)))
    rows = [row for key, rows in run.rounds.items() for row in rows if key == ("median", 1)]
    shifts = [line["shifts"] for line in csv.DictReader(io.StringIO(to_csv(rows, RoundRow)))]
    assert shifts[:8] == ["6 4"] * 3 + ["5 4"] * 3 + ["4 4"] * 2


def test_three_seeds_bring_an_interval(make_run):
    text = " ".join(Page(write_report(make_run(seeds=(1, 2, 3))).read_text()).text)
    assert text.count("95 % CI") == 3


def test_the_same_run_gives_the_same_page(make_run):
    path = make_run(seeds=(1, 2, 3))
    assert write_report(path).read_bytes() == write_report(path).read_bytes()


def test_an_unfinished_run_is_reported_and_marked(make_run):
    path = make_run(finished=False)
    for file in path.glob("arms/median/*/*"):
        file.unlink()
    text = " ".join(Page(write_report(path).read_text()).text)
    assert "unfinished" in text
    assert "This run is not whole." in text
    assert "median, seed 1: no round was recorded" in text
    assert "So far: with 2 of 10 clients Byzantine" in text


def test_a_run_without_a_single_round_is_reported(make_run):
    path = make_run(finished=False)
    for file in path.glob("arms/*/*/*"):
        file.unlink()
    assert "there is no result yet" in write_report(path).read_text()


def test_one_round_and_one_seed_are_enough(make_run):
    assert "over the last round of 1, mean of 1 seed" in write_report(make_run(seeds=(4,), rounds=1)).read_text()


def test_the_picture_is_a_png_at_twice_the_size(run_dir, tmp_path):
    data = write_picture(run_dir, tmp_path / "accuracy.png").read_bytes()
    width, height = struct.unpack(">II", data[16:24])
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert width > 1400
    assert height > 700


@pytest.mark.parametrize("module", ["jinja2", "vl_convert"])
def test_a_missing_extra_is_named_with_its_remedy(run_dir, monkeypatch, module):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == module:
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ReportError, match=r"pip install 'byzantiny\[report\]'"):
        write_report(run_dir)


def test_what_the_numbers_do_not_show_fits_what_was_run(make_run):
    run = load_run(make_run())
    arms = summarize_arms(run)
    assert [what for what, _ in caveats(run, arms)][:3] == [
        "A smoke test, not a benchmark.",
        "Nearly equal data.",
        "A naive attack.",
    ]
    harder = msgspec.structs.replace(run.manifest, task={**run.manifest.task, "alpha": 0.3}, seeds=[1, 2, 3, 4, 5])
    found = caveats(dataclasses.replace(run, manifest=harder), arms)
    assert [what for what, _ in found][:3] == ["One experiment, not a benchmark.", "One partition.", "A naive attack."]
    assert "Few seeds." not in dict(found)


def test_labels_never_overlap_and_stay_inside():
    for centres in ([5.0, 6.0, 7.0], [90.0, 95.0, 99.0], [0.0, 0.0, 100.0], [50.0, 50.0, 50.0]):
        placed = spread(centres, [20.0] * 3, 0.0, 100.0)
        assert placed == sorted(placed)
        assert min(np.diff(placed)) >= 20.0
        assert placed[0] >= 10.0
        assert placed[-1] <= 90.0


def test_of_many_clients_the_suspects_are_drawn():
    clients = [
        verdict_charts.ClientVerdicts(f"c{i:03d}", byzantine=i == 70, counts=Counter(refused=int(i == 71)))
        for i in range(100)
    ]
    shown = [client.client_id for client in verdict_charts.shown_clients(clients)]
    assert len(shown) == verdict_charts.MOST_CLIENTS
    assert {"c070", "c071"} <= set(shown)
    assert shown == sorted(shown)
