"""Progress of long work in steps: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console

__all__ = ["Bars"]

_LINE_S = 10.0  # between lines where there is no terminal


class Bars:
    """One bar for each kind of work, in the order they begin."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._tasks: dict[str, TaskID] = {}
        self._began: dict[str, tuple[float, int]] = {}
        self._line_s: dict[str, float] = {}
        # A narrow terminal cuts the note off, nothing else.
        rest = Column(ratio=1, no_wrap=True, overflow="ellipsis")
        self._progress = Progress(
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
            BarColumn(bar_width=12),
            MofNCompleteColumn(table_column=Column(no_wrap=True)),
            TimeElapsedColumn(table_column=Column(no_wrap=True)),
            TimeRemainingColumn(table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[note]}", markup=False, table_column=rest),
            console=console,
            expand=True,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def update(self, title: str, done: int, total: int, note: str = "") -> None:
        """Say how much of the work called `title` is done, with a note beside it."""
        if self._console.is_terminal:
            if title not in self._tasks:
                self._tasks[title] = self._progress.add_task(title, total=total, note="")
            self._progress.update(self._tasks[title], completed=done, total=total, note=note)
            return
        now = time.monotonic()
        began, first = self._began.setdefault(title, (now, done))
        if done < total and now < self._line_s.get(title, 0.0):
            return
        self._line_s[title] = now + _LINE_S
        left = ""
        if first < done < total:
            seconds = (now - began) / (done - first) * (total - done)
            left = f", {_clock(seconds)} left"
        line = f"{title}: {done} of {total}{left}  {note}".rstrip()
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
