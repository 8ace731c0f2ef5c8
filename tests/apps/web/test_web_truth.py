"""The page says what is true: of dead cameras, visitors who leave, recordings that end."""

import re
import time
from dataclasses import asdict

import numpy as np
import pytest
from runtime_fakes import CLASSES
from streamavis_apps.web.browser import BrowserSource
from streamavis_apps.web.feed import Begin
from streamavis_apps.web.playback import Playback
from streamavis_apps.web.web_view import WebView
from web_rig import HELLO, REPORT, shot, track, until

from streamavis import words
from streamavis.clock import MonotonicClock
from streamavis.status import EngineReport
from streamavis.types import SAMPLE_RATE, AudioChunk, Heard, InputStatus, SoundBearing, Stage

pytestmark = pytest.mark.browser

RED = track(1, (10, 10, 40, 30), sounding=0.9)
GREEN = track(2, (100, 50, 30, 30), label=CLASSES[1], sounding=0.1)
PHONE = {"width": 360, "height": 740}
ZOOMED = {"width": 640, "height": 360}  # 1280x720 at 200 %, as the page sees it


def report(**changes):
    return EngineReport("running", 1, 1, {}, {}, 1.0, 1, **changes)


def phase(page, word):
    page.locator("#phase", has_text=word).wait_for()


def test_a_camera_that_is_killed_is_not_live_and_its_picture_is_veiled_and_dated(view, visit):
    sink, now = view.sink("cam", HELLO), {"report": report(audio="ok", video="ok")}
    sink.start(lambda: now["report"])
    page = visit(view.url)
    sink.write(*shot(1, RED))
    page.locator('#picture[data-seq="1"]').wait_for()
    unplugged = InputStatus("camera:0", "video", "reconnecting", 0, "it was unplugged")
    dead = {"source": "reconnecting", "video": "lost", "audio": "ok", "inputs": [unplugged]}
    now["report"] = report(**dead)
    phase(page, "reconnecting")
    page.get_by_text("The camera is lost").wait_for()
    page.get_by_text("it was unplugged").first.wait_for()
    page.locator("#overlay-date").get_by_text("s ago").wait_for()
    late = visit(view.url)  # who comes now is not told that it is live either
    late.locator('#picture[data-seq="1"]').wait_for()
    phase(late, "reconnecting")
    late.locator("#overlay-date").get_by_text("s ago").wait_for()
    now["report"] = report(audio="ok", video="ok")
    for seq in (2, 3):
        sink.write(*shot(seq, RED))
    phase(page, "live")
    page.locator("#overlay").wait_for(state="hidden")


def test_pictures_that_stop_without_a_word_are_not_live(view, visit):
    sink = view.sink("cam", HELLO)
    sink.start(lambda: report(audio="ok", video="ok"))
    sink.write(*shot(1, RED))
    page = visit(view.url)
    phase(page, "no new picture")
    page.locator("#overlay-date").get_by_text("s ago").wait_for()


def lent_picture(capture, seq, *tracks):
    """A picture that a visitor sent just now."""
    frame, result = shot(seq, *tracks)
    frame.stamps[str(Stage.RECEIVE)] = capture.clock.now_ns()
    return frame, result


def test_the_picture_leaves_with_the_visitor_who_lent_the_camera(visit):
    source = BrowserSource()
    with WebView(port=0, source=source) as view:
        sink = view.sink("cam", HELLO, shared=True)
        sink.start(lambda: report(audio="ok", video="ok"))
        capture = source.capture(MonotonicClock())
        page = visit(view.url)
        page.evaluate(
            """() => new Promise((done) => {
                window.lender = new WebSocket(location.href.replace("http", "ws") + "feed");
                lender.onmessage = done;
                const begin = { kind: "begin", camera: "c", microphone: null };
                lender.onopen = () => lender.send(JSON.stringify(begin));
            })"""
        )
        sink.write(*lent_picture(capture, 1, RED))
        page.locator('#picture[data-seq="1"]').wait_for()
        page.evaluate("lender.close()")
        page.locator("#share").wait_for()
        assert page.locator("#picture").get_attribute("data-seq") is None
        assert page.locator("#objects li").count() == 0
        # One that was still on its way through the engine comes too late.
        frame, result = shot(2, RED)
        frame.stamps[str(Stage.RECEIVE)] = 0
        sink.write(frame, result)
        next_visitor = visit(view.url)
        next_visitor.locator("#share").wait_for()
        next_visitor.get_by_text("This server uses the camera of a browser").wait_for()
        assert next_visitor.locator("#picture").get_attribute("data-seq") is None
        assert "nothing" in next_visitor.locator("#timeline").get_attribute("aria-label").lower()


def test_a_lent_picture_is_shown_while_its_lender_is_there_and_no_longer():
    source = BrowserSource()
    capture = source.capture(MonotonicClock())
    frame, _ = lent_picture(capture, 1)
    assert not source.admits(frame), "nobody lends"
    source.begin(Begin("c", None))
    assert not source.admits(frame), "of the visitor before"
    assert source.admits(lent_picture(capture, 2)[0])
    source.end("left")
    assert not source.admits(lent_picture(capture, 3)[0])


def test_a_recording_says_replay_and_ended_and_plays_again(view, visit):
    playback = Playback(12.0, seekable=True)
    sink = view.sink("clip", HELLO, playback=playback)
    sink.start(lambda: REPORT)
    page = visit(view.url)
    frame, result = shot(20, RED)
    result.stamps = {"capture": time.monotonic_ns() - 80_000_000}
    sink.write(frame, result)
    phase(page, "replay")
    page.get_by_text("behind by").first.wait_for()
    page.locator("#seek-text", has_text="0:02.0 of 0:12.0").wait_for()
    until(lambda: page.locator("#lag").text_content().endswith("ms"), "how late it is")
    sink.close(EngineReport("ended", 1, 1, {}, {}, 1.0, 1))
    phase(page, "ended")
    page.get_by_role("button", name="Play again").click()
    until(lambda: playback.pending, "the wish at the server")
    assert playback.next(True, 0) == 0.0
    page.get_by_role("slider", name="Position in the recording").fill("7.5")
    until(lambda: playback.pending, "the place at the server")
    assert playback.next(True, 0) == 7.5
    page.get_by_role("checkbox", name="loop").check()
    until(lambda: playback.loop, "the loop at the server")
    again = view.sink("clip", HELLO, playback=playback)
    again.start(lambda: REPORT)
    again.write(*shot(75, RED, boot_id="again"))
    phase(page, "replay")
    page.locator("#seek-text", has_text="0:07.5").wait_for()


def test_a_recording_that_ended_with_its_program_is_ended_not_lost(visit):
    view = WebView(port=0)
    sink = view.sink("clip", HELLO, playback=Playback(12.0, seekable=True))
    sink.write(*shot(1, RED))
    page = visit(view.url)
    page.locator('#picture[data-seq="1"]').wait_for()
    sink.close(EngineReport("ended", 1, 1, {}, {}, 1.0, 1))
    phase(page, "ended")
    view.close()
    page.get_by_text("The program on the server has ended too").wait_for()
    phase(page, "ended")
    assert page.get_by_role("button", name="Play again").count() == 0


def test_what_is_not_heard_is_unknown_and_never_0_percent(view, visit):
    sink, now = view.sink("cam", HELLO), {"audio": "ok"}
    sink.start(lambda: report(audio=now["audio"], video="ok"))
    page = visit(view.url)
    silence = AudioChunk(np.zeros(1600, np.float32), 0)
    states = {"gap": "sound with gaps", "lost": "microphone lost", "absent": "no microphone"}
    for seq, (now["audio"], said) in enumerate(states.items(), 1):
        frame, result = shot(seq, RED)
        result.audio = now["audio"]
        sink.notice(Heard(result.capture_time_ns, (0.0, 0.0, 0.0)))
        sink.write(frame, result)
        sink.notice(silence)
        page.get_by_text(f"{said}: audio classes unknown").wait_for()
        assert page.locator("#heard li").count() == 0
    now["audio"] = "ok"
    sink.notice(Heard(400_000_000, (0.0, 0.0, 0.0)))
    sink.write(*shot(4, RED))
    until(
        lambda: sink.notice(silence) or page.get_by_text("none of its classes").count(), "silence"
    )


def test_small_screens_reach_legend_model_and_everything_that_is_pressed(view, visit):
    view.sink("cam", HELLO).write(*shot(1))
    page = visit(view.url, viewport=PHONE)
    page.locator('#picture[data-seq="1"]').wait_for()
    page.get_by_text("none of the classes of fake is in view").wait_for()
    dialog = page.get_by_role("dialog", name="Legend and keys")
    for size in (PHONE, ZOOMED):
        page.set_viewport_size(size)
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        page.get_by_role("button", name="Legend and keys").click()
        dialog.get_by_text(f"fake detects: {', '.join(CLASSES)}").scroll_into_view_if_needed()
        box = dialog.bounding_box()
        assert box["y"] >= 0 and box["y"] + box["height"] <= size["height"]
        assert dialog.evaluate("(e) => e.scrollWidth <= e.clientWidth")
        dialog.get_by_role("button", name="Close").click()
        outside = page.evaluate(
            """() => [...document.querySelectorAll("button, input")].filter((e) => {
                const box = e.getBoundingClientRect();
                return box.width && (box.left < 0 || box.right > innerWidth);
            }).map((e) => e.id)"""
        )
        assert outside == []


def test_the_last_minute_is_there_after_a_reload(view, visit):
    sink = view.sink("cam", HELLO)
    for seq in range(1, 40):
        sink.write(*shot(seq, RED, GREEN))
    page = visit(view.url)
    page.locator('#picture[data-seq="39"]').wait_for()
    said = page.locator("#timeline").get_attribute("aria-label")
    seconds = re.findall(r"(\w+ thing \d) (\S+) s", said)
    assert [name for name, _ in seconds] == ["red thing 1", "green thing 2"], said
    assert float(seconds[0][1]) > 3 and float(seconds[1][1]) == 0, said


def test_the_sound_is_played_and_recorded_with_the_picture(view, visit):
    sink = view.sink("cam", HELLO)
    page = visit(view.url)
    sink.write(*shot(1, RED))
    page.locator('#picture[data-seq="1"]').wait_for()
    page.keyboard.press("l")
    page.evaluate(
        """async () => {
            const { Player } = await import("/static/player.js");
            window.heard = [];
            const { hear } = Player.prototype;
            Player.prototype.hear = function (time, samples) {
                heard.push([time, samples.length, Math.max(...samples)]);
                hear.call(this, time, samples);
            };
        }"""
    )
    tone = (0.5 * np.sin(np.arange(SAMPLE_RATE // 10) / 5)).astype(np.float32)
    seq = iter(range(2, 10_000))

    def played():
        n = next(seq)
        sink.notice(AudioChunk(tone, n * 100_000_000))
        sink.write(*shot(n, RED))
        return page.evaluate("heard")

    time_s, count, loudest = until(played, "sound")[0]
    assert count == len(tone) and loudest == pytest.approx(16_384, abs=200)
    assert time_s == pytest.approx(round(10 * time_s) / 10)
    page.keyboard.press("r")
    page.locator('#record[aria-pressed="true"]').wait_for()
    for _ in range(5):
        played()
    with page.expect_download() as download:
        page.keyboard.press("r")
    assert download.value.suggested_filename.endswith((".webm", ".mp4"))
    assert download.value.path().stat().st_size > 1000


def test_several_cameras_are_a_grid_and_a_click_brings_one_into_focus(view, visit):
    sinks = [view.sink(name, HELLO) for name in ("door", "yard")]
    sinks[1].start(lambda: report(source="failed", video="lost", audio="ok"))
    sinks[0].start(lambda: report(video="ok", audio="ok"))
    for n, sink in enumerate(sinks):
        sink.write(*shot(n + 1, RED))
    page = visit(view.url)
    for n, name in enumerate(("door", "yard")):
        page.locator(f'.tile[data-stream="{name}"] canvas[data-seq="{n + 1}"]').wait_for()
    page.locator('.tile[data-stream="yard"] .pill', has_text="failed").wait_for()
    page.locator('.tile[data-stream="yard"] .overlay-text').get_by_text("s ago").wait_for()
    page.locator('.tile[data-stream="yard"]').click()
    page.locator('#picture[data-seq="2"]').wait_for()
    phase(page, "failed")
    assert page.locator("#stream").input_value() == "yard"
    page.keyboard.press("g")
    page.locator('.tile[data-stream="yard"] canvas[data-seq="2"]').wait_for()


def test_the_latency_is_from_the_camera_to_this_screen(view, visit):
    sink = view.sink("cam", HELLO)
    page = visit(view.url)
    seq = iter(range(1, 10_000))

    def told():
        frame, result = shot(next(seq), RED)
        result.stamps = {"capture": time.monotonic_ns() - 3_000_000_000}
        sink.write(frame, result)
        return page.locator("#lag").text_content()

    # Three seconds before the server had it, and what the page needed: never less.
    lag = until(lambda: (said := told()).endswith(" s") and said, "the latency")
    assert float(lag.removesuffix(" s")) >= 2.9


def test_the_page_writes_as_window_and_terminal_do(view, visit):
    shares = [None, 0, 0.004, 0.125, 0.5, 0.994, 0.995, 1]
    levels = [None, -90.0, -31.5, -0.4, 0]
    delays = [0, 0.4, 61.5, 999, 1840.0, 61_234]
    places = [0, 5.04, 59.96, 65.24, 3601]
    states = [(audio, live) for audio in ("ok", "gap", "lost", "absent") for live in (True, False)]
    sounding = [None, 0.2, 0.5, 0.87]
    directions = [
        None,
        *(SoundBearing(0, azimuth, 0.9) for azimuth in (None, -2.0, 23.5, -41.4, 179.6)),
    ]
    ours = {
        "names": words.name_of("dog", 3),
        "shares": [words.percent(share) for share in shares],
        "levels": [words.level(level) for level in levels],
        "delays": [words.delay(ms) for ms in delays],
        "places": [words.clock_time(place) for place in places],
        "states": [words.sound_state(audio, live=live) for audio, live in states],
        "sounding": [words.sounding_words(track(1, RED.box, sounding=p)) for p in sounding],
        "directions": [words.direction(one) for one in directions],
        "detects": words.detects("nano", CLASSES),
        "none": words.none_in_view("nano"),
    }
    theirs = visit(view.url).evaluate(
        """async ([shares, levels, delays, places, states, sounding, directions, classes]) => {
            const words = await import("/static/words.js");
            return {
                names: words.nameOf("dog", 3),
                shares: shares.map((share) => words.percent(share)),
                levels: levels.map((level) => words.level(level)),
                delays: delays.map((ms) => words.delay(ms)),
                places: places.map((place) => words.clockTime(place)),
                states: states.map(([audio, live]) => words.soundState(audio, live)),
                sounding: sounding.map((p) => words.soundingWords({ sounding: p })),
                directions: directions.map((one) => words.direction(one)),
                detects: words.detects("nano", classes),
                none: words.noneInView("nano"),
            };
        }""",
        [
            shares,
            levels,
            delays,
            places,
            states,
            sounding,
            [None if one is None else asdict(one) for one in directions],
            list(CLASSES),
        ],
    )
    assert theirs == ours
