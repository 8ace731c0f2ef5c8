"""`open` on cameras, streams and sources of one's own, and every way to take results."""

from __future__ import annotations

import asyncio
import gc
import threading

import numpy as np
import pytest
from runtime_fakes import NS, FakeModel, FakeSource, ListSink, assert_no_threads, clip, picture

import streamavis
from streamavis import api
from streamavis.clock import ManualClock
from streamavis.errors import ArgumentError, InputAddressError, InputError, MisuseError
from streamavis.io.live import FakeDevice
from streamavis.io.media import MediaInfo
from streamavis.types import AudioChunk, VideoFrame


class Own(FakeSource):
    """A source of one's own."""

    info = MediaInfo("own", 160, 90, fps=10.0, has_audio=True, duration_s=None)


def frame(index: int, time_ns: int) -> VideoFrame:
    return VideoFrame(picture((0, 10, 10, 40, 30)), time_ns, index, clock="driver")


@pytest.fixture
def camera(monkeypatch) -> FakeDevice:
    """What every live address leads to; its first picture was taken at 1 s, 0.3 s ago."""
    fake = FakeDevice(fps=10.0, has_sound=True)
    monkeypatch.setattr("streamavis.io.live.source.camera_device", lambda *a, **k: fake.device)
    monkeypatch.setattr(api, "check_camera", lambda address, patience_s: asked.append(address))
    monkeypatch.setattr(api, "recorded_size", lambda address: None)
    asked: list[str] = []
    fake.asked_for = asked
    fake.put(AudioChunk(np.full(8000, 0.1, np.float32), NS // 2))
    fake.put(frame(0, NS))
    return fake


@pytest.mark.parametrize("source", [0, "camera:0", "0", "/dev/video0", "rtsp://host/cam"])
def test_an_address_is_live_and_carries_the_driver_s_times(camera, source):
    clock = ManualClock(NS + 300_000_000)
    with streamavis.open(source, FakeModel(), clock=clock, warm=True) as stream:
        first = next(stream)
        camera.put(frame(1, NS + 100_000_000))
        second = next(stream)
        report = stream.report
    assert [r.capture_time_ns for r in (first, second)] == [NS, NS + 100_000_000]
    assert {r.clock for r in (first, second)} == {"driver"}
    assert first.stamps["capture"] == NS, "an age is told from the driver's time"
    assert report.inputs, "it is supervised"
    assert camera.asked_for == ["camera:0" if source == 0 else source]
    assert_no_threads()


def test_a_live_source_of_one_s_own_keeps_its_times():
    clock, taken_ns = ManualClock(20 * NS), 20 * NS - 123_456_789
    source = Own([frame(0, taken_ns)])
    (result,) = streamavis.open(source, FakeModel(), live=True, clock=clock, warm=True)
    assert (result.capture_time_ns, result.clock) == (taken_ns, "driver")


def test_a_browser_has_its_own_door():
    with pytest.raises(InputAddressError, match="streamavis live --camera browser --view web"):
        streamavis.open("browser", FakeModel())


@pytest.mark.parametrize("address", ["camera:x", "rtsp://", "ftp://host/clip"])
def test_an_address_that_is_none_is_named_before_a_model_is_loaded(address, monkeypatch):
    monkeypatch.setattr(api, "load", lambda model: pytest.fail("loaded"))
    with pytest.raises(InputError):
        streamavis.open(address)


def test_a_camera_that_is_not_there_is_named_before_a_model_is_loaded(monkeypatch):
    monkeypatch.setattr(api, "load", lambda model: pytest.fail("loaded"))
    with pytest.raises(InputError, match="camera:987: no such device"):
        streamavis.open(987)


def test_options_that_do_not_fit_the_source_are_refused(tmp_path):
    with pytest.raises(ArgumentError, match="own pace"):
        streamavis.open("camera:0", FakeModel(), speed=2.0)
    with pytest.raises(ArgumentError, match=r"microphone='none'.*are for live"):
        streamavis.open(tmp_path / "clip.mp4", FakeModel(), microphone="none")
    with pytest.raises(ArgumentError, match=r"sound_offset_s=0\.1 are for live"):
        streamavis.open(Own(clip(2)), FakeModel(), sound_offset_s=0.1)


def test_each_result_goes_to_a_function():
    seen, sink = [], ListSink()
    stream = streamavis.open(Own(clip(5)), FakeModel(), on_result=seen.append, sinks=[sink])
    report = stream.run()
    assert [r.seq for r in seen] == [r.seq for r in sink.results] == list(range(5))
    assert (report.phase, report.processed) == ("ended", 5)
    assert_no_threads()


def test_start_returns_at_once_and_wait_waits():
    gate, seen = threading.Event(), []

    def update(result):
        gate.wait()
        seen.append(result.seq)

    stream = streamavis.open(Own(clip(5)), FakeModel(), on_result=update).start()
    assert seen == []
    with pytest.raises(MisuseError, match="thread of its own"):
        next(stream)
    with pytest.raises(MisuseError, match="thread of its own"):
        stream.start()
    gate.set()
    assert stream.wait().phase == "ended"
    assert seen == list(range(5))
    assert_no_threads()


@pytest.mark.parametrize("own_thread", [False, True])
def test_what_the_function_raises_ends_the_stream_and_is_raised(own_thread):
    sink = ListSink()

    def update(result):
        if result.seq == 2:
            raise KeyError("robot")

    stream = streamavis.open(Own(clip(9)), FakeModel(), on_result=update, sinks=[sink])
    with pytest.raises(KeyError, match="robot"):
        stream.start().wait() if own_thread else stream.run()
    assert len(sink.results) == 3
    assert sink.closed[0].phase == "stopped"
    assert_no_threads()


@pytest.mark.parametrize("end", ["stop", "close"])
def test_the_function_may_end_the_stream(end):
    seen = []

    def update(result):
        seen.append(result.seq)
        if result.seq == 3:
            getattr(stream, end)()

    stream = streamavis.open(Own(clip(50)), FakeModel(), on_result=update)
    assert stream.start().wait().phase == "stopped"
    assert seen == [0, 1, 2, 3]
    assert_no_threads()


def test_closing_ends_a_stream_on_its_own_thread():
    begun = threading.Event()
    source = Own(clip(10_000))
    with streamavis.open(source, FakeModel(), on_result=lambda r: begun.set()) as stream:
        stream.start()
        begun.wait()
    assert stream.report.phase == "stopped"
    assert_no_threads()


def test_an_async_loop_gives_the_same_results_and_leaves_the_loop_free():
    async def take() -> tuple[list, int]:
        turns, results = 0, []

        async def others():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(others())
        async for result in streamavis.open(Own(clip(8)), FakeModel()):
            results.append(result)
        task.cancel()
        return results, turns

    results, turns = asyncio.run(take())
    expected = list(streamavis.open(Own(clip(8)), FakeModel()))
    assert [r.tracks for r in results] == [r.tracks for r in expected]
    assert turns > 8
    assert_no_threads()


def test_two_async_streams_run_beside_each_other():
    async def take(name: str) -> list[int]:
        async with streamavis.open(Own(clip(6)), FakeModel(), stream=name) as stream:
            return [result.seq async for result in stream]

    async def both():
        return await asyncio.gather(take("one"), take("two"))

    assert asyncio.run(both()) == [list(range(6))] * 2
    assert_no_threads()


def test_a_cancelled_task_stops_the_stream():
    asked, go_on = threading.Event(), threading.Event()

    class Waiting(Own):
        def __iter__(self):
            yield from clip(2)
            asked.set()
            go_on.wait()

        def stop(self):
            go_on.set()

    async def main() -> str:
        stream = streamavis.open(Waiting(()), FakeModel())

        async def take():
            async for _ in stream:
                pass

        task = asyncio.create_task(take())
        await asyncio.to_thread(asked.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(stream.close)
        return stream.report.phase

    assert asyncio.run(main()) == "stopped"
    assert_no_threads()


def test_an_async_loop_that_is_left_early_is_closed_with_it():
    async def main():
        async for result in streamavis.open(Own(clip(100)), FakeModel()):
            if result.seq == 3:
                break

    asyncio.run(main())
    gc.collect()
    assert_no_threads()


def test_an_error_in_the_source_comes_through_an_async_loop():
    async def main():
        async for _ in streamavis.open(Own(clip(3), error=InputError("gone")), FakeModel()):
            pass

    with pytest.raises(InputError, match="gone"):
        asyncio.run(main())
    assert_no_threads()
