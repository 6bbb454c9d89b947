"""signSGD with majority vote: each client has one vote a coordinate.

Bernstein, Zhao, Azizzadenesheli, Anandkumar. signSGD with majority vote is communication efficient and fault
tolerant. ICLR 2019, arXiv 1810.05291.
Differs from the paper: the client sends codes and the coordinator takes their signs; a code 0 abstains; the length of
the step is a parameter in grid steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from byzantiny.aggregators import kappas
from byzantiny.aggregators.float_columns import float_votes
from byzantiny.updates import CODE_LIMIT, Aggregate, AnyBatch, PipelineError, all_kept
from byzantiny.updates.rules import Kappa, RuleInfo, require_clients, require_f
from byzantiny_models.networks import Layout


@dataclass(frozen=True, slots=True)
class SignMajorityVote:
    """Return `step * sign(sum_i sign(x_i))` per coordinate, a tie giving 0; exact for float rows too.

    With `f` declared, n >= 2f + 1 is required: where all honest clients agree on a sign, they win.

    >>> from byzantiny.updates import UpdateBatch
    >>> batch = UpdateBatch.from_rows(np.array([[9, -1, 1], [1, 0, -1], [-90, -3, 0]], dtype=np.int8))
    >>> SignMajorityVote(step=2).apply(batch, None, rng=np.random.default_rng(0))[0].numerator.tolist()
    [2, -2, 0]
    """

    step: int = 1
    f: int | None = None

    name: ClassVar[str] = "sign-majority-vote"
    info: ClassVar[RuleInfo] = RuleInfo(
        name="sign-majority-vote",
        formula="step * sign(sum_i sign(x_i)) per coordinate",
        limit="n >= 1; n >= 2f + 1 with f declared",
        breakdown="(honest majority of a coordinate) / n; below 1/2",
        cost="O(n d)",
        streams="counts",
        paper="Bernstein et al., ICLR 2019, arXiv 1810.05291",
        keeps=frozenset({"exact", "permutation", "negation"}),
        kappa=Kappa("none: the step has a length of its own", kappas.OURS, kappas.unbounded),
    )

    def __post_init__(self) -> None:
        require_f(self.name, self.f)
        if not isinstance(self.step, int) or isinstance(self.step, bool) or not 1 <= self.step <= CODE_LIMIT:
            raise PipelineError(
                f"sign-majority-vote: step is {self.step!r}; it is in grid steps, an integer in 1 .. {CODE_LIMIT}"
            )

    @property
    def min_clients(self) -> int:
        """`2f + 1`; one if no f is declared."""
        return 2 * (self.f or 0) + 1

    def init(self, layout: Layout) -> None:
        """No state is kept between rounds."""

    def apply(self, batch: AnyBatch, state: None, rng: np.random.Generator) -> tuple[Aggregate, None]:  # noqa: ARG002
        """Return the vote; the details count the coordinates nobody won."""
        require_clients(self.name, batch.n, self.min_clients, f"f = {self.f or 0} needs n >= 2f + 1")
        votes = batch.columns.sign_sum() if batch.exact else float_votes(batch)
        diagnostics = all_kept(self.name, batch.n, tied_coordinates=np.count_nonzero(votes == 0))
        return Aggregate(self.step * np.sign(votes), np.int64(1), diagnostics), state
