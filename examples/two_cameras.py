"""Two cameras on one model: their frames are processed together, each has tracks of its own.

python examples/two_cameras.py camera:0 camera:2
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import streamavis as sa
from streamavis.io.live import LiveSource

if TYPE_CHECKING:
    from collections.abc import Iterator


def watch(addresses: list[str], model: sa.StreamAVIS) -> Iterator[sa.FrameResult]:
    """Yield the results of all cameras as they come; `stream` says whose each one is."""
    with ExitStack() as stack:
        feeds = []
        for number, address in enumerate(addresses, start=1):
            camera = stack.enter_context(LiveSource(address, "none"))
            session = sa.Session(model, stream=f"cam-{number}", has_audio=camera.info.has_audio)
            feeds.append(sa.Feed(camera, session))
        engine = sa.Engine(feeds, sa.Policy(live=True))
        yield from engine.results()
        for name, report in engine.reports.items():
            print(f"{name}: {report.processed} of {report.captured} frames")


if __name__ == "__main__":
    try:
        for result in watch(sys.argv[1:], sa.load("nano")):
            print(result.stream, result.seq, [track.label for track in result])
    except KeyboardInterrupt:
        print("stopped")
