"""Bearings on their way through a live engine: the newest one that ends before the frame."""

from __future__ import annotations

from runtime_fakes import NS, FakeModel, ListSink, Tap, until

from streamavis.bearing import Geometry, MicArray
from streamavis.clock import ManualClock
from streamavis.runtime.engine import Engine, Feed, Policy
from streamavis.session import Session
from streamavis.types import SoundBearing, SourceEvent

MS = 1_000_000


def test_a_live_frame_has_the_sound_that_ended_before_it_and_its_wall_time():
    clock = ManualClock(20 * NS)
    tap, sink = Tap(clock, has_audio=True), ListSink()
    session = Session(FakeModel(), stream="cam", has_audio=True, clock=clock)
    geometry = Geometry(hfov_deg=70, array=MicArray.stereo(0.1), frame_id="camera")
    feed = Feed(tap, session, [sink], geometry=geometry)
    engine = Engine([feed], Policy(live=True), clock=clock, wall_clock=lambda: 1_700_000_000.5)
    results = engine.results()
    # The red box of the tap is left of the middle, 29.5 of 160 pixels from the left.
    tap.give(SoundBearing(clock.now_ns() - 100 * MS, -28.0, 0.9))
    tap.give(SoundBearing(clock.now_ns() + 10 * MS, 50.0, 0.9))
    tap.frame(capture_time_ns=clock.now_ns() - 60 * MS)
    first = next(results)
    assert first.sound_bearing is not None
    assert first.sound_bearing.azimuth == -28.0, "the other one ends after the picture"
    assert first.capture_wall_time == 1_700_000_000.5 - 0.06
    assert first.frame_id == "camera"
    clock.advance(100 * MS)
    tap.frame()
    second = next(results)
    assert second.sound_bearing.azimuth == 50.0
    red = next(track for track in second.tracks if track.label == "red thing")
    assert red.bearing[0] < -20
    assert red.bearing_agrees is False
    clock.advance(700 * MS)
    tap.frame()
    third = next(results)
    assert third.sound_bearing.azimuth is None, "too long ago to say where it comes from now"
    assert {track.bearing_agrees for track in third.tracks} == {None}
    tap.give(SourceEvent("mic:bar", "audio", "running", clock.now_ns(), "channel 2 is silent"))
    until(lambda: any("channel 2 is silent" in n.text for n in engine.report.notices))
    tap.give(None)
    assert list(results) == []
