"""`kill -9` at any instant: what was receipted is there, and what is there is consistent."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

from byzantiny.ledger import Ledger
from byzantiny.wire.messages import Verdict

KILLS = 30

CHILD = """
import hashlib, sys
import numpy as np
from byzantiny.ledger import Candidate, Ledger, RoundClosing, RoundOpening

path, create = sys.argv[1], sys.argv[2] == "create"
with (Ledger.create(path) if create else Ledger.open(path)) as ledger:
    print("up", flush=True)
    while True:
        opening = ledger.open_round_record()
        if opening is None:
            last = ledger.last_closed()
            number = 1 if last is None else last.round_num + 1
            body = b"offer %d" % number
            opening = RoundOpening(number, ("a",), body, hashlib.sha256(body).digest(), b"m", b"n")
            ledger.open_round(opening)
            print("opened", number, flush=True)
        number = opening.round_num
        for start in range(0, 12, 3):
            batch = [
                Candidate(f"dev-{i}", number, hashlib.sha256(b"%d" % i).digest(), np.full(2410, i, np.int8))
                for i in range(start, start + 3)
            ]
            for receipt in ledger.judge(batch):
                print(receipt.name, number, receipt.client_id, flush=True)
        rows = [{"client_id": f"dev-{i}"} for i in range(12)]
        model = b"%d" % number * 5000
        ledger.close_round(RoundClosing(number, "aggregated", model, b"s", round_row={"n": 12}, client_rows=rows))
        print("closed", number, flush=True)
"""


def test_thirty_kills_lose_no_receipt_and_leave_no_half_round(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    chance = random.Random(7)
    accepted: set[tuple[int, str]] = set()
    closed: set[int] = set()
    for kill in range(KILLS):
        mode = "open" if path.exists() else "create"
        with subprocess.Popen(
            [sys.executable, "-c", CHILD, str(path), mode], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            assert child.stderr is not None
            assert child.stdout.readline() == "up\n", child.stderr.read()
            time.sleep(chance.uniform(0.0, 0.12))
            child.kill()
            said = child.stdout.read()
        for line in said[: said.rfind("\n") + 1].splitlines():
            what, number, *who = line.split()
            if what == "ACCEPTED":
                assert (int(number), who[0]) not in accepted, f"kill {kill}: counted twice"
                accepted.add((int(number), who[0]))
            elif what == "closed":
                closed.add(int(number))
            else:
                assert what in ("opened", "DUPLICATE")
        check(path, accepted, closed)
    assert len(closed) > KILLS // 5, "the kills came too early to test anything"


def check(path: Path, accepted: set[tuple[int, str]], closed: set[int]) -> None:
    with Ledger.open(path) as ledger:
        assert ledger._db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert ledger._db.execute("PRAGMA foreign_key_check").fetchall() == []
        rounds = ledger.rounds()
        assert [record.round_num for record in rounds] == list(range(1, len(rounds) + 1))
        assert closed <= {record.round_num for record in rounds if record.outcome}
        metrics = {row["round_num"] for row in ledger.rows("round")}
        for record in rounds:
            updates = ledger.accepted(record.round_num)
            held = {(record.round_num, update.client_id) for update in updates}
            assert {key for key in accepted if key[0] == record.round_num} <= held
            receipted = [r.client_id for r in ledger.receipts(record.round_num) if r.verdict is Verdict.ACCEPTED]
            assert sorted(receipted) == sorted(update.client_id for update in updates)
            assert (record.round_num in metrics) == (record.outcome is not None)
            assert all((update.codes is None) == (record.outcome is not None) for update in updates)
            accepted |= held  # receipted in the ledger, though the child died before it could say so
        last = ledger.last_closed()
        assert (None if last is None else last.model) in (None, b"%d" % (last.round_num if last else 0) * 5000)
