"""Counts in place of rows: rules by coordinate give the same integers, all others refuse, and counts merge exactly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from byzantiny.aggregators import AGGREGATORS
from byzantiny.kernels import counts as kernel
from byzantiny.preaggregators import PREAGGREGATORS
from byzantiny.updates import (
    Aggregate,
    BeyondLimitError,
    Diagnostics,
    InvalidBatchError,
    Layout,
    TensorSpec,
    UpdateBatch,
    UpdateCounts,
    decode_counts,
    encode_counts,
)

STREAMING = {name: make for name, make in AGGREGATORS.items() if make.info.streams == "counts"}
PARAMETERS = {"rlr": {"theta": 3}}
TAKES_F = {"trimmed-mean", "meamed", "phocas"}


def rng():
    return np.random.default_rng(0)


def layout_of(d):
    return Layout((TensorSpec("w", (d,), "int16", 14),))


def batch_of(rows, ids=None):
    return UpdateBatch.from_rows(np.asarray(rows, dtype=np.int8), layout_of(len(rows[0])), (3,), ids)


def make(name, f):
    return AGGREGATORS[name](**PARAMETERS.get(name, {}), **({"f": f} if name in TAKES_F else {}))


def content(aggregate):
    d = aggregate.diagnostics
    return (
        aggregate.numerator.tobytes(),
        np.asarray(aggregate.denominator).tobytes(),
        d.kept.tobytes(),
        None if d.weight is None else d.weight.tobytes(),
        d.details,
    )


def test_the_rules_that_stream_are_those_by_coordinate():
    assert set(STREAMING) == {
        "mean", "median", "grouped-median", "sr-median", "trimmed-mean", "meamed", "phocas", "sign-majority-vote", "rlr"
    }  # fmt: skip


@pytest.mark.parametrize("name", STREAMING)
@pytest.mark.parametrize("d", [1, 63, 64, 65, 4097])
def test_a_rule_gives_the_same_aggregate_from_counts_as_from_rows(name, d):
    source = np.random.default_rng(d)
    for n in (3, 4, 40, 513):
        if n * d > 200_000:
            continue
        for rows in (
            source.integers(-127, 128, (n, d)),
            source.choice([-127, 127], (n, d)),
            np.rint(source.normal(0, 1, (n, d))),
        ):
            batch = batch_of(rows)
            rule = make(name, (n - 1) // 3)
            expected, _ = rule.apply(batch, rule.init(batch.layout), rng())
            got, _ = rule.apply(UpdateCounts.of(batch), rule.init(batch.layout), rng())
            assert isinstance(got, Aggregate)
            assert content(got) == content(expected)


@pytest.mark.parametrize("name", sorted(STREAMING))
def test_beyond_its_limit_a_rule_refuses_counts_as_it_refuses_rows(name):
    rule = AGGREGATORS[name](**{"theta": 3} if name == "rlr" else {}, **({} if name == "mean" else {"f": 2}))
    counted = UpdateCounts.of(batch_of(np.zeros((4, 3))))
    if name == "mean":
        assert rule.apply(counted, None, rng())[0].denominator == 4
    else:
        with pytest.raises(BeyondLimitError):
            rule.apply(counted, rule.init(counted.layout), rng())


OTHERS = {
    "median-of-means": {"k": 3},
    "weighted-mean": {"self_reported": True},
    "krum": {"f": 1},
    "multi-krum": {"f": 1},
    "bulyan": {"f": 1},
    "geometric-median": {},
    "mda": {"f": 1},
    "smea": {"f": 1},
    "caf": {"f": 1},
    "monna": {"f": 1},
    "cge": {"f": 1},
    "centered-clipping": {"tau": 5.0},
    "norm-clip": {"bound": 300},
    "adaptive-norm-clip": {},
    "zeroing": {},
    "top-coordinates": {"k": 1},
    "arc": {"f": 1},
    "nnm": {"f": 1},
    "bucketing": {},
}


@pytest.mark.parametrize("name", sorted((AGGREGATORS.keys() | PREAGGREGATORS.keys()) - STREAMING.keys()))
def test_a_rule_that_needs_rows_refuses_counts_and_says_what_to_do(name):
    rule = (AGGREGATORS | PREAGGREGATORS)[name](**OTHERS[name])
    counted = UpdateCounts.of(batch_of(rng().integers(-9, 9, (9, 70))))
    with pytest.raises(InvalidBatchError, match=r"9 updates .* 512 clients .* use a rule that streams"):
        rule.apply(counted, rule.init(counted.layout), rng())


small = hnp.arrays(np.int8, st.tuples(st.integers(2, 24), st.integers(1, 9)), elements=st.integers(-127, 127))


@given(small, st.data())
def test_the_merge_of_any_split_in_any_order_is_the_whole(rows, data):
    n = len(rows)
    ids = [f"dev-{i:02d}" for i in range(n)]
    whole = UpdateCounts.of(batch_of(rows, ids))
    owner = data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    members = [np.flatnonzero(np.array(owner) == part) for part in range(4)]
    parts = [UpdateCounts.of(batch_of(rows[m], [ids[i] for i in m])) for m in members if len(m)]
    parts = data.draw(st.permutations(parts))
    while len(parts) > 1:  # also in any association
        i = data.draw(st.integers(0, len(parts) - 2))
        parts[i : i + 2] = [parts[i].merge(parts[i + 1])]
    assert encode_counts(parts[0]) == encode_counts(whole)


def equal_clients(n, code, first=0):
    """Counts of n clients that all sent one code, without the n rows."""
    table = kernel.empty_table(2)
    coordinate = np.arange(64)
    places = coordinate // 8 * 2048 + np.where(coordinate < 2, 128 + code, 128) * 8 + coordinate % 8
    table.reshape(-1)[places] = n % (1 << 16)
    ids = tuple(f"c{i:07d}" for i in range(first, first + n))
    return UpdateCounts(table, np.sort(np.tile(places, n >> 16)), layout_of(2), (3,), ids)


@pytest.mark.parametrize(("n", "m"), [(1, 65_535), (40_000, 40_000), (65_535, 65_538), (65_537, 70_000)])
@pytest.mark.parametrize("code", [0, -127])
def test_counters_of_merged_counts_are_carried_beyond_16_bits(n, m, code):
    parts = [equal_clients(n, code), equal_clients(m, code, n)]
    both, turned = parts[0].merge(parts[1]), parts[1].merge(parts[0])
    assert encode_counts(both) == encode_counts(turned) == encode_counts(equal_clients(n + m, code))
    assert both.columns.column_sum().tolist() == [(n + m) * code] * 2
    assert both.columns.median().tolist() == [2 * code] * 2


def test_merging_changes_neither_operand():
    parts = [UpdateCounts.of(batch_of([[5, 6]], [name])) for name in ("a", "b")]
    before = [encode_counts(part) for part in parts]
    parts[0].merge(parts[1])
    assert [encode_counts(part) for part in parts] == before
    assert not parts[0].table.flags.writeable


def test_only_counts_of_one_offer_and_of_different_clients_merge():
    one = UpdateCounts.of(batch_of([[5, 6]], ["a"]))
    with pytest.raises(InvalidBatchError, match="1 clients, 'a' the first, are in both"):
        one.merge(UpdateCounts.of(batch_of([[1, 2], [3, 4]], ["a", "b"])))
    other = UpdateBatch.from_rows(np.array([[1, 2]], np.int8), layout_of(2), (4,), ["b"])
    with pytest.raises(InvalidBatchError, match=r"grids \(3,\) and \(4,\)"):
        one.merge(UpdateCounts.of(other))
    with pytest.raises(InvalidBatchError, match="two layouts"):
        one.merge(UpdateCounts.of(batch_of([[1, 2, 3]], ["b"])))
    staged = batch_of([[1, 2]], ["b"])
    staged = staged.with_rows(staged.rows, Diagnostics("clip", np.array([True])))
    with pytest.raises(InvalidBatchError, match="merge first"):
        one.merge(UpdateCounts.of(staged))


def test_only_clients_can_be_counted():
    batch = batch_of([[1], [2]])
    mixed = batch.with_rows(batch.rows, Diagnostics("mix", np.array([True, True])), np.full((2, 2), 0.5))
    with pytest.raises(InvalidBatchError, match="only clients"):
        UpdateCounts.of(mixed)
    with pytest.raises(InvalidBatchError, match="tiles hold int8"):
        UpdateCounts.of(UpdateBatch.from_rows(np.array([[0.5]])))


def good():
    return UpdateCounts.of(batch_of([[1, 2], [-3, 4], [0, 0]]))


def changed_table(change):
    table = good().table.copy()
    change(table)
    return {"table": table}


def moved(table):
    table[0, 129, 0] -= 1
    table[0, 0, 0] += 1


def moved_beyond(table):
    table[7, 128, 7] -= 1
    table[7, 127, 7] += 1


def places(*values):
    return {"carries": np.array(values, dtype=np.int64)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed_table(lambda t: t.__setitem__((0, 129, 0), 0)), "1 coordinates, the first 0, do not count 3"),
        (changed_table(lambda t: t.__setitem__((0, 255, 1), 9)), "the first 1, do not count 3"),
        (changed_table(lambda t: t.__setitem__((7, 200, 7), 1)), "the first 63, do not count 3"),
        (changed_table(moved), "code -128"),
        (changed_table(moved_beyond), "beyond the layout's 2"),
        ({"table": good().table.astype(np.int32)}, "contiguous uint16"),
        ({"table": good().table[:4]}, r"contiguous uint16 \(8, 256, 8\)"),
        ({"table": np.asfortranarray(good().table)}, "contiguous uint16"),
        (places(1024), "1 carries in one coordinate: 3 updates make 0"),
        (places(-1), "ascending places"),
        (places(8 * 2048), "ascending places"),
        (places(1032, 1024), "ascending places"),
        ({"carries": np.array([0.5])}, "int64"),
        ({"carries": np.zeros((1, 1), np.int64)}, "int64"),
        ({"shifts": (99,)}, "shift"),
        ({"shifts": (1, 2)}, "shifts"),
        ({"client_ids": ()}, "0 updates"),
        ({"client_ids": ("a", "b")}, "do not count 2"),
        ({"client_ids": ("a", "c", "b")}, "sorted"),
        ({"client_ids": ("a", "a", "b")}, "second update"),
    ],
)
def test_counts_that_cannot_be_are_refused(change, message):
    whole = good()
    fields = {name: getattr(whole, name) for name in ("table", "carries", "layout", "shifts", "client_ids")}
    with pytest.raises(InvalidBatchError, match=message):
        UpdateCounts(**fields | change)


def test_carries_cannot_be_piled_up_until_32_bits_come_out_right():
    """65,536 carries in one bin are 2^32, that is 0 for whoever adds in 32 bits."""
    with pytest.raises(InvalidBatchError, match="65536 carries in one coordinate"):
        UpdateCounts(good().table, np.full(65_536, 1024), layout_of(2), (3,), good().client_ids)


def test_a_carry_of_the_code_minus_128_is_seen():
    n = 65_536
    whole = equal_clients(n, 0)
    lowest = whole.carries.copy()
    lowest[0] = 0
    with pytest.raises(InvalidBatchError, match="code -128"):
        UpdateCounts(whole.table, lowest, whole.layout, whole.shifts, whole.client_ids)


def test_the_size_of_counts_does_not_depend_on_their_number():
    assert {UpdateCounts.of(batch_of(np.zeros((n, 100)))).nbytes for n in (1, 10, 1000)} == {128 * 512}


# As bytes


def test_counts_come_back_from_their_bytes():
    for counted in (good(), equal_clients(65_536, -127)):
        blob = encode_counts(counted)
        again = decode_counts(blob, counted.layout, counted.shifts, cohort=counted.client_ids)
        assert encode_counts(again) == blob
        assert again.client_ids == counted.client_ids
        assert np.array_equal(again.columns.median_counts(), counted.columns.median_counts())


def at(place, value):
    return lambda blob: blob[:place] + value + blob[place + len(value) :]


IDS, TABLE = 64 + 8, 64 + 8 + 3 * 16


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda blob: b"", "0 bytes: the header alone has 64"),
        (lambda blob: blob[:-1], "3 clients and 0 carries make"),
        (lambda blob: blob + b"\0", "3 clients and 0 carries make"),
        (at(0, b"BYZU"), "b'BYZU' version 1"),
        (at(4, b"\2"), "version 2: this release reads"),
        (at(6, b"\2"), "another layout"),
        (at(8, b"\0\0\0\0"), "0 clients and 0 carries make"),
        (at(8, b"\xff\xff\xff\xff"), "4294967295 clients"),
        (at(12, b"\3"), "another layout"),
        (at(16, b"\1"), "1 carries make"),
        (at(20, b"\1"), "another layout"),
        (at(40, b"\1"), "another layout"),
        (at(64, b"\4"), r"grid \(4,\): \(3,\) was offered"),
        (at(65, b"\1"), "was offered"),
        (at(IDS, b"C"), "no name"),
        (at(IDS + 15, b"x"), "no name"),
        (at(IDS, b"x"), "outside the cohort of 4"),
        (at(IDS + 5, b"1"), "second update"),
        (at(IDS + 16 + 5, b"3"), "sorted"),
        (at(TABLE, b"\1"), "do not count 3"),
        (at(TABLE + 2 * 128 * 8, b"\0"), "do not count 3"),
    ],
)
def test_bytes_that_are_no_counts_of_these_clients_are_refused_by_name(damage, message):
    counted = good()
    cohort = (*counted.client_ids, "c00003")
    with pytest.raises(InvalidBatchError, match=message):
        decode_counts(damage(encode_counts(counted)), counted.layout, counted.shifts, cohort)


def test_a_carry_beyond_63_bits_is_refused():
    counted = equal_clients(65_536, 0)
    blob = encode_counts(counted)
    place = 64 + 8 + 65_536 * 16
    with pytest.raises(InvalidBatchError, match="a carry at 18446744073709551615"):
        decode_counts(at(place, b"\xff" * 8)(blob), counted.layout, counted.shifts)


@given(st.binary(max_size=200), st.integers(0, 200))
def test_any_bytes_are_counts_or_refused(noise, place):
    counted = good()
    blob = at(place, noise)(encode_counts(counted))
    try:
        again = decode_counts(blob, counted.layout, counted.shifts)
    except InvalidBatchError:
        return
    assert encode_counts(again) == blob


def test_what_stages_have_acted_on_and_names_the_wire_lacks_have_no_bytes():
    staged = batch_of([[1, 2]], ["b"])
    staged = staged.with_rows(staged.rows, Diagnostics("clip", np.array([True])))
    with pytest.raises(InvalidBatchError, match="send them as they came"):
        encode_counts(UpdateCounts.of(staged))
    with pytest.raises(InvalidBatchError, match="do not fit their bytes"):
        encode_counts(UpdateCounts.of(batch_of([[1, 2]], ["Not A Name"])))
