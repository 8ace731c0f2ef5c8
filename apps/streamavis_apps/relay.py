"""`streamavis relay`: published streams to many readers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamavis.sinks.publish import keys_for
from streamavis.wire import Relay
from streamavis_apps.exits import ExitCode, Stop, stop_on_signals
from streamavis_apps.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console

__all__ = ["run"]


def run(
    sources: Sequence[str],
    address: str,
    *,
    stream: str | None = None,
    key: Path | None = None,
    insecure_source: bool = False,
    keys: Path | None = None,
    insecure: bool = False,
    console: Console | None = None,
    stop: Stop | None = None,
) -> ExitCode:
    """Forward until a signal comes.

    Args:
        sources: addresses of publishers.
        address: where to publish.
        stream: this one alone.
        key: the relay's key file for the publishers.
        insecure_source: read in clear from other machines.
        keys: key folder for the readers.
        insecure: publish in clear to other machines.
        console: standard output by default.
        stop: ends it from outside; SIGINT and SIGTERM do by default.

    Raises:
        WireError: an address or a key is refused.
    """
    console = console or Terminal()
    folder = keys_for(address, keys, insecure)
    told: set[str] = set()
    with (
        stop_on_signals(stop) as stop,
        Relay(
            sources,
            address,
            stream=stream,
            key=key,
            insecure_source=insecure_source,
            keys=folder,
            insecure=insecure,
        ) as relay,
    ):
        console.print(f"{', '.join(sources)} at {relay.endpoint}", soft_wrap=True)
        while not stop.event.is_set():
            relay.step()
            for line in [*relay.refusals, *(f"forwarding {name}" for name in relay.streams)]:
                if line not in told:
                    told.add(line)
                    console.print(line, soft_wrap=True)
    refused = f"; {relay.refused} refused" if relay.refused else ""
    console.print(f"{relay.forwarded} messages forwarded{refused}", soft_wrap=True)
    return stop.exit_code
