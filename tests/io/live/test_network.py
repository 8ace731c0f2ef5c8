"""Cameras on a socket: what arrives, when it was taken, and what a pulled cable does."""

import queue
import threading
import time

import av
import numpy as np
import pytest
from rigs import MjpegCamera, TsSender, stamp_of

from streamavis.errors import InputError
from streamavis.io.child.messages import Request
from streamavis.io.live import LiveSource
from streamavis.io.live.stream_sound import mono
from streamavis.io.live.v4l2 import pumped_device
from streamavis.types import AudioChunk, SourceEvent, Stage, VideoFrame

SOON_S = 20.0


class Reader:
    """Reads a source on a thread; waits for what a test wants to see."""

    def __init__(self, source):
        self.source = source
        self.items = queue.Queue()
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.source.close()
        self.thread.join(SOON_S)
        assert not self.thread.is_alive()
        assert self.source.join(SOON_S)

    def _read(self):
        for item in self.source:
            self.items.put(item)

    def until(self, wanted):
        """Everything up to the first item that is wanted."""
        deadline, items = time.monotonic() + SOON_S, []
        while not items or not wanted(items[-1]):
            items.append(self.items.get(timeout=max(0.0, deadline - time.monotonic())))
        return items

    def frames(self, count):
        frames = []
        while len(frames) < count:
            frames.append(self.until(lambda item: isinstance(item, VideoFrame))[-1])
        return frames

    def state(self, wanted):
        return self.until(lambda item: isinstance(item, SourceEvent) and item.state == wanted)[-1]


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
        assert 1.4 < held_s <= 2.0
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
        device = pumped_device(Request("packets", camera.url, "mpjpeg"), "camera:test")
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
    assert mono(frame) == pytest.approx(np.full(64, 0.25), abs=1e-6)
