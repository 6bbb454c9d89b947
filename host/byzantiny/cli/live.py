"""Watching a running experiment: one live table on a terminal, a few plain lines everywhere else.

Fed by the events of `byzantiny.experiment.events` through one callback, `Live.on_event`, from whatever thread. Text in
events is not trusted: escape sequences never reach the terminal, and markup is not interpreted. NO_COLOR is respected.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import final

from rich.cells import cell_len
from rich.console import Console, Group
from rich.live import Live as RichLive
from rich.table import Table
from rich.text import Text

from byzantiny.cli.encoding import carried
from byzantiny.experiment.events import ArmFinished, ArmStarted, Event, Notice, RoundClosed
from byzantiny.report import ArmSummary, Run, summarize_arms
from byzantiny.report.metric import metric_heading, metric_name, metric_title
from byzantiny.report.targets import percent
from byzantiny.report.text import printable
from byzantiny.report.units import grouped, human_bytes, human_seconds

SPARKS, ASCII_SPARKS = "▁▂▃▄▅▆▇█", "_.:-=+*#"
WIDE_COLUMNS, STACKED_COLUMNS = 100, 76
"""From the first on there is room for all; below the second the final table is none, but lines under each name."""
LIVE_COLUMNS = {"seed": 40, "round": 0, "accuracy": 0, "accepted": 76, "refused": 52, "up": 90, "down": 90}
"""The columns of the live table, each with the terminal's width from which on it leaves the names room enough."""
LEAST_NAME = 20
"""Columns that an arm's name must have in the final table; its longest word needs no less."""
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
    metric = metric_title(start.metric)
    head = f"[{start.index}/{start.count}] {printable(start.title or start.arm)}, seed {start.seed}"
    if isinstance(event, ArmStarted):
        return [f"{head}: {event.rounds} rounds"]
    if isinstance(event, ArmFinished):
        return [f"{head}: done in {human_seconds(event.wall_s)}, {metric} {percent(event.accuracy)} (last tenth)"]
    if isinstance(event, RoundClosed) and _is_tenth(event.round_num, event.rounds):
        parts = [
            f"round {event.round_num}/{event.rounds}",
            f"{metric} {percent(event.accuracy)}{_exported(event)}",
            *([] if event.asr is None else [f"ASR {percent(event.asr)}"]),
            f"accepted {track.accepted}, refused {track.refused}",
            f"up {human_bytes(track.bytes_up)}, down {human_bytes(track.bytes_down)}",
        ]
        parts += [f"{track.no_aggregate} without aggregate"] if track.no_aggregate else []
        parts += [f"{human_seconds(event.eta_s)} left"] if event.eta_s is not None else []
        return [f"{head}: " + ", ".join(parts)]
    return []


def _exported(event: RoundClosed) -> str:
    """The exported model's accuracy where it is another than the integers'."""
    return "" if event.exported in (None, event.accuracy) else f" (exported {percent(event.exported)})"


def _is_tenth(round_num: int, rounds: int) -> bool:
    """Whether a round is the first one in its tenth of the run.

    >>> [n for n in range(1, 26) if _is_tenth(n, 25)]
    [3, 5, 8, 10, 13, 15, 18, 20, 23, 25]
    """
    return 10 * round_num // rounds > 10 * (round_num - 1) // rounds


def sparkline(values: list[float], width: int = 20, sparks: str = SPARKS) -> str:
    """Shares as blocks on a scale from 0 to 100 %, the last of each bucket where there are more than `width`.

    >>> sparkline([0.0, 0.5, 1.0]), len(sparkline([0.5] * 100))
    ('▁▅█', 20)
    """
    count = min(width, len(values))
    chosen = [values[(i + 1) * len(values) // count - 1] for i in range(count)]
    return "".join(sparks[min(int(max(value, 0.0) * len(sparks)), len(sparks) - 1)] for value in chosen)


def _progress_table(tracks: list[_Track], console: Console) -> Table:
    width = console.width
    sparks = SPARKS if console.encoding.lower().startswith("utf") else ASCII_SPARKS
    curve = 20 if width >= WIDE_COLUMNS else 8 if width >= STACKED_COLUMNS else 0
    gap = 2 if width >= WIDE_COLUMNS else 1
    shown = [name for name, least in LIVE_COLUMNS.items() if width >= least]
    rows = [
        [_fit(cells[name], console.encoding) for name in ("arm", *shown)]
        for cells in (_progress_cells(track, curve, sparks) for track in tracks[-MOST_TRACKS:])
    ]
    figures = [*zip(*rows, strict=True)][1:]
    # All arms of a run have one task, and so one metric.
    heads = {"accuracy": metric_title(tracks[-1].start.metric)} if tracks else {}
    used = sum(
        gap + max(cell_len(heads.get(name, name)), _widest(column))
        for name, column in zip(shown, figures, strict=False)
    )
    table = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="dim")
    table.add_column("arm", overflow="ellipsis", no_wrap=True, max_width=max(width - used, 4))
    for name in shown:
        table.add_column(heads.get(name, name), justify="left" if name == "accuracy" else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def _fit(cell: Text, encoding: str) -> Text:
    """The cell in signs that the encoding has; each of these is one for one, so that the styles still fit."""
    return Text(carried(cell.plain, encoding), style=cell.style, spans=cell.spans)


def _progress_cells(track: _Track, width: int, sparks: str) -> dict[str, Text]:
    now = track.history[-1] if track.history else None
    if track.finished is not None:
        now = track.finished.accuracy
    curve = sparkline(track.history, width, sparks).ljust(width + 1) if width else ""
    return {
        "arm": Text(printable(track.start.title or track.start.arm), style="" if track.finished else "bold"),
        "seed": Text(str(track.start.seed)),
        "round": Text("done" if track.finished else f"{track.round_num}/{track.start.rounds}"),
        "accuracy": Text.assemble((curve, "cyan"), percent(now)),
        "accepted": Text(grouped(track.accepted)),
        "refused": Text.assemble((grouped(track.refused), "yellow" if track.refused else "")),
        "up": Text(human_bytes(track.bytes_up)),
        "down": Text(human_bytes(track.bytes_down)),
    }


def arms_table(run: Run, *, width: int = WIDE_COLUMNS, encoding: str = "utf-8") -> Table:
    """The final table: the target beside the measured figure, met or missed in words.

    One row an arm where `width` leaves its name room enough, else the name with its figures underneath.
    """
    rows = [_cells(arm, encoding) for arm in summarize_arms(run)]
    gap = 3 if width >= WIDE_COLUMNS else 2
    word = max((cell_len(word) for row in rows for word in row[0].plain.split()), default=0)
    name = min(_widest(row[0] for row in rows), max(LEAST_NAME, word))
    headers = (metric_title(metric_name(run.manifest)), "target", "updates", "bytes", "wall")
    figures = [*zip(*rows, strict=True)][1:]
    used = sum(gap + max(cell_len(header), _widest(cells)) for header, cells in zip(headers, figures, strict=True))
    if width < STACKED_COLUMNS or name + used > width:
        return _stacked(rows, width)
    table = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="dim")
    table.add_column("arm", overflow="fold")
    for header in headers:
        table.add_column(header, justify="right" if header == "wall" else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def _stacked(rows: list[list[Text]], width: int) -> Table:
    """Each arm's name; under it its accuracy and target; under these the rest, as much to the line as fits."""
    table = Table.grid()
    table.add_column(overflow="fold")
    for name, accuracy, target, *rest in rows:
        table.add_row(name)
        table.add_row(Text("  ").append_text(_flat(accuracy)).append("   ").append_text(_flat(target)))
        line = ""
        for part in (part for cell in rest for part in cell.plain.split("\n")):
            if line and cell_len(f"  {line}, {part},") > width:
                table.add_row(Text(f"  {line},", style="dim"))
                line = ""
            line = f"{line}, {part}" if line else part
        table.add_row(Text(f"  {line}", style="dim"))
    return table


def _flat(cell: Text) -> Text:
    return Text(" ").join(cell.split("\n"))


def _widest(cells: Iterable[Text]) -> int:
    return max((cell_len(line) for cell in cells for line in cell.plain.split("\n")), default=0)


def _cells(arm: ArmSummary, encoding: str) -> list[Text]:
    """An arm's row, in signs that the encoding has."""

    def text(plain: str, style: str = "") -> Text:
        return Text.assemble((carried(plain, encoding), style))

    accuracy, verdict = arm.accuracy, arm.verdict
    figure = text(percent(accuracy.mean if accuracy else None, beside=arm.info.target), "bold")
    if accuracy is not None and accuracy.half_width is not None:
        figure.append_text(text(f"\n± {100 * accuracy.half_width:.1f}"))
    target = text(printable(verdict.target, 14))
    if verdict.word:
        style = "" if verdict.met is None else "green" if verdict.met else "red"
        target.append_text(text(f"\n{verdict.symbol} {verdict.word}", style))
    return [
        text(printable(arm.info.title or arm.info.name)),
        figure,
        target,
        text(f"{grouped(arm.accepted)} accepted\n{grouped(arm.refused)} refused"),
        text(f"{human_bytes(arm.bytes_up)} up\n{human_bytes(arm.bytes_down)} down"),
        text(human_seconds(arm.wall_s)),
    ]


def print_table(run: Run, console: Console | None = None) -> None:
    """Print the final table, and what the run lacks where it was cut short."""
    console = console or Console(highlight=False)
    whole = not console.is_terminal  # a log's lines are not broken
    for problem in run.problems:
        console.print(Text(f"unfinished: {printable(problem, 300)}", style="yellow"), soft_wrap=whole)
    console.print(arms_table(run, width=console.width, encoding=console.encoding))
    heading = metric_heading(metric_name(run.manifest))
    note = f"{heading}: mean over the last tenth of the rounds and the seeds. Bytes and wall time: per seed."
    console.print(Text(note, style="dim"), soft_wrap=whole)
