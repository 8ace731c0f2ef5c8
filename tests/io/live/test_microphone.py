"""The callback's ring, the child's messages, and a real PortAudio on a sound server of our own."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from live_reader import Reader
from streamavis_benchmarks.rigs import MjpegCamera, SoundServer, Speaker, beeps, missing

from streamavis.errors import InputError
from streamavis.io.child.messages import Failed, MessageReader, SoundMessage, encode
from streamavis.io.child.portaudio import BlockRing
from streamavis.io.live import LiveSource
from streamavis.io.live.microphone import list_microphones
from streamavis.types import AudioChunk, SourceEvent


def heard(message):
    return np.frombuffer(message.samples, np.float32)


@given(st.lists(st.one_of(st.integers(1, 40), st.none()), max_size=200), st.integers(1, 3))
def test_the_ring_gives_every_block_once_or_says_how_much_is_missing(steps, channels):
    """A number writes a block of that many frames, None reads one."""
    ring, count, seen = BlockRing(100, channels, blocks=8), 0, 0
    for number, step in enumerate(steps):
        if step is not None:
            block = np.repeat(
                np.arange(count, count + step, dtype=np.float32)[:, None], channels, 1
            )
            ring.put(block, number, -1 if number % 2 else number, number % 7 == 0)
            count += step
        elif (message := ring.take()) is not None:
            seen += message.missed
            assert heard(message).tolist() == list(range(seen, seen + len(heard(message))))
            assert message.age_ns in (None, message.monotonic_ns)
            seen += len(heard(message))


def test_an_overflow_that_found_no_room_is_told_later():
    ring, block = BlockRing(10, 1), np.zeros((8, 1), np.float32)
    ring.put(block, 1, -1, False)
    ring.put(block, 2, -1, True)  # no room
    assert ring.take().overflow is False
    ring.put(block, 3, -1, False)
    message = ring.take()
    assert (message.overflow, message.missed) == (True, 8)
    assert ring.take() is None


def test_messages_come_through_in_any_pieces():
    sent = [Failed("x" * n) for n in (0, 5, 70_000)] + [SoundMessage(b"abcd", 1, None, True, 0)]
    data, reader, got = b"".join(map(encode, sent)), MessageReader(), []
    for start in range(0, len(data), 977):
        got += reader.feed(data[start : start + 977])
    assert got == sent


@pytest.mark.parametrize(
    ("data", "sentence"),
    [(b"\xff\xff\xff\xff", "message of 4294967295 bytes"), (b"\0\0\0\1\xc1", "no message")],
)
def test_what_is_no_message_is_refused(data, sentence):
    with pytest.raises(InputError, match=sentence):
        MessageReader().feed(data)


@pytest.fixture
def server(tmp_path_factory, monkeypatch):
    reason = missing()
    if reason:
        pytest.skip(reason)
    server = SoundServer(tmp_path_factory.mktemp("s"))
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    server.start()
    yield server
    server.kill()


def audio(reader, state):
    """Wait until the microphone's state is this."""
    return reader.until(
        lambda item: (
            isinstance(item, SourceEvent) and (item.modality, item.state) == ("audio", state)
        )
    )[-1]


def test_a_microphone_is_listed_heard_lost_and_found_again(server):
    names = {microphone.name for microphone in list_microphones()}
    assert "mic" in names and "default" in names
    with (
        MjpegCamera() as camera,
        Speaker(server.address, beeps),
        Reader(LiveSource(camera.url, "mic:mic")) as reader,
    ):
        assert reader.source.info.has_audio
        # The null sink of a busy machine slips; the simulations are exact.
        onsets, apart_s = [], np.zeros(0)
        while len(apart_s) < 2 or np.abs(apart_s[-2:] - 1).max() > 0.06:
            assert len(onsets) < 40, apart_s
            chunk = reader.until(lambda item: isinstance(item, AudioChunk))[-1]
            loud = np.flatnonzero(np.abs(chunk.samples) > 0.1)
            if len(loud):
                heard_ns = chunk.start_time_ns + loud[0] * 62_500
                if not onsets or heard_ns - onsets[-1] > 5e8:
                    onsets.append(heard_ns)
                    apart_s = np.diff(onsets[1:]) / 1e9
        server.freeze()  # no callback comes any more, and nobody says so
        stalled = audio(reader, "stalled")
        assert re.search(r"no sound for \d+\.\d s", stalled.reason)
        server.thaw()
        audio(reader, "running")
        server.kill()
        lost = audio(reader, "reconnecting")
        reader.frames(10)  # the picture goes on
        server.start()
        assert audio(reader, "running").time_ns > lost.time_ns
        reader.until(lambda item: isinstance(item, AudioChunk))


def test_a_microphone_that_is_not_there_is_told_with_what_is(server):
    with MjpegCamera() as camera, pytest.raises(InputError, match="no such microphone; there are"):
        LiveSource(camera.url, "mic:studio")
