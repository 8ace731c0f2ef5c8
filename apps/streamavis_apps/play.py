"""`streamavis play`: a recording back onto the wire."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.text import Text

from streamavis.recordings import McapReader, Player
from streamavis.sinks.publish import keys_for
from streamavis.wire import Publisher
from streamavis_apps.exits import ExitCode, Stop, stop_on_signals
from streamavis_apps.terminal import Terminal
from streamavis_apps.text import shown

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

__all__ = ["run"]

_TICK_S = 0.05


def run(
    file: Path,
    address: str,
    *,
    stream: str | None = None,
    speed: float = 1.0,
    rounds: int | None = 1,
    wait: bool = False,
    keys: Path | None = None,
    insecure: bool = False,
    console: Console | None = None,
    stop: Stop | None = None,
) -> ExitCode:
    """Publish a recording until it ends or a signal comes.

    Args:
        file: an MCAP file.
        address: where to publish.
        stream: which of its streams; None: the only one.
        speed: 1.0 is the pace at which it was recorded.
        rounds: how often; None: for ever.
        wait: begin when the first reader comes.
        keys: key folder.
        insecure: publish in clear to other machines.
        console: standard output by default.
        stop: ends it from outside; SIGINT and SIGTERM do by default.

    Raises:
        InputError: the file is no recording with results.
        WireError: the address is refused or in use.
        ArgumentError: the stream has to be named, or is not in the file.
    """
    console = console or Terminal()
    recording = McapReader(file)
    with stop_on_signals(stop) as stop:
        player = Player(
            recording, stream, speed=speed, clock=time.monotonic_ns, pause=stop.event.wait
        )
        summary = player.summary
        folder = keys_for(address, keys, insecure)
        with (
            Publisher(
                address, summary.stream, hello=player.hello, keys=folder, insecure=insecure
            ) as publisher,
            console.status("") as status,
        ):
            length = (
                f"{summary.frames} results in {(summary.last_ns - summary.first_ns) / 1e9:.1f} s"
            )
            where = f"{summary.stream} of {file} ({length}) at {publisher.endpoint}"
            status.update(Text(shown(f"playing {where}")))
            while wait and not publisher.joined and not stop.event.wait(_TICK_S):
                pass
            player.play(publisher, rounds=rounds)
    late = f", {player.late_s:.1f} s late at most" if player.late_s >= 0.1 else ""
    console.print(shown(f"played {where}: {player.frames} results sent{late}"), soft_wrap=True)
    for fault in filter(None, (recording.cut, _refused(recording.refused))):
        console.print(shown(f"{file}: {fault}"), soft_wrap=True)
    return stop.exit_code


def _refused(count: int) -> str:
    return f"{count} messages do not follow the schema and were left out" if count else ""
