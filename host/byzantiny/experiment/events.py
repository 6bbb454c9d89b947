"""What a running experiment tells its listener: a few frozen events, handed to one plain callback.

The experiment knows nothing of terminals; whoever wants to watch passes a callable that takes an `Event`. A listener
must not block for long and must not raise: it is called from the round loop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class ArmStarted:
    """One arm begins with one seed; `index` counts the runs (arm and seed) of the experiment from 1 to `count`."""

    arm: str
    title: str
    index: int
    count: int
    rounds: int
    seed: int
    metric: str = "accuracy"
    """What `accuracy` is in the events that follow: the task's metric."""


@dataclass(frozen=True)
class RoundClosed:
    """A round is committed; counts and bytes are of this round alone.

    `seed` says which run of the arm; None is the run of that arm that started last.
    """

    arm: str
    round_num: int
    rounds: int
    accuracy: float | None
    """Main-task accuracy, 0 to 1; None when this round was not evaluated."""
    accepted: int
    refused: int
    bytes_up: int
    bytes_down: int
    eta_s: float | None
    """Estimated seconds until the whole experiment is done; None when nothing is known yet."""
    seed: int | None = None
    outcome: str = "aggregated"
    """`aggregated` or `no-aggregate`."""
    reason: str = ""
    exported: float | None = None
    """The exported model's; None where it was not run."""
    asr: float | None = None
    """The deployed model's attack success rate; None without probes."""


@dataclass(frozen=True)
class ArmFinished:
    """One arm is through with one seed."""

    arm: str
    seed: int
    accuracy: float | None
    """Mean accuracy over the last tenth of the rounds, 0 to 1."""
    wall_s: float


@dataclass(frozen=True)
class Notice:
    """One sentence for the reader: a resumed run, a client that went silent, a broker that was started."""

    text: str


Event = ArmStarted | RoundClosed | ArmFinished | Notice
Listener = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Take an event and do nothing: the listener of a run that nobody watches.

    >>> ignore(Notice("resumed at round 7"))
    """
    del event
