"""Progress of a computation that may take a while: nothing for two seconds; then a bar on a terminal, else a few lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

AFTER_S = 2.0
"""Whatever is done by then needs no bar."""


@final
class Patience:
    """A context manager; call it with what is done and what there is. It writes to stderr, results have stdout."""

    def __init__(
        self,
        what: str,
        *,
        enabled: bool = True,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what, self._enabled, self._clock = what, enabled, clock
        self._console = console or Console(file=sys.stderr, highlight=False)
        self._bar: tuple[Progress, TaskID] | None = None
        self._said = 0
        self._started = 0.0

    def __enter__(self) -> Patience:
        """Begin to count the time."""
        self._started = self._clock()
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        """Take the bar away, so that the result follows the command."""
        if self._bar is not None:
            self._bar[0].stop()
            self._bar = None

    def __call__(self, done: int, of: int, now: str = "") -> None:
        """Say how far it is; `now` is what comes next."""
        elapsed = self._clock() - self._started
        if not self._enabled or elapsed < AFTER_S or done >= of:
            return
        if self._console.is_terminal:
            self._show(done, of, now)
        elif 10 * done // of > self._said:
            self._said = 10 * done // of
            left = elapsed * (of - done) / done
            self._console.print(f"{self._what}: {done} of {of}, about {left:.0f} s left", soft_wrap=True)

    def _show(self, done: int, of: int, now: str) -> None:
        if self._bar is None:
            progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TimeRemainingColumn(),
                console=self._console,
                transient=True,
            )
            progress.start()
            self._bar = (progress, progress.add_task(self._what, total=of))
        progress, task = self._bar
        progress.update(task, completed=done, total=of, description=f"{self._what} {now}".rstrip())
