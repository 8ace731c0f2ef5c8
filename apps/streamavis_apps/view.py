"""`streamavis view`: a subscriber in the terminal."""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING, Protocol

from rich.live import Live
from rich.text import Text

from streamavis.errors import WireError
from streamavis.types import FrameResult
from streamavis.wire import Subscriber
from streamavis_apps.exits import ExitCode, Stop, stop_on_signals
from streamavis_apps.results.board import Board, sounding_names
from streamavis_apps.results.tables import board_panel
from streamavis_apps.terminal import Terminal
from streamavis_apps.text import shown

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

__all__ = ["Lines", "LivePanel", "Screen", "follow", "run"]

_TICK_S = 0.1  # the table is drawn ten times a second: more is a blur


def run(
    address: str,
    *,
    stream: str | None = None,
    plain: bool = False,
    wait_s: float | None = None,
    key: Path | None = None,
    insecure: bool = False,
    ready_fd: int | None = None,
    console: Console | None = None,
    stop: Stop | None = None,
) -> ExitCode:
    """Follow a stream until it ends or is interrupted.

    Args:
        address: the publisher's.
        stream: name of the stream; None: whichever the address has.
        plain: print changes, a line each; also done where the console is no terminal.
        wait_s: how long nothing at all may arrive; None: for ever.
        key: this reader's key file.
        insecure: read in clear from another machine.
        ready_fd: file descriptor that gets a byte, and is closed, with the first message; for
            a parent process that waits for a subscriber.
        console: where to draw; standard output by default.
        stop: ends it from outside; SIGINT and SIGTERM do by default.

    Raises:
        WireError: the address or the key is refused, the publisher has another major version, or
            nothing arrived for `wait_s`.
    """
    console = console or Terminal()
    # The screen shows why a publisher refuses; with logging set up it is logged too.
    logging.getLogger("streamavis.wire.subscriber").addHandler(logging.NullHandler())
    subscriber = Subscriber(
        address, stream=stream, kinds=("frame", "status"), key=key, insecure=insecure
    )
    with subscriber, stop_on_signals(stop) as stop:
        board = Board()
        if ready_fd is not None:
            _wait_heard(subscriber, stop, wait_s)
            os.write(ready_fd, b"\0")
            os.close(ready_fd)
        if plain or not console.is_terminal:
            follow(subscriber, board, Lines(console, address), stop, wait_s)
        else:
            with Live(console=console, auto_refresh=False) as live:
                follow(subscriber, board, LivePanel(live, address), stop, wait_s)
        last = _end_line(subscriber, board)
        console.print(last, markup=False, highlight=False, soft_wrap=True)
    return stop.exit_code


def _wait_heard(subscriber: Subscriber, stop: Stop, wait_s: float | None) -> None:
    """Wait for the first message, `wait_s` at most, or until `stop` is asked for."""
    until_s = float("inf") if wait_s is None else time.monotonic() + wait_s
    while not stop.event.is_set() and time.monotonic() < until_s:
        if subscriber.receive(_TICK_S) is not None or subscriber.end is not None:
            return


class Screen(Protocol):
    """Where a board is shown."""

    def tell(self, board: Board, change: str) -> None:
        """Something changed with the board's newest result."""

    def refresh(self, board: Board, subscriber: Subscriber) -> None:
        """Called with every message and at least ten times a second."""


def follow(
    subscriber: Subscriber, board: Board, screen: Screen, stop: Stop, wait_s: float | None
) -> None:
    """Show arriving messages until the stream ends or `stop` is asked for."""
    heard_s = time.monotonic()
    while subscriber.end is None and not stop.event.is_set():
        message = subscriber.receive(_TICK_S)
        if isinstance(message, FrameResult):
            is_first = board.result is None
            changes = board.update(message, time.monotonic_ns())
            for change in [_greeting(message)] if is_first else changes:
                screen.tell(board, change)
        screen.refresh(board, subscriber)
        if message is not None:
            heard_s = time.monotonic()
        elif wait_s is not None and time.monotonic() - heard_s > wait_s:
            cure = subscriber.refusal or (
                "start a publisher at that address, such as: "
                "streamavis replay FILE --publish ADDRESS"
            )
            raise WireError(f"nothing arrived for {wait_s:g} s; {cure}")


class Lines:
    """Prints every change, with the time of the stream."""

    def __init__(self, console: Console, address: str) -> None:
        self._console = console
        self._origin_ns: int | None = None
        self._told_silence = False
        self._told_refusals: set[str] = set()
        self._print("", f"waiting for {address}")

    def tell(self, board: Board, change: str) -> None:
        """Print it."""
        result = board.result
        assert result is not None, "a change before the first result"
        if self._origin_ns is None:
            # A recording's own time means something to its user, a camera's clock does not.
            self._origin_ns = 0 if result.clock == "pts" else result.capture_time_ns
        self._print(f"{(result.capture_time_ns - self._origin_ns) / 1e9:.1f} s", change)

    def refresh(self, board: Board, subscriber: Subscriber) -> None:
        """Print it once when a stream falls silent, and when its publisher refuses this reader."""
        refusal = subscriber.refusal
        if refusal is None:
            self._told_refusals.clear()
        elif refusal not in self._told_refusals:
            self._told_refusals.add(refusal)
            self._print("", f"{refusal}; waiting")
        silent = subscriber.silent and board.result is not None
        if silent and not self._told_silence:
            self._print("", "nothing arrives any more; waiting")
        self._told_silence = silent

    def _print(self, when: str, what: str) -> None:
        line = f"{when:>9}  {shown(what)}"
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


class LivePanel:
    """Keeps one panel up to date."""

    def __init__(self, live: Live, address: str) -> None:
        self._live = live
        self._address = address
        self._drawn_s = 0.0

    def tell(self, board: Board, change: str) -> None:
        """The panel shows states, not changes."""

    def refresh(self, board: Board, subscriber: Subscriber) -> None:
        """Draw, ten times a second at most."""
        now_s = time.monotonic()
        if now_s - self._drawn_s < _TICK_S and subscriber.end is None:
            return
        self._drawn_s = now_s
        refusal = subscriber.refusal
        if board.result is None or refusal is not None:
            waiting = Text(f"waiting for {self._address}", style="dim")
            self._live.update(Text(refusal, "yellow") if refusal else waiting, refresh=True)
            return
        title = f"{board.result.stream} at {self._address}"
        age = None if subscriber.silent else subscriber.age(board.result)
        columns = self._live.console.width
        panel = board_panel(board, title=title, age=age, columns=columns)
        self._live.update(panel, refresh=True)


def _greeting(result: FrameResult) -> str:
    names = ", ".join(shown(track.label) for track in result.tracks) or "nothing yet"
    return f"{result.stream}: sees {names}; sounding: {sounding_names(result)}"


def _end_line(subscriber: Subscriber, board: Board) -> str:
    seen = f"{board.frames} frames seen, {board.missed} missed"
    end = subscriber.end
    if end is None:
        return seen
    how = {"ended": "The stream ended", "stopped": "The engine was stopped"}
    what = how.get(end.reason, "The engine failed") + (f" ({end.detail})" if end.detail else "")
    return shown(f"{what}: {seen}")
