"""What a round did to whom, in counts: enough for the rates that a sweep reports, and nothing by client."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from byzantiny.experiment.cast import Cast
from byzantiny.federation import RoundDiagnostics
from byzantiny_models import datasets

MINORITY_SHARE = 4
"""One honest client in so many is of the minority stratum."""


@dataclass(frozen=True, slots=True)
class Account:
    """Accepted updates of a round by kind, and how many of them the defence kept.

    `spread_steps` is the honest codes' standard deviation, the root mean square over coordinates, in steps; None: not
    measured.
    """

    honest: int = 0
    honest_kept: int = 0
    minority: int = 0
    minority_kept: int = 0
    byzantine: int = 0
    byzantine_kept: int = 0
    spread_steps: float | None = None

    def to_dict(self) -> dict[str, int | float | None]:
        """Return it as plain data."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


def kept_by_all(diagnostics: RoundDiagnostics | None, n: int) -> npt.NDArray[np.bool_]:
    """Return, for every client of a round, whether each stage kept it; without an aggregate nobody was kept."""
    if diagnostics is None:
        return np.zeros(n, np.bool_)
    kept = np.ones(n, np.bool_)
    for stage in diagnostics.stages:
        kept &= stage.kept
    return kept


def account(
    ids: Sequence[str],
    kept: npt.NDArray[np.bool_],
    liars: Collection[str],
    minority: Collection[str],
    spread_steps: float | None = None,
) -> Account:
    """Count.

    >>> account(["a", "b", "c"], np.array([True, False, False]), {"c"}, {"b"}).to_dict()["honest_kept"]
    1
    """
    lies = np.fromiter((client_id in liars for client_id in ids), np.bool_, len(ids))
    few = np.fromiter((client_id in minority for client_id in ids), np.bool_, len(ids)) & ~lies
    return Account(
        honest=int((~lies).sum()),
        honest_kept=int((kept & ~lies).sum()),
        minority=int(few.sum()),
        minority_kept=int((kept & few).sum()),
        byzantine=int(lies.sum()),
        byzantine_kept=int((kept & lies).sum()),
        spread_steps=spread_steps,
    )


def minority_of(cast: Cast, classes: int) -> frozenset[str]:
    """Return the honest clients whose labels are least like everybody's: one in four, by total variation.

    Ties go to the lower id, so that the stratum is a function of the data.
    """
    # Where anybody may lie, the stratum is of all; who does in a round is taken out of its count.
    always = [role for role in cast.roles if not role.byzantine] or cast.roles
    honest = sorted(always, key=lambda role: role.client_id.encode())
    counts = np.array([np.bincount(datasets.unpack(r.dataset)[1], minlength=classes) for r in honest], dtype=np.float64)
    if not len(counts):
        return frozenset()
    pooled = counts.sum(axis=0) / counts.sum()
    away = np.abs(counts / counts.sum(axis=1, keepdims=True) - pooled).sum(axis=1)
    chosen = np.argsort(-away, kind="stable")[: len(honest) // MINORITY_SHARE]
    return frozenset(honest[int(i)].client_id for i in chosen)
