"""Containers whose clock begins anew, wobbles or is written in another order: one time for all."""

from dataclasses import dataclass
from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np
import pytest
from clips import Pictures, Sound, write_clip

from streamavis.errors import TruncatedInputError
from streamavis.io.continuity import Continuity
from streamavis.io.media import MediaSource
from streamavis.io.record import Recorder
from streamavis.types import AudioChunk, VideoFrame

S = 1_000_000_000
TENTHS = Pictures(time_base=Fraction(1, 10), ticks=tuple(range(20)))
PICTURE = SimpleNamespace(index=0, average_rate=Fraction(10))
SOUND = SimpleNamespace(index=1)


@dataclass
class Packet:
    stream: SimpleNamespace
    dts: int | None  # ms
    pts: int | None = None
    duration: int = 100
    time_base: Fraction = Fraction(1, 1000)


def placed(*packets: Packet, breaks: bool = True) -> tuple[list[int | None], Continuity]:
    continuity = Continuity(breaks=breaks)
    for packet in packets:
        packet.pts = packet.dts if packet.pts is None else packet.pts
        continuity.place(packet)
    return [packet.pts for packet in packets], continuity


def pictures(*times_ms: int) -> list[Packet]:
    return [Packet(PICTURE, ms) for ms in times_ms]


@pytest.mark.parametrize("begin", [0, 1000, 50_000_000])
def test_a_clock_that_begins_anew_goes_on(begin):
    first, second = range(100_000, 102_000, 100), range(begin, begin + 2000, 100)
    times, continuity = placed(*pictures(*first, *second))
    assert times == list(range(100_000, 104_000, 100))
    assert [continuity.epoch_at(Fraction(t, 1000)) for t in (100_000, 101_999, 102_000)] == [
        0,
        0,
        1,
    ]


def test_picture_and_sound_of_a_new_clock_keep_their_distance():
    def take(begin: int, offset: int) -> list[Packet]:
        return [
            Packet(stream, begin + ms + (offset if stream is SOUND else 0))
            for ms in range(0, 2000, 100)
            for stream in (PICTURE, SOUND)
        ]

    times, continuity = placed(*take(100_000, 30), *take(3_000, 30))
    assert times[1::2] == [ms + 30 for ms in times[::2]]
    assert times[40] == 102_030  # the sound of the first take ends there
    assert continuity.epoch_at(Fraction(200)) == 1


def test_packets_of_the_old_clock_may_follow_the_first_of_the_new_one():
    late = Packet(SOUND, 101_950)
    times, continuity = placed(
        Packet(SOUND, 101_850), *pictures(101_900, 5000), late, Packet(SOUND, 5000)
    )
    assert late.pts == 101_950
    assert times[2] == times[4] == 102_000
    assert continuity.epoch_at(Fraction(102)) == 1


def test_a_stream_that_begins_on_another_clock_joins_the_time_of_the_others():
    sound = [Packet(SOUND, ms) for ms in (5_000_000, 5_000_100)]
    times, continuity = placed(*pictures(0, 100), *sound, *pictures(200), *pictures(5_000_200))
    assert times == [0, 100, 200, 300, 200, 400]
    assert continuity.epoch_at(Fraction(1)) == 1
    late = [Packet(SOUND, ms) for ms in range(0, 20_000, 100)]
    assert placed(*late, Packet(PICTURE, 20_000))[0][-1] == 20_000


def test_a_new_clock_follows_a_packet_that_does_not_say_how_long_it_lasts():
    first, second = Packet(PICTURE, 0, duration=0), Packet(PICTURE, 900_000, duration=0)
    times, continuity = placed(first, second)
    assert times == [0, 100]
    assert continuity.epoch_at(Fraction(0)) == 0


@pytest.mark.parametrize("back", [100, 200, 249])
def test_a_step_back_of_a_frame_or_two_is_no_new_clock(back):
    times, continuity = placed(*pictures(1000, 1100, 1200, 1200 - back, 1300))
    assert times == [1000, 1100, 1200, 1200 - back, 1300]
    assert continuity.epoch_at(Fraction(10)) == 0


def test_a_pause_is_one_where_time_is_written_down_and_a_new_clock_where_it_breaks():
    assert placed(*pictures(0, 100, 60_100), breaks=False)[0][-1] == 60_100
    assert placed(*pictures(0, 100, 60_100), breaks=True)[0][-1] == 200
    assert placed(*pictures(0, 100, 90_000_000), breaks=False)[0][-1] == 200
    paused = [*pictures(0, 100), *(Packet(SOUND, ms) for ms in range(0, 60_000, 100))]
    assert placed(*paused, *pictures(60_100))[0][-1] == 60_100, "the sound went on meanwhile"


def test_a_single_wrong_stamp_does_not_move_what_comes_after_by_its_size():
    times, _ = placed(*pictures(1000, 1100, 900_000_000, 1300, 1400))
    assert times[3:] == [1300, 1400]


def test_stamps_that_cannot_be_are_left_to_the_decoder():
    wild = Packet(PICTURE, 1100, 1100 + 100_000)
    continuity = Continuity(breaks=False)
    for packet in (*pictures(1000), wild):
        continuity.place(packet)
    assert wild.pts is None
    assert wild.dts == 1100


def joined(folder, *offsets_s):
    """Takes of 2 s in one transport stream, each on a clock of its own."""
    data = b""
    for number, offset_s in enumerate(offsets_s):
        path = folder / f"take{number}.ts"
        sound = Sound(pieces_s=((0, 0.7), (1.2, 2.0)))
        write_clip(path, TENTHS, sound, output_ts_offset=str(offset_s))
        data += path.read_bytes()
    whole = folder / "joined.ts"
    whole.write_bytes(data)
    return whole


def read(path):
    with MediaSource(path) as source:
        items = list(source)
    frames = [item for item in items if isinstance(item, VideoFrame)]
    return frames, [item for item in items if isinstance(item, AudioChunk)]


def loudness(chunks, seconds):
    wave = np.zeros(seconds * 16_000, np.float32)
    for chunk in chunks:
        assert chunk.start_time_ns >= 0
        start = round(chunk.start_time_ns * 16_000 / S)
        wave[start : start + len(chunk.samples)] = chunk.samples[: max(0, len(wave) - start)]
    return np.abs(wave.reshape(-1, 1600)).max(axis=1) > 0.2


@pytest.mark.parametrize("offsets", [(5000, 10), (10, 5000), (10, 10), (10, 3, 2000)])
def test_joined_takes_are_read_and_recorded_as_one(tmp_path, offsets):
    path = joined(tmp_path, *offsets)
    frames, chunks = read(path)
    with MediaSource(path) as media:
        assert (media.info.duration_s or 0) < 100, "FFmpeg's is the distance of the clocks"
    count, seconds = 20 * len(offsets), 2 * len(offsets) + 1
    assert len(frames) == count
    times = np.array([frame.capture_time_ns for frame in frames]) / S
    assert times[0] >= 0
    assert np.diff(times) == pytest.approx(np.full(count - 1, 0.1), abs=0.06)
    assert [frame.epoch for frame in frames] == [n for n in range(len(offsets)) for _ in range(20)]
    heard = loudness(chunks, seconds)
    for take in range(len(offsets)):
        begin = round(10 * times[20 * take])
        assert heard[begin + 1 : begin + 6].all()
        assert not heard[begin + 9 : begin + 11].any()
        assert heard[begin + 14 : begin + 19].all()
    with Recorder(tmp_path / "out.mp4", 64, 48, fps=10, sound=path) as recorder:
        for frame in frames:
            recorder.write(frame.image, frame.capture_time_ns)
    recorded, sound = read(tmp_path / "out.mp4")
    assert len(recorded) == count
    assert recorded[-1].capture_time_ns / S == pytest.approx(times[-1], abs=0.01)
    np.testing.assert_array_equal(loudness(sound, seconds)[:-10], heard[:-10])


def test_a_playlist_says_that_the_clock_begins_anew_and_what_is_missing(tmp_path):
    for number, offset_s in enumerate((10, 3)):
        write_clip(tmp_path / f"{number}.ts", TENTHS, Sound(), output_ts_offset=str(offset_s))
    lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:2", "#EXTINF:2.0,", "0.ts"]
    lines += ["#EXT-X-DISCONTINUITY", "#EXTINF:2.0,", "1.ts"]
    path = tmp_path / "list.m3u8"
    path.write_text("\n".join([*lines, "#EXT-X-ENDLIST", ""]))
    frames, _ = read(path)
    times = [frame.capture_time_ns / S for frame in frames]
    assert len(times) == 40
    assert min(times) >= 0
    assert max(times) < 4.2
    assert {frame.epoch for frame in frames} == {0, 1}
    path.write_text("\n".join([*lines, "#EXTINF:2.0,", "gone.ts", "#EXT-X-ENDLIST", ""]))
    with (
        MediaSource(path) as source,
        pytest.raises(TruncatedInputError, match=r"gone\.ts cannot be found"),
    ):
        list(source)


def test_pictures_in_avi_take_their_stamps_in_order(tmp_path):
    """AVI has decoding stamps only: with B-frames every third picture would step back."""
    source = write_clip(tmp_path / "in.ts", TENTHS)
    path = tmp_path / "out.avi"
    with av.open(source) as clip, av.open(path, "w") as out:
        stream = out.add_stream_from_template(clip.streams.video[0])
        for number, packet in enumerate(p for p in clip.demux(video=0) if p.size):
            packet.pts = packet.dts = number
            packet.time_base, packet.stream = Fraction(1, 10), stream
            out.mux(packet)
    frames, _ = read(path)
    times = [frame.capture_time_ns for frame in frames]
    assert np.diff(times) == pytest.approx(np.full(19, S // 10), abs=1)
    assert {frame.epoch for frame in frames} == {0}
    assert [round(f.image.mean() / 8) for f in frames] == list(range(20))


def test_times_never_go_back(tmp_path):
    """Of pictures whose stamps were copied from AVI into a container that has both kinds."""
    source = write_clip(tmp_path / "in.mkv", TENTHS)
    path = tmp_path / "out.mkv"
    with av.open(source) as clip, av.open(path, "w") as out:
        stream = out.add_stream_from_template(clip.streams.video[0])
        for number, packet in enumerate(p for p in clip.demux(video=0) if p.size):
            packet.pts = packet.dts = number * 100
            packet.time_base, packet.stream = Fraction(1, 1000), stream
            out.mux(packet)
    frames, _ = read(path)
    times = [frame.capture_time_ns for frame in frames]
    assert len(times) == 20
    assert min(np.diff(times)) > 0
    assert {frame.epoch for frame in frames} == {0}


def test_time_begins_with_the_first_packet_where_the_container_says_something_impossible():
    continuity = Continuity(breaks=True, origin_s=Fraction(0))
    packets = [*pictures(95_001_000, 95_001_100), Packet(SOUND, 0, 0), *pictures(95_001_200)]
    for packet in packets:
        packet.pts = packet.dts
        continuity.place(packet)
    assert [packet.pts for packet in packets] == [0, 100, 200, 200]
    late = Continuity(breaks=True, origin_s=Fraction(0))
    first = Packet(PICTURE, 4000, 4000)
    late.place(first)
    assert first.pts == 4000


def test_a_packet_that_says_it_lasts_a_day_does_not():
    damaged = Packet(PICTURE, 1_000_000, duration=86_400_000)
    times, _ = placed(damaged, *pictures(0, 100))
    assert times == [1_000_000, 1_060_000, 1_060_100]
