"""Cameras on a socket: what arrives, when it was taken, and what a pulled cable does."""

import av
import numpy as np
import pytest
from live_reader import Reader
from streamavis_benchmarks.rigs import MjpegCamera, TsSender, stamp_of

from streamavis.errors import InputError
from streamavis.io.child.messages import ChildRequest
from streamavis.io.live import LiveSource
from streamavis.io.live.v4l2 import pumped_device
from streamavis.io.resample import MonoConverter
from streamavis.types import AudioChunk, Stage, VideoFrame


def test_an_mjpeg_camera_is_stamped_on_arrival():
    with MjpegCamera() as camera, Reader(LiveSource(camera.url, "none")) as reader:
        info = reader.source.info
        assert (info.width, info.height, info.has_audio) == (160, 96, False)
        for frame in reader.frames(10):
            taken_ns = stamp_of(frame.image)
            stamps = frame.stamps
            assert frame.clock == "arrival"
            assert taken_ns <= frame.capture_time_ns == stamps[Stage.CAPTURE]
            assert stamps[Stage.CAPTURE] <= stamps[Stage.RECEIVE] <= stamps[Stage.DECODE]


def test_no_picture_of_an_mjpeg_camera_is_lost_while_it_is_opened():
    left = []
    with (
        MjpegCamera(on_departure=left.append) as camera,
        Reader(LiveSource(camera.url, "none")) as reader,
    ):
        for frame in reader.frames(5):
            # A stamp is drawn before its picture leaves, and after the one before has left.
            number = next(one.number for one in left if one.left_ns >= stamp_of(frame.image))
            assert frame.index == number


def test_a_stream_with_few_key_frames_is_seen_from_its_first():
    with (
        TsSender("tcp", key_frames=18_000) as sender,  # the next one comes after ten minutes
        Reader(LiveSource(sender.url)) as reader,
    ):

        def in_time(item):
            if not isinstance(item, VideoFrame):
                return False
            return 0 <= item.capture_time_ns - stamp_of(item.image) < 200_000_000

        reader.until(in_time)  # what piled up while it was opened is stamped as it was taken


def test_a_pulled_cable_a_hang_and_a_return():
    with MjpegCamera() as camera, Reader(LiveSource(camera.url, "none")) as reader:
        reader.frames(5)
        camera.unplug()
        last_ns = reader.state("reconnecting").time_ns
        camera.plug()
        reader.state("running")
        frame = reader.frames(1)[0]
        assert frame.capture_time_ns > last_ns
        camera.hanging.set()
        reader.state("stalled")
        connections = camera.connections
        reader.state("reconnecting")
        camera.hanging.clear()
        reader.state("running")
        assert camera.connections > connections


def test_a_frozen_camera_is_stale():
    with MjpegCamera() as camera, Reader(LiveSource(camera.url, "none")) as reader:
        reader.frames(3)
        camera.frozen.set()
        stale = reader.until(lambda item: isinstance(item, VideoFrame) and item.state == "stale")
        held_s = (stale[-1].capture_time_ns - stamp_of(stale[-1].image)) / 1e9
        assert held_s >= 1.5  # and within 2 s: `test_device_supervisor.py`, on a clock in its hand
        camera.frozen.clear()
        reader.until(lambda item: isinstance(item, VideoFrame) and item.state == "ok")


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_a_transport_stream_keeps_picture_and_sound_in_step(kind):
    with TsSender(kind) as sender, Reader(LiveSource(sender.url)) as reader:
        assert reader.source.info.has_audio
        assert reader.source.info.fps == 30
        off_ms, beeps, apart_ms = 0.0, [], []  # both are late by what encoding and sending take
        while len(beeps) < 4:
            item = reader.until(lambda item: isinstance(item, VideoFrame | AudioChunk))[-1]
            if isinstance(item, VideoFrame):
                off_ms = (item.capture_time_ns - stamp_of(item.image)) / 1e6
                assert item.clock == "driver"
                continue
            loud = np.flatnonzero(np.abs(item.samples) > 0.1)
            if len(loud):
                heard_ns = item.start_time_ns + loud[0] * 62_500
                if not beeps or heard_ns - beeps[-1] > 5e8:
                    beeps.append(heard_ns)
                    apart_ms.append(((heard_ns / 1e9 + 0.5) % 1 - 0.5) * 1e3 - off_ms)
        assert abs(np.median(apart_ms[1:])) < 20  # a frame is 33


def test_a_stream_that_was_restarted_goes_on():
    with TsSender("udp") as sender, Reader(LiveSource(sender.url)) as reader:
        reader.frames(3)
        sender.stop()
        reader.state("stalled")
        with TsSender("udp", port=sender.port):
            reader.state("running")
            before, after = reader.frames(2)
            assert after.capture_time_ns > before.capture_time_ns


def test_the_sound_of_one_stream_with_the_picture_of_another():
    with (
        MjpegCamera() as camera,
        TsSender("tcp") as sender,
        Reader(LiveSource(camera.url, sender.url)) as reader,
    ):
        kinds = {type(item) for item in reader.until(lambda item: isinstance(item, AudioChunk))}
        assert AudioChunk in kinds
        reader.frames(1)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        (
            "http://me:secret@127.0.0.1:1/x.mjpeg",
            r"http://\*\*\*@127.0.0.1:1/x.mjpeg: connection refused",
        ),
        ("tcp://127.0.0.1:1", "connection refused"),
    ],
)
def test_what_is_not_there_is_an_error_at_once(url, sentence):
    with pytest.raises(InputError, match=sentence):
        LiveSource(url, "none")


def test_sound_that_is_asked_for_and_not_there_is_an_error():
    with MjpegCamera() as camera, pytest.raises(InputError, match="has no sound"):
        LiveSource(camera.url, camera.url)


def test_a_camera_in_a_child_process_is_killed_when_it_hangs():
    """As V4L2 cameras are read; here the child reads the MJPEG rig."""
    with MjpegCamera() as camera:
        device = pumped_device(ChildRequest("packets", camera.url, "mpjpeg"), "camera:test")
        with Reader(LiveSource(device, "none")) as reader:
            assert stamp_of(reader.frames(1)[0].image) > 0
            camera.hanging.set()
            reader.state("stalled")
            reader.state("reconnecting")
            camera.hanging.clear()
            reader.state("running")


def test_a_camera_that_is_not_there_says_so():
    with pytest.raises(InputError, match="camera:77: No such file or directory"):
        LiveSource("camera:77", "none")


@pytest.mark.parametrize(
    ("format", "dtype", "value"),
    [
        ("s16", np.int16, 16384),
        ("s16p", np.int16, 16384),
        ("u8", np.uint8, 192),
        ("fltp", np.float32, 0.5),
        ("s32", np.int32, 2**30),
        ("dblp", np.float64, 0.5),
    ],
)
def test_mono_is_the_mean_of_the_channels_in_every_format(format, dtype, value):
    zero = 128 if dtype is np.uint8 else 0
    planes = np.array([[value] * 64, [zero] * 64], dtype)
    packed = planes if format.endswith("p") else planes.T.reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(packed), format, "stereo")
    frame.sample_rate = 48_000
    assert MonoConverter().convert(frame) == pytest.approx(np.full(64, 0.25), abs=1e-6)
