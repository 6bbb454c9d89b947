"""NITI in plain Python: from arXiv 2009.13108 and what its code does, importing no project code. One client, dense layers.

Exact fractions and floor/ceil where the project shifts; the largest value's bits are counted by comparing with powers of two.
"""

import importlib.util
import pathlib
from fractions import Fraction
from math import floor, trunc

_spec = importlib.util.spec_from_file_location("pure_step", pathlib.Path(__file__).parent / "pure_step.py")
pure = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(pure)


def bit_width(values):
    top, b = max((abs(v) for v in values), default=0), 0
    while 2**b <= top:
        b += 1
    return b


def clip127(v):
    return max(-127, min(127, v))


def rounded(v, s):
    """To nearest, half away from zero."""
    exact = Fraction(abs(v), 2**s)
    return clip127((1 if v >= 0 else -1) * floor(exact + Fraction(1, 2)))


def psr(v, s):
    t = trunc(Fraction(v, 2**s))
    p = abs(v - t * 2**s)
    q = p // 2 ** (s // 2)
    r = p - q * 2 ** (s // 2)
    if s % 2:
        r *= 2
    sign = (v > 0) - (v < 0)
    return clip127(t + sign * (1 if q > r else 0))


def loss(row, e, label, noise):
    if e > -7:
        s = [trunc(Fraction(v * 47274, 2**15)) for v in row]
        s = [v * 2**e if e >= 0 else trunc(Fraction(v, 2**-e)) for v in s]
        g = [2 ** max(v - (max(s) - 10), 0) - 1 for v in s]
    else:
        e = max(e, -24)
        g = [2 ** (1 - 2 * e) + v * 2 ** (1 - e) + v * v for v in row]
    g = [v * 2**11 // sum(g) for v in g]
    g[label] -= sum(g)
    return [clip127(floor(Fraction(v + (n >> 28), 16))) for v, n in zip(g, noise, strict=True)]


def scaled(rows, e):
    s = max(0, bit_width([v for row in rows for v in row]) - 7)
    return [[rounded(v, s) for v in row] for row in rows], e + s


def product(a, b):
    """a (n, k) times the transpose of b (m, k)."""
    return [[sum(x * y for x, y in zip(row, other, strict=True)) for other in b] for row in a]


def turned(a):
    return [list(column) for column in zip(*a, strict=True)]


def train(sizes, kernels, xs, ys, k_order, k_train, epochs, mu, batch):
    """`kernels`: int16 masters, rows of each layer; returns the masters after."""
    held = [scaled(kernel, 0) for kernel in kernels]
    weights, shifts = [w for w, _ in held], [s for _, s in held]
    begin, t, depth = [[list(row) for row in w] for w in weights], 0, len(weights)
    for epoch in range(epochs):
        order = pure.order(len(xs), epoch, *k_order)
        for first in range(0, len(order), batch):
            chosen = order[first : first + batch]
            acts, e = [[list(xs[c]) for c in chosen]], -6
            for i, w in enumerate(weights):
                v, e = scaled(product(acts[-1], w), e + shifts[i] - 14)
                acts.append(v if i == depth - 1 else [[max(0, u) for u in row] for row in v])
            a, b = pure.draw(t, *k_train), pure.draw(t, k_train[1], k_train[0])
            errors = [
                loss(row, e, ys[c], [pure.draw(n * sizes[-1] + o, a, b) for o in range(sizes[-1])])
                for n, (row, c) in enumerate(zip(acts[-1], chosen, strict=True))
            ]
            for i in reversed(range(depth)):
                below = product(errors, turned(weights[i]))
                below = [
                    [g if u > 0 else 0 for g, u in zip(*pair, strict=True)] for pair in zip(below, acts[i], strict=True)
                ]
                gradient = product(turned(errors), turned(acts[i]))
                s = max(0, bit_width([v for row in gradient for v in row]) - mu)
                weights[i] = [
                    [clip127(w - psr(g, s)) for w, g in zip(*pair, strict=True)]
                    for pair in zip(weights[i], gradient, strict=True)
                ]
                errors = scaled(below, 0)[0]
            t += 1
    return [
        [
            [pure.clip(m + (w - w0) * 2**s, -32512, 32512) for m, w, w0 in zip(*rows, strict=True)]
            for rows in zip(kernel, after, before, strict=True)
        ]
        for kernel, after, before, s in zip(kernels, weights, begin, shifts, strict=True)
    ]
