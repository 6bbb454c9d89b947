"""What a rule promises, by name, and the error that says which promise was broken."""

from __future__ import annotations

from collections.abc import Mapping

from byzantiny.updates.rules import PROPERTIES

PROMISES: Mapping[str, str] = {
    "card": "a frozen dataclass with a complete card and at least one client",
    "parameters": "an f that is no count of clients is refused when the rule is built",
    "limit": "fewer rows than `min_clients` raise, naming both numbers; nothing is clamped",
    "input": "the batch that came in is as it was",
    "state": "the state that came in is as it was; the next one can be stored, and goes on alike from the store",
    "determinism": "equal batch, state and generator give equal bytes, whatever ran before",
    "randomness": "no generator but the one handed in is used or touched",
    "result": "one finite number a coordinate; integers where the card says `exact`",
    "diagnostics": "it ran, under its own name, and says of every row what became of it",
    "storage": "the tiles of a round's buffer and an array of rows give equal bytes",
    "floats": "the same numbers as float64 rows give the same, or are refused as rows it cannot read",
    "units": "codes doubled on a grid half as fine are the same update (asked of rules that claim `scale`)",
    "denial": "no codes within its limit make it raise: one client could close every round",
    "hull": "f liars leave a coordinate within what `hull_steps` and `hull_spread` of the card allow",
    "kappa": "f liars leave the aggregate within what `kappa` of the card allows",
    "rows": "as many rows are passed on as `rows_out` says, of the same clients, with one entry more in the trace",
    "mixing": "`origin` says which clients a row is made of, in shares that sum to one; nobody is lost without a reason",
    "unchanged": "a screen passes rows on as they came",
    "streaming": "as the card's `streams` says: the same of parts of a round, or from counts; or counts are refused",
    **PROPERTIES,
}
"""The promises that `check_aggregator`, `check_preaggregator` and `check_screen` test. The last eight are those a card
claims in `keeps`."""


class ContractError(AssertionError):
    """A rule broke a promise: `promise` is its name in PROMISES.

    >>> print(ContractError("krum", "permutation", "reversed rows, another aggregate"))
    krum breaks `permutation`: reversed rows, another aggregate
    """

    def __init__(self, rule: str, promise: str, what: str) -> None:
        super().__init__(f"{rule} breaks `{promise}`: {what}")
        self.rule, self.promise = rule, promise


def hold(kept: object, rule: str, promise: str, what: str) -> None:
    """Raise unless a promise was kept.

    Raises:
        ContractError: `kept` is not true.
    """
    if not kept:
        raise ContractError(rule, promise, what)
