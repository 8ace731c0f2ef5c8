"""A robot's side: results that another process publishes. Needs no torch.

streamavis live --publish tcp://127.0.0.1:5555     # in another terminal
python examples/subscriber.py tcp://127.0.0.1:5555
"""

from __future__ import annotations

import sys

from streamavis import Subscriber


def main(address: str) -> int:
    """Print what sounds until the stream ends; returns how many results came."""
    count = 0
    with Subscriber(address, on_silence=lambda: print("no results: stop!")) as results:
        for result in results:
            count += 1
            age_s = results.age(result).seconds
            sounding = [(track.label, track.centroid) for track in result.sounding]
            print(f"{result.seq}: {age_s:.3f} s old, audio {result.audio}, {sounding}")
    return count


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except KeyboardInterrupt:
        print("stopped")
