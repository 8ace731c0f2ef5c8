"""The threads: nothing lost in replay, nothing stale live, every end a clean one."""

from __future__ import annotations

import contextlib
import gc
import itertools
import math
import threading
import weakref

import pytest
from runtime_fakes import NS, FakeModel, FakeSource, ListSink, assert_no_threads, clip

from streamavis.clock import ManualClock
from streamavis.errors import ModelOutputError, TruncatedInputError
from streamavis.runtime.engine import Engine, Feed, Policy
from streamavis.session import Session
from streamavis.types import AudioChunk, Heard, VideoFrame

BROKEN_OFF = TruncatedInputError("clip.mp4: breaks off")


def engine(source, *sinks, model: FakeModel | None = None, **options) -> Engine:
    policy = Policy(options.pop("live", False), options.pop("speed", None))
    session = Session(model or FakeModel(), stream="cam", clock=options.get("clock"))
    return Engine([Feed(source, session, sinks)], policy, **options)


def without_times(result):
    result.stamps, result.wall_time, result.boot_id = {}, 0.0, ""
    return result


def test_every_frame_comes_in_order_and_every_sink_gets_it():
    slow, inline = ListSink("slow"), ListSink("inline", inline=True)
    eng = engine(FakeSource(clip(60)), slow, inline)
    results = list(eng.results())
    assert [r.seq for r in results] == list(range(60))
    assert slow.results == inline.results == results
    assert len(slow.threads) == 1
    assert inline.threads == {threading.get_ident()}
    assert slow.threads != inline.threads
    assert_no_threads()
    report = eng.report
    assert (report.phase, report.captured, report.processed) == ("ended", 60, 60)
    assert report.dropped == report.sink_failures == {}
    assert slow.closed == inline.closed == [report]
    assert set(report.stages) >= {"queue", "preprocess", "model", "post", "publish", "total"}
    assert report.stages["model"]["count"] == 60


def test_results_carry_the_boot_and_the_wall_time():
    eng = engine(FakeSource(clip(3)), wall_clock=lambda: 1234.5)
    for result in eng.results():
        assert (result.boot_id, result.wall_time) == (eng.boot_id, 1234.5)
        assert list(result.stamps.values()) == sorted(result.stamps.values())
        assert list(result.stamps) == [
            "capture",
            "receive",
            "decode",
            "queue",
            "preprocess",
            "model",
            "post",
            "publish",
        ]
    assert engine(FakeSource([])).boot_id != eng.boot_id
    assert engine(FakeSource([]), boot_id="me").boot_id == "me"


def test_two_runs_agree():
    runs = [
        [without_times(r) for r in engine(FakeSource(clip(40)), speed=speed).results()]
        for speed in (None, math.inf)
    ]
    assert runs[0] == runs[1]


def test_a_slow_sink_is_waited_for():
    sink = ListSink(gate=threading.Event())
    eng = engine(FakeSource(clip(40)), sink)
    got, full = [], threading.Event()

    def consume() -> None:
        for result in eng.results():
            got.append(result)
            if len(got) == 8:  # as many as may wait for a sink
                full.set()

    runner = threading.Thread(target=consume)
    runner.start()
    full.wait(60)
    assert not sink.results
    assert eng.report.phase == sink.report().phase == "running"
    sink.gate.set()
    runner.join(60)
    assert sink.results == got
    assert len(got) == 40


@pytest.mark.parametrize("inline", [True, False])
def test_a_sink_that_fails_is_closed_and_reported_and_the_stream_goes_on(inline, caplog):
    bad, good = ListSink("bad", inline=inline, break_at=5), ListSink("good")
    eng = engine(FakeSource(clip(60)), bad, good)
    assert len(list(eng.results())) == len(good.results) == 60
    assert eng.report.phase == "ended"
    assert eng.report.sink_failures == {"bad": "OSError: no space left on device"}
    assert len(bad.results) == 5
    assert len(bad.closed) == len(good.closed) == 1
    assert "sink bad failed" in caplog.text
    assert caplog.text.count("Traceback") == 1


@pytest.mark.parametrize("inline", [True, False])
def test_a_sink_that_cannot_start_gets_no_results_and_is_closed(inline):
    sink = ListSink("bad", inline=inline, break_start=True)
    report = engine(FakeSource(clip(5)), sink).run()
    assert report.sink_failures == {"bad": "OSError: no network"}
    assert (sink.results, len(sink.closed), report.processed) == ([], 1, 5)


def test_a_sink_that_cannot_close_is_reported():
    eng = engine(FakeSource(clip(5)), ListSink("bad", break_close=True))
    assert eng.run().sink_failures == {"bad": "OSError: cannot finish the file"}


def test_a_truncated_source_delivers_what_it_had():
    sink = ListSink()
    eng = engine(FakeSource(clip(30), error=BROKEN_OFF), sink)
    got = []
    with pytest.raises(TruncatedInputError, match="breaks off"):
        got.extend(eng.results())
    assert [r.seq for r in sink.results] == list(range(30))
    assert [r.phase for r in sink.closed] == ["truncated"]
    assert eng.report.processed == eng.report.captured == 30
    assert_no_threads()


def test_an_error_that_comes_while_nobody_looks_is_raised(monkeypatch):
    go_on = threading.Event()

    def source():
        go_on.wait(60)
        raise BROKEN_OFF
        yield

    eng = engine(source())
    (stream,) = eng._streams
    get = stream._intake._queue.get

    def late_get(timeout_s):
        """Time is up with nothing there, and right after that the source breaks."""
        if go_on.is_set():
            return get(timeout_s)
        go_on.set()
        stream._intake._thread.join(60)
        return None

    monkeypatch.setattr(stream._intake._queue, "get", late_get)
    with pytest.raises(TruncatedInputError):
        eng.run()


def test_a_source_that_breaks_ends_the_stream_cleanly():
    sink = ListSink()
    eng = engine(FakeSource(clip(4), error=OSError("camera unplugged")), sink)
    with pytest.raises(OSError, match="unplugged"):
        eng.run()
    assert (eng.report.phase, len(sink.results), len(sink.closed)) == ("failed", 4, 1)
    assert_no_threads()


def test_a_model_that_breaks_ends_the_stream_cleanly_and_frames_add_up():
    sink = ListSink()
    eng = engine(FakeSource(clip(100)), sink, model=FakeModel(break_at=10))
    with pytest.raises(ModelOutputError):
        eng.run()
    report = eng.report
    assert (report.phase, report.processed, len(sink.results)) == ("failed", 10, 10)
    assert report.dropped["failed"] == 1
    assert report.captured == report.processed + sum(report.dropped.values())
    assert [r.phase for r in sink.closed] == ["failed"]
    assert_no_threads()


def endless():
    return (item for n in itertools.count() for item in clip(1, at=lambda _, n=n: n * NS // 10))


def test_leaving_the_loop_stops_everything():
    sink = ListSink()
    eng = engine(FakeSource(endless()), sink)
    for result in eng.results():
        if result.capture_time_ns > NS:
            break
    gc.collect()
    assert_no_threads()
    report = eng.report
    assert report.phase == "stopped"
    assert report.captured == report.processed + sum(report.dropped.values())
    assert set(report.dropped) <= {"cancelled"}
    assert len(sink.results) == report.processed == 12
    assert [r.phase for r in sink.closed] == ["stopped"]


def test_an_event_from_outside_stops_everything():
    cancelled = threading.Event()
    sink = ListSink()
    eng = engine(FakeSource(endless()), sink, cancelled=cancelled)
    for result in eng.results():
        if result.capture_time_ns == NS:
            cancelled.set()
    assert eng.report.phase == "stopped"
    assert sink.results[-1].capture_time_ns == NS
    assert_no_threads()


def test_a_stop_does_not_wait_for_a_frame_that_is_not_due():
    clock = ManualClock()
    eng = engine(FakeSource(clip(50)), clock=clock, speed=1.0)
    results = eng.results()
    next(results)
    clock.next_awaited_ns()  # the source waits for a time that never comes
    eng.stop()
    assert list(results) == []
    assert eng.report.phase == "stopped"
    assert_no_threads()


def test_ctrl_c_closes_the_sinks_and_goes_on_up():
    sink = ListSink()
    eng = engine(FakeSource(clip(50)), sink)
    with pytest.raises(KeyboardInterrupt):
        for result in eng.results():
            if result.seq == 3:
                raise KeyboardInterrupt
    gc.collect()
    assert [r.phase for r in sink.closed] == ["stopped"]
    assert_no_threads()


def test_a_wedged_sink_is_left_behind(monkeypatch):
    monkeypatch.setattr("streamavis.runtime.engine._STOP_S", 0.05)
    sink = ListSink("wedged", gate=threading.Event())
    eng = engine(FakeSource(clip(50)), sink)
    next(eng.results())
    gc.collect()
    assert eng.report.sink_failures == {"wedged": "TimeoutError: it did not close in time"}
    sink.gate.set()


@pytest.mark.parametrize("speed", [1.0, 2.0])
def test_replay_releases_each_frame_when_it_is_due(speed):
    clock = ManualClock(1000)
    eng = engine(FakeSource(clip(20, sound=False)), clock=clock, speed=speed)
    done = threading.Event()

    def tick() -> None:
        while not done.is_set():
            with contextlib.suppress(TimeoutError):
                clock.advance(clock.next_awaited_ns(0.05) - clock.now_ns())

    ticker = threading.Thread(target=tick)
    ticker.start()
    results = list(eng.results())
    done.set()
    ticker.join(60)
    due = [1000 + round(n / 10 / speed * NS) for n in range(20)]
    assert [r.stamps["capture"] for r in results] == due
    assert all(r.stamps["receive"] >= r.stamps["capture"] for r in results)
    assert eng.report.stages["lateness"]["count"] == 20
    assert eng.report.duration_s == pytest.approx(1.9 / speed, abs=0.11 / speed)


def test_live_takes_the_freshest_frame_and_drops_no_sound():
    clock = ManualClock()
    busy, ended = threading.Event(), threading.Event()

    def on_step(number: int) -> None:
        if number == 0:  # the model takes until the source has ended
            busy.set()
            ended.wait(60)

    def source():
        for item in clip(30):
            if isinstance(item, VideoFrame):
                clock.advance(item.capture_time_ns - clock.now_ns())
                if item.index == 1:
                    busy.wait(60)
            yield item
        ended.set()

    model = FakeModel(on_step=on_step)
    eng = engine(source(), model=model, live=True, clock=clock)
    results = list(eng.results())
    assert [r.seq for r in results] == [0, 29]
    assert eng.report.dropped == {"superseded": 28}
    assert (eng.report.captured, eng.report.processed) == (30, 2)
    assert results[-1].audio == "ok"
    heard = model.calls[-1][1]
    assert (heard != 0).float().mean() > 0.99, "the sound of dropped frames was kept"


def test_live_drops_what_is_stale_before_any_work():
    clock = ManualClock()
    seen = threading.Event()

    def source():
        first, second, third = clip(3, sound=False)
        yield first
        seen.wait(60)
        clock.advance(700_000_000)
        yield second  # taken at 0.1 s: 0.6 s old
        yield third  # 0.5 s old

    model = FakeModel(on_step=lambda _: seen.set())
    eng = engine(source(), model=model, live=True, clock=clock)
    assert [r.seq for r in eng.results()] == [0, 2]
    assert sum(eng.report.dropped.values()) == 1
    assert set(eng.report.dropped) <= {"stale", "superseded"}, "whoever came first"


def test_an_engine_runs_once():
    eng = engine(FakeSource(clip(2)))
    eng.run()
    with pytest.raises(RuntimeError, match="runs once"):
        eng.run()


def test_an_engine_that_never_ran_holds_nothing():
    eng = engine(FakeSource(clip(2)))
    gone = weakref.ref(eng)
    del eng
    gc.collect()
    assert gone() is None
    assert_no_threads()


@pytest.mark.parametrize("live", [False, True])
def test_a_listener_gets_the_sound_as_well(live):
    class Ears(ListSink):
        def notice(self, item):
            if isinstance(item, AudioChunk):
                heard.append(item.samples)

    heard = []
    items = list(clip(3))
    engine(FakeSource(items), Ears(), live=live).run()
    sound = [item.samples for item in items if isinstance(item, AudioChunk)]
    assert len(sound) > 0
    assert all(a is b for a, b in zip(heard, sound, strict=True))


def test_a_listener_is_told_what_is_in_the_air_at_each_frame():
    class Ears(ListSink):
        def notice(self, item):
            if isinstance(item, Heard):
                assert len(heard) == len(self.results), "before the result of its frame"
                heard.append(item)

    heard = []
    sink = Ears(inline=True)
    engine(FakeSource(clip(5)), sink).run()
    assert [h.capture_time_ns for h in heard] == [r.capture_time_ns for r in sink.results]
    assert all(h.probabilities[0] > 0.9 > 0.1 > h.probabilities[1] for h in heard[1:])


def test_without_a_microphone_nothing_is_said_about_what_is_in_the_air():
    class Ears(ListSink):
        def notice(self, item):
            heard.append(item)

    heard = []
    deaf = Session(FakeModel(), stream="cam", has_audio=False)
    Engine([Feed(FakeSource(clip(3, sound=False)), deaf, [Ears()])], Policy(speed=None)).run()
    assert heard == []
