"""Quality over a long stream: clips in a loop through one session, last round against first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from streamavis.session import Session
from streamavis.types import SAMPLE_RATE, AudioChunk, VideoFrame
from streamavis_benchmarks.real.composed import add_scores, frame_truth
from streamavis_benchmarks.real.measured import Measured

if TYPE_CHECKING:
    from streamavis_benchmarks.real.composed import ComposedClip
    from streamavis_benchmarks.real.measured import Setting

__all__ = ["EndlessUnit", "one_minute"]

_NS = 1_000_000_000
_GAP_NS = _NS // 10  # from the last frame of a clip to the first of the next


@dataclass(frozen=True)
class EndlessUnit:
    """The same clips again and again; the first round is compared with the last."""

    clips: tuple[ComposedClip, ...]
    rounds: int

    @property
    def weight(self) -> float:
        return float(self.rounds * sum(len(one.clip.frames) for one in self.clips))

    def measure(self, setting: Setting) -> Measured:
        from streamavis_training.evaluate import score_frame

        found = Measured()
        classes = tuple(setting.network.config.classes)
        session = Session(setting.network, stream="endless", tracks=setting.tracks)
        pictures = [list(one.clip.pictures()) for one in self.clips]
        waveforms = [one.waveform("own") for one in self.clips]
        start_ns, index = 0, 0
        for number in range(self.rounds):
            row = {0: "endless, first", self.rounds - 1: "endless, last"}.get(number)
            for one, seen, heard in zip(self.clips, pictures, waveforms, strict=True):
                length_ns = int(one.clip.times_ns[-1]) + _GAP_NS
                samples = np.zeros(length_ns * SAMPLE_RATE // _NS, np.float32)
                common = min(len(samples), len(heard))
                samples[:common] = heard[:common]
                fed = 0
                for place, picture in enumerate(seen):
                    time_ns = int(one.clip.times_ns[place])
                    until = time_ns * SAMPLE_RATE // _NS
                    if until > fed:
                        begin_ns = start_ns + fed * _NS // SAMPLE_RATE
                        session.hear(AudioChunk(samples[fed:until], begin_ns))
                        fed = until
                    frame = VideoFrame(picture, start_ns + time_ns, index, "pts")
                    result = session.see(frame)
                    index += 1
                    if row is not None:
                        truth = frame_truth(one.truth, place, classes)
                        add_scores(found, row, score_frame(result.tracks, truth))
                rest_ns = start_ns + fed * _NS // SAMPLE_RATE
                session.hear(AudioChunk(samples[fed:], rest_ns))
                start_ns += len(samples) * _NS // SAMPLE_RATE
        found.counts["endless/seconds"] += start_ns / _NS  # type: ignore[assignment]
        return found


def one_minute(clips: list[ComposedClip]) -> tuple[tuple[ComposedClip, ...], float]:
    """The first clips that last a minute together, or all; and how long they last, in seconds."""
    chosen, seconds = [], 0.0
    for one in clips:
        if seconds >= 60:
            break
        chosen.append(one)
        seconds += (int(one.clip.times_ns[-1]) + _GAP_NS) / _NS
    return tuple(chosen), seconds
