"""What the ledger promises: one verdict each, one transaction each, nothing lost."""

from __future__ import annotations

import hashlib
import sqlite3
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from byzantiny.ledger import Candidate, Ledger, LedgerError, RoundClosing, RoundOpening, schema
from byzantiny.ledger.schema import APPLICATION_ID
from byzantiny.validation import Rejection
from byzantiny.wire.messages import Reason, Verdict


def opening(round_num: int, cohort: tuple[str, ...] = ("a", "b", "c")) -> RoundOpening:
    body = f"offer {round_num}".encode()
    return RoundOpening(round_num, cohort, body, hashlib.sha256(body).digest(), b"m" * 32, b"n" * 16)


def candidate(client_id: str, round_num: int = 1, fill: int = 1) -> Candidate:
    codes = np.full(4, fill, np.int8)
    return Candidate(
        client_id, round_num, hashlib.sha256(codes.tobytes()).digest(), codes, 7, 4 * fill * fill, 2**63 + 1
    )


def refused(client_id: str, round_num: int = 1) -> Candidate:
    return Candidate(client_id, round_num, b"x" * 32, rejection=Rejection(Reason.BAD_TAG, "the tag is wrong"))


def closing(round_num: int, outcome: str = "aggregated") -> RoundClosing:
    return RoundClosing(
        round_num,
        outcome,  # type: ignore[arg-type]
        b"model %d" % round_num,
        b"state",
        "because",
        {"accuracy": np.float64(0.5), "hash": b"\x01"},
        [{"client_id": "b", "kept": np.bool_(True)}, {"client_id": "a", "score": np.arange(2)}],
    )


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with Ledger.create(":memory:", clock=lambda: 12.5) as ledger:
        yield ledger


def verdicts(ledger: Ledger, *candidates: Candidate) -> list[str]:
    return [receipt.name for receipt in ledger.judge(candidates)]


def test_the_first_update_of_a_device_wins_and_every_verdict_is_on_record(ledger: Ledger) -> None:
    ledger.open_round(opening(1))
    batch = (candidate("b"), candidate("b"), candidate("b", fill=2), refused("c"), candidate("a", fill=3))
    assert verdicts(ledger, *batch) == ["ACCEPTED", "DUPLICATE", "CONFLICT", "REJECTED:BAD_TAG", "ACCEPTED"]
    accepted = ledger.accepted(1)
    assert [update.client_id for update in accepted] == ["a", "b"]
    assert accepted[0].codes is not None
    assert accepted[0].codes.tolist() == [3, 3, 3, 3]
    assert (accepted[0].n_samples, accepted[0].squared_norm, accepted[0].counter) == (7, 36, 2**63 + 1)
    receipts = ledger.receipts(1)
    assert [receipt.client_id for receipt in receipts] == ["b", "b", "b", "c", "a"]
    assert receipts[3].verdict is Verdict.REJECTED
    assert (receipts[3].reason, receipts[3].text, receipts[3].time_s) == (Reason.BAD_TAG, "the tag is wrong", 12.5)
    assert ledger.verdict_counts() == {"ACCEPTED": 2, "DUPLICATE": 1, "CONFLICT": 1, "REJECTED:BAD_TAG": 1}
    assert ledger.verdict_counts(2) == {}


def test_accepted_updates_are_in_bytewise_order_of_client_id(ledger: Ledger) -> None:
    names = ["dev-10", "dev-2", "dev-1", "a", "0", "dev", "-"]
    ledger.open_round(opening(1))
    ledger.judge([candidate(name) for name in names])
    assert [u.client_id for u in ledger.accepted(1)] == sorted(names, key=str.encode)


def test_a_closed_or_past_round_makes_stale_what_was_not_rejected(ledger: Ledger) -> None:
    ledger.open_round(opening(3))
    assert verdicts(ledger, candidate("a", 2)) == ["STALE"]
    ledger.close_round(closing(3))
    assert verdicts(ledger, candidate("a", 3), refused("a", 3)) == ["STALE", "REJECTED:BAD_TAG"]
    ledger.open_round(opening(4))
    assert verdicts(ledger, candidate("a", 3), candidate("a", 4)) == ["STALE", "ACCEPTED"]
    assert ledger.accepted(3) == []
    assert ledger.verdict_counts(3) == {"STALE": 2, "REJECTED:BAD_TAG": 1}


def test_a_round_that_was_never_opened_accepts_nothing(ledger: Ledger) -> None:
    assert verdicts(ledger, candidate("a", 1)) == ["REJECTED:WRONG_ROUND"]
    ledger.open_round(opening(1))
    assert verdicts(ledger, candidate("a", 2)) == ["REJECTED:WRONG_ROUND"]
    assert ledger.judge([]) == []


def test_a_batch_is_all_or_nothing(ledger: Ledger) -> None:
    ledger.open_round(opening(1))
    broken = Candidate("b", 1, b"x" * 32)
    with pytest.raises(LedgerError, match="neither codes nor a rejection"):
        ledger.judge([candidate("a"), broken])
    assert ledger.accepted(1) == []
    assert ledger.receipts(1) == []


def test_closing_drops_the_codes_and_keeps_hash_and_norm(ledger: Ledger) -> None:
    ledger.open_round(opening(1))
    ledger.judge([candidate("a")])
    ledger.close_round(closing(1))
    (update,) = ledger.accepted(1)
    assert update.codes is None
    assert (update.update_sha256, update.squared_norm) == (candidate("a").update_sha256, 4)
    assert ledger.rows("round") == [{"round_num": 1, "accuracy": 0.5, "hash": "01"}]
    assert ledger.rows("client") == [
        {"round_num": 1, "client_id": "a", "score": [0, 1]},
        {"round_num": 1, "client_id": "b", "kept": True},
    ]


def test_codes_stay_when_they_are_to_be_kept(tmp_path: Path) -> None:
    with Ledger.create(tmp_path / "ledger.sqlite", keep_updates=True) as ledger:
        ledger.open_round(opening(1))
        ledger.judge([candidate("a")])
        ledger.close_round(closing(1))
        assert ledger.accepted(1)[0].codes is not None


def test_an_open_round_survives_closing_the_file_with_its_offer_and_updates(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with Ledger.create(path) as ledger:
        ledger.put_device("a", {"boot_id": 7, "fw_sha256": b"\xff"})
        ledger.open_round(opening(1))
        ledger.close_round(closing(1))
        ledger.open_round(opening(2))
        ledger.judge([candidate("a", 2)])
    with Ledger.open(path) as ledger:
        assert ledger.devices() == {"a": {"boot_id": 7, "fw_sha256": "ff"}}
        assert ledger.open_round_record() == opening(2)
        assert ledger.known_offers() == {o.offer_sha256: o.offer_body for o in (opening(1), opening(2))}
        assert [u.client_id for u in ledger.accepted(2)] == ["a"]
        last = ledger.last_closed()
        assert last is not None
        assert (last.round_num, last.model, last.state, last.reason) == (1, b"model 1", b"state", "because")
        assert verdicts(ledger, candidate("a", 2)) == ["DUPLICATE"]
        ledger.close_round(closing(2, "no-aggregate"))
        assert ledger.open_round_record() is None
        rounds = ledger.rounds()
        assert [(r.round_num, r.outcome, r.cohort) for r in rounds] == [
            (1, "aggregated", ("a", "b", "c")),
            (2, "no-aggregate", ("a", "b", "c")),
        ]
        assert rounds[1].next_model_sha256 == hashlib.sha256(b"model 2").digest()


def test_rounds_open_one_at_a_time_and_upwards(ledger: Ledger) -> None:
    assert ledger.last_closed() is None
    with pytest.raises(LedgerError, match="count upwards from 1"):
        ledger.open_round(opening(0))
    ledger.open_round(opening(2))
    with pytest.raises(LedgerError, match="round 2 is open"):
        ledger.open_round(opening(3))
    with pytest.raises(LedgerError, match="round 3 is not open"):
        ledger.close_round(closing(3))
    with pytest.raises(LedgerError, match="none of aggregated"):
        ledger.close_round(closing(2, "averaged"))
    ledger.close_round(closing(2))
    with pytest.raises(LedgerError, match="round 2 is not open"):
        ledger.close_round(closing(2))
    with pytest.raises(LedgerError, match="not after round 2"):
        ledger.open_round(opening(2))


def test_a_metric_that_is_no_json_closes_nothing(ledger: Ledger) -> None:
    ledger.open_round(opening(1))
    with pytest.raises(LedgerError, match="cannot be kept as JSON"):
        ledger.close_round(RoundClosing(1, "aggregated", b"", round_row={"x": object()}))
    assert ledger.open_round_record() == opening(1)


def test_files_that_are_no_ledger_of_this_version_are_refused_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with pytest.raises(LedgerError, match="no ledger at"):
        Ledger.open(path)
    with pytest.raises(LedgerError, match="cannot open"):
        Ledger.create(tmp_path / "no" / "directory")
    Ledger.create(path).close()
    with pytest.raises(LedgerError, match="exists already"):
        Ledger.create(path)
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 2")
    db.close()
    with pytest.raises(LedgerError, match="version 2, this byzantiny reads version 1"):
        Ledger.open(path)


def everything_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_what_is_no_ledger_is_left_as_it_is(tmp_path: Path) -> None:
    foreign, empty, text, short = (tmp_path / name for name in ("foreign.sqlite", "empty", "notes.txt", "short"))
    db = sqlite3.connect(foreign)
    db.execute("CREATE TABLE t (x)")
    db.close()
    empty.touch()
    text.write_text("not a database, but long enough to be looked at" * 50)
    short.write_bytes(foreign.read_bytes()[:20])
    before = everything_in(tmp_path)
    for path in (foreign, empty, short):
        with pytest.raises(
            LedgerError, match=rf"is not a ledger \(application_id 0x0, a ledger has {APPLICATION_ID:#x}"
        ):
            Ledger.open(path)
    with pytest.raises(LedgerError, match=r"is not a ledger \(file is not a database"):
        Ledger.open(text)
    assert everything_in(tmp_path) == before


def test_a_ledger_of_another_version_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    Ledger.create(path).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode = DELETE")
    db.execute("PRAGMA user_version = 2")
    db.close()
    before = everything_in(tmp_path)
    with pytest.raises(LedgerError, match="version 2"):
        Ledger.open(path)
    assert everything_in(tmp_path) == before


def test_a_creation_that_fails_names_the_file_and_leaves_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ledger.sqlite"
    monkeypatch.setattr(schema, "TABLES", "CREATE TABLE device (x); CREATE TABLE device (x);")
    with pytest.raises(LedgerError, match=r"cannot open .*ledger\.sqlite: table device already exists; check"):
        Ledger.create(path)
    assert everything_in(tmp_path) == {}


def test_a_ledger_killed_before_its_first_checkpoint_opens(tmp_path: Path) -> None:
    path, copy = tmp_path / "ledger.sqlite", tmp_path / "copy.sqlite"
    with Ledger.create(path) as ledger:
        ledger.open_round(opening(1))
        for suffix in ("", "-wal"):  # as `kill -9` leaves them
            Path(f"{copy}{suffix}").write_bytes(Path(f"{path}{suffix}").read_bytes())
    with Ledger.open(copy) as ledger:
        assert ledger.open_round_record() == opening(1)


def test_a_creation_cut_short_is_no_ledger(tmp_path: Path) -> None:
    """The pages are in the file; the journal says that they were not committed, and that there were none before."""
    path = tmp_path / "ledger.sqlite"
    Ledger.create(path).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode = DELETE")
    db.close()
    records, nonce, pages, sector, page_size = 0, 0, 0, 512, 4096
    header = bytes.fromhex("d9d505f920a163d7") + struct.pack(">5I", records, nonce, pages, sector, page_size)
    Path(f"{path}-journal").write_bytes(header.ljust(sector, b"\0"))
    assert schema._header(path) == (APPLICATION_ID, 1)
    with pytest.raises(LedgerError, match=r"is not a ledger \(application_id 0x0"):
        Ledger.open(path)


def test_a_file_is_written_with_the_durability_that_is_promised(tmp_path: Path) -> None:
    with Ledger.create(tmp_path / "ledger.sqlite") as ledger:
        assert ledger._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert ledger._db.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_ledger_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with Ledger.create(path) as ledger:
        ledger._db.execute("PRAGMA busy_timeout = 0")
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerError, match=r"ledger\.sqlite cannot be written: database is locked; check"):
            ledger.open_round(opening(1))
        other.execute("ROLLBACK")
        other.close()
        ledger.open_round(opening(1))


SENT = st.tuples(st.sampled_from("abc"), st.integers(1, 3), st.integers(1, 2), st.booleans())


@given(st.lists(st.one_of(SENT, st.just("close")), max_size=40), st.integers(1, 5))
def test_whatever_is_sent_in_whatever_batches_each_device_counts_at_most_once_a_round(
    events: list[tuple[str, int, int, bool] | str], batch: int
) -> None:
    with Ledger.create(":memory:") as ledger:
        round_num, judged, counted = 1, 0, 0
        ledger.open_round(opening(1))
        pending: list[Candidate] = []
        for event in [*events, "close"]:
            if not isinstance(event, str):
                name, number, fill, bad = event
                pending.append(refused(name, number) if bad else candidate(name, number, fill))
            if len(pending) >= batch or isinstance(event, str):
                receipts = ledger.judge(pending)
                judged += len(receipts)
                counted += sum(r.verdict is Verdict.ACCEPTED for r in receipts)
                assert all(r.round_num == round_num for r in receipts if r.verdict is Verdict.ACCEPTED)
                pending = []
            if isinstance(event, str):
                ledger.close_round(closing(round_num))
                round_num += 1
                ledger.open_round(opening(round_num))
        assert sum(ledger.verdict_counts().values()) == judged
        assert sum(len(ledger.accepted(number)) for number in range(1, round_num + 1)) == counted
