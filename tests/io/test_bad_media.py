"""Input that is not what it should be: one clear sentence, or all that could be kept."""

import av
import numpy as np
import pytest
from clips import Pictures, Sound, sine, write_clip

from streamavis.errors import InputError, TruncatedInputError
from streamavis.io.media import MediaSource
from streamavis.io.structure import is_cut_short
from streamavis.redaction import display_name
from streamavis.types import VideoFrame

NOISE = np.random.default_rng(0).integers(0, 256, (48, 64, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("media")


def clip(path, **container_options):
    """Three seconds with enough data in each frame to cut into."""
    pictures = Pictures(ticks=tuple(range(90)), image=NOISE)
    return write_clip(path, pictures, Sound(pieces_s=((0, 3),)), **container_options)


@pytest.fixture(scope="module")
def intact(folder):
    return clip(folder / "intact.mp4", movflags="faststart")


def frames_of(path):
    """All frames, and the error that came after them."""
    frames, error = [], None
    with MediaSource(path) as source:
        try:
            frames.extend(item for item in source if isinstance(item, VideoFrame))
        except TruncatedInputError as raised:
            error = raised
    return frames, error, source.corrupt_packets


def mp3_with_cover(path):
    with av.open(path, "w") as out:
        sound = out.add_stream("mp3", rate=44_100)
        cover = out.add_stream("png", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        out.mux(cover.encode(av.VideoFrame.from_ndarray(NOISE, "rgb24")))
        frame = av.AudioFrame.from_ndarray(sine(0, 44_100, 44_100)[None], "fltp", "mono")
        frame.sample_rate = 44_100
        out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
    return path


def test_what_cannot_be_opened_says_why(folder, intact):
    def with_bytes(name, data):
        (folder / name).write_bytes(data)
        return folder / name

    slow = clip(folder / "slow.mp4")
    cases = {
        folder / "missing.mp4": "no such file",
        folder: "is a directory",
        with_bytes("empty.mp4", b""): "the file is empty",
        with_bytes("text.mp4", b"not a film\n" * 100): "not a media file",
        with_bytes("text.txt", b"not a film\n" * 100): "not a media file",
        with_bytes("random.mp4", np.random.default_rng(1).bytes(100_000)): "not a media file",
        with_bytes("no_index.mp4", slow.read_bytes()[:-9000]): "without the index",
        write_clip(folder / "a.wav", None, Sound("pcm_s16le")): "holds no picture, only sound",
        write_clip(folder / "a.m4a", None, Sound()): "holds no picture, only sound",
        mp3_with_cover(folder / "cover.mp3"): "holds no picture, only sound",
        with_bytes("a.srt", b"1\n00:00:00,000 --> 00:00:01,000\nhi\n"): "holds no picture",
        with_bytes("codec.mp4", intact.read_bytes().replace(b"avc1", b"zzz1")): "cannot decode",
        "lavfi:nonsense": "Filter not found",
        "nothing://there": "Protocol not found",
    }
    for url, cause in cases.items():
        with pytest.raises(InputError, match=cause) as caught:
            MediaSource(url)
        message = str(caught.value)
        assert message.startswith(f"{url}: ")
        assert "\n" not in message
        assert not isinstance(caught.value, TruncatedInputError)


def test_passwords_are_not_shown():
    assert (
        display_name("rtsp://me:secret@cam.local:554/1?x=y") == "rtsp://***@cam.local:554/1?x=***"
    )
    assert display_name("a@b.mp4") == "a@b.mp4"
    with pytest.raises(InputError, match="Protocol") as caught:
        MediaSource("nothing://me:secret@there")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("kept", [0.3, 0.7, 0.999])
@pytest.mark.parametrize("kind", ["mp4", "mkv", "avi"])
def test_a_truncated_file_gives_all_there_is_and_then_says_so(folder, intact, kind, kept):
    whole = intact
    if kind != "mp4":
        pictures = Pictures("mpeg4", ticks=tuple(range(90)), image=NOISE)
        whole = write_clip(
            folder / f"whole.{kind}", pictures, Sound("pcm_s16le", pieces_s=((0, 3),))
        )
    data = whole.read_bytes()
    path = folder / f"cut.{kind}"
    path.write_bytes(data[: int(len(data) * kept)])
    frames, error, _ = frames_of(path)
    expected, none, _ = frames_of(whole)
    assert none is None
    assert len(expected) == 90
    assert 90 * kept - 12 <= len(frames) <= 90
    for ours, theirs in zip(frames[:-1], expected, strict=False):
        assert ours.capture_time_ns == theirs.capture_time_ns
        np.testing.assert_array_equal(ours.image, theirs.image)
    assert str(path) in str(error)
    assert f"after {len(frames)} frames" in str(error)


def test_a_recording_cut_inside_a_fragment_is_truncated(folder):
    path = clip(folder / "f.mp4", movflags="empty_moov+default_base_moof", frag_duration="500000")
    assert frames_of(path)[1] is None
    path.write_bytes(path.read_bytes()[:-20_000])
    frames, error, _ = frames_of(path)
    assert 60 <= len(frames) < 90
    assert error is not None


@pytest.mark.parametrize("kind", ["mp4", "mov", "mkv", "avi", "wav", "ts"])
def test_intact_files_are_not_cut_short(folder, kind):
    pictures = None if kind == "wav" else Pictures("mpeg4", ticks=(0, 1))
    path = write_clip(
        folder / f"structure.{kind}", pictures, Sound("pcm_s16le" if kind != "ts" else "aac")
    )
    assert not is_cut_short(path)
    path.write_bytes(path.read_bytes()[:-1])
    assert is_cut_short(path) == (kind != "ts")  # a transport stream does not tell


@pytest.mark.parametrize("head", [b"", b"\x1a\x45\xdf\xa3", b"\0\0\0\1ftyp\0", b"RIFF\0"])
def test_a_file_of_a_few_bytes_has_no_structure(folder, head):
    path = folder / "tiny"
    path.write_bytes(head)
    assert isinstance(is_cut_short(path), bool)


def test_a_corrupt_packet_is_skipped_and_counted(folder, intact):
    data = bytearray(intact.read_bytes())
    with av.open(intact) as container:
        packet = [p for p in container.demux(video=0) if p.size][45]
        data[packet.pos : packet.pos + packet.size] = bytes(packet.size)
    path = folder / "corrupt.mp4"
    path.write_bytes(data)
    frames, error, corrupt = frames_of(path)
    expected, _, _ = frames_of(intact)
    assert error is None
    assert corrupt == 1
    assert len(frames) >= 80
    assert frames[-1].capture_time_ns == expected[-1].capture_time_ns
    np.testing.assert_array_equal(frames[-1].image, expected[-1].image)


def test_corrupt_sound_does_not_stop_the_pictures(folder, intact):
    data = bytearray(intact.read_bytes())
    with av.open(intact) as container:
        for packet in container.demux(audio=0):
            if packet.size and 20 < packet.pts / 1024 < 30:
                data[packet.pos : packet.pos + packet.size] = b"\xff" * packet.size
    path = folder / "noise.mp4"
    path.write_bytes(data)
    frames, error, _ = frames_of(path)
    assert len(frames) == 90
    assert error is None
