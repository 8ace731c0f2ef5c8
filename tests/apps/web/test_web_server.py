"""The viewer's server, thread and all: what each of several browsers gets, and what none costs."""

import asyncio
import json
import struct
import threading
import time
from contextlib import asynccontextmanager

import numpy as np
import pytest
from aiohttp import ClientSession, WSMsgType
from runtime_fakes import CLASSES, FakeModel, FakeSource, assert_no_threads, clip
from streamavis_apps.web.browser import BrowserSource
from streamavis_apps.web.playback import Playback
from streamavis_apps.web.server import MAX_VIEWERS
from streamavis_apps.web.web_view import WebView
from web_rig import HELLO, REPORT, shot, track, until

from streamavis.errors import WireError
from streamavis.protocols import NoticeSink
from streamavis.runtime.engine import Engine, Feed, Policy
from streamavis.session import Session
from streamavis.status import EngineReport
from streamavis.types import AudioChunk, AudioGap, Heard, SourceEvent

RED = track(1, (10, 10, 40, 30), sounding=0.9)


class Page:
    """A browser's side of a WebSocket: keeps what comes, by kind."""

    def __init__(self, socket):
        self.socket = socket
        self.kinds = []
        self.latest = {}
        self.pictures = []

    async def take(self):
        message = await self.socket.receive()
        if message.type is WSMsgType.TEXT:
            told = json.loads(message.data)
            self.kinds.append(told["kind"])
            self.latest[told["kind"]] = told
        elif message.type is WSMsgType.BINARY:
            (length,) = struct.unpack_from("!I", message.data)
            self.pictures.append(json.loads(message.data[4 : 4 + length])["result"])
        else:
            raise ConnectionError(f"closed: {message.data} {message.extra}")

    async def until(self, condition):
        while not condition(self):
            await self.take()

    async def picture(self, *, draw=True):
        """The next picture."""
        have = len(self.pictures)
        await self.until(lambda page: len(page.pictures) > have)
        if draw:
            await self.socket.send_json({"kind": "drawn"})
        return self.pictures[-1]

    async def change(self, **settings):
        await self.socket.send_json({"kind": "settings", "settings": settings})


def browse(view, scenario):
    """Run `scenario(open)`; `open()` is a new page of `view`."""

    async def run():
        origin = view.url.rstrip("/")
        async with ClientSession() as client:

            @asynccontextmanager
            async def opened(path="/view", **params):
                headers = {"Origin": origin}
                address = origin + path
                async with client.ws_connect(address, headers=headers, params=params) as socket:
                    yield Page(socket)

            await scenario(opened)

    asyncio.run(asyncio.wait_for(run(), 100))


@pytest.fixture
def view():
    with WebView(port=0) as view:
        yield view
    assert_no_threads("streamavis-web")


def test_a_viewer_learns_what_there_is_and_sees_the_newest_picture(view):
    sink = view.sink("cam", HELLO)
    assert isinstance(sink, NoticeSink)
    sink.start(lambda: REPORT)
    for seq in range(20):
        sink.write(*shot(seq, RED))

    async def scenario(opened):
        async with opened() as page:
            picture = await page.picture()
            assert picture["seq"] == 19
            assert picture["tracks"][0]["sounding"] == 0.9
            assert page.latest["hello"]["classes"] == list(CLASSES)
            assert page.latest["hello"]["stream"] == "cam"
            assert page.latest["streams"]["names"] == ["cam"]
            assert page.latest["settings"]["stride"] == 1
            await page.until(lambda p: p.latest.get("status", {}).get("seq") == 19)
            assert page.latest["status"]["source"] == "running"

    browse(view, scenario)


def test_a_viewer_that_does_not_draw_loses_pictures_and_nobody_else_does(view):
    sink = view.sink("cam", HELLO)

    async def scenario(opened):
        async with opened() as slow, opened() as quick:
            for seq in range(1, 13):
                sink.write(*shot(seq, RED))
                assert (await quick.picture())["seq"] == seq
            # Its two pictures and the texts are all that waits for the slow one.
            await slow.picture(draw=False)
            await slow.picture(draw=False)
            assert slow.pictures[0]["seq"] <= 2
            sink.notice(SourceEvent("camera", "video", "stalled", 0))
            await slow.until(lambda p: "event" in p.kinds)
            assert len(slow.pictures) == 2
            await slow.socket.send_json({"kind": "drawn"})
            assert (await slow.picture())["seq"] == 12

    browse(view, scenario)


def test_the_engine_never_waits_for_a_viewer_that_reads_nothing(view):
    """Ten thousand frames are handed over while a viewer has stopped to read altogether."""
    sink = view.sink("cam", HELLO)
    sound = AudioChunk(np.zeros(1600, np.float32), 0)
    frame, result = shot(1, *(track(n, (10, 10, 40, 30), sounding=0.9) for n in range(1, 30)))

    async def scenario(opened):
        async with opened() as page:
            await page.until(lambda p: "hello" in p.kinds)
            loop = asyncio.get_running_loop()

            def hand_over():
                for n in range(10_000):
                    sink.write(frame, result)
                    sink.notice(sound)
                    sink.notice(Heard(n, (0.1, 0.2, 0.3)))
                    if n % 100 == 0:
                        sink.notice(AudioGap(n, 1_000_000, "overflow"))

            await asyncio.wait_for(loop.run_in_executor(None, hand_over), 60)
            assert len(page.pictures) <= 2

    browse(view, scenario)


def test_what_is_heard_and_how_the_sources_are_reaches_every_viewer(view):
    sink = view.sink("cam", HELLO)

    async def scenario(opened):
        async with opened() as first, opened() as second:
            for page in (first, second):
                await page.until(lambda p: "hello" in p.kinds)
            sink.notice(Heard(100_000_000, (0.2, 0.9, 0.4)))
            sink.write(*shot(1, RED))
            sink.notice(AudioChunk(np.full(1600, 0.1, np.float32), 0))
            sink.notice(AudioGap(0, 40_000_000, "overflow"))
            sink.notice(SourceEvent("camera:0", "video", "failed", 0, "unplugged"))
            for page in (first, second):
                await page.until(lambda p: {"heard", "gap", "event"} <= p.latest.keys())
                assert page.latest["heard"]["level_dbfs"] == pytest.approx(-20, abs=0.1)
                assert page.latest["heard"]["top"][0] == [CLASSES[1], 0.9]
                assert page.latest["gap"]["lost_ms"] == 40
                assert page.latest["event"]["reason"] == "unplugged"
        async with opened() as late:
            await late.until(lambda p: {"gap", "event"} <= p.latest.keys())

    browse(view, scenario)


def test_settings_of_one_viewer_act_and_are_announced_to_all(view):
    sink = view.sink("cam", HELLO)
    green = track(2, (60, 10, 20, 20), label=CLASSES[1], sounding=0.1)
    sink.write(*shot(1, RED, green))

    async def scenario(opened):
        async with opened() as mine, opened() as theirs:
            for page in (mine, theirs):
                assert len((await page.picture())["tracks"]) == 2
            await mine.change(hidden=[CLASSES[0]], stride=3)
            for page in (mine, theirs):
                await page.until(lambda p: p.latest["settings"]["stride"] == 3)
                # The picture that is shown changes too, without waiting for another one.
                picture = await page.picture()
                assert [t["label"] for t in picture["tracks"]] == [CLASSES[1]]
            assert view.controls.stride() == 3
            await mine.change(stride=0)
            await mine.until(lambda p: "refused" in p.kinds)
            assert "stride" in mine.latest["refused"]["reason"]
            assert view.controls.stride() == 3
            assert mine.latest["settings"]["stride"] == 3

    browse(view, scenario)


@pytest.mark.parametrize(
    "send",
    [
        lambda socket: socket.send_str("{"),
        lambda socket: socket.send_str('{"kind": "format-disk"}'),
        lambda socket: socket.send_str('{"kind": "settings"}'),
        lambda socket: socket.send_bytes(b"\1\2\3"),
        lambda socket: socket.send_str("x" * 100_000),
    ],
)
def test_a_viewer_that_sends_what_no_page_would_is_let_go_and_others_stay(view, send):
    sink = view.sink("cam", HELLO)

    async def scenario(opened):
        async with opened() as good, opened() as bad:
            await bad.until(lambda p: "hello" in p.kinds)
            with pytest.raises(ConnectionError):
                await send(bad.socket)
                await bad.until(lambda p: False)
            assert bad.socket.close_code in {1006, 1008, 1009, None}
            sink.write(*shot(1, RED))
            assert (await good.picture())["seq"] == 1

    browse(view, scenario)


def test_viewers_beyond_the_limit_are_told_to_come_again(view):
    view.sink("cam", HELLO)

    async def scenario(opened):
        pages = [opened() for _ in range(MAX_VIEWERS)]
        for page in pages:
            await (await page.__aenter__()).until(lambda p: "hello" in p.kinds)
        async with opened() as late:
            with pytest.raises(ConnectionError, match="watch already"):
                await late.take()
        await pages.pop().__aexit__(None, None, None)
        async with opened() as next_one:
            await next_one.until(lambda p: "hello" in p.kinds)
        for page in pages:
            await page.__aexit__(None, None, None)

    browse(view, scenario)


def test_who_comes_before_the_first_stream_is_told_of_it(view):
    async def scenario(opened):
        async with opened() as page:
            await page.until(lambda p: "streams" in p.kinds)
            assert page.latest["streams"]["names"] == []
            view.sink("cam", HELLO)
            await page.until(lambda p: p.latest["streams"]["names"] == ["cam"])

    browse(view, scenario)


def test_viewers_choose_a_stream_and_a_new_run_of_it_takes_them_along(view):
    first, second = view.sink("first", HELLO), view.sink("second", HELLO)
    first.write(*shot(1, RED, boot_id="one"))
    second.write(*shot(2, RED, boot_id="two"))

    async def scenario(opened):
        async with opened(stream="second") as page, opened() as other:
            assert (await page.picture())["boot_id"] == "two"
            assert (await other.picture())["boot_id"] == "one"
            second.close(REPORT)
            await page.until(lambda p: "eos" in p.kinds)
            view.sink("second", HELLO).write(*shot(3, RED, boot_id="three"))
            assert (await page.picture())["boot_id"] == "three"

    browse(view, scenario)


def test_the_end_of_the_stream_is_told_and_so_is_that_of_the_server():
    view = WebView(port=0)
    sink = view.sink("cam", HELLO)

    async def scenario(opened):
        async with opened() as page:
            await page.until(lambda p: "hello" in p.kinds)
            sink.write(*shot(4, RED))
            sink.close(EngineReport("truncated", 5, 5, {}, {}, 1.0, 1))
            await page.until(lambda p: "eos" in p.kinds)
            assert page.latest["eos"]["reason"] == "failed"
            assert page.latest["eos"]["detail"] == "the input broke off"
            assert page.latest["eos"]["seq"] == 4
            closing = asyncio.get_running_loop().run_in_executor(None, view.close)
            with pytest.raises(ConnectionError, match="the server stops"):
                await page.until(lambda p: False)
            assert page.socket.close_code == 1001
            await asyncio.wait_for(closing, 60)

    browse(view, scenario)
    sink.write(*shot(5, RED))  # nobody watches; nothing happens
    view.close()


def test_a_port_in_use_is_told_with_its_cure(view):
    port = int(view.url.rstrip("/").rpartition(":")[2])
    with pytest.raises(WireError, match=rf"127.0.0.1:{port}: .*in use.*--listen HOST:PORT"):
        WebView(port=port)


def test_a_run_of_the_engine_is_seen_from_end_to_end(view):
    sink = view.sink("cam", HELLO)
    drawn = threading.Semaphore(0)
    model = FakeModel(on_step=lambda n: drawn.acquire(timeout=60) if n else None)
    session = Session(model, stream="cam")
    engine = Engine(
        [Feed(FakeSource(clip(8)), session, [sink])],
        Policy(speed=None),
    )

    async def scenario(opened):
        async with opened() as page:
            await page.until(lambda p: "hello" in p.kinds)
            running = asyncio.get_running_loop().run_in_executor(None, engine.run)
            for seq in range(8):
                assert (await page.picture())["seq"] == seq
                drawn.release()
            await page.until(lambda p: "eos" in p.kinds)
            assert page.latest["eos"]["reason"] == "ended"
            assert page.pictures[-1]["tracks"][0]["label"] == CLASSES[0]
            await running

    browse(view, scenario)
    assert engine.report.sink_failures == {}


def feed_bytes(seq, *, time_ms=0.0):
    from streamavis_apps.web.pictures import to_jpeg

    frame, _ = shot(seq, RED)
    return struct.pack("<BBdd", 1, 1, time_ms, time_ms + 5) + to_jpeg(frame.image, 960)


BEGIN = {"kind": "begin", "camera": "webcam", "microphone": "headset"}


def test_a_server_with_its_own_camera_takes_no_other(view):
    async def scenario(opened):
        with pytest.raises(Exception, match="404"):
            async with opened("/feed"):
                pass

    browse(view, scenario)


def test_a_browser_lends_its_camera_and_one_only():
    source = BrowserSource()
    with WebView(port=0, source=source) as view:

        async def scenario(opened):
            async with opened() as page, opened("/feed") as mine, opened("/feed") as other:
                await page.until(lambda p: "streams" in p.kinds)
                assert page.latest["streams"]["camera"] == {"busy": False}
                await mine.socket.send_json(BEGIN)
                await mine.until(lambda p: "accepted" in p.kinds)
                await page.until(lambda p: p.latest["streams"]["camera"] == {"busy": True})
                await other.socket.send_json(BEGIN)
                with pytest.raises(ConnectionError, match="another camera"):
                    await other.take()
                await mine.socket.send_bytes(feed_bytes(1))
                await mine.until(lambda p: "taken" in p.kinds)
                await mine.socket.close()
                await page.until(lambda p: p.latest["streams"]["camera"] == {"busy": False})
            async with opened("/feed") as back:
                await back.socket.send_json(BEGIN)
                await back.until(lambda p: "accepted" in p.kinds)

        browse(view, scenario)
        until(lambda: not source.busy, "the last browser to be gone")


@pytest.mark.parametrize(
    "send",
    [
        lambda socket: socket.send_bytes(b"\7nonsense"),
        lambda socket: socket.send_bytes(b"\2" + bytes(20)),
        lambda socket: socket.send_str("hello"),
        lambda socket: socket.send_bytes(bytes(3 << 20)),
    ],
)
@pytest.mark.parametrize("begun", [False, True])
def test_a_feed_that_sends_nonsense_is_let_go_and_the_next_one_is_welcome(send, begun):
    source = BrowserSource()
    with WebView(port=0, source=source) as view:

        async def scenario(opened):
            async with opened("/feed") as bad:
                if begun:
                    await bad.socket.send_json(BEGIN)
                    await bad.until(lambda p: "accepted" in p.kinds)
                with pytest.raises(ConnectionError):
                    await send(bad.socket)
                    await bad.until(lambda p: False)
                # 1006: it hung up while the rest of a message too long was on its way.
                assert bad.socket.close_code in {1006, 1008, 1009, None}
            async with opened("/feed") as good:
                await good.socket.send_json(BEGIN)
                await good.until(lambda p: "accepted" in p.kinds)

        browse(view, scenario)


def test_sound_goes_to_those_who_listen_and_the_time_to_those_who_ask(view):
    sink = view.sink("cam", HELLO)

    async def scenario(opened):
        async with opened() as quiet, opened() as page:
            for one in (quiet, page):
                await one.until(lambda p: "hello" in p.kinds)
            await page.socket.send_json({"kind": "listen", "on": True})
            await page.socket.send_json({"kind": "ping", "at": 12.5})
            await page.until(lambda p: "pong" in p.kinds)  # so the wish has come too
            assert page.latest["pong"]["at"] == 12.5
            assert 0 <= time.monotonic_ns() - page.latest["pong"]["monotonic_ns"] < 60e9
            sink.notice(AudioChunk(np.full(160, 0.5, np.float32), 2_000_000_000))
            while True:
                message = await page.socket.receive()
                if message.type is WSMsgType.BINARY:
                    break
            (length,) = struct.unpack_from("!I", message.data)
            assert json.loads(message.data[4 : 4 + length]) == {"sound": {"time_s": 2.0}}
            samples = np.frombuffer(message.data, "<i2", offset=4 + length)
            assert (4 + length) % 2 == 0 and samples.tolist() == [16383] * 160
            sink.notice(SourceEvent("camera", "video", "stalled", 0))
            await quiet.until(lambda p: "event" in p.kinds)  # without a byte of sound

    browse(view, scenario)


def test_a_live_stream_is_not_steered_and_a_replay_is(view):
    playback = Playback(10.0, seekable=False)
    view.sink("cam", HELLO)
    view.sink("clip", HELLO, playback=playback)

    async def scenario(opened):
        async with opened(stream="cam") as page:
            await page.until(lambda p: "hello" in p.kinds)
            assert page.latest["hello"]["playback"] is None
            await page.socket.send_json({"kind": "play", "from_s": 3.0})
            await page.until(lambda p: "refused" in p.kinds)
            assert "live" in page.latest["refused"]["reason"]
        async with opened(stream="clip") as page:
            await page.until(lambda p: "hello" in p.kinds)
            assert page.latest["hello"]["playback"]["duration_s"] == 10.0
            await page.socket.send_json({"kind": "play", "from_s": 3.0})
            await page.until(lambda p: "refused" in p.kinds)
            assert "files are being written" in page.latest["refused"]["reason"]
            playback.allow()
            await page.until(lambda p: p.latest.get("playback", {}).get("seekable"))
            await page.socket.send_json({"kind": "play", "loop": True, "from_s": 3.0})
            await page.until(lambda p: p.latest["playback"]["loop"])
            assert playback.next(ended=False, wait_s=60) == 3.0

    browse(view, scenario)


@pytest.mark.parametrize("message", [{"kind": "play", "from_s": "x"}, {"kind": "ping"}])
def test_a_viewer_that_asks_for_nonsense_is_let_go(view, message):
    view.sink("cam", HELLO)

    async def scenario(opened):
        async with opened() as page:
            await page.socket.send_json(message)
            with pytest.raises(ConnectionError, match="closed"):
                await page.until(lambda p: False)

    browse(view, scenario)
