"""The geometric median and centered clipping: others' numbers, the optimality condition, the state that is carried."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from byzantiny.aggregators import CenteredClipping, GeometricMedian
from byzantiny.federation import Federation, ServerState, build_pipeline
from byzantiny.updates import AggregationError, BeyondLimitError, InvalidBatchError, PipelineError, UpdateBatch
from byzantiny_models.networks import Layout, TensorSpec

X3 = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
X4 = [[1, 2, 3], [-1, 4, -1], [2, 2, 3], [3, 1, 3]]
X7 = [
    [10, -3, 7, 0, 25],
    [12, -5, 9, 1, 22],
    [9, -4, 6, -2, 27],
    [11, -2, 8, 3, 24],
    [13, -6, 10, -1, 21],
    [-40, 60, -80, 100, -120],
    [-38, 63, -77, 97, -118],
]
BYZFL = GeometricMedian(nu=0.1, max_iterations=3, tolerance=0, start="zero")
EXACT = GeometricMedian(tolerance=1e-12)


def rng():
    return np.random.default_rng(0)


def aggregate(rule, rows, dtype=np.int8):
    batch = UpdateBatch.from_rows(np.array(rows, dtype=dtype))
    return rule.apply(batch, rule.init(batch.layout), rng=rng())[0]


# (rule, rows, expected, where the numbers come from)
VECTORS = [
    (BYZFL, X3, [3.78788764, 4.78788764, 5.78788764], "ByzFL docstring: nu=.1, T=3, from 0"),
    (BYZFL, X7, [10.494098734, -3.067820385, 7.0844906221, 1.6871589908, 22.0969001805], "ByzFL, run"),
    (EXACT, X4, [1.87752552, 1.96494192, 2.90948869], "exact, run (fedlib tests only the condition)"),
    (
        EXACT,
        X7,
        [10.69855379, -3.29790163, 7.46556406, 1.30880847, 22.81693008],
        "exact: fedlib, and ByzPy with tolerance 1e-12, run",
    ),
    (GeometricMedian(), X3, [4, 5, 6], "the centre of three points on a line is the middle one"),
    (CenteredClipping(tau=100), X3, [4, 5, 6], "ByzFL CenteredClipping(L=1, tau=100) docstring"),
    (
        CenteredClipping(tau=100),
        X7,
        [1.9301896597, 6.4935911793, -6.216338054, 15.1136748833, -1.0877290859],
        "v0=0, L=1, tau=100, run",
    ),
    (
        CenteredClipping(tau=10),
        X7,
        [2.2313931438, -0.0920431685, 0.8632987959, 1.5544638821, 4.2675395085],
        "v0=0, L=1, tau=10: the mean of rows clipped at 10, run",
    ),
    (
        CenteredClipping(tau=10, L=3),
        X7,
        [6.2597219786, -0.8499232918, 3.0583669846, 3.1190484254, 12.3970203566],
        "L=3, tau=10: ByzFL = ByzPy, run",
    ),
    (
        CenteredClipping(tau=5, L=5),
        X7,
        [5.2473554, -0.67248202, 2.51989659, 2.69897266, 10.36260825],
        "tau=5, 5 iterations: fedlib, run",
    ),
    (
        CenteredClipping(tau=10, L=100, start="median"),
        X7,
        [10.05022025, -2.75533219, 6.35684368, 2.06734267, 21.08712762],
        "tau=10, M=100, from the median: ByzPy, run",
    ),
    (
        CenteredClipping(tau=27.982137),
        X7,
        [6.1354897634, -0.2125343356, 2.3337322604, 4.3460485459, 11.7491720763],
        "norm clip at the median norm, then the mean, run",
    ),
]


@pytest.mark.parametrize(("rule", "rows", "expected", "source"), VECTORS)
@pytest.mark.parametrize("dtype", [np.int8, np.float64])
def test_published_vectors(rule, rows, expected, source, dtype):
    # The peers' "exact" geometric medians are 1e-7 from Newton's, below.
    atol = 2e-7 if rule is EXACT else 1e-8
    np.testing.assert_allclose(aggregate(rule, rows, dtype).values, expected, rtol=2e-8, atol=atol, err_msg=source)


def newton(rows, z, steps=30):
    """The minimum by another method: Newton steps on the sum of distances."""
    x = np.asarray(rows, dtype=float)
    for _ in range(steps):
        lengths = np.linalg.norm(x - z, axis=1)
        units = (x - z) / lengths[:, None]
        hessian = sum((np.eye(x.shape[1]) - np.outer(u, u)) / r for u, r in zip(units, lengths, strict=True))
        z = z + np.linalg.solve(hessian, units.sum(axis=0))
    return z


@pytest.mark.parametrize("rows", [X4, X7])
def test_newton_agrees_to_ten_digits_with_ours_and_to_seven_with_the_peers(rows):
    peers = next(expected for rule, given_, expected, _ in VECTORS if rule is EXACT and given_ is rows)
    exact = newton(rows, np.array(peers))
    np.testing.assert_allclose(aggregate(EXACT, rows).values, exact, rtol=1e-10, atol=1e-10)
    assert 1e-8 < np.abs(exact - peers).max() < 2e-7


def test_byzpy_s_geometric_medians():
    """ByzPy tests: of 0, 1, 1.5, 100 any point of [1, 1.5] is optimal (torch's lower median 1.0, ours the middle);
    four points near 0 and one at (100, 100): closer than .2 to 0; ditto centered clipping with c = .2, M = 15: .3.
    """
    line = aggregate(GeometricMedian(), [[0.0], [1.0], [100.0], [1.5]], np.float64)
    assert 1 <= line.values[0] <= 1.5
    assert line.diagnostics.details["residual"] == 0
    near = [[0.0, 0.0], [0.1, -0.1], [-0.1, 0.1], [0.05, 0.0]]
    assert np.linalg.norm(aggregate(GeometricMedian(), [*near, [100.0, 100.0]], np.float64).values) < 0.2
    clipped = CenteredClipping(tau=0.2, L=15, start="median")
    assert np.linalg.norm(aggregate(clipped, [*near, [50.0, 50.0]], np.float64).values) < 0.3


def pull(rows, z):
    """The sum of unit vectors towards the rows: zero at the geometric median, unless it is a row."""
    apart = np.asarray(rows, dtype=float) - z
    return (apart / np.linalg.norm(apart, axis=1)[:, None]).sum(axis=0)


@pytest.mark.parametrize("rows", [X4, X7, np.random.default_rng(1).integers(-127, 128, (40, 300))])
def test_the_optimality_condition_holds(rows):
    result = aggregate(GeometricMedian(), rows)
    assert np.linalg.norm(pull(rows, result.values)) <= 2e-9 * len(rows)
    assert result.diagnostics.details["residual"] <= 1e-9
    assert result.diagnostics.details["converged"] == 1


@given(hnp.arrays(np.int8, st.tuples(st.integers(1, 8), st.integers(1, 4)), elements=st.integers(-6, 6)))
def test_no_point_nearby_has_a_smaller_sum_of_distances(rows):
    """Convex: a local minimum is the minimum. Rows that coincide with it included; nu blurs it by nu / 2 a row."""

    def total(z):
        return np.linalg.norm(rows - z, axis=1).sum()

    result = aggregate(GeometricMedian(), rows)
    least = total(result.values)
    generator = np.random.default_rng(2)
    for scale in (1e-2, 1, 10):
        for _ in range(20):
            other = result.values + scale * generator.normal(size=rows.shape[1])
            assert total(other) >= least - len(rows) * 1e-3
    assert total(rows.mean(axis=0)) >= least - len(rows) * 1e-3


@given(
    hnp.arrays(np.int8, (6, 3), elements=st.integers(-20, 20)),
    hnp.arrays(np.int8, (4, 3), elements=st.integers(-127, 127)),
)
def test_four_liars_among_ten_move_it_within_the_known_bound(honest, liars):
    """Within 2 (n - f) / (n - 2f) of the largest honest distance to their mean, plus what nu and the tolerance leave."""
    z = aggregate(GeometricMedian(f=4), np.concatenate([honest, liars])).values
    centre = honest.mean(axis=0)
    spread = np.linalg.norm(honest - centre, axis=1).max()
    assert np.linalg.norm(z - centre) <= 2 * 6 / 2 * spread + 0.01


def test_the_residual_says_when_it_has_not_arrived():
    """ByzFL's three steps from zero are far from the optimum (3.3); ours report it."""
    result = aggregate(BYZFL, X3).diagnostics
    assert result.details["converged"] == 0
    assert result.details["residual"] > 0.1
    assert result.details["iterations"] == 3
    assert result.score.tolist() == pytest.approx(np.linalg.norm(np.array(X3) - 3.78788764 - [[0, 1, 2]], axis=1))


def test_weights_and_scores_of_the_geometric_median():
    result = aggregate(GeometricMedian(), X7)
    lengths = np.linalg.norm(np.array(X7) - result.values, axis=1)
    np.testing.assert_allclose(result.diagnostics.score, lengths, rtol=1e-12)
    np.testing.assert_allclose(result.diagnostics.weight, (1 / lengths) / (1 / lengths).sum(), rtol=1e-12)
    np.testing.assert_allclose(result.diagnostics.weight @ np.array(X7), result.values, rtol=1e-6)


def test_lengths_are_taken_in_the_common_unit():
    """A bias tensor 2^3 coarser: the same point as with codes brought to the finer grid."""
    layout = Layout((TensorSpec("w", (3,), "int16", 14), TensorSpec("b", (2,), "int32", 12)))
    rows = np.random.default_rng(3).integers(-15, 16, (6, 5))
    fine = rows * np.array([1, 1, 1, 8, 8])
    for rule in (GeometricMedian(), CenteredClipping(tau=40, L=4)):
        batch = UpdateBatch.from_rows(rows.astype(np.int8), layout, (4, 5))
        coarse = rule.apply(batch, rule.init(layout), rng=rng())[0].values
        np.testing.assert_allclose(coarse * [1, 1, 1, 8, 8], aggregate(rule, fine).values, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("start", ["median", "zero"])
def test_a_row_in_the_centre_is_found(start):
    """The optimum is a row: unsmoothed steps would divide by zero there."""
    rows = [[0, 0], [9, 0], [-9, 0], [0, 9], [0, -9], [0, 0]]
    assert np.abs(aggregate(GeometricMedian(start=start), rows).values).max() < 1e-3


def test_a_start_on_a_row_that_is_not_the_optimum_is_left():
    """The coordinate-wise median can be a row that the others pull away from."""
    rows = [[0, 0], [10, 1], [10, -1], [-1, 10], [-1, -10]]
    result = aggregate(GeometricMedian(), rows)
    assert result.diagnostics.details["converged"] == 1
    assert result.diagnostics.details["iterations"] > 0


@given(hnp.arrays(np.int8, (5, 3), elements=st.integers(-127, 127)), st.integers(1, 127))
def test_one_row_moves_centered_clipping_by_at_most_l_tau_over_n(rows, lie):
    """However far a liar goes, its pull is cut; with L = 1 the others' pulls do not depend on it."""
    other = rows.copy()
    other[2] = lie
    rule = CenteredClipping(tau=30)
    moved = aggregate(rule, rows).values - aggregate(rule, other).values
    assert np.linalg.norm(moved) <= 2 * 30 / 5 + 1e-9


def test_the_momentum_is_explicit_and_survives_storage():
    """ByzFL keeps v inside the object, so that a second call gives another result, and `m` is a TypeError (3.3)."""
    rule = CenteredClipping(tau=10)
    batch = UpdateBatch.from_rows(np.array(X7, dtype=np.int8))
    start = rule.init(batch.layout)
    first, carried = rule.apply(batch, start, rng=rng())
    again, _ = rule.apply(batch, start, rng=rng())
    assert again.values.tobytes() == first.values.tobytes()
    assert not start["momentum"].any()
    assert carried["momentum"].tolist() == first.values.tolist()
    blob = ServerState(1, np.zeros(5, dtype=np.int32), (carried,)).to_bytes()
    restored = ServerState.from_bytes(blob).stages[0]
    second = rule.apply(batch, carried, rng=rng())[0].values
    assert second.tobytes() == rule.apply(batch, restored, rng=rng())[0].values.tobytes()
    np.testing.assert_allclose(second, aggregate(CenteredClipping(tau=10, L=2), X7).values, rtol=1e-12)


def test_three_rounds_are_three_iterations_in_a_federation():
    layout = Layout((TensorSpec("w", (5,), "int16", 14),))
    federation = Federation(layout, build_pipeline([{"name": "centered-clipping", "tau": 10}]))
    state = federation.init(np.zeros(5, dtype=np.int32))
    batch = UpdateBatch.from_rows(np.array(X7, dtype=np.int8), layout, (0,))
    for _ in range(3):
        state, diagnostics = federation.apply(state, batch, rng())
    byzfl = [6.2597219786, -0.8499232918, 3.0583669846, 3.1190484254, 12.3970203566]  # L = 3, run
    np.testing.assert_allclose(diagnostics.aggregate.values, byzfl, rtol=1e-9)
    assert federation.skip(state).stages[0]["momentum"].tolist() == diagnostics.aggregate.values.tolist()


def test_the_momentum_keeps_its_meaning_when_the_grid_changes():
    """A shift raised by one halves the number of steps that the same aggregate is."""
    layout = Layout((TensorSpec("w", (2,), "int16", 14), TensorSpec("b", (1,), "int32", 12)))
    rule = CenteredClipping(tau=1e6)
    state = {"momentum": np.array([8.0, -4.0, 6.0]), "shifts": [5, 3]}
    still = np.array([[4, -2, 6]], dtype=np.int8)
    batch = UpdateBatch.from_rows(still, layout, (6, 3))
    aggregate_, following = rule.apply(batch, state, rng=rng())
    assert aggregate_.diagnostics.score.tolist() == [0.0]
    assert aggregate_.values.tolist() == [4.0, -2.0, 6.0]
    assert following["shifts"] == [6, 3]


def test_a_tau_told_its_unit_keeps_its_real_length_on_any_grid():
    """The same real rows on a grid twice as fine are twice as many steps, and so is the aggregate, bit by bit."""
    layout = Layout((TensorSpec("w", (2,), "int16", 14), TensorSpec("b", (3,), "int32", 12)))
    rows = np.array(X7[:5], dtype=np.int8)
    rule = CenteredClipping(tau=9.0, finest=-9, L=2)
    coarse, fine = (
        rule.apply(UpdateBatch.from_rows(codes, layout, shifts), rule.init(layout), rng=rng())
        for codes, shifts in ((rows, (5, 3)), (2 * rows, (4, 2)))
    )
    assert fine[0].values.tolist() == (2 * coarse[0].values).tolist()
    assert fine[0].diagnostics.clipped.tolist() == coarse[0].diagnostics.clipped.tolist() != [1.0] * 5
    untold = CenteredClipping(tau=9.0, L=2)
    same = untold.apply(UpdateBatch.from_rows(rows, layout, (5, 3)), untold.init(layout), rng=rng())[0]
    assert same.values.tolist() == coarse[0].values.tolist(), "on the batch's own finest step it is the same rule"


def test_a_momentum_of_another_network_is_refused():
    with pytest.raises(AggregationError, match=r"carries \(3,\) numbers for 5"):
        CenteredClipping(tau=3.0).apply(
            UpdateBatch.from_rows(np.array(X7, dtype=np.int8)), {"momentum": np.zeros(3), "shifts": []}, rng=rng()
        )


def test_equal_rows_are_the_aggregate_within_reach_of_the_start():
    rows = [[30, -40, 50]] * 4
    assert aggregate(GeometricMedian(), rows).values.tolist() == rows[0]
    assert aggregate(CenteredClipping(tau=1.0, start="median"), rows).values.tolist() == rows[0]
    assert np.linalg.norm(aggregate(CenteredClipping(tau=1.0), rows).values) == pytest.approx(1.0)


@pytest.mark.parametrize("rule", [GeometricMedian(f=3), CenteredClipping(tau=1.0, f=3)])
def test_beyond_half_it_raises(rule):
    assert aggregate(rule, np.zeros((7, 2))).values.tolist() == [0, 0]
    with pytest.raises(BeyondLimitError, match=r"f = 3 needs n >= 2f \+ 1, that is 7"):
        aggregate(rule, np.zeros((6, 2)))


@pytest.mark.parametrize(
    "make",
    [
        lambda: GeometricMedian(nu=0.0),
        lambda: GeometricMedian(nu=float("nan")),
        lambda: GeometricMedian(tolerance=-1.0),
        lambda: GeometricMedian(start="mean"),
        lambda: GeometricMedian(max_iterations=-1),
        lambda: GeometricMedian(f=-1),
        lambda: CenteredClipping(tau=0.0),
        lambda: CenteredClipping(tau=float("inf")),
        lambda: CenteredClipping(tau="10"),
        lambda: CenteredClipping(tau=1.0, L=0),
        lambda: CenteredClipping(tau=1.0, start="zero"),
    ],
)
def test_parameters_out_of_range_are_refused(make):
    with pytest.raises(PipelineError):
        make()


@pytest.mark.parametrize("rule", [GeometricMedian(), CenteredClipping(tau=1.0)])
def test_infinities_do_not_reach_the_rules(rule):
    """In ByzFL an infinite row makes centered clipping nan, and a nan row the geometric median (3.3)."""
    with pytest.raises(InvalidBatchError, match="nan or infinity"):
        aggregate(rule, [[1.0], [np.inf]], np.float64)
    with pytest.raises(InvalidBatchError, match=r"hold 1e\+200 in magnitude: .* up to 2\^200; scale them down"):
        aggregate(rule, [[1.0], [1e200]], np.float64)
