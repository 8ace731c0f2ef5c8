"""`streamavis follow`: results from a publisher, movements to a head."""

from __future__ import annotations

import logging
import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from streamavis.errors import WireError
from streamavis.follow import AttentionConfig, Axis, Follower
from streamavis.types import FrameResult
from streamavis.wire import Subscriber
from streamavis.words import name_of
from streamavis_apps.exits import ExitCode, Stop, stop_on_signals
from streamavis_apps.follow.heads import open_head
from streamavis_apps.terminal import Terminal
from streamavis_apps.text import shown

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from streamavis.follow import Head, Target

__all__ = ["Following", "run"]

_TICK_NS: Final = 20_000_000  # the head is moved 50 times a second
_NEWS_DEG: Final = 10.0  # a sound off screen is told again where it has moved this far


@dataclass(frozen=True, kw_only=True)
class Following:
    """Whom to follow, and with what."""

    address: str
    head: str = "sim"
    stream: str | None = None
    pan: Axis = field(default_factory=lambda: Axis(low=-90, high=90))
    tilt: Axis = field(default_factory=lambda: Axis(low=-30, high=45))
    attention: AttentionConfig = field(default_factory=AttentionConfig)
    moving: bool = True  # camera and microphones are on the head
    confidence: float = 0.6
    dead_man_s: float = 0.5
    wait_s: float | None = None  # how long nothing at all may arrive; None: for ever
    seconds: float | None = None
    key: Path | None = None
    insecure: bool = False


def run(
    plan: Following,
    *,
    head: Head | None = None,
    console: Console | None = None,
    stop: Stop | None = None,
) -> ExitCode:
    """Follow until the stream ends or `stop` is asked for (SIGINT and SIGTERM do by default).

    Args:
        plan: what to do.
        head: in place of the one that the plan names.
        console: where changes are printed.
        stop: ends it from outside.

    Raises:
        WireError: the address or key is refused, or nothing arrived for `wait_s`.
        OutputError: the head cannot be opened, or does not answer any more.
    """
    console = console or Terminal()
    logging.getLogger("streamavis.wire.subscriber").addHandler(logging.NullHandler())
    news = _News(console)
    with stop_on_signals(stop) as stop, closing(head or open_head(plan.head)) as opened:
        follower = Follower(
            opened,
            pan=plan.pan,
            tilt=plan.tilt,
            attention=plan.attention,
            moving=plan.moving,
            confidence=plan.confidence,
        )

        def silence() -> None:
            follower.silence()
            news.silence(plan.dead_man_s)

        with Subscriber(
            plan.address,
            stream=plan.stream,
            latest_only=True,
            dead_man_s=plan.dead_man_s,
            on_silence=silence,
            key=plan.key,
            insecure=plan.insecure,
        ) as results:
            news.tell(f"waiting for {plan.address}")
            try:
                _follow(plan, results, follower, news, stop)
            finally:
                opened.hold()
        end = results.end
        if end is not None:
            news.tell(f"the stream ended ({end.reason}); the head stays where it is")
    return stop.exit_code


def _follow(
    plan: Following, results: Subscriber, follower: Follower, news: _News, stop: Stop
) -> None:
    begin_ns = heard_ns = time.monotonic_ns()
    due_ns = begin_ns
    end_ns = None if plan.seconds is None else begin_ns + round(plan.seconds * 1e9)
    while results.end is None and not stop.event.is_set():
        now_ns = time.monotonic_ns()
        message = results.receive(max(0.0, (due_ns - now_ns) / 1e9))
        now_ns = time.monotonic_ns()
        if isinstance(message, FrameResult):
            heard_ns = now_ns
            captured_ns = now_ns - round(results.age(message).seconds * 1e9)
            news.target(follower.see(message, captured_ns), message)
        elif plan.wait_s is not None and now_ns - heard_ns > plan.wait_s * 1e9:
            raise WireError(
                f"nothing arrived for {plan.wait_s:g} s; "
                f"{results.refusal or 'start a publisher at that address'}"
            )
        if now_ns >= due_ns:
            follower.step(now_ns)
            due_ns = max(due_ns + _TICK_NS, now_ns)
        if end_ns is not None and now_ns >= end_ns:
            return


class _News:
    """Prints what changes, a line each."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._begin_s = time.monotonic()
        self._last: Target | None = None
        self._told = ""
        self._has_seen = False  # a result

    def tell(self, text: str) -> None:
        """Print a line, with the seconds since the start."""
        self._told = text
        since_s = time.monotonic() - self._begin_s
        line = f"{since_s:8.1f} s  {shown(text)}"
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def silence(self, dead_man_s: float) -> None:
        """Tell that the head stands still; once, until something else is told."""
        text = f"stands still: nothing arrived for {dead_man_s:g} s"
        if self._has_seen and text != self._told:
            self.tell(text)

    def target(self, target: Target | None, result: FrameResult) -> None:
        """Tell where the head turns to, where that is news."""
        self._has_seen = True
        last, self._last = self._last, target
        if target is None:
            if last is not None:
                self.tell("turns to the front: nobody sounds")
            return
        same = last is not None and last.track_id == target.track_id
        if same and last is not None and target.track_id is None:
            same = abs(target.pan - last.pan) < _NEWS_DEG
        if same:
            return
        names = [name_of(t.label, t.id) for t in result.tracks if t.id == target.track_id]
        who = names[0] if names else "a sound off screen"
        self.tell(f"turns to {who} at {target.pan:.0f} degrees")
