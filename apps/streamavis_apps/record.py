"""`streamavis record`: a published stream into an MCAP file."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from rich.text import Text

from streamavis.recordings import McapWriter
from streamavis.types import FrameResult
from streamavis.wire import EndOfStream, Subscriber
from streamavis.wire.schema import KINDS
from streamavis_apps.exits import ExitCode, Stop, stop_on_signals
from streamavis_apps.terminal import Terminal
from streamavis_apps.text import shown

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

__all__ = ["run"]

_TICK_S = 0.2


def run(
    address: str,
    out: Path,
    *,
    stream: str | None = None,
    seconds: float | None = None,
    follow: bool = False,
    overwrite: bool = False,
    key: Path | None = None,
    insecure: bool = False,
    console: Console | None = None,
    stop: Stop | None = None,
) -> ExitCode:
    """Record until the stream ends, `seconds` have passed, or a signal comes.

    Args:
        address: the publisher's.
        out: the new file.
        stream: of this stream alone.
        seconds: since the command began; None: no limit.
        follow: wait for the next engine when the stream ends.
        overwrite: replace a file that is there.
        key: this reader's key file.
        insecure: read in clear from another machine.
        console: standard output by default.
        stop: ends it from outside; SIGINT and SIGTERM do by default.

    Raises:
        WireError: the address or the key is refused.
        OutputError: the file is there already, or cannot be written.
    """
    console = console or Terminal()
    logging.getLogger("streamavis.wire.subscriber").addHandler(logging.NullHandler())
    kinds = tuple(KINDS)
    subscriber = Subscriber(
        address, stream=stream, kinds=kinds, follow=True, key=key, insecure=insecure
    )
    until_s = float("inf") if seconds is None else time.monotonic() + seconds
    frames, told = 0, ""
    with stop_on_signals(stop) as stop, subscriber, McapWriter(out, overwrite=overwrite) as writer:
        origin_ns = time.time_ns() - time.monotonic_ns()  # a clock that is set does not matter
        with console.status(f"waiting for {address}") as status:
            while not stop.event.is_set() and time.monotonic() < until_s:
                message = subscriber.receive(_TICK_S)
                if message is not None:
                    writer.message(message, origin_ns + time.monotonic_ns())
                    frames += isinstance(message, FrameResult)
                if isinstance(message, EndOfStream) and not follow:
                    break
                now = subscriber.refusal or _progress(out, frames, writer, subscriber)
                if now != told:
                    told = now
                    status.update(Text(shown(now)))
        wrote = f"{out}: {frames} results, {writer.messages} messages"
    console.print(f"{wrote}, {_size(out.stat().st_size)}{_losses(subscriber)}", soft_wrap=True)
    return stop.exit_code


def _progress(out: Path, frames: int, writer: McapWriter, subscriber: Subscriber) -> str:
    silent = "; nothing arrives" if subscriber.silent else ""
    return f"recording to {out}: {frames} results, {_size(writer.size)}{silent}"


def _losses(subscriber: Subscriber) -> str:
    counts = {
        "frames without a result": subscriber.missed,
        "messages refused": subscriber.refused,
        "messages dropped unread": subscriber.overflowed,
    }
    return "".join(f"; {count} {what}" for what, count in counts.items() if count)


def _size(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size / 1e3:.1f} kB"
