"""Several live streams on one model: nobody waits for anybody, nothing ends them all."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from live_rig import MS, Rig, assert_adds_up, see, settled
from runtime_fakes import NS, FakeModel, ListSink, assert_no_threads, picture, until

from streamavis.clock import ManualClock
from streamavis.runtime.engine import Engine, Feed, Policy
from streamavis.session import Session
from streamavis.types import AudioChunk, AudioGap, SourceEvent, VideoFrame


def test_each_stream_has_its_results_its_sinks_and_its_report():
    rig = Rig("a", "b", "c")
    for n in range(5):
        rig.clock.advance(100 * MS)
        for name in rig.taps:
            assert rig.one(name).seq == n
    assert rig.end() == []
    for name, sink in rig.sinks.items():
        assert [(r.stream, r.seq) for r in sink.results] == [(name, n) for n in range(5)]
        report = rig.report(name)
        assert (report.phase, report.stream, report.processed) == ("ended", name, 5)
        assert [r.phase for r in sink.closed] == ["ended"]
    assert {r.boot_id for sink in rig.sinks.values() for r in sink.results} == {rig.engine.boot_id}
    assert_no_threads()


def test_streams_that_wait_together_are_stepped_together():
    entered, go_on = threading.Event(), threading.Event()

    def on_step(step):
        if step == 0:
            entered.set()
            go_on.wait(60)

    model = FakeModel(on_step=on_step)
    rig = Rig("a", "b", "c", model=model)
    rig.taps["a"].frame()
    got = []
    runner = threading.Thread(target=lambda: got.extend(rig.results))
    runner.start()
    entered.wait(60)
    for name in "bc":
        rig.taps[name].frame()
        until(lambda: rig.report(name).captured)  # noqa: B023
    go_on.set()
    for tap in rig.taps.values():
        tap.give(None)
    runner.join(60)
    assert [len(frames) for frames, _, _ in model.calls] == [1, 2]
    assert [r.stream for r in got] == ["a", "b", "c"]


def test_a_stalled_stream_delays_nobody_and_is_told():
    rig = Rig("a", "stalled")
    rig.one("stalled")
    for _ in range(20):
        rig.clock.advance(33 * MS)
        rig.one("a")
    rig.engine._look()
    assert rig.report("stalled").video == "lost"
    assert rig.report("stalled").source == "stalled"
    assert rig.report("a").video == "ok"
    told = [e for e in rig.sinks["stalled"].noticed if isinstance(e, SourceEvent)]
    assert [event.state for event in told] == ["running", "stalled"]
    assert rig.one("stalled").seq == 1
    assert rig.report("stalled").source == "running"
    rig.end()


def test_a_stall_that_is_noticed_and_then_told_is_logged_once():
    rig = Rig("cam")
    rig.one("cam")
    rig.clock.advance(401 * MS)
    rig.engine._look()
    for state in ("stalled", "reconnecting", "stalled"):
        event = SourceEvent("camera:0", "video", state, rig.clock.now_ns(), "no picture for 0.5 s")
        rig.taps["cam"].give(event)
        until(lambda: rig.report("cam").source == event.state)  # noqa: B023
    rig.end()
    texts = [notice.text for notice in rig.report("cam").notices]
    assert sum("stalled" in text for text in texts) == 2, "the second is another one"
    assert rig.report("cam").inputs[0].reason == "no picture for 0.5 s", "the newest reason"


def test_whoever_looks_after_streams_is_there_when_one_falls_silent():
    rig = Rig("a", "b")
    assert rig.engine._until_look_s() == pytest.approx(0.1), "nothing runs yet"
    rig.one("a")
    rig.clock.advance(200 * MS)
    rig.one("b")
    assert rig.engine._until_look_s() == pytest.approx(0.1)
    rig.clock.advance(170 * MS)
    assert rig.engine._until_look_s() == pytest.approx(0.03, abs=0.001), "a, in 30 ms"
    rig.clock.advance(31 * MS)
    rig.engine._look()
    assert [rig.report(name).video for name in "ab"] == ["lost", "ok"]
    assert rig.engine._until_look_s() == pytest.approx(0.1), "b, in 200 ms"
    rig.end()


def test_a_source_that_breaks_ends_its_own_stream_only(caplog):
    rig = Rig("good", "bad")
    rig.one("bad")
    rig.taps["bad"].give(OSError("unplugged"))
    while rig.report("bad").phase == "running":
        rig.clock.advance(33 * MS)
        rig.one("good")
    assert rig.report("bad").phase == "failed"
    assert "unplugged" in rig.report("bad").notices[-1].text
    assert rig.one("good").stream == "good"
    assert rig.end() == []
    assert [r.phase for r in rig.sinks["bad"].closed] == ["failed"]
    assert rig.report("good").phase == "ended"


def test_a_stream_that_ends_is_closed_while_the_others_go_on():
    rig = Rig("short", "long")
    rig.one("short")
    rig.taps["short"].give(None)
    while rig.report("short").phase == "running":
        rig.one("long")
    assert rig.report("short").phase == "ended"
    rig.end()


def test_a_model_that_breaks_is_started_anew_within_three_frames(running):
    rig = running(Rig("cam", model=FakeModel(break_at=5)))
    assert see(rig, 30) == [0, 1, 2, 3, 4, 8, 9, 10, 11, 12, 16, 17, 18, 19, 20, 24, 25, 26, 27, 28]
    report = rig.report("cam")
    assert report.dropped == {"model": 10}
    assert_adds_up(report)
    assert [r.epoch for r in rig.sinks["cam"].results][::5] == [0, 1, 2, 3]
    assert any("starts anew" in notice.text for notice in report.notices)
    assert report.model == "ok"


def test_a_failure_of_the_users_code_keeps_its_traceback_in_the_log_once(running, caplog):
    def fails(step):
        if step >= 2:
            raise ZeroDivisionError("a bug in a model")

    rig = running(Rig("cam", model=FakeModel(on_step=fails)))
    see(rig, 20)
    failed = [r for r in caplog.records if "a bug in a model" in r.getMessage()]
    assert len(failed) > 2
    assert [r.exc_info is not None for r in failed] == [True] + [False] * (len(failed) - 1)
    assert caplog.text.count("Traceback") == 1 and "in fails" in caplog.text


def test_a_model_that_is_given_up_is_tried_slowly_and_comes_back(running):
    model = FakeModel(break_at=0)
    rig = running(Rig("cam", model=model))
    assert see(rig, 40) == []
    assert rig.report("cam").model == "failed"
    steps = len(model.calls)
    assert see(rig, 100) == []
    assert len(model.calls) - steps <= 3, "10 s, a try every 5 s"
    model.break_at = None
    assert see(rig, 60)[-1] == rig.taps["cam"].index - 1
    report = rig.report("cam")
    assert report.model == "ok"
    assert report.notices[-1].text == "the model works again"
    assert_adds_up(report)


def test_a_frame_that_is_no_picture_is_left_out(running):
    rig = running(Rig("cam"))
    assert see(rig, 3) == [0, 1, 2]
    rig.taps["cam"].frame(image=np.zeros((9, 9), np.uint8))
    until(lambda: settled(rig) == 4)
    assert see(rig, 1) == [4]
    report = rig.report("cam")
    assert report.dropped == {"broken": 1}
    assert "expected a (H, W, 3) uint8 picture" in report.notices[-1].text


def test_without_the_microphone_results_go_on_and_sounding_is_unknown():
    rig = Rig("cam", has_audio=True)
    tap, said = rig.taps["cam"], []
    for n in range(60):
        rig.clock.advance(33 * MS)
        if n < 30 or n >= 50:
            tap.sound(0.033)
        result = rig.one("cam")
        if result.tracks:
            said.append((n, result.audio, result.tracks[0].sounding))
    assert all(audio == "ok" and sounding > 0.5 for n, audio, sounding in said if n < 30)
    gone = [n for n, audio, _ in said if audio == "lost"]
    assert gone[0] == 29 + 13, "13 frames of 33 ms are 0.43 s"
    assert gone == list(range(gone[0], 50))
    assert {sounding for n, _, sounding in said if n in gone} == {None}
    assert said[-1][2] is not None
    rig.end()


def test_what_the_source_says_of_the_microphone_counts_at_once():
    rig = Rig("cam", has_audio=True)
    tap = rig.taps["cam"]
    for _ in range(4):
        rig.clock.advance(33 * MS)
        tap.sound(0.033)
        rig.one("cam")
    tap.give(SourceEvent("mic:usb", "audio", "reconnecting", rig.clock.now_ns(), "unplugged"))
    result = rig.one("cam")
    assert (result.audio, result.tracks[0].sounding) == ("lost", None)
    assert rig.report("cam").inputs[1].reason == "unplugged"
    assert rig.report("cam").notices[-1].text == "microphone mic:usb reconnecting: unplugged"
    rig.end()


def test_a_gap_of_the_sound_is_known_by_its_length():
    rig = Rig("cam", has_audio=True)
    tap = rig.taps["cam"]
    tap.sound(1.0)
    assert rig.one("cam").audio == "ok"
    gap = AudioGap(rig.clock.now_ns(), 50 * MS, "overflow")
    tap.give(gap)
    rig.clock.advance(60 * MS)
    tap.give(AudioChunk(np.ones(160, np.float32), rig.clock.now_ns() - 10 * MS))
    result = rig.one("cam")
    assert result.audio == "gap"
    assert result.tracks[0].sounding is not None, "the newest sound was heard"
    assert gap in rig.sinks["cam"].noticed
    rig.clock.advance(NS)
    tap.sound(1.0)
    assert rig.one("cam").audio == "ok"
    rig.end()


def test_a_sink_too_slow_for_a_live_stream_loses_its_oldest_results(running):
    gate = threading.Event()
    rig = Rig("cam")
    rig.sinks["cam"].gate = gate
    running(rig)
    assert see(rig, 20) == list(range(20)), "nobody waits for it"
    gate.set()
    lost = rig.report("cam").sink_dropped["sink-cam"]
    until(lambda: len(rig.sinks["cam"].results) + lost == 20)
    assert [r.seq for r in rig.sinks["cam"].results][-8:] == list(range(12, 20))
    assert rig.report("cam").sink_dropped["sink-cam"] in (11, 12)


def test_a_viewer_gets_what_it_can_use_and_less_under_load(running):
    class Eyes(ListSink):
        max_hz = 10.0

    eyes = Eyes("eyes", inline=True)
    rig = running(Rig("cam", sink=eyes))
    see(rig, 100, step_ms=33)
    assert len(eyes.results) == pytest.approx(33, abs=2)
    (stream,) = rig.engine._streams
    stream._sinks.limit_viewers(5.0)
    see(rig, 100, step_ms=33)
    assert len(eyes.results) == pytest.approx(33 + 17, abs=3)


def test_a_level_is_applied_and_announced(running):
    from streamavis.runtime.governor import LEVELS

    model = FakeModel()
    rig = running(Rig("cam", model=model))
    (stream,) = rig.engine._streams
    names = [level.name for level in LEVELS[1:5]]
    stream.degrade_to(LEVELS[4], names, down=True)
    answered = see(rig, 30)
    assert len(answered) == 10
    assert set(np.diff(answered)) == {3}
    assert model.calls[-1][0].shape[2] == 48, "three quarters of 64"
    report = rig.report("cam")
    assert report.degraded == names
    texts = [notice.text for notice in report.notices]
    assert "too slow to keep up, now pictures 3/4 the size" in texts
    assert_adds_up(report)
    stream.degrade_to(LEVELS[0], [], down=False)
    assert len(see(rig, 10)) == 10
    assert rig.report("cam").degraded == []


def test_a_stop_wakes_a_source_that_waits_and_closes_the_sinks():
    rig = Rig("cam", "other")
    rig.one("cam")
    rig.engine.stop()
    assert list(rig.results) == []
    assert all(tap.stopped.is_set() for tap in rig.taps.values())
    assert [r.phase for r in rig.sinks["other"].closed] == ["stopped"]
    assert_no_threads()


def test_a_wedged_source_does_not_keep_the_sinks_from_closing(monkeypatch):
    monkeypatch.setattr("streamavis.runtime.engine._LEAVE_S", 0.01)
    monkeypatch.setattr("streamavis.runtime.engine._STOP_S", 0.05)
    wake = threading.Event()

    def wedged():
        yield VideoFrame(picture(), 0, 0, "driver")
        wake.wait(60)

    sink = ListSink()
    session = Session(FakeModel(), stream="cam", has_audio=False)
    clock = ManualClock()
    engine = Engine([Feed(wedged(), session, [sink])], Policy(live=True), clock=clock)
    assert next(engine.results()).seq == 0
    until(lambda: sink.closed)
    assert [r.phase for r in sink.closed] == ["stopped"]
    assert engine.reading
    wake.set()
    engine._streams[0]._intake._thread.join(60)


def test_streams_need_names_of_their_own():
    session = Session(FakeModel(), stream="cam")
    with pytest.raises(ValueError, match="different names"):
        Engine([Feed([], session), Feed([], session)], Policy(live=True))
    with pytest.raises(ValueError, match="different names"):
        Engine([], Policy(live=True))


def test_workers_have_a_pulse(running):
    rig = running(Rig("cam"))
    see(rig, 2)
    workers = rig.report("cam").workers
    assert {"engine", "source cam", "sink sink-cam"} <= set(workers)
    assert workers["source cam"].doing == "waiting"


def test_a_pushing_source_needs_no_thread_of_the_engine_and_no_second_queue():
    class Camera:
        def __init__(self, clock):
            self.clock, self.receiver = clock, None

        def connect(self, receiver):
            self.receiver = receiver

        def frame(self, index: int) -> bool:
            return self.receiver.put(
                VideoFrame(picture((0, 10, 10, 40, 30)), self.clock.now_ns(), index, "driver")
            )

    clock, sink = ManualClock(10 * NS), ListSink()
    camera, before = Camera(clock), threading.active_count()
    session = Session(FakeModel(), stream="cam", has_audio=False, clock=clock)
    engine = Engine([Feed(camera, session, [sink])], Policy(live=True), clock=clock)
    results = engine.results()
    reader = threading.Thread(target=lambda: [None for _ in results])
    reader.start()
    until(lambda: camera.receiver)
    assert not engine.reading
    assert threading.active_count() <= before + 3, "reader, watch, sink"
    for index in range(3):
        assert camera.frame(index)
        until(lambda: engine.report.processed == index + 1)  # noqa: B023
    camera.receiver.close()
    reader.join(60)
    assert not camera.frame(3), "nothing more is wanted"
    assert engine.report.phase == "ended"
    assert engine.report.dropped == {"cancelled": 1}
    assert_adds_up(engine.report)
