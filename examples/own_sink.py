"""A sink of your own: one CSV line for each object that sounds.

python examples/own_sink.py clip.mp4 sounds.csv
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import streamavis as sa

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamavis.status import EngineReport


class CsvSink:
    """Writes time, id, class, loudness and place. It has a thread of its own: `inline` is False."""

    name = "csv"
    inline = False

    def __init__(self, path: str) -> None:
        self._file = Path(path).open("w", newline="")  # noqa: SIM115  closed by `close`
        self._rows = csv.writer(self._file)
        self._rows.writerow(["time_s", "id", "label", "sounding", "x", "y"])

    def start(self, report: Callable[[], EngineReport]) -> None:
        """The stream begins; `report` tells at any time how it is doing."""

    def write(self, frame: sa.VideoFrame, result: sa.FrameResult) -> None:
        """Take one result and the picture it is of."""
        for track in result.sounding:
            x, y = track.centroid
            row = [result.capture_time_ns / 1e9, track.id, track.label, track.sounding, x, y]
            self._rows.writerow(row)

    def close(self, report: EngineReport) -> None:
        """The stream is over: leave the file complete."""
        self._file.close()


def main(source: str, path: str, model: sa.StreamAVIS) -> None:
    report = sa.open(source, model, sinks=[CsvSink(path)]).run()
    for sink, cause in report.sink_failures.items():
        print(f"{sink} failed: {cause}", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sa.load("nano"))
