"""Push sound and pictures from a loop of your own.

    python examples/push_loop.py clip.mp4

Here the loop decodes a file. A ROS callback, a simulator or a game calls the same two functions.
"""

from __future__ import annotations

import sys
from collections import deque
from typing import TYPE_CHECKING

import av

import streamavis as sa

if TYPE_CHECKING:
    from collections.abc import Iterator


def push(path: str, model: sa.StreamAVIS) -> Iterator[sa.FrameResult]:
    """Yield a result for each picture of a file with sound."""
    with av.open(path) as pictures, av.open(path) as sounds:
        rate = sounds.streams.audio[0].rate
        session = sa.Session(model, sample_rate=rate)
        blocks = sounds.decode(audio=0)
        waiting: deque[av.AudioFrame] = deque()
        for picture in pictures.decode(video=0):
            time_s = picture.time
            # The sound up to the picture goes first; a little more does no harm.
            while not waiting or waiting[0].time <= time_s + 0.002:
                if waiting:
                    block = waiting.popleft()
                    session.push_audio(block.to_ndarray().T, block.time)
                block = next(blocks, None)
                if block is None:
                    break
                waiting.append(block)
            yield session.push_frame(picture.to_ndarray(format="rgb24"), time_s)


if __name__ == "__main__":
    for result in push(sys.argv[1], sa.load("nano")):
        time_s = result.capture_time_ns / 1e9
        print(f"{time_s:7.2f} s", [track.label for track in result.sounding])
