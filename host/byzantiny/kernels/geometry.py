"""The kernels of distances and subsets of rows of codes, exact."""

from __future__ import annotations

from byzantiny.kernels.reference.geometry import gram, inner_products, subset_sums

__all__ = ["gram", "inner_products", "subset_sums"]
