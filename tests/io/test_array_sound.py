"""Sound of several channels, from file and microphone to bearings in results, beside the mono."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import runtime_fakes as fakes
from numpy.typing import NDArray

import streamavis
from streamavis.bearing import Geometry, MicArray, wrapped
from streamavis.bearing.room import Room, diffuse_noise, scaled_to, voice
from streamavis.errors import InputError
from streamavis.io.array_sound import ArraySound
from streamavis.io.child.portaudio import BlockRing
from streamavis.io.live import LiveSource
from streamavis.io.media import MediaSource
from streamavis.types import AudioChunk, SoundBearing, SourceEvent, VideoFrame

RATE = 16_000
STEREO = MicArray.stereo(0.1)
RING = MicArray.ring(4, 0.05)
LAYOUTS = {2: "stereo", 4: "quad", 1: "mono"}


def heard(array: MicArray, azimuth: float, seconds: float = 2.0) -> NDArray[np.float32]:
    rng = np.random.default_rng(2)
    sound = Room(rt60_s=0).hear(array, voice(seconds, RATE, rng), azimuth, 1.5, RATE)
    sound *= 0.2 / np.abs(sound).max()
    return (sound + scaled_to(diffuse_noise(array, len(sound), RATE, rng), sound, 20)).astype("f4")


def write_clip(path: Path, samples: NDArray[np.float32], image: NDArray[np.uint8]) -> Path:
    """Pictures at 10 a second, all alike, with every channel of the sound as it is."""
    with av.open(path, "w") as container:
        video = container.add_stream("ffv1", rate=10)
        video.height, video.width, video.pix_fmt = *image.shape[:2], "bgr0"
        audio = container.add_stream("pcm_s16le", rate=RATE)
        audio.codec_context.layout = LAYOUTS[samples.shape[1]]
        for number in range(len(samples) * 10 // RATE):
            frame = av.VideoFrame.from_ndarray(image, "rgb24").reformat(format="bgr0")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            container.mux(video.encode(frame))
            start = number * RATE // 10
            block = np.ascontiguousarray(samples[start : start + RATE // 10].reshape(1, -1) * 32767)
            layout = audio.codec_context.layout.name
            sound = av.AudioFrame.from_ndarray(block.astype(np.int16), "s16", layout)
            sound.sample_rate, sound.pts, sound.time_base = RATE, start, Fraction(1, RATE)
            container.mux(audio.encode(sound))
        for stream in (video, audio):
            container.mux(stream.encode(None))
    return path


BOX = fakes.picture((0, 112, 30, 40, 30))  # red, in the right half: its middle is at 131.5, 44.5


def known(bearings: list[SoundBearing]) -> list[float]:
    return [b.azimuth for b in bearings if b.azimuth is not None]


@pytest.mark.parametrize(("array", "azimuth"), [(STEREO, 24.0), (RING, -130.0)])
def test_a_recordings_channels_have_bearings_and_its_mono_is_what_it_was(
    tmp_path: Path, array: MicArray, azimuth: float
) -> None:
    path = write_clip(tmp_path / "a.mkv", heard(array, azimuth), BOX)
    with MediaSource(path, array=array) as source:
        items = list(source)
    found = [item for item in items if isinstance(item, SoundBearing)]
    assert [b.time_ns for b in found] == [n * 100_000_000 for n in range(1, len(found) + 1)]
    assert len(found) in (19, 20)
    assert np.abs(np.array(known(found)) - azimuth).max() < 5
    assert len(known(found)) > 10
    with MediaSource(path) as source:
        alone = list(source)
    mono = [i.samples for i in alone if isinstance(i, AudioChunk)]
    beside = [i.samples for i in items if isinstance(i, AudioChunk)]
    assert np.array_equal(np.concatenate(mono), np.concatenate(beside))
    for number, item in enumerate(items):
        if isinstance(item, VideoFrame):
            later = [i for i in items[number:] if isinstance(i, SoundBearing)]
            assert all(b.time_ns > item.capture_time_ns for b in later), "no sound comes too late"


def test_results_carry_the_bearings_of_objects_and_sound_and_whether_they_meet(
    tmp_path: Path,
) -> None:
    geometry = Geometry(hfov_deg=70, array=STEREO, frame_id="camera")
    for azimuth, agrees in ((24.0, True), (-30.0, False)):
        path = write_clip(tmp_path / f"{azimuth}.mkv", heard(STEREO, azimuth), BOX)
        with streamavis.open(path, fakes.FakeModel(), warm=True, geometry=geometry) as results:
            last = list(results)[-5]
        (track,) = last.tracks
        focal = 80 / np.tan(np.radians(35))
        right = np.degrees(np.arctan((131.5 - 79.5) / focal))
        assert track.bearing is not None
        assert track.bearing[0] == pytest.approx(right, abs=1)
        assert track.bearing[1] == pytest.approx(0, abs=1.5)
        assert last.sound_bearing is not None
        assert last.sound_bearing.azimuth == pytest.approx(azimuth, abs=4)
        assert track.bearing_agrees is agrees
        assert last.frame_id == "camera"
        assert last.capture_wall_time is None, "a recording's times are no wall times"


def test_without_geometry_nothing_is_said(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mkv", heard(STEREO, 20, 1.0), BOX)
    with streamavis.open(path, fakes.FakeModel(), warm=True) as results:
        last = list(results)[-1]
    assert last.sound_bearing is None
    assert last.frame_id == ""
    assert {(t.bearing, t.bearing_agrees) for t in last.tracks} == {(None, None)}


def test_too_few_channels_are_refused_with_both_numbers(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mkv", heard(STEREO, 20, 1.0), BOX)
    with pytest.raises(InputError, match=r"has 2 channels of sound, but ring of 4.* needs 4"):
        MediaSource(path, array=RING)
    with pytest.raises(InputError, match="has 2 channels"):
        LiveSource(str(path), array=RING)


def test_a_played_recording_has_bearings_on_the_engines_clock(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mkv", heard(STEREO, -40), BOX)
    for microphone in (None, str(path)):
        source = LiveSource(str(path), microphone, array=STEREO)
        with source:
            items = list(source)
        bearings = [item for item in items if isinstance(item, SoundBearing)]
        frames = [item for item in items if isinstance(item, VideoFrame)]
        assert np.median(known(bearings)) == pytest.approx(-40, abs=5)
        assert abs(bearings[0].time_ns - frames[0].capture_time_ns) < 1_000_000_000


def test_wrong_channels_are_told_once_as_an_event_of_the_microphone() -> None:
    sound = heard(STEREO, 30, 4.0)
    sound[:, 1] = sound[:, 0]
    taker = ArraySound(STEREO, "mic:bar")
    found = [
        item
        for start in range(0, len(sound), 160)
        for item in taker.block(sound[start : start + 160], RATE, start * 62_500)
    ]
    (event,) = [item for item in found if isinstance(item, SourceEvent)]
    assert (event.source, event.modality, event.state) == ("mic:bar", "audio", "running")
    assert "carry the same sound" in event.reason


def test_blocks_whose_stamps_jitter_follow_each_other_and_late_ones_begin_anew() -> None:
    sound = heard(STEREO, 30, 2.0)
    rng = np.random.default_rng(0)
    taker, found = ArraySound(STEREO, "mic"), []
    for start in range(0, len(sound), 160):
        jitter_ns = round(rng.uniform(-30e6, 30e6))
        found += taker.block(sound[start : start + 160], RATE, start * 62_500 + jitter_ns)
    assert len(known(found)) > 10, "a reset at every block would find nothing"
    times = np.diff([b.time_ns for b in found])
    assert np.abs(times - 100_000_000).max() < 20_000_000
    (after,) = taker.block(np.zeros((1600, 2), np.float32), RATE, 60_000_000_000)
    assert after.azimuth is None


def test_chosen_channels_are_the_microphones() -> None:
    chosen = MicArray(STEREO.positions, channels=(4, 2))
    sound = heard(STEREO, 35)
    recorded = np.zeros((len(sound), 5), np.float32)
    recorded[:, 3], recorded[:, 1] = sound[:, 0], sound[:, 1]
    assert np.median(known(ArraySound(chosen, "mic").block(recorded, RATE, 0))) == pytest.approx(
        35, abs=4
    )
    assert ArraySound(chosen, "mic").block(recorded[:, :3], RATE, 0) == []
    assert wrapped(190) == -170


def test_the_microphones_ring_gives_channels_beside_the_mono_mix() -> None:
    block = np.arange(24, dtype=np.float32).reshape(8, 3)
    ring = BlockRing(100, 3, keeps_channels=True)
    ring.put(block, 1, -1, False)
    message = ring.take()
    assert message is not None
    assert message.channels == 3
    assert np.array_equal(np.frombuffer(message.array, np.float32).reshape(-1, 3), block)
    assert np.array_equal(np.frombuffer(message.samples, np.float32), block.mean(axis=1))
    plain = BlockRing(100, 3)
    plain.put(block, 1, -1, False)
    message = plain.take()
    assert message is not None
    assert (message.channels, message.array) == (0, b"")
