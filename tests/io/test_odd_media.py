"""What phones, cameras and broadcasts really write: read whole, shown in its shape, recorded."""

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.sidedata.sidedata import Type
from clips import Pictures, Sound, sine, write_clip

from streamavis.errors import InputError
from streamavis.io.container import Tracks
from streamavis.io.downmix import mixed
from streamavis.io.locate import locate
from streamavis.io.media import MediaSource
from streamavis.io.pictures import fitted, upright_rgb
from streamavis.io.record import Recorder
from streamavis.types import AudioChunk, VideoFrame

S = 1_000_000_000


def read(path, **options):
    with MediaSource(path, **options) as source:
        items = list(source)
        info = source.info
    frames = [item for item in items if isinstance(item, VideoFrame)]
    return info, frames, [item for item in items if isinstance(item, AudioChunk)]


def recorded(path, source, **options):
    """Record a source as a replay does."""
    info, frames, _ = read(source, **options)
    with Recorder(path, info.width, info.height, fps=info.fps, sound=source, **options) as out:
        for frame in frames:
            out.write(frame.image, frame.capture_time_ns)
    return read(path)


def packed(samples, rate, layout):
    """(channels, n) in [-1, 1] as a frame of 16-bit sound, without touching planes."""
    data = (samples.T.reshape(1, -1) * 32767).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(data), "s16", layout)
    frame.sample_rate = rate
    return frame


def write_sound(path, channels, rate=48_000, seconds=0.5):
    """Pictures, and sound of so many channels, of which the first one sings."""
    samples = np.zeros((channels, round(rate * seconds)), np.float32)
    samples[0] = sine(0, samples.shape[1], rate)
    with av.open(path, "w") as out:
        video = out.add_stream("ffv1", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = out.add_stream("pcm_s16le", rate=rate)
        audio.codec_context.layout = layout = f"{channels} channels"
        for _ in range(5):
            grey = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90, np.uint8), "rgb24")
            out.mux(video.encode(grey.reformat(format="yuv420p")))
        out.mux(video.encode(None))
        out.mux(audio.encode(packed(samples, rate, layout)))
        out.mux(audio.encode(None))
    return path


@pytest.mark.parametrize("channels", [3, 8, 9, 12, 16, 24])
def test_any_number_of_channels_is_heard_and_recorded(tmp_path, channels):
    source = write_sound(tmp_path / "in.mkv", channels)
    _, frames, chunks = read(source)
    assert len(frames) == 5
    heard = np.concatenate([chunk.samples for chunk in chunks])
    np.testing.assert_allclose(heard[200:7800] * channels, sine(200, 7600, 16_000), atol=0.02)
    _, copies, sound = recorded(tmp_path / "out.mp4", source)
    assert len(copies) == 5
    assert sum(len(chunk.samples) for chunk in sound) == pytest.approx(8000, abs=1100)


def test_surround_is_mixed_without_exceeding_its_loudest_channel():
    names = ("FL", "FR", "FC", "LFE", "SL", "SR")
    for row, sides in enumerate([(1, 0), (0, 1), (1, 1), (0, 0), (1, 0), (0, 1)]):
        one = np.zeros((4, 6), np.float32)
        one[:, row] = 1
        out = mixed(one, names, 2)
        assert [bool(side.any()) for side in out.T] == [bool(side) for side in sides]
    np.testing.assert_allclose(mixed(np.ones((4, 6), np.float32), names, 2), 1, atol=1e-6)
    unnamed = mixed(np.eye(9, dtype=np.float32), ("?",) * 9, 2)
    np.testing.assert_allclose(unnamed, 1 / 9, atol=1e-6)


def test_sound_may_change_its_rate_and_layout_in_a_recording(tmp_path):
    data = b""
    for n, (rate, layout) in enumerate([(48_000, "mono"), (22_050, "stereo"), (44_100, "5.1")]):
        pictures = Pictures(time_base=Fraction(1, 10), ticks=tuple(range(20)))
        sound = Sound(rate=rate, layout=layout, pieces_s=((0, 2.0),))
        path = tmp_path / f"{n}.ts"
        write_clip(path, pictures, sound, output_ts_offset=str(10 + 2 * n))
        data += path.read_bytes()
    source = tmp_path / "change.ts"
    source.write_bytes(data)
    _, frames, sound = recorded(tmp_path / "out.mp4", source)
    assert len(frames) == 60
    heard = np.concatenate([chunk.samples for chunk in sound])
    assert len(heard) / 16_000 == pytest.approx(6, abs=0.1)
    loud = np.abs(heard[:91_200].reshape(-1, 1600)).max(axis=1) > 0.2
    assert loud.mean() > 0.95


def test_side_data_that_pyav_does_not_know_is_passed_over():
    """JPEG pictures of phones: EXIF is newer than PyAV's table."""
    image = np.zeros((48, 64, 3), np.uint8)
    image[:24, :32] = 255
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 64, 48, "yuvj420p"
    encoder.time_base = Fraction(1, 10)
    frame = av.VideoFrame.from_ndarray(image, "rgb24").reformat(format="yuvj420p")
    frame.pts = 0
    (packet,) = encoder.encode(frame)
    tag = (0x0112).to_bytes(2, "big") + b"\0\3\0\0\0\1\0\2\0\0"  # orientation 2: mirrored
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\1" + tag + b"\0\0\0\0"
    jpeg = bytes(packet)
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    decoder = av.CodecContext.create("mjpeg", "r")
    (decoded,) = decoder.decode(av.Packet(jpeg[:2] + segment + jpeg[2:]))
    shown = upright_rgb(decoded)
    assert shown[4, 60].min() > 200, "mirrored, as EXIF says"
    assert shown[4, 4].max() < 50
    assert Type(12_345) is Type(12_345)


@pytest.mark.parametrize(
    ("aspect", "shape"), [((2, 1), (48, 128)), ((1, 2), (96, 64)), ((16, 15), (48, 68))]
)
def test_pixels_that_are_not_square_are_made_so(tmp_path, aspect, shape):
    source = tmp_path / "in.mp4"
    with av.open(source, "w") as out:
        stream = out.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(*aspect)
        for _ in range(3):
            grey = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90, np.uint8), "rgb24")
            out.mux(stream.encode(grey.reformat(format="yuv420p")))
        out.mux(stream.encode(None))
    info, frames, _ = read(source)
    assert (info.height, info.width) == frames[0].image.shape[:2] == shape
    _, copies, _ = recorded(tmp_path / "out.mp4", source)
    assert copies[0].image.shape[:2] == shape


def test_a_pixel_of_a_damaged_header_is_square():
    frame = av.VideoFrame(64, 48, "rgb24")
    assert upright_rgb(frame, Fraction(1, 1000)).shape == (48, 64, 3)
    with pytest.raises(InputError, match="cannot be shown"):
        upright_rgb(av.VideoFrame(8200, 8200, "gray"))


def growing(path, declared=(320, 240), small=(80, 45)):
    """A browser's recording: declared large, begins small."""
    with av.open(path, "w") as out:
        encoders, time = [], 0
        for size in (declared, small):
            encoder = av.CodecContext.create("libvpx", "w")
            encoder.width, encoder.height, encoder.pix_fmt = *size, "yuv420p"
            encoder.time_base = Fraction(1, 10)
            encoder.options = {"lag-in-frames": "0", "deadline": "realtime"}
            encoders.append(encoder)
        stream = out.add_stream("libvpx", rate=10)
        stream.width, stream.height, stream.pix_fmt = *declared, "yuv420p"
        for encoder in reversed(encoders):
            image = np.full((encoder.height, encoder.width, 3), 200, np.uint8)
            for n in range(5):
                frame = av.VideoFrame.from_ndarray(image, "rgb24").reformat(format="yuv420p")
                frame.pts = n
                for packet in encoder.encode(frame):
                    packet.pts = packet.dts = time
                    packet.time_base, packet.stream = Fraction(1, 10), stream
                    out.mux(packet)
                    time += 1
    return path


def test_a_picture_that_grows_is_recorded_at_its_declared_size_in_its_shape(tmp_path):
    source = growing(tmp_path / "in.webm")
    info, frames, _ = read(source)
    assert (info.width, info.height) == (320, 240)
    assert [frame.image.shape[:2] for frame in frames] == [(45, 80)] * 5 + [(240, 320)] * 5
    _, copies, _ = recorded(tmp_path / "out.mp4", source)
    assert {frame.image.shape[:2] for frame in copies} == {(240, 320)}
    bright = copies[0].image[..., 0] > 100
    rows, columns = np.flatnonzero(bright.any(1)), np.flatnonzero(bright.any(0))
    assert (len(rows), len(columns)) == pytest.approx((180, 320), abs=4)


@pytest.mark.parametrize("size", [(480, 640), (10, 1000), (1000, 3), (1, 1)])
def test_a_picture_of_another_shape_keeps_it(size):
    out = fitted(np.full((30, 60, 3), 255, np.uint8), *size)
    assert out.shape == (*size, 3)
    rows, columns = (np.flatnonzero(out.max(2).any(axis)) for axis in (1, 0))
    assert len(columns) == pytest.approx(2 * len(rows), abs=2)


@pytest.mark.parametrize(("transfer", "code"), [(16, 0.58), (18, 0.75)])
def test_hdr_is_shown_as_bright_as_it_is_meant(transfer, code):
    """Reference white, 203 nits: grey and dark if its codes were taken as they are."""
    frame = av.VideoFrame(64, 48, "yuv420p10le")
    luma = np.full(frame.planes[0].buffer_size // 2, round(64 + 876 * code), np.uint16)
    frame.planes[0].update(luma.tobytes())
    for plane in frame.planes[1:]:
        plane.update(np.full(plane.buffer_size // 2, 512, np.uint16).tobytes())
    plain = upright_rgb(frame).mean()
    frame.color_trc = transfer
    assert plain + 20 < upright_rgb(frame).mean() < 250 or transfer == 18
    assert 170 < upright_rgb(frame).mean() < 230


NAMES = ["2026-01-02T12:30:00.mp4", "a:b.mkv", "camera:1.mp4", "concat:x.mkv", "file:x.mkv"]


@pytest.mark.parametrize("name", [*NAMES, "data:x.mkv", "100%.mkv", "a%d.mkv", "x[1]*?.mkv"])
def test_a_file_is_opened_and_written_as_one_whatever_its_name(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write_clip(tmp_path / "clip.mkv", Pictures(ticks=(0, 1)), Sound()).rename(name)
    assert len(read(name)[1]) == len(read(Path(name))[1]) == 2
    out = Path(name).with_suffix(".out")
    assert len(recorded(out, name)[1]) == 2
    assert out.exists()


def test_pictures_are_read_in_the_order_of_their_numbers(tmp_path, monkeypatch):
    folder = tmp_path / "it's a:b"
    folder.mkdir()
    for n in range(12):
        with av.open(f"file:{folder}/f{n}.png", "w", format="image2") as out:
            stream = out.add_stream("png", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb24"
            image = np.full((48, 64, 3), 20 * n, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
    (folder / "notes.txt").write_text("no picture")
    for named in (folder, folder / "f%d.png", folder / "*.png"):
        info, frames, _ = read(named)
        assert [round(frame.image.mean()) for frame in frames] == list(range(0, 240, 20))
        assert frames[5].capture_time_ns == S // 5
        assert not info.has_audio
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(read(f"~/{folder.name}/f%02d.png")[1]) == 2
    with pytest.raises(InputError, match="no such file"):
        read(folder / "g%d.png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="directory without pictures"):
        read(tmp_path / "empty")


def test_a_pipe_can_be_read_once_and_says_so(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    assert locate(path).once
    assert locate("-").once
    assert locate("-").what == "pipe:0"
    assert not locate(write_clip(tmp_path / "a.mkv", Pictures(ticks=(0,)))).once


def two_of_each(path):
    with av.open(path, "w") as out:
        videos = [out.add_stream("ffv1", rate=10) for _ in range(2)]
        for video in videos:
            video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audios = [out.add_stream("pcm_s16le", rate=16_000, layout="mono") for _ in range(2)]
        for n, video in enumerate(videos):
            grey = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 50 + 100 * n, np.uint8), "rgb24")
            out.mux(video.encode(grey.reformat(format="yuv420p")))
        for n, audio in enumerate(audios):
            out.mux(audio.encode(packed(np.full((1, 1600), 0.2 + 0.4 * n), 16_000, "mono")))
        for stream in (*videos, *audios):
            out.mux(stream.encode(None))
    return path


def test_tracks_are_chosen_by_their_number(tmp_path):
    source = two_of_each(tmp_path / "in.mkv")
    for number in (1, 2):
        tracks = Tracks(video=number, audio=number)
        _, (frame,), chunks = read(source, tracks=tracks)
        assert frame.image.mean() == pytest.approx(100 * number - 50, abs=3)
        assert chunks[0].samples[50] == pytest.approx(0.4 * number - 0.2, abs=0.01)
        _, _, sound = recorded(tmp_path / "out.mp4", source, tracks=tracks)
        assert np.abs(sound[0].samples[200:1200]).mean() == pytest.approx(
            0.4 * number - 0.2, abs=0.09
        )
    with pytest.raises(InputError, match="only 2 sound tracks, there is no track 3"):
        read(source, tracks=Tracks(audio=3))
    with pytest.raises(InputError, match="no sound tracks, there is no track 1"):
        read(write_clip(tmp_path / "mute.mkv", Pictures(ticks=(0,))), tracks=Tracks(audio=1))


def test_streams_that_nobody_needs_cost_nothing(tmp_path):
    """A track whose samples lie beyond the end of the file: the pictures are whole."""
    pictures = Pictures(time_base=Fraction(1, 10), ticks=tuple(range(20)))
    source = write_clip(tmp_path / "in.mp4", pictures, Sound(pieces_s=((0, 2.0),)))
    with av.open(tmp_path / "stray.mp4", "w") as out, av.open(source) as clip:
        streams = {s.index: out.add_stream_from_template(s) for s in clip.streams}
        stray = out.add_stream("pcm_s16le", rate=8000, layout="mono")
        for packet in clip.demux():
            if packet.size:
                packet.stream = streams[packet.stream.index]
                out.mux(packet)
        out.mux(stray.encode(packed(np.zeros((1, 800)), 8000, "mono")))
        out.mux(stray.encode(None))
    path = tmp_path / "stray.mp4"
    data = bytearray(path.read_bytes())
    place = data.rindex(b"stco")  # of the stray track: its samples are said to be far away
    entries = int.from_bytes(data[place + 8 : place + 12], "big")
    for n in range(entries):
        data[place + 12 + 4 * n : place + 16 + 4 * n] = (0x7F000000).to_bytes(4, "big")
    path.write_bytes(data)
    _, frames, chunks = read(path)
    assert len(frames) == 20
    assert sum(len(chunk.samples) for chunk in chunks) == pytest.approx(32_000, abs=1100)
