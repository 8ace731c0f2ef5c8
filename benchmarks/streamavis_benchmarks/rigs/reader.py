"""A second robot, in a process of its own: `python -m streamavis_benchmarks.rigs.reader ADDRESS`.

Writes each result's capture time (ns) as a line; it is there to be stopped and continued.
"""

from __future__ import annotations

import sys

from streamavis.types import FrameResult
from streamavis.wire import Subscriber

__all__ = ["main"]


def main() -> None:
    """Read until the stream ends."""
    with Subscriber(sys.argv[1]) as results:
        for result in results:
            if isinstance(result, FrameResult):
                sys.stdout.write(f"{result.capture_time_ns}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
