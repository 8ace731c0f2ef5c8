"""What a camera and a microphone really deliver, measured for a few seconds."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from streamavis.clock import MonotonicClock
from streamavis.io.live import LiveSource
from streamavis.types import AudioChunk, AudioGap, SourceEvent, Stage, VideoFrame
from streamavis_apps.setup.checks import Check, State
from streamavis_apps.setup.closing import closing_when

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamavis.types import SourceItem
    from streamavis_apps.exits import Stop

__all__ = ["check_source"]

_SLOW = 0.9  # of the nominal rate


def check_source(
    camera: str, microphone: str | None, seconds: float, stop: Stop
) -> Iterator[Check]:
    """Watch and listen, then say what came.

    Raises:
        InputError: the camera or the named microphone cannot be opened.
    """
    clock = MonotonicClock()
    with LiveSource(camera, microphone, clock, cancelled=stop.event) as source:
        items: list[SourceItem] = []
        ages_ns: list[int] = []
        with closing_when(source, stop, seconds):
            for item in source:
                items.append(_without_picture(item))
                if isinstance(item, VideoFrame):
                    ages_ns.append(clock.now_ns() - item.capture_time_ns)
        yield from _pictures(source, [i for i in items if isinstance(i, VideoFrame)], ages_ns)
        yield from _sound(source, items)
        events = [i for i in items if isinstance(i, SourceEvent) and i.reason]
        for event in events:
            yield Check("source", event.modality, f"{event.state}: {event.reason}", State.LACKS)


def _without_picture(item: SourceItem) -> SourceItem:
    if isinstance(item, VideoFrame):
        item.image = item.image[:0]  # minutes of pictures would not fit
    return item


def _pictures(source: LiveSource, frames: list[VideoFrame], ages_ns: list[int]) -> Iterator[Check]:
    info = source.info
    if len(frames) < 2:
        yield Check("source", "camera", f"{len(frames)} pictures came", State.LACKS)
        return
    times = np.array([frame.capture_time_ns for frame in frames]) / 1e9
    steps = np.diff(times)
    rate = len(steps) / max(times[-1] - times[0], 1e-9)
    nominal = "" if info.fps is None else f" of {info.fps:g}"
    slow = info.fps is not None and rate < _SLOW * info.fps
    found = f"{rate:.1f}{nominal} frames/s, {info.width}x{info.height}"
    yield Check("source", "camera", found, State.LACKS if slow else State.OK)
    jitter_ms = np.abs(steps - np.median(steps)) * 1e3
    clocks = Counter(frame.clock for frame in frames).most_common()
    by = ", ".join(f"{name} ({count})" for name, count in clocks)
    yield Check(
        "source",
        "picture times",
        f"by {by}; off the beat by {np.percentile(jitter_ms, 95):.1f} ms (p95)",
    )
    decode_ms = [
        (frame.stamps[Stage.DECODE] - frame.stamps[Stage.RECEIVE]) / 1e6 for frame in frames
    ]
    yield Check(
        "source",
        "picture age",
        f"{np.percentile(ages_ns, 50) / 1e6:.1f} ms when handed over (p95 "
        f"{np.percentile(ages_ns, 95) / 1e6:.1f}), of which decoding {np.median(decode_ms):.1f}",
    )
    stale = sum(frame.state == "stale" for frame in frames)
    if stale:
        found = f"frozen in {stale} of {len(frames)} pictures"
        yield Check("source", "picture", found, State.LACKS)


def _sound(source: LiveSource, items: list[SourceItem]) -> Iterator[Check]:
    if not source.info.has_audio:
        yield Check("source", "sound", "absent", State.NONE)
        return
    chunks = [item for item in items if isinstance(item, AudioChunk)]
    gaps = [item for item in items if isinstance(item, AudioGap)]
    if not chunks:
        yield Check("source", "sound", "none came", State.LACKS)
        return
    samples = np.concatenate([chunk.samples for chunk in chunks])
    level = 10 * np.log10(max(float(np.square(samples).mean()), 1e-12))
    lost_ms = sum(gap.duration_ns for gap in gaps) / 1e6
    found = f"{level:.0f} dBFS, {len(gaps)} gaps ({lost_ms:.0f} ms)"
    yield Check("source", "sound", found, State.LACKS if gaps else State.OK)
    yield Check("source", "sound times", source.sound_timing or "by the file")
    yield Check(
        "source",
        "sound delay",
        f"{source.measured_delay_s * 1e3:.0f} ms (p95), so results say "
        f"audio_delay_s {source.audio_delay_s:.2f}",
    )
