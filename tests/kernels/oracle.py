"""What the kernels that walk columns compute, in other words: sorting, and nothing of theirs."""

from __future__ import annotations

import numpy as np


def median(ranked):
    n = len(ranked)
    return ranked[(n - 1) // 2] + ranked[n // 2]


def trimmed_sum(ranked, f):
    return ranked[f : len(ranked) - f].sum(axis=0)


def nearest_sum(ranked, f, numerator, denominator):
    """The n - f values with the least distance, of two as near the lower one: a sort by both."""
    distance = np.abs(ranked * denominator - numerator)
    order = np.argsort(distance, axis=0, kind="stable")  # stable: `ranked` is ascending
    return np.take_along_axis(ranked, order, axis=0)[: len(ranked) - f].sum(axis=0)


def median_counts(ranked):
    n = len(ranked)
    low, high = ranked[(n - 1) // 2], ranked[n // 2]
    counts = [(ranked < low).sum(axis=0)] + [(ranked == low + step).sum(axis=0) for step in (0, -1, 1)]
    return np.stack([low, high, *counts])


def sign_sum(ranked):
    return (ranked > 0).sum(axis=0) - (ranked < 0).sum(axis=0)
