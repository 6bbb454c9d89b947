"""A round of more than 512 clients is counted as it arrives, and nothing that a run leaves behind shows it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from byzantiny.coordinator import Suspended
from byzantiny.federation import Federation, RoundDiagnostics, build_pipeline
from byzantiny.federation.streaming import StreamBuffer
from byzantiny.ledger import Ledger
from byzantiny.updates import UpdateBatch
from byzantiny_models.networks import NETWORKS, initial_model
from byzantiny_models.rng import Stream, rng_for

PIPELINE = ({"name": "norm-clip", "bound": 60}, {"name": "adaptive-norm-clip", "bound": 50}, {"name": "trimmed-mean"})
TIMES = ("wall_s", "server_ms", "evaluation_ms")


@pytest.fixture
def buffers(monkeypatch):
    """The kind of every round's buffer."""
    kinds, original = [], Federation.buffer

    def buffer(self, *arguments):
        made = original(self, *arguments)
        kinds.append(type(made))
        return made

    monkeypatch.setattr(Federation, "buffer", buffer)
    return kinds


def left_behind(ledger: Ledger) -> list[str]:
    """All rows of all rounds, but for the time they took."""
    rows = ledger.rows("round") + ledger.rows("client")
    return [json.dumps({key: value for key, value in row.items() if key not in TIMES}) for row in rows]


def test_a_round_of_520_clients_is_streamed_to_the_model_that_their_rows_give(bench, buffers):
    b = bench(ids=[f"dev-{i:03d}" for i in range(520)], rounds=1, pipeline=PIPELINE, f_declared=40)
    model = b.run()
    assert buffers == [StreamBuffer]
    assert (b.closed[0].outcome, b.closed[0].accepted) == ("aggregated", 520)

    network = NETWORKS["mlp-64-32-10"]
    updates = b.ledger.accepted(1)
    rows = np.stack([update.codes for update in updates])
    batch = UpdateBatch.from_rows(rows, network.layout, b.plan.shifts, [update.client_id for update in updates])
    federation = Federation(network.layout, build_pipeline(PIPELINE, 40))
    start = federation.init(initial_model(network, 1))
    after, diagnostics = federation.apply(start, batch, rng_for(1, Stream.AGGREGATION, round_num=1))
    assert np.array_equal(after.model, model)
    assert b.ledger.last_closed().state == after.to_bytes()
    assert clipped_by(diagnostics) == {row["client_id"]: row["clip_factor"] for row in b.ledger.rows("client")}
    saturated = {u.client_id: int(np.count_nonzero(np.abs(u.codes.astype(int)) == 127)) for u in updates}
    assert saturated == {row["client_id"]: row["saturated"] for row in b.ledger.rows("client")}


def clipped_by(diagnostics: RoundDiagnostics) -> dict[str, float]:
    factors = np.prod([stage.clipped for stage in diagnostics.stages if stage.clipped is not None], axis=0)
    assert (factors < 1).any(), "nobody was clipped: the test tests nothing"
    return dict(zip(diagnostics.client_ids, factors.tolist(), strict=True))


@pytest.mark.parametrize("pipeline", [PIPELINE, ({"name": "median"},)])
def test_streamed_rounds_leave_behind_what_others_leave(bench, buffers, monkeypatch, pipeline):
    plain = bench(rounds=3, pipeline=pipeline, f_declared=1)
    expected = plain.run()
    monkeypatch.setattr("byzantiny.federation.STREAM_ABOVE", 3)
    streamed = bench(rounds=3, pipeline=pipeline, f_declared=1)
    assert np.array_equal(streamed.run(), expected)
    assert buffers[3:] == [StreamBuffer] * 3
    assert left_behind(streamed.ledger) == left_behind(plain.ledger)
    assert streamed.ledger.last_closed().state == plain.ledger.last_closed().state


@pytest.mark.parametrize("turn", [1, 5, 9, 14])
def test_a_suspended_streamed_round_goes_on_with_what_it_has(bench, buffers, monkeypatch, turn):
    """The counts are in memory only; the ledger's codes make them anew, every accepted update once (P2)."""
    expected = bench(rounds=3, pipeline=PIPELINE, f_declared=1).run()
    monkeypatch.setattr("byzantiny.federation.STREAM_ABOVE", 3)
    b = bench(rounds=3, pipeline=PIPELINE, f_declared=1)
    asked = iter(range(turn))
    b.stop = lambda: next(asked, None) is None
    with pytest.raises(Suspended):
        b.run()
    b.stop = lambda: False
    assert np.array_equal(b.run(), expected)
    assert set(buffers[3:]) == {StreamBuffer}
    assert [row["accepted"] for row in b.ledger.rows("round")] == [4, 4, 4]


def test_a_limit_closes_a_streamed_round_without_an_aggregate(bench, monkeypatch):
    """One device is silent, so that three of four are too few for f = 1 in the quantile's clip."""
    monkeypatch.setattr("byzantiny.federation.STREAM_ABOVE", 3)
    pipeline = ({"name": "adaptive-norm-clip", "gamma": 0.3}, {"name": "median"})
    b = bench(rounds=1, pipeline=pipeline, f_declared=1, down=lambda client, frame: [frame] * (client != "dev-04"))
    b.run()
    assert (b.closed[0].outcome, b.closed[0].accepted) == ("no-aggregate", 3)
    assert "adaptive-norm-clip of 3 rows" in b.closed[0].reason
