"""`streamavis bridge`: from a published stream to MQTT and webhooks."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from streamavis.wire import Subscriber
from streamavis.wire.schema import KINDS
from streamavis_apps.bridges import Bridges
from streamavis_apps.exits import ExitCode, Stop, stop_on_signals
from streamavis_apps.terminal import Terminal

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from streamavis_apps.bridges import Services

__all__ = ["run"]

_TICK_S = 0.2
_SILENCE_S = 2.0  # without any message; statuses come ten times a second


def run(
    address: str,
    services: Services,
    *,
    stream: str | None = None,
    key: Path | None = None,
    insecure: bool = False,
    console: Console | None = None,
    stop: Stop | None = None,
) -> ExitCode:
    """Tell the services until a signal comes.

    Args:
        address: the publisher's.
        services: where to.
        stream: of this stream alone.
        key: this reader's key file.
        insecure: read in clear from another machine.
        console: standard output by default.
        stop: ends it from outside; SIGINT and SIGTERM do by default.

    Raises:
        WireError: the address or the key is refused.
        ArgumentError: the address of a service is none.
        KeyFileError: the file of the password cannot be used.
    """
    console = console or Terminal()
    logging.getLogger("streamavis.wire.subscriber").addHandler(logging.NullHandler())
    with (
        stop_on_signals(stop) as stop,
        Bridges(services) as bridges,
        Subscriber(
            address,
            stream=stream,
            kinds=tuple(KINDS),
            follow=True,
            dead_man_s=_SILENCE_S,
            on_silence=bridges.silent,
            key=key,
            insecure=insecure,
        ) as subscriber,
    ):
        console.print(f"{address} to {', '.join(bridges.told)}", soft_wrap=True)
        told: str | None = None
        while not stop.event.is_set():
            message = subscriber.receive(_TICK_S)
            if message is not None:
                bridges.message(message)
            if subscriber.refusal not in (None, told):
                told = subscriber.refusal
                console.print(f"{told}; waiting", soft_wrap=True)
    return stop.exit_code
