"""ALIE and IPM against numbers that others computed; the degenerate z warns; what cannot work is refused."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from byzantiny.attacks import ALIE, IPM, AttackContext, AttackError, AttackWarning, SignFlip, craft
from byzantiny.attacks.untargeted.alie import z_max

X3 = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
X7 = np.array(
    [
        [10, -3, 7, 0, 25],
        [12, -5, 9, 1, 22],
        [9, -4, 6, -2, 27],
        [11, -2, 8, 3, 24],
        [13, -6, 10, -1, 21],
        [-40, 60, -80, 100, -120],
        [-38, 63, -77, 97, -118],
    ]
)


def context(**fields):
    return AttackContext(**({"honest": None, "n": 7, "f": 2, "rng": np.random.default_rng(0)} | fields))


def test_alie_is_byzfl_s_with_its_z_and_its_deviation():
    """ByzFL docstring, X3: [8.5, 9.5, 10.5]; run on X7[:5] (tau = 1.5, torch's std: ddof 1)."""
    assert craft(ALIE(z=1.5), context(honest=X3, n=4, f=1)).tolist() == [[8.5, 9.5, 10.5]]
    rows = craft(ALIE(z=1.5), context(honest=X7[:5]))
    expected = [13.3717082451, -1.6282917549, 10.3717082451, 3.0853076093, 27.3812009159]
    assert np.allclose(rows, [expected] * 2, rtol=0, atol=1e-9)


def test_alie_is_byzpy_s_with_its_z_and_its_deviation():
    """ByzPy LittleAttack(f=2, N=7), run on X7[:5]: z counts all N clients, and the deviation divides by m."""
    z = NormalDist().inv_cdf((7 - 2) / 7)
    assert round(z, 4) == 0.5659
    rows = craft(ALIE(z=z, ddof=0), context(honest=X7[:5]))
    assert np.allclose(rows, [11.8003725, -3.1996275, 8.8003725, 1.17369517, 25.00853597], rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    ("n", "f", "z"),
    [
        (50, 10, 0.25335),
        (50, 12, 0.33604),
        (51, 12, 0.36120),
        (50, 24, 1.42608),
        (20, 4, 0.15731),
        (100, 20, 0.28584),
        (25, 5, 0.25335),
    ],
)
def test_z_is_the_papers(n, f, z):
    """s = floor(n/2 + 1) - f, z = PHI^-1((n - f - s) / (n - f))."""
    assert round(z_max(n, f), 5) == z


@pytest.mark.parametrize(("n", "f"), [(50, 24), (50, 12), (20, 4)])
def test_z_is_a_quantile_and_the_deviation_no_root_of_itself(n, f):
    """FLANDERS takes PHI for PHI^-1, so that z is above .5 whatever n and f, and the root of a deviation for a deviation."""
    share = (n - f - (n // 2 + 1 - f)) / (n - f)
    z = z_max(n, f)
    assert math.isclose(math.erfc(-z / math.sqrt(2)) / 2, share, rel_tol=1e-12), "PHI(z) is the share, by erfc"
    theirs = NormalDist().cdf(share)
    assert abs(theirs - z) > 0.2
    rows = craft(ALIE(z=1.0, ddof=0), context(honest=np.array([[0, 0], [8, 18]])))
    assert rows[0].tolist() == [8.0, 18.0], "4 + 4 and 9 + 9, not 4 + 2 and 9 + 3"


@pytest.mark.parametrize(("n", "f"), [(10, 2), (4, 1), (3, 1), (2, 1)])
def test_a_z_of_zero_warns_that_there_is_no_attack(n, f):
    """n = 10, f = 2: exactly 0; the smaller ones would be negative. The row is the mean, and says so."""
    honest = X7[: n - f] if n - f <= 5 else np.tile(X7[:4], (2, 1))
    with pytest.warns(AttackWarning, match=f"alie with n = {n}, f = {f}: z is 0"):
        rows = craft(ALIE(ddof=0), context(honest=honest, n=n, f=f))
    assert np.allclose(rows, honest.mean(axis=0))


def test_colluding_alie_knows_the_attackers_updates_only():
    own = X7[:3]
    rows = craft(ALIE(z=1.0, knowledge="colluding"), context(own=own, f=3))
    assert np.allclose(rows, own.mean(axis=0) + own.std(axis=0, ddof=1))
    with pytest.raises(AttackError, match="alie needs `honest`"):
        craft(ALIE(), context(own=own, f=3))


def test_a_single_known_update_has_no_deviation():
    with pytest.raises(AttackError, match="1 known updates have no deviation with ddof = 1; at least 2"):
        craft(ALIE(z=1.0), context(honest=X7[:1], n=3, f=1))


def test_attackers_in_the_majority_need_no_z():
    with pytest.raises(AttackError, match="f is above n / 2 = 5"):
        z_max(10, 6)
    assert z_max(11, 5) == NormalDist().inv_cdf(5 / 6), "one supporter of six"


def test_ipm_is_byzfl_s():
    """ByzFL InnerProductManipulation(2), X3; ByzPy EmpireAttack(scale=-2)."""
    assert craft(IPM(epsilon=2), context(honest=X3, n=4, f=1)).tolist() == [[-8, -10, -12]]
    assert craft(IPM(epsilon=2), context(honest=np.array([[1, 5], [2, 3], [3, 1]]))).tolist() == [[-4, -6]] * 2


def test_ipm_with_epsilon_one_is_the_omniscient_sign_flip():
    seen = context(honest=X7[:5])
    assert np.array_equal(craft(IPM(epsilon=1), seen), craft(SignFlip(knowledge="omniscient"), seen))


@pytest.mark.parametrize(
    "build",
    [
        lambda: ALIE(z=np.nan),
        lambda: ALIE(z=np.inf),
        lambda: ALIE(ddof=2),
        lambda: ALIE(knowledge="own"),
        lambda: IPM(epsilon=0.0),
        lambda: IPM(epsilon=-1.0),
        lambda: IPM(epsilon=np.inf),
        lambda: IPM(knowledge="own"),
    ],
)
def test_parameters_out_of_range_are_refused(build):
    with pytest.raises(AttackError, match="it must be"):
        build()
