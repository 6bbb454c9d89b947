"""Declared robustness coefficients of the rules: pure functions of n and f. Derivations: docs/robustness.md.

The definition is that of Allouah, Farhadkhani, Guerraoui, Gupta, Pinot, Stephan. Fixing by mixing. AISTATS 2023,
arXiv 2302.01772: a rule F is (f, kappa)-robust if for every set S of n - f rows

    ||F(x) - mean_S||^2 <= kappa V_S,     V_S = sum_(i in S) ||x_i - mean_S||^2 / (n - f).

Differs from the paper: most constants are smaller. The paper's are 6 f / (n - 2f) (1 + f / (n - 2f)) for the trimmed mean
(here f / (n - 2f), which is the least any rule can have), 4 (1 + f / (n - 2f))^2 for the median, 6 (1 + f / (n - 2f)) for
a Krum with more neighbours. Everything by coordinate follows from one fact: the mean of any q of h values lies within
sqrt(V (h - q) / q) of the mean of all, and no nearer bound holds.
"""

from __future__ import annotations

import math

from byzantiny.updates.rules import Kappa

OURS = "this project, docs/robustness.md"


def of_a_part(h: int, q: int) -> float:
    """Return `(h - q) / q`: how far the mean of q of h rows can be from the mean of all, squared, over V.

    >>> of_a_part(16, 12)
    0.3333333333333333
    """
    return (h - q) / q


def without_liars(n: int, f: int) -> float:
    """Return 0 with f = 0, infinity with a liar: the mean, and rules whose bound is a length of their own.

    >>> without_liars(9, 0), without_liars(9, 1)
    (0.0, inf)
    """
    del n
    return math.inf if f else 0.0


def unbounded(n: int, f: int) -> float:
    """Return infinity: no multiple of V bounds the rule, because it is off by a part of a step where V is 0.

    >>> unbounded(9, 1)
    inf
    """
    del n, f
    return math.inf


def trimmed_mean(n: int, f: int) -> float:
    """Return `f / (n - 2f)`, attained: the mean of the n - 2f largest honest values is as far as it can be pushed.

    >>> trimmed_mean(20, 4)
    0.3333333333333333
    """
    return of_a_part(n - f, n - 2 * f)


def median(n: int, f: int) -> float:
    """Return `(n - f - q) / q`, `q = floor(n/2) + 1 - f`, attained: q honest values are at least the median.

    >>> median(20, 4), median(9, 4)
    (1.2857142857142858, 4.0)
    """
    return of_a_part(n - f, n // 2 + 1 - f)


def around(kappa_centre: float, n: int, f: int) -> float:
    """Return `4 f / (n - f) (1 + kappa_centre)`: the mean of the n - f values, or rows, nearest to a centre.

    >>> around(trimmed_mean(20, 4), 20, 4)
    1.3333333333333333
    """
    return 4 * f / (n - f) * (1 + kappa_centre)


def meamed(n: int, f: int) -> float:
    """Return `around` the median.

    >>> round(meamed(20, 4), 4)
    2.2857
    """
    return around(median(n, f), n, f)


def phocas(n: int, f: int) -> float:
    """Return `around` the trimmed mean, that is `4 f / (n - 2f)`.

    >>> phocas(20, 4)
    1.3333333333333333
    """
    return around(trimmed_mean(n, f), n, f)


def monna(n: int, f: int) -> float:
    """Return `4 f`: `around` one honest row, which may lie sqrt((n - f - 1) V) from the mean.

    >>> monna(20, 4)
    16.0
    """
    return around(of_a_part(n - f, 1), n, f)


def median_of_means(n: int, f: int) -> float:
    """Return `(n - f - g) / g` for 2f + 1 groups of at least `g = floor(n / (2f + 1))`: one honest group is beyond.

    >>> median_of_means(20, 4), median_of_means(20, 0)
    (7.0, 0.0)
    """
    return of_a_part(n - f, n // (2 * f + 1))


def krum(n: int, f: int) -> float:
    """Return `(n - f) / (n - 2f - 1) (1 + sqrt(2 (n - f - 2) / (n - f - 1)))^2`.

    >>> round(krum(20, 4), 4)
    8.1443
    """
    h = n - f
    return h / (n - 2 * f - 1) * (1 + math.sqrt(2 * (h - 2) / (h - 1))) ** 2


def multi_krum(n: int, f: int) -> float:
    """Return `f / h (1 + sqrt(f / q) + sqrt(n (h - 2) / ((h - 1) q)))^2`, h = n - f, q = n - 2f - 1; for m = n - f.

    >>> round(multi_krum(20, 4), 4), multi_krum(20, 0)
    (2.1108, 0.0)
    """
    h, q = n - f, n - 2 * f - 1
    return f / h * (1 + math.sqrt(f / q) + math.sqrt(n * (h - 2) / ((h - 1) * q))) ** 2


def bulyan(n: int, f: int) -> float:
    """Return `(sqrt(k) + sqrt((n - f) / (n - 4f) (1 + k)))^2`, k that of the median of n - 2f rows; 0 with f = 0.

    >>> round(bulyan(20, 4), 2), bulyan(20, 0)
    (44.9, 0.0)
    """
    centre = of_a_part(n - f, (n - 2 * f) // 2 + 1 - f)
    return (math.sqrt(centre) + math.sqrt((n - f) / (n - 4 * f) * (1 + centre))) ** 2 if f else 0.0


def geometric_median(n: int, f: int) -> float:
    """Return `4 ((n - f) / (n - 2f))^2`, up to the smoothing nu and the tolerance.

    >>> round(geometric_median(20, 4), 4)
    7.1111
    """
    return 4 * ((n - f) / (n - 2 * f)) ** 2


def mda(n: int, f: int) -> float:
    """Return `8 f^2 / (n - f)`: up to f rows are exchanged, each for one within two diameters.

    >>> mda(20, 4)
    8.0
    """
    return 8 * f * f / (n - f)


def smea(n: int, f: int) -> float:
    """Return `4 f / (n - 2f)`, even against the largest eigenvalue of the covariance instead of V.

    >>> smea(20, 4)
    1.3333333333333333
    """
    return 4 * f / (n - 2 * f)


NONE_WITH_LIARS = Kappa("0 with f = 0, none with a liar", OURS, without_liars)
NONE_IN_STEPS = Kappa("none: off by a part of a step where all honest rows agree", OURS, unbounded)
