"""Who lies when: the rounds in which attackers act, and, where the set is drawn anew every round, who they are then."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from byzantiny_models.rng import Stream, rng_for

WHO = "who-lies"
"""No client is called this: ids end with a number. So the draw is nobody else's."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Attackers act in rounds `start_round` to `stop_round`, both included (None: to the end).

    `resampled`: so many of the pool, drawn anew for every round from the seed; None: all of the pool, always.
    """

    start_round: int = 1
    stop_round: int | None = None
    resampled: int | None = None
    seed: int = 0

    def during(self, round_num: int) -> bool:
        """Whether attackers act in a round.

        >>> [Schedule(2, 3).during(round_num) for round_num in (1, 2, 3, 4)]
        [False, True, True, False]
        """
        return self.start_round <= round_num and (self.stop_round is None or round_num <= self.stop_round)

    def among(self, pool: Collection[str], round_num: int) -> frozenset[str]:
        """Return who of the pool is Byzantine in a round, whether or not they act in it.

        >>> pool = ["dev-01", "dev-02", "dev-03", "dev-04"]
        >>> draws = [Schedule(resampled=2, seed=1).among(pool, round_num) for round_num in range(1, 9)]
        >>> {len(each) for each in draws}, len(set(draws)) > 1, sorted(Schedule().among(pool, 1)) == pool
        ({2}, True, True)
        """
        if self.resampled is None:
            return frozenset(pool)
        ordered = sorted(pool, key=str.encode)
        rng = rng_for(self.seed, Stream.ATTACK, round_num=round_num, client_id=WHO)
        drawn = rng.choice(len(ordered), size=min(self.resampled, len(ordered)), replace=False)
        return frozenset(ordered[int(index)] for index in drawn)

    def act(self, pool: Collection[str], round_num: int) -> frozenset[str]:
        """Return who of the pool lies in a round."""
        return self.among(pool, round_num) if self.during(round_num) else frozenset()


ALWAYS = Schedule()
"""The same attackers, in all rounds."""
