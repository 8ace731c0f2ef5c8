"""One message of each kind, and any number of generated ones."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from streamavis import masks
from streamavis.types import (
    FrameResult,
    InputStatus,
    Intrinsics,
    Notice,
    Rle,
    SoundBearing,
    Stage,
    Track,
)
from streamavis.wire import EndOfStream, Hello, Message, StageLatency, Status

WAIT_S = 60.0  # longer than anything takes; only a failing test waits for it

HELLO = Hello(
    model="nano",
    classes=("dog", "drum"),
    size=(6, 8),
    fps=29.97,
    intrinsics=Intrinsics(fx=10.0, fy=11.0, cx=3.5, cy=2.5, distortion=(0.5, 0.0, 0.0, 0.0, 0.0)),
    frame_id="camera",
    stream="cam-1",
    boot_id="b0",
    host_boot_id="h0",
    wall_time=1.5,
)
STATUS = Status(
    source="running",
    audio="lost",
    video="ok",
    epoch=2,
    seq=41,
    captured=45,
    processed=42,
    dropped={"stale": 3},
    latency={Stage.MODEL: StageLatency(p50_ms=30.0, p95_ms=41.5, p99_ms=60.25, max_ms=61.0)},
    model="failed",
    inputs=[InputStatus("mic:default", "audio", "stalled", 77, "no sound for 0.4 s")],
    notices=[Notice(3, 99, "load", "too slow to keep up, now every 2nd frame")],
    degraded=["viewers at 5 Hz", "every 2nd frame"],
    stream="cam-1",
    boot_id="b0",
    host_boot_id=None,
    wall_time=2.5,
    monotonic_ns=123_456_789_012,
)
EOS = EndOfStream(
    reason="failed",
    detail="camera 0 was unplugged",
    epoch=2,
    seq=41,
    captured=45,
    processed=42,
    dropped={"stale": 3},
    stream="cam-1",
    boot_id="b0",
    wall_time=3.5,
)
DOG = np.zeros((6, 8), dtype=bool)
DOG[1:4, 2:7] = True
FRAME = FrameResult(
    stream="cam-1",
    epoch=2,
    seq=41,
    capture_time_ns=987_654_321,
    size=(6, 8),
    audio="ok",
    audio_delay_s=0.02,
    video="ok",
    clock="driver",
    tracks=[
        Track(
            id=7,
            label="dog",
            class_id=0,
            score=0.75,
            sounding=0.5,
            visible=None,
            box=(2, 1, 5, 3),
            centroid=(4.0, 2.0),
            area=15,
            rle=masks.encode(DOG),
            bearing=(1.5, -0.25),
            bearing_agrees=False,
        ),
        Track(9, "drum", 1, 1.0, None, 0.25, (0, 0, 8, 6), (3.5, 2.5), 48, Rle((6, 8), "0`1")),
    ],
    frame_id="camera",
    capture_wall_time=4.25,
    sound_bearing=SoundBearing(987_000_000, -12.5, 0.75),
    boot_id="b0",
    wall_time=4.5,
    stamps={Stage.CAPTURE: 1_000, Stage.PUBLISH: 31_000},
)
SAMPLES: dict[str, Message] = {"hello": HELLO, "status": STATUS, "eos": EOS, "frame": FRAME}


def frame(seq: int, stream: str = "cam-1", **fields: object) -> FrameResult:
    """Return a result without tracks, as an engine gives it to a publisher."""
    values: dict[str, object] = {
        "epoch": 0,
        "capture_time_ns": seq,
        "size": (6, 8),
        "audio": "ok",
        "audio_delay_s": 0.0,
        "video": "ok",
        "clock": "driver",
        "tracks": [],
    }
    return FrameResult(stream=stream, seq=seq, **(values | fields))


def hello(**fields: object) -> Hello:
    """Return a hello as an engine gives it to a publisher."""
    return Hello(**({"model": "nano", "classes": ("dog",), "size": (6, 8)} | fields))


_unit = st.floats(0, 1)
_count = st.integers(0, 2**63 - 1)
_text = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
_states = st.sampled_from(["ok", "gap", "lost", "absent"])
_videos = st.sampled_from(["ok", "stale", "lost"])
_sizes = st.tuples(st.integers(1, 40), st.integers(1, 40))
_common = {
    "stream": st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True),
    "boot_id": _text,
    "wall_time": st.floats(0, 1e12),
}
_named = st.dictionaries(_text, _count, max_size=6)
_progress = {
    "epoch": _count,
    "seq": st.none() | _count,
    "captured": _count,
    "processed": _count,
    "dropped": _named,
}


@st.composite
def drawn_masks(draw: st.DrawFn, size: tuple[int, int]) -> np.ndarray:
    """Draw a mask, blank, full, noisy or smooth."""
    noise = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).random(size)
    if draw(st.booleans()):
        noise = np.sort(noise, axis=draw(st.integers(0, 1)))
    return noise < draw(_unit)


def rles() -> st.SearchStrategy[Rle]:
    """Draw a mask of any size as run lengths."""
    return _sizes.flatmap(drawn_masks).map(masks.encode)


@st.composite
def tracks(draw: st.DrawFn, size: tuple[int, int]) -> Track:
    """Draw a track whose box, centroid and area are those of its mask."""
    mask = draw(drawn_masks(size))
    rows, columns = np.nonzero(mask)
    x, y, w, h, center = 0, 0, 0, 0, (0.0, 0.0)
    if len(rows):
        x, y = int(columns.min()), int(rows.min())
        w, h = int(columns.max()) - x + 1, int(rows.max()) - y + 1
        center = (float(columns.mean()), float(rows.mean()))
    return Track(
        id=draw(_count),
        label=draw(_text),
        class_id=draw(st.integers(0, 2**31 - 1)),
        score=draw(_unit),
        sounding=draw(st.none() | _unit),
        visible=draw(st.none() | _unit),
        box=(x, y, w, h),
        centroid=center,
        area=len(rows),
        rle=masks.encode(mask),
        bearing=draw(st.none() | st.tuples(st.floats(-180, 180), st.floats(-90, 90))),
        bearing_agrees=draw(st.none() | st.booleans()),
    )


frames = _sizes.flatmap(
    lambda size: st.builds(
        FrameResult,
        epoch=_count,
        seq=_count,
        capture_time_ns=st.integers(-(2**63) + 1, 2**63 - 1),
        size=st.just(size),
        audio=_states,
        audio_delay_s=st.floats(0, 10),
        video=_videos,
        clock=st.sampled_from(["pts", "driver", "arrival"]),
        tracks=st.lists(tracks(size), max_size=4, unique_by=lambda track: track.id),
        stamps=st.dictionaries(st.sampled_from(list(Stage)), _count),
        frame_id=_text,
        capture_wall_time=st.none() | st.floats(0, 1e12),
        sound_bearing=st.none()
        | st.builds(
            SoundBearing,
            time_ns=st.integers(-(2**63) + 1, 2**63 - 1),
            azimuth=st.none() | st.floats(-180, 180),
            confidence=_unit,
        ),
        **_common,
    )
)
hellos = st.builds(
    Hello,
    model=_text,
    classes=st.lists(_text, max_size=30).map(tuple),
    size=_sizes,
    fps=st.none() | st.floats(0, 240),
    has_audio=st.booleans(),
    intrinsics=st.none()
    | st.builds(
        Intrinsics,
        fx=st.floats(1, 1e6),
        fy=st.floats(1, 1e6),
        cx=st.floats(-1e6, 1e6),
        cy=st.floats(-1e6, 1e6),
        distortion=st.tuples(*[st.floats(-10, 10)] * 5),
    ),
    frame_id=_text,
    host_boot_id=st.none() | _text,
    **_common,
)
_sources = st.sampled_from(["starting", "running", "stalled", "reconnecting", "failed", "ended"])
_latency = st.floats(0, 1e6)
statuses = st.builds(
    Status,
    source=_sources,
    audio=_states,
    video=_videos,
    latency=st.dictionaries(
        _text,
        st.builds(StageLatency, p50_ms=_latency, p95_ms=_latency, p99_ms=_latency, max_ms=_latency),
        max_size=4,
    ),
    model=st.sampled_from(["ok", "failed"]),
    inputs=st.lists(
        st.builds(
            InputStatus,
            source=_text,
            modality=st.sampled_from(["video", "audio"]),
            state=_sources,
            since_ns=_count,
            reason=_text,
        ),
        max_size=2,
    ),
    notices=st.lists(
        st.builds(
            Notice,
            number=_count,
            time_ns=_count,
            kind=st.sampled_from(["source", "model", "sink", "load", "worker"]),
            text=_text,
        ),
        max_size=2,
    ),
    degraded=st.lists(_text, max_size=3),
    host_boot_id=st.none() | _text,
    monotonic_ns=_count,
    **_progress,
    **_common,
)
ends = st.builds(
    EndOfStream,
    reason=st.sampled_from(["ended", "stopped", "failed"]),
    detail=_text,
    **_progress,
    **_common,
)
messages = frames | hellos | statuses | ends
