"""Watching a running experiment: one live table on a terminal, a few plain lines everywhere else.

Fed by the events of `byzantiny.experiment.events` through one callback, `Live.on_event`, from whatever thread. Text in
events is not trusted: escape sequences never reach the terminal, and markup is not interpreted. NO_COLOR is respected.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from types import TracebackType
from typing import final

from rich.console import Console, Group
from rich.live import Live as RichLive
from rich.table import Table
from rich.text import Text

from byzantiny.experiment.events import ArmFinished, ArmStarted, Event, Notice, RoundClosed
from byzantiny.report import ArmSummary, Run, summarize_arms
from byzantiny.report.targets import percent
from byzantiny.report.text import printable
from byzantiny.report.units import grouped, human_bytes, human_seconds

SPARKS, ASCII_SPARKS = "▁▂▃▄▅▆▇█", "_.:-=+*#"
NARROW_COLUMNS = 100
MOST_TRACKS = 12
"""Rows of the live table; of a longer experiment the last ones are shown."""


@dataclass
class _Track:
    """One arm and seed on its way."""

    start: ArmStarted
    round_num: int = 0
    history: list[float] = field(default_factory=list)
    accepted: int = 0
    refused: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    no_aggregate: int = 0
    finished: ArmFinished | None = None

    def add(self, event: RoundClosed) -> None:
        """Count one closed round."""
        self.round_num = event.round_num
        if event.accuracy is not None:
            self.history.append(event.accuracy)
        self.accepted += event.accepted
        self.refused += event.refused
        self.bytes_up += event.bytes_up
        self.bytes_down += event.bytes_down
        self.no_aggregate += event.outcome == "no-aggregate"


@final
class Live:
    """A listener for an experiment; a context manager, so that the terminal is always given back.

    `interactive` overrides what is found out about the console: a redrawn table (True) or lines (False).
    """

    def __init__(
        self, *, enabled: bool = True, console: Console | None = None, interactive: bool | None = None
    ) -> None:
        self._enabled = enabled
        self._console = console or Console(highlight=False)
        found = self._console.is_interactive and self._console.file.isatty()
        self._interactive = found if interactive is None else interactive
        self._tracks: list[_Track] = []
        self._eta_s: float | None = None
        self._lock = threading.RLock()
        self._live: RichLive | None = None

    def __enter__(self) -> Live:
        """Begin to draw."""
        if self._enabled and self._interactive:
            self._live = RichLive(console=self._console, get_renderable=self._render, refresh_per_second=5)
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        """End drawing: the table vanishes after a whole run, for the final one to follow, and stays after any other."""
        if self._live is not None:
            self._live.transient = kind is None
            self._live.stop()
            self._live = None

    def on_event(self, event: Event) -> None:
        """Take one event; the callback to hand to the experiment."""
        if not self._enabled:
            return
        with self._lock:
            if isinstance(event, Notice):
                self._say(printable(event.text, 400))
                return
            track = self._take(event)
        if track is not None and not self._interactive:
            for line in _lines(track, event):
                self._say(line)

    def _take(self, event: ArmStarted | RoundClosed | ArmFinished) -> _Track | None:
        """Note what an arm's event says; None for an arm that never started."""
        if isinstance(event, ArmStarted):
            self._tracks.append(_Track(event))
            return self._tracks[-1]
        track = self._find(event.arm, event.seed)
        if track is not None and isinstance(event, RoundClosed):
            track.add(event)
            self._eta_s = event.eta_s
        if track is not None and isinstance(event, ArmFinished):
            track.finished = event
        return track

    def _find(self, arm: str, seed: int | None) -> _Track | None:
        return next((t for t in reversed(self._tracks) if t.start.arm == arm and seed in {None, t.start.seed}), None)

    def _say(self, line: str) -> None:
        self._console.print(Text(line), soft_wrap=True)

    def _render(self) -> Group:
        with self._lock:
            return Group(_progress_table(self._tracks, self._console), Text(self._footer(), style="dim"))

    def _footer(self) -> str:
        if not self._tracks:
            return "preparing"
        start = self._tracks[-1].start
        left = "" if self._eta_s is None else f", about {human_seconds(self._eta_s)} left"
        return f"run {start.index} of {start.count}{left}"


def _lines(track: _Track, event: Event) -> list[str]:
    """What a log shows of an event: a run's start and end, and about every tenth of its rounds."""
    start = track.start
    head = f"[{start.index}/{start.count}] {printable(start.title or start.arm)}, seed {start.seed}"
    if isinstance(event, ArmStarted):
        return [f"{head}: {event.rounds} rounds"]
    if isinstance(event, ArmFinished):
        return [f"{head}: done in {human_seconds(event.wall_s)}, accuracy {percent(event.accuracy)} (last tenth)"]
    if isinstance(event, RoundClosed) and _is_tenth(event.round_num, event.rounds):
        parts = [
            f"round {event.round_num}/{event.rounds}",
            f"accuracy {percent(event.accuracy)}",
            f"accepted {track.accepted}, refused {track.refused}",
            f"up {human_bytes(track.bytes_up)}, down {human_bytes(track.bytes_down)}",
        ]
        parts += [f"{track.no_aggregate} without aggregate"] if track.no_aggregate else []
        parts += [f"{human_seconds(event.eta_s)} left"] if event.eta_s is not None else []
        return [f"{head}: " + ", ".join(parts)]
    return []


def _is_tenth(round_num: int, rounds: int) -> bool:
    """Whether a round is the first one in its tenth of the run.

    >>> [n for n in range(1, 26) if _is_tenth(n, 25)]
    [3, 5, 8, 10, 13, 15, 18, 20, 23, 25]
    """
    return 10 * round_num // rounds > 10 * (round_num - 1) // rounds


def sparkline(values: list[float], width: int = 20, sparks: str = SPARKS) -> str:
    """Accuracies as blocks on a scale from 0 to 100 %, the last of each bucket where there are more than `width`.

    >>> sparkline([0.0, 0.5, 1.0]), len(sparkline([0.5] * 100))
    ('▁▅█', 20)
    """
    count = min(width, len(values))
    chosen = [values[(i + 1) * len(values) // count - 1] for i in range(count)]
    return "".join(sparks[min(int(max(value, 0.0) * len(sparks)), len(sparks) - 1)] for value in chosen)


def _progress_table(tracks: list[_Track], console: Console) -> Table:
    narrow = console.width < NARROW_COLUMNS
    sparks = SPARKS if console.encoding.lower().startswith("utf") else ASCII_SPARKS
    table = Table(box=None, pad_edge=False, padding=(0, 1 if narrow else 2, 0, 0), header_style="dim")
    table.add_column("arm", overflow="ellipsis", no_wrap=True, max_width=48)
    for name in ("seed", "round"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("accuracy", no_wrap=True)
    for name in ("accepted", "refused", "up", "down"):
        table.add_column(name, justify="right", no_wrap=True)
    for track in tracks[-MOST_TRACKS:]:
        width = 8 if narrow else 20
        now = track.history[-1] if track.history else None
        if track.finished is not None:
            now = track.finished.accuracy
        curve = Text(sparkline(track.history, width, sparks).ljust(width + 1), style="cyan")
        table.add_row(
            Text(printable(track.start.title or track.start.arm), style="" if track.finished else "bold"),
            str(track.start.seed),
            "done" if track.finished else f"{track.round_num}/{track.start.rounds}",
            curve.append(percent(now), style="default"),
            grouped(track.accepted),
            Text(grouped(track.refused), style="yellow" if track.refused else ""),
            human_bytes(track.bytes_up),
            human_bytes(track.bytes_down),
        )
    return table


def arms_table(run: Run) -> Table:
    """The final table: one row an arm, the target beside the measured figure, met or missed in words."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    table.add_column("arm", overflow="fold")
    for name in ("accuracy", "target", "updates", "bytes"):
        table.add_column(name, no_wrap=True)
    table.add_column("wall", justify="right", no_wrap=True)
    for arm in summarize_arms(run):
        table.add_row(
            Text(printable(arm.info.title or arm.info.name)),
            _figure(arm),
            _target(arm),
            f"{grouped(arm.accepted)} accepted\n{grouped(arm.refused)} refused",
            f"{human_bytes(arm.bytes_up)} up\n{human_bytes(arm.bytes_down)} down",
            human_seconds(arm.wall_s),
        )
    return table


def _figure(arm: ArmSummary) -> Text:
    accuracy = arm.accuracy
    text = Text(percent(accuracy.mean if accuracy else None, beside=arm.info.target), style="bold")
    if accuracy is not None and accuracy.half_width is not None:
        text.append(f"\n± {100 * accuracy.half_width:.1f}", style="not bold")
    return text


def _target(arm: ArmSummary) -> Text:
    verdict = arm.verdict
    style = "" if verdict.met is None else "green" if verdict.met else "red"
    text = Text(printable(verdict.target, 14))
    return text.append(f"\n{verdict.symbol} {verdict.word}", style=style) if verdict.word else text


def print_table(run: Run, console: Console | None = None) -> None:
    """Print the final table, and what the run lacks where it was cut short."""
    console = console or Console(highlight=False)
    for problem in run.problems:
        console.print(Text(f"unfinished: {printable(problem, 300)}", style="yellow"), soft_wrap=True)
    console.print(arms_table(run))
    note = "Accuracy: mean over the last tenth of the rounds and the seeds. Bytes and wall time: per seed."
    console.print(Text(note, style="dim"), soft_wrap=True)
