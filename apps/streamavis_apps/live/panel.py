"""What is going on, on the terminal: a table that follows, or a line whenever something happens."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.live import Live as Screen
from rich.table import Table
from rich.text import Text

from streamavis.runtime.input_health import Arrivals
from streamavis.words import direction
from streamavis_apps.results.board import sounding_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

    from streamavis.status import EngineReport
    from streamavis.types import FrameResult, Notice, VideoFrame

__all__ = ["LiveBoard"]

_LINE_S = 10.0  # between lines of figures where there is no terminal
_NOTICES = 5  # under the table
_GOOD = {"ok": "green", "running": "green", "absent": "dim", "starting": "yellow"}


class _Newest:
    """A sink that keeps the newest result of one stream, and how often results come."""

    name = "board"
    inline = True

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self.result: FrameResult | None = None
        self.arrivals = Arrivals(kept=64)

    def start(self, report: Callable[[], EngineReport]) -> None:
        """Nothing to prepare."""

    def write(self, frame: VideoFrame, result: FrameResult) -> None:
        """Keep it."""
        self.result = result
        self.arrivals.note(self._clock())

    def close(self, report: EngineReport) -> None:
        """Nothing to close."""

    @property
    def rate_hz(self) -> float:
        """Results per second of late; 0 when none came for a second."""
        last_ns, period_ns = self.arrivals.last_ns, self.arrivals.period_ns
        if last_ns is None or not period_ns or self._clock() - last_ns > 1_000_000_000:
            return 0.0
        return 1e9 / period_ns


class LiveBoard:
    """Follows streams on a console; `draw` is called by the thread that waits for their end."""

    def __init__(self, console: Console, *, clock: Callable[[], int] = time.monotonic_ns) -> None:
        """Prepare; `clock` is that of the engine, monotonic ns."""
        self._console = console
        self._clock = clock
        self._newest: dict[str, _Newest] = {}
        self._told: dict[str, int] = {}  # stream -> number of its last notice on the console
        self._notices: list[tuple[str, Notice]] = []
        self._reports: Callable[[], dict[str, EngineReport]] | None = None
        self._screen: Screen | None = None
        self._next_line_ns = 0
        self._begin_ns = clock()

    def sink(self, stream: str) -> _Newest:
        """What the stream's engine has to feed."""
        self._newest[stream] = sink = _Newest(self._clock)
        return sink

    @contextmanager
    def showing(self, reports: Callable[[], dict[str, EngineReport]]) -> Iterator[None]:
        """Show `reports` inside the block."""
        self._reports = reports
        self._begin_ns = self._clock()
        self._next_line_ns = self._begin_ns + round(_LINE_S * 1e9)
        if not self._console.is_terminal:
            yield
            return
        with Screen(console=self._console, auto_refresh=False, transient=True) as self._screen:
            yield

    def draw(self) -> None:
        """Bring the console up to date."""
        assert self._reports is not None, "draw while showing"
        reports = self._reports()
        new = [
            (stream, notice)
            for stream, report in reports.items()
            for notice in report.notices
            if notice.number > self._told.get(stream, 0)
        ]
        self._told.update((stream, notice.number) for stream, notice in new)
        new.sort(key=lambda pair: pair[1].time_ns)
        self._notices = [*self._notices, *new][-_NOTICES:]
        if self._screen is not None:
            self._screen.update(self._picture(reports), refresh=True)
        else:
            self._print(reports, new)

    def _print(self, reports: dict[str, EngineReport], new: list[tuple[str, Notice]]) -> None:
        for stream, notice in new:
            self._line(notice.time_ns, f"{stream}: {notice.text}")
        now_ns = self._clock()
        if now_ns < self._next_line_ns:
            return
        self._next_line_ns = now_ns + round(_LINE_S * 1e9)
        for stream, report in reports.items():
            newest = self._newest[stream]
            heard = _heard(newest.result)
            self._line(
                now_ns,
                f"{stream}: {newest.rate_hz:.1f} results/s, {_latency(report)}, "
                f"{sum(report.dropped.values())} dropped, video {report.video}, "
                f"audio {report.audio}, sounding: {heard}",
            )

    def _line(self, time_ns: int, text: str) -> None:
        since_s = (time_ns - self._begin_ns) / 1e9
        line = f"{since_s:8.1f} s  {text}"
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _picture(self, reports: dict[str, EngineReport]) -> Table:
        table = Table(box=None, pad_edge=False)
        for heading in ("stream", "video", "audio", "results/s", "latency", "dropped", "sounding"):
            table.add_column(heading, header_style="dim", no_wrap=heading != "sounding")
        for stream, report in reports.items():
            newest = self._newest[stream]
            camera = report.video if report.source == "running" else report.source
            table.add_row(
                stream,
                _state(camera or "ok"),
                _state(report.audio or "ok"),
                f"{newest.rate_hz:.1f}",
                _latency(report),
                _drops(report),
                Text(
                    _heard(newest.result),
                    style="bold green",
                ),
            )
        outer = Table.grid()
        outer.add_row(table)
        for stream, report in reports.items():
            if report.degraded:
                outer.add_row(Text(f"{stream}: given up: {', '.join(report.degraded)}", "yellow"))
            if report.model == "failed":
                outer.add_row(Text(f"{stream}: the model fails, tried every 5 s", "bold red"))
        for stream, notice in self._notices:
            since_s = (notice.time_ns - self._begin_ns) / 1e9
            outer.add_row(Text(f"{since_s:8.1f} s  {stream}: {notice.text}", "dim"))
        return outer


def _heard(result: FrameResult | None) -> str:
    """Who sounds, and from where the sound comes."""
    if result is None:
        return "nothing yet"
    where = direction(result.sound_bearing)
    return sounding_names(result) + (f"; {where}" if where else "")


def _state(state: str) -> Text:
    return Text(state, style=_GOOD.get(state, "bold red"))


def _latency(report: EngineReport) -> str:
    total = report.stages.get("total")
    if total is None:
        return "no latency yet"
    return f"p50 {total['p50_ms']:.0f} p95 {total['p95_ms']:.0f} ms"


def _drops(report: EngineReport) -> str:
    causes = ", ".join(f"{n} {cause}" for cause, n in report.dropped.items())
    return causes or "none"
