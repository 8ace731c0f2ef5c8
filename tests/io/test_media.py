"""What comes out of files whose pictures, times and sounds are known."""

import gc
from fractions import Fraction

import av
import numpy as np
import pytest
from clips import Pictures, Sound, grey, sine, write_clip

from streamavis.audio_ring import NS_PER_SAMPLE, AudioRing
from streamavis.io.media import MediaSource
from streamavis.types import AudioChunk, VideoFrame

S = 1_000_000_000


def read(path, **options):
    with MediaSource(path, **options) as source:
        items = list(source)
    frames = [item for item in items if isinstance(item, VideoFrame)]
    return items, frames, [item for item in items if isinstance(item, AudioChunk)]


def waveform(chunks, length):
    """The chunks laid out on absolute sample numbers, NaN where there is no sound."""
    out = np.full(length, np.nan, np.float32)
    for chunk in chunks:
        assert chunk.start_time_ns % NS_PER_SAMPLE == 0
        start = chunk.start_time_ns // NS_PER_SAMPLE
        out[start : start + len(chunk.samples)] = chunk.samples[: max(0, length - start)]
    return out


def assert_sound_comes_first(items, sound_ends_ns):
    heard_ns = 0
    for item in items:
        if isinstance(item, AudioChunk):
            heard_ns = item.start_time_ns + len(item.samples) * NS_PER_SAMPLE
        else:
            assert heard_ns >= min(item.capture_time_ns, sound_ends_ns) - NS_PER_SAMPLE


@pytest.mark.parametrize("base", [Fraction(1, 30), Fraction(1001, 30_000), Fraction(1, 90_000)])
def test_frame_times_are_the_containers_own_to_the_nanosecond(tmp_path, base):
    ticks = (0, 1, 2, 5, 9) if base > Fraction(1, 100) else (0, 3003, 9001, 9002, 100_001)
    path = write_clip(tmp_path / "a.mp4", Pictures(time_base=base, ticks=ticks))
    _, frames, _ = read(path)
    assert [f.capture_time_ns for f in frames] == [round(t * base * S) for t in ticks]
    assert [f.index for f in frames] == list(range(len(ticks)))
    assert {f.clock for f in frames} == {"pts"}


def test_time_begins_where_the_earlier_stream_does(tmp_path):
    base = Fraction(1, 90_000)
    pictures = Pictures(time_base=base, ticks=(45_000, 48_003))
    _, frames, _ = read(write_clip(tmp_path / "late.mp4", pictures))
    assert [f.capture_time_ns for f in frames] == [0, round(3003 * base * S)]
    sound = Sound("pcm_s16le", pieces_s=((0.25, 1.0),))
    _, frames, chunks = read(write_clip(tmp_path / "later.mov", pictures, sound))
    assert chunks[0].start_time_ns == 0
    assert frames[0].capture_time_ns == S // 4


@pytest.mark.parametrize("kind", ["mp4", "mkv", "mov", "ts", "avi", "flv"])
def test_sound_up_to_a_frame_comes_before_it(tmp_path, kind):
    pictures = Pictures("ffv1", "gray") if kind == "avi" else Pictures()
    items, frames, chunks = read(write_clip(tmp_path / f"a.{kind}", pictures, Sound()))
    assert [round(f.image.mean() / 8) for f in frames] == list(range(30))
    assert sum(len(c.samples) for c in chunks) == pytest.approx(16_000, abs=1024)
    assert_sound_comes_first(items, S)


@pytest.mark.parametrize("first", [True, False])
def test_bad_interleaving_is_put_right(tmp_path, first):
    sound = Sound("pcm_s16le", pieces_s=((0, 1),), first=first)
    path = write_clip(tmp_path / "a.mkv", Pictures(), sound, max_interleave_delta="1")
    items, frames, chunks = read(path)
    assert len(frames) == 30
    assert sum(len(c.samples) for c in chunks) == 16_000
    assert_sound_comes_first(items, S)


def test_beyond_the_look_ahead_frames_go_on_and_their_sound_follows(tmp_path):
    path = write_clip(tmp_path / "a.mkv", Pictures(), Sound("pcm_s16le"), max_interleave_delta="1")
    items, frames, chunks = read(path, look_ahead=4)
    assert len(frames) == 30
    assert sum(len(c.samples) for c in chunks) == 16_000
    assert all(isinstance(item, VideoFrame) for item in items[:20])


def test_a_live_source_never_holds_a_frame_back():
    graph = "testsrc2=size=32x32:rate=30:duration=1[out0];sine=duration=1[out1]"
    items, frames, chunks = read(f"lavfi:{graph}", look_ahead=0)
    assert len(frames) == 30
    assert sum(len(c.samples) for c in chunks) == 16_000
    same, _, _ = read(graph, format="lavfi")
    assert len(same) == len(items)


@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1"])
@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
def test_sound_of_any_kind_comes_as_16_khz_mono_on_its_time(tmp_path, rate, layout):
    sound = Sound("pcm_s16le", rate, layout)
    _, _, chunks = read(write_clip(tmp_path / "a.mkv", Pictures(ticks=(0,)), sound))
    ours = waveform(chunks, 16_000)
    ideal = sine(0, 16_000, 16_000)
    inner = slice(200, -200)  # the filter's edges
    np.testing.assert_allclose(ours[inner], ideal[inner], atol=2e-3)


def test_a_gap_in_the_sound_stays_a_gap(tmp_path):
    sound = Sound("pcm_s16le", pieces_s=((0, 0.3), (0.6, 1.0)))
    items, _, chunks = read(write_clip(tmp_path / "a.mkv", Pictures(), sound))
    ours = waveform(chunks, 16_000)
    missing = np.flatnonzero(np.isnan(ours))
    assert (missing[0], missing[-1]) == pytest.approx((4800, 9599), abs=16)
    assert len(missing) == missing[-1] - missing[0] + 1
    heard = ~np.isnan(ours)
    np.testing.assert_allclose(ours[heard][200:4000], sine(200, 3800, 16_000), atol=2e-3)
    ring = AudioRing()
    for item in items:
        if isinstance(item, AudioChunk):
            ring.write(item)
    assert ring.window(S * 29 // 100).state == "ok"
    assert ring.window(S).state == "gap"


def test_sound_that_starts_late_or_ends_early_keeps_its_time(tmp_path):
    sound = Sound("pcm_s16le", pieces_s=((0.4, 0.7),))
    items, frames, chunks = read(write_clip(tmp_path / "a.mkv", Pictures(), sound))
    assert len(frames) == 30
    heard = np.flatnonzero(~np.isnan(waveform(chunks, 16_000)))
    assert (heard[0], heard[-1]) == pytest.approx((6400, 11_199), abs=16)
    assert isinstance(items[-1], VideoFrame)


def test_sound_goes_on_after_the_last_frame(tmp_path):
    sound = Sound("pcm_s16le", pieces_s=((0, 2.0),))
    _, _, chunks = read(write_clip(tmp_path / "a.mkv", Pictures(), sound))
    assert sum(len(c.samples) for c in chunks) == 32_000


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize("hflip", [False, True])
@pytest.mark.parametrize("vflip", [False, True])
def test_pictures_come_upright(tmp_path, degrees, hflip, vflip):
    image = np.zeros((48, 64, 3), np.uint8)
    image[:16, :16] = 255  # a mark in a corner
    image[:16, 48:] = 128
    pictures = Pictures(ticks=(0,), image=image, rotation=(degrees, hflip, vflip))
    with MediaSource(write_clip(tmp_path / "a.mp4", pictures)) as source:
        (frame,) = source
        expected = np.rot90(image, degrees // 90)
        expected = expected[:, ::-1] if hflip else expected
        expected = expected[::-1] if vflip else expected
        assert (source.info.height, source.info.width) == expected.shape[:2]
    np.testing.assert_allclose(frame.image, expected, atol=40)  # H.264 blurs the edges
    assert np.abs(frame.image.astype(int) - expected).mean() < 2
    assert frame.image.flags.c_contiguous


@pytest.mark.parametrize(
    ("kind", "codec", "pixels"),
    [
        ("mkv", "ffv1", "gray"),
        ("mkv", "ffv1", "yuv420p10le"),
        ("mkv", "ffv1", "yuva420p"),
        ("mkv", "ffv1", "yuv444p16le"),
        ("mkv", "ffv1", "bgra"),
        ("mov", "png", "rgba"),
        ("mov", "png", "rgb48be"),
    ],
)
@pytest.mark.parametrize("size", [(64, 48), (33, 21), (1, 1)])
def test_pixel_formats_and_odd_sizes(tmp_path, kind, codec, pixels, size):
    image = np.full((size[1], size[0], 3), (190, 190, 190), np.uint8)
    if pixels != "gray":
        image[..., 2] = 90
    pictures = Pictures(codec, pixels, size, ticks=(0,), image=image)
    _, (frame,), _ = read(write_clip(tmp_path / f"a.{kind}", pictures))
    assert frame.image.dtype == np.uint8
    np.testing.assert_allclose(frame.image, image, atol=2)


def test_cover_art_is_not_the_picture(tmp_path):
    import av

    path = write_clip(tmp_path / "a.mp4", Pictures(ticks=(0, 1)))
    with av.open(tmp_path / "b.mp4", "w") as out, av.open(path) as clip:
        cover = out.add_stream("png", rate=1)
        cover.width, cover.height, cover.pix_fmt = 200, 200, "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        video = out.add_stream_from_template(clip.streams.video[0])
        picture = av.VideoFrame.from_ndarray(np.zeros((200, 200, 3), np.uint8), "rgb24")
        out.mux(cover.encode(picture))
        for packet in clip.demux(video=0):
            if packet.size:
                packet.stream = video
                out.mux(packet)
    _, frames, _ = read(tmp_path / "b.mp4")
    assert [f.image.shape for f in frames] == [(48, 64, 3)] * 2


def test_frames_without_times_follow_at_the_nominal_rate(tmp_path):
    _, frames, _ = read(write_clip(tmp_path / "a.h264", Pictures(ticks=tuple(range(5)))))
    times = [f.capture_time_ns for f in frames]
    assert times == pytest.approx([n * S / 30 for n in range(5)], abs=5)


def test_decoding_threads_do_not_change_what_is_decoded(tmp_path):
    path = write_clip(tmp_path / "a.mp4", Pictures(), Sound())
    one, many = read(path)[0], read(path, threads=4)[0]
    assert len(one) == len(many)
    for a, b in zip(one, many, strict=True):
        if isinstance(a, VideoFrame):
            assert a.capture_time_ns == b.capture_time_ns
            np.testing.assert_array_equal(a.image, b.image)
        else:
            assert a.start_time_ns == b.start_time_ns
            np.testing.assert_array_equal(a.samples, b.samples)


def test_info_is_known_beforehand(tmp_path):
    path = write_clip(tmp_path / "a.mp4", Pictures(), Sound())
    with MediaSource(path) as source:
        info = source.info
        assert (info.name, info.width, info.height) == (str(path), 64, 48)
        assert (info.fps, info.has_audio, info.duration_s) == (30.0, True, 1.0)
    source.close()  # again


def test_frames_tell_their_number(tmp_path):
    """The fixture's own law: what the tests above rely on."""
    _, frames, _ = read(write_clip(tmp_path / "a.mp4"))
    assert [int(f.image.mean()) for f in frames] == pytest.approx(
        [grey(n) for n in range(30)], abs=2
    )


def test_a_decoded_picture_is_released_at_once(tmp_path):
    """PyAV's frames can hold themselves alive through their side data; ours must not."""
    path = write_clip(tmp_path / "clip.mp4", Pictures(time_base=Fraction(1, 30)))
    read(path)  # what a first use leaves behind is left once
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        read(path)
        gc.collect()
        kept = [item for item in gc.garbage if isinstance(item, av.VideoFrame)]
        assert kept == []
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


@pytest.mark.parametrize("start_s", [0.4, 1.0, 9.0])
def test_it_begins_where_asked_with_the_times_of_the_file(tmp_path, start_s):
    pictures = Pictures(time_base=Fraction(1, 10), ticks=tuple(range(20)))
    path = write_clip(tmp_path / "a.mov", pictures, Sound("pcm_s16le", pieces_s=((0, 2),)))
    _, whole, _ = read(path)
    items, frames, chunks = read(path, start_s=start_s)
    expected = [f for f in whole if f.capture_time_ns >= start_s * S] or whole[-1:]
    assert [f.capture_time_ns for f in frames] == [f.capture_time_ns for f in expected]
    assert [f.index for f in frames] == list(range(len(frames)))
    assert all(np.array_equal(a.image, b.image) for a, b in zip(frames, expected, strict=True))
    assert all(chunk.start_time_ns >= start_s * S for chunk in chunks)
    if start_s < 2:
        assert len(chunks) and chunks[0].start_time_ns < (start_s + 0.1) * S
        assert_sound_comes_first(items[1:], 2 * S)  # none before the first frame
