"""What a browser sends: JPEG of a shared camera, messages of a viewer and of a camera's page."""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import msgpack
import numpy as np
from aiohttp import WSMessage, WSMsgType
from mutation import changed_bytes, changed_tree
from streamavis_apps.web import server as served
from streamavis_apps.web.browser import BrowserSource
from streamavis_apps.web.channel import Channel
from streamavis_apps.web.guard import Guard
from streamavis_apps.web.pictures import MAX_PIXELS, MAX_SCANS, MAX_SEGMENTS, from_jpeg, read_jpeg
from streamavis_apps.web.playback import Playback
from streamavis_apps.web.server import Server
from streamavis_apps.web.settings import Controls
from streamavis_apps.web.viewer import NoPictures, Viewer

from streamavis.clock import ManualClock
from streamavis.errors import InputError, SchemaError
from streamavis.types import AudioChunk, AudioGap, VideoFrame
from streamavis.wire import Hello

_MOST_MB = 256  # a picture of MAX_PIXELS costs 11 MB, and as much again for each copy
_MARKERS = [0x01, 0xC0, 0xC1, 0xC2, 0xC3, 0xC4, 0xC9, 0xCC, 0xD0, 0xD8, 0xD9, 0xDA, 0xDB, 0xDC]
_MARKERS += [0xDD, 0xDE, 0xE0, 0xE1, 0xEE, 0xFE, 0xFF]
_SIDES = [0, 1, 8, 17, 64, 1080, 1920, 1921, 20_000, 65_535]


def _jpegs() -> list[bytes]:
    image = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    kinds: list[tuple[Any, list[int]]] = [
        (image, []),
        (image, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
        (image[:, :, 0], []),
        (image[:17, :33], [cv2.IMWRITE_JPEG_RST_INTERVAL, 2]),
        (image, [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]),
    ]
    return [
        cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 60, *flags])[1].tobytes()
        for pixels, flags in kinds
    ]


def _parts(data: bytes) -> list[bytes]:
    """A good JPEG's marker segments, each with the scan data that follows it."""
    places, at = [0], 2
    while data[at + 1] != 0xD9:
        places.append(at)
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        while data[at] != 0xFF or data[at + 1] == 0 or 0xD0 <= data[at + 1] <= 0xD7:
            at += 1
    return [data[a:b] for a, b in zip(places, [*places[1:], at], strict=True)] + [data[at:]]


class Jpeg:
    """Pictures of a shared camera: markers moved, sizes changed, bytes damaged."""

    def __init__(self, folder: Path) -> None:
        self._good = _jpegs()

    def mutant(self, random: Any) -> bytes:
        data = random.choice(self._good)
        if random.random() < 0.3:
            return changed_bytes(data, random)
        parts = _parts(data)
        for _ in range(random.choice([1, 1, 2, 4])):
            place = random.randrange(len(parts))
            match random.randrange(6):
                case 0:
                    parts[place:place] = [parts[place]] * random.choice([1, 2, 70, 300])
                case 1:
                    del parts[place]
                case 2:
                    random.shuffle(parts)
                case 3:
                    marker = bytes([0xFF] * random.choice([1, 2, 9]) + [random.choice(_MARKERS)])
                    length = struct.pack(">H", random.choice([0, 1, 2, 19, 500, 65_535]))
                    parts[place:place] = [marker + length + random.randbytes(17)]
                case 4:
                    parts = [_resized(part, random) for part in parts]
                case _:
                    parts[place] = changed_bytes(parts[place], random)
            if not parts:
                break
        return b"".join(parts)

    def attempt(self, data: bytes) -> None:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            header = read_jpeg(data)
            assert header.height * header.width <= MAX_PIXELS
            assert header.scans <= MAX_SCANS <= MAX_SEGMENTS
            image = from_jpeg(data)
            assert image.shape == (header.height, header.width, 3)
        except SchemaError:
            pass
        grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        assert grown_mb < _MOST_MB, f"{grown_mb:.0f} MB for {len(data)} bytes"


def _resized(part: bytes, random: Any) -> bytes:
    if part[:1] != b"\xff" or part[1:2] not in {b"\xc0", b"\xc1", b"\xc2"}:
        return part
    return part[:5] + struct.pack(">HH", random.choice(_SIDES), random.choice(_SIDES)) + part[9:]


@dataclass
class _Socket:
    """Stands in for a WebSocket: gives what was sent, and takes what is answered."""

    sent: list[WSMessage]
    closed: int = 0
    answers: list[str] = field(default_factory=list)

    def __aiter__(self) -> _Socket:
        return self

    async def __anext__(self) -> WSMessage:
        if not self.sent or self.closed:
            raise StopAsyncIteration
        return self.sent.pop(0)

    async def send_str(self, data: str) -> None:
        json.loads(data)
        self.answers.append(data)

    async def close(self, *, code: int, message: bytes) -> None:
        self.closed = code


_VIEWER: list[Any] = [
    {"kind": "drawn"},
    {"kind": "ping", "at": 12.5},
    {"kind": "listen", "on": True},
    {"kind": "play", "from_s": 1.0, "loop": True},
    {"kind": "settings", "settings": {"score_from": 0.5, "hidden": ["dog"], "stride": 2}},
]
_FEED: list[Any] = [
    {"kind": "begin", "camera": "camera", "microphone": "microphone"},
    {"kind": "trouble", "device": "microphone", "reason": "it was pulled out"},
]


class Web:
    """Messages of one visitor, several a mutant, through the server's own dispatch."""

    def __init__(self, folder: Path) -> None:
        self._jpeg = _jpegs()[0]
        self._loop = asyncio.new_event_loop()
        hello = Hello(model="m", classes=("dog",), size=(48, 64))
        self._make = lambda controls: Channel(
            "cam",
            hello,
            controls,
            lambda call, *args: call(*args),
            None,  # type: ignore[arg-type]
            playback=Playback(10.0, seekable=True),
        )

    def mutant(self, random: Any) -> bytes:
        lends = random.random() < 0.5
        return msgpack.packb(
            [lends, [self._message(lends, random) for _ in range(random.randint(1, 6))]]
        )

    def _message(self, lends: bool, random: Any) -> str | bytes:
        if lends and random.random() < 0.85:
            data = self._picture(random) if random.random() < 0.3 else _sound(random)
            return changed_bytes(data, random) if random.random() < 0.2 else data
        tree = random.choice(_FEED if lends else _VIEWER)
        if random.random() < 0.8:
            tree = changed_tree(tree, random)
        text = json.dumps(tree)
        if random.random() < 0.05:
            text = text.replace("}", ', "x": ' + "[" * random.choice([10, 30_000]), 1)
        if random.random() < 0.1:
            text = changed_bytes(text.encode(), random).decode("utf-8", "replace")
        return text.encode() if random.random() < 0.02 else text

    def _picture(self, random: Any) -> bytes:
        times = (_time(random), _time(random))
        return struct.pack("<BBdd", 1, random.randrange(3), *times) + self._jpeg

    def attempt(self, data: bytes) -> None:
        try:
            lends, sent = msgpack.unpackb(data)
            kinds = [{str: WSMsgType.TEXT, bytes: WSMsgType.BINARY}[type(each)] for each in sent]
        except (ValueError, TypeError, KeyError, msgpack.exceptions.UnpackException):
            return  # a mutant of the corpus that is no list of messages any more
        messages = [WSMessage(kind, each, "") for kind, each in zip(kinds, sent, strict=True)]
        run = self._lend if lends else self._view
        self._loop.run_until_complete(run(_Socket(messages)))

    async def _view(self, socket: Any) -> None:
        controls = Controls()
        channel = self._make(controls)
        server = Server(Guard(None), controls, {"cam": channel}, None)
        viewer = Viewer(socket, NoPictures())
        channel.viewers.add(viewer)
        server._viewers.add(viewer)
        controls.follow(server.announce)
        await server._obey(socket, viewer)
        await server._wishes.applied()
        json.loads(channel.status())

    async def _lend(self, socket: Any) -> None:
        source = BrowserSource()
        server = Server(Guard(None), Controls(), {}, source)
        clock = ManualClock(10**12)
        capture = source.capture(clock)
        assert source.begin(served.feed.Begin(camera="c", microphone="m"))
        waiting = list(socket.sent)
        with contextlib.suppress(SchemaError):
            await server._take(socket, source)
        assert not source.busy
        for message in waiting:
            with contextlib.suppress(SchemaError):
                if message.type is WSMsgType.TEXT:
                    capture.put(served.feed.parse_text(message.data))
                else:
                    capture.put(served.feed.parse(message.data))
            clock.advance(50_000_000)
        # Not by `put`: what waits when a browser leaves goes with it.
        capture._arrived.append((served.feed.Left("it left"), clock.now_ns()))
        with contextlib.suppress(InputError):
            for item in capture:
                _check(item)


def _check(item: VideoFrame | AudioChunk | AudioGap) -> None:
    if isinstance(item, VideoFrame):
        assert -(2**63) <= item.capture_time_ns < 2**63, "a time beyond int64"
    elif isinstance(item, AudioChunk):
        assert -(2**63) <= item.start_time_ns < 2**63, "a time beyond int64"
        assert np.isfinite(item.samples).all()
    else:
        assert 0 <= item.duration_ns < 2**63, "a gap of no length"


def _time(random: Any) -> float:
    return random.choice([0.0, 1e3, 1e6 + random.random() * 100, 9e11, 1e12, -1.0, float("nan")])


def _sound(random: Any) -> bytes:
    first = random.choice([0, 480, 960, 2**53 - 1, 2**52, -1, 0.5, float("inf")])
    rate = random.choice([8_000, 11_025, 16_000, 44_100, 48_000, 192_000, 12_345, 7_999, 0])
    latency_s = random.choice([0.0, 0.01, 1.0, 1.1, -0.1, float("nan")])
    times = (_time(random), _time(random))
    count = random.choice([0, 1, 160, 480, 8_000, 48_000])
    return struct.pack("<BBdddIf", 2, 0, first, *times, rate, latency_s) + b"\x10\x20" * count
