"""The page in real Chromium, as a visitor uses it: no server of ours is faked."""

import re

import numpy as np
import pytest
from runtime_fakes import CLASSES
from streamavis_apps.web.web_view import WebView
from web_rig import HELLO, SIZE, shot, track, until

from streamavis.status import EngineReport
from streamavis.types import SAMPLE_RATE, AudioChunk, AudioGap, Heard, SourceEvent
from streamavis.viz import colour_of

pytestmark = pytest.mark.browser

RED = track(1, (10, 10, 40, 30), sounding=0.9)
GREEN = track(2, (100, 50, 30, 30), label=CLASSES[1], sounding=0.1)


def objects(page):
    """What the list of objects in view says: label and id -> state."""
    rows = """() => Object.fromEntries([...document.querySelectorAll("#objects li:not(.gone)")].map(
        (row) => [row.querySelector(".name").textContent, row.dataset.state]))"""
    return page.evaluate(rows)


def pixel(page, x, y):
    """Colour of a point of the picture as drawn, in pixels of the source."""
    return page.evaluate(
        """([x, y, width]) => {
            const canvas = document.getElementById("picture");
            const scale = Math.min(canvas.width / width, canvas.height / (width * 9 / 16));
            const left = (canvas.width - width * scale) / 2;
            const top = (canvas.height - width * 9 / 16 * scale) / 2;
            const place = [left + x * scale, top + y * scale, 1, 1];
            return Array.from(canvas.getContext("2d").getImageData(...place).data.slice(0, 3));
        }""",
        [x, y, SIZE[1]],
    )


def test_a_visitor_sees_picture_masks_and_who_sounds(view, visit):
    sink = view.sink("cam", HELLO)
    page = visit(view.url)
    page.get_by_text("Waiting for the first picture").wait_for()
    sink.write(*shot(1, RED, GREEN))
    page.locator("#overlay").wait_for(state="hidden")
    until(lambda: objects(page), "the list of objects")
    assert objects(page) == {"red thing 1": "sounding", "green thing 2": "silent"}
    label = page.get_by_role("img", name="Picture with").get_attribute("aria-label")
    assert "sounding: red thing 1" in label
    assert page.locator("#phase").text_content() == "live"
    # Inside its mask the object wears its own colour, outside the picture is as it was.
    page.emulate_media(reduced_motion="reduce")
    inside = until(lambda: pixel(page, 20, 20), "a pixel")
    tint = np.array(colour_of(1)) - (254, 0, 0)
    assert np.dot(np.array(inside) - (254, 0, 0), tint) > 0.15 * np.dot(tint, tint)
    assert max(pixel(page, 150, 5)) < 40
    page.keyboard.press("m")
    until(lambda: np.abs(np.array(pixel(page, 20, 20)) - (254, 0, 0)).max() < 16, "no masks")


def test_sounding_follows_result_for_result(view, visit):
    """Each result is on the page before the next is made: object and time cannot be mixed up."""
    sink = view.sink("cam", HELLO)
    page = visit(view.url)
    page.locator("#overlay").wait_for()
    draw = np.random.default_rng(5)
    for seq in range(1, 25):
        loud, unknown = draw.random(2) < 0.5
        levels = [0.9 if loud else 0.2, 0.2 if loud else 0.9]
        if unknown and seq % 3 == 0:
            levels = [None, None]
        red, green = (
            track(n + 1, (10 + 90 * n, 2 * seq, 30, 30), label=CLASSES[n], sounding=level)
            for n, level in enumerate(levels)
        )
        sink.write(*shot(seq, red, green))
        page.locator(f'#picture[data-seq="{seq}"]').wait_for()
        states = {None: "unknown", 0.9: "sounding", 0.2: "silent"}
        expected = {"red thing 1": states[levels[0]], "green thing 2": states[levels[1]]}
        assert objects(page) == expected


def test_what_is_heard_is_shown(view, visit):
    sink = view.sink("cam", HELLO)
    page = visit(view.url)
    sink.write(*shot(1, RED))
    page.locator("#overlay").wait_for(state="hidden")
    time_s = np.arange(SAMPLE_RATE // 2) / SAMPLE_RATE
    tone = (0.5 * np.sin(2 * np.pi * 2000 * time_s)).astype(np.float32)
    sink.notice(Heard(200_000_000, (0.97, 0.1, 0.3)))
    sink.write(*shot(2, RED))
    sink.notice(AudioChunk(tone, 0))
    page.get_by_text("\u22129 dBFS").wait_for()
    heard = page.get_by_role("list", name="Detected audio classes").locator("li")
    assert heard.all_text_contents() == ["red thing97 %", "blue thing30 %", "green thing10 %"]
    assert page.get_by_role("meter", name="Sound level").get_attribute("aria-valuenow") == "-9"
    bright = """() => {
        const canvas = document.getElementById("spectrum");
        const [at, tall] = [canvas.width - 4, canvas.height];
        const column = canvas.getContext("2d").getImageData(at, 0, 1, tall).data;
        const rows = Array.from({length: tall}, (_, y) => column[4 * y]);
        return 1 - rows.indexOf(Math.max(...rows)) / tall;
    }"""
    mel = 1127 * np.log1p(np.array([125, 7500, 2000]) / 700)
    place = (mel[2] - mel[0]) / (mel[1] - mel[0])
    until(lambda: abs(page.evaluate(bright) - place) < 0.08, "the tone in the spectrum")


def test_states_events_and_latencies_are_told(view, visit):
    stage = {
        "count": 9,
        "mean_ms": 50.0,
        "p50_ms": 51.0,
        "p95_ms": 72.0,
        "p99_ms": 80.0,
        "max_ms": 99.0,
    }
    report = EngineReport("running", 12, 10, {"stale": 2}, {"model": stage, "total": stage}, 1.0, 1)
    sink = view.sink("cam", HELLO)
    sink.start(lambda: report)
    page = visit(view.url)
    frame, result = shot(1, track(1, (10, 10, 40, 30), sounding=None))
    result.audio = "lost"
    sink.write(frame, result)
    page.get_by_role("alert").get_by_text("The microphone is lost: sounding is unknown").wait_for()
    page.get_by_text("2 stale").wait_for()
    row = page.get_by_role("row", name="model")
    assert row.get_by_role("cell").all_text_contents() == ["", "51", "72"]
    sink.notice(SourceEvent("camera:0", "video", "reconnecting", 0, "it was unplugged"))
    page.get_by_text("camera camera:0 reconnecting: it was unplugged").wait_for()
    sink.notice(AudioGap(0, 120_000_000, "overflow"))
    page.get_by_text("120 ms of sound lost: overflow").wait_for()
    sink.close(EngineReport("ended", 12, 10, {"stale": 2}, {}, 1.0, 1))
    page.locator("#overlay-text").get_by_text("The stream has ended.").wait_for()
    assert page.locator("#phase").text_content() == "ended"


def test_settings_act_and_every_viewer_is_told(view, visit):
    sink = view.sink("cam", HELLO)
    sink.write(*shot(1, RED, GREEN))
    mine, theirs = visit(view.url), visit(view.url)
    for page in (mine, theirs):
        until(lambda p=page: len(objects(p)) == 2, "both objects")
    mine.get_by_role("checkbox", name="green thing").press("Space")
    for page in (mine, theirs):
        until(lambda p=page: list(objects(p)) == ["red thing 1"], "the hidden class to go")
    assert not theirs.get_by_role("checkbox", name="green thing").is_checked()
    slider = mine.get_by_role("slider", name="Sounding threshold")
    slider.focus()
    mine.keyboard.press("End")
    until(lambda: view.controls.settings.sounding_from == 1.0, "the threshold at the server")
    sink.write(*shot(2, RED))
    for page in (mine, theirs):
        until(lambda p=page: objects(p).get("red thing 1") == "silent", "the threshold to act")
    mine.get_by_role("slider", name="Frame stride").fill("4")
    until(lambda: view.controls.stride() == 4, "the stride at the engine")
    theirs.get_by_text("1 of 4 frames").wait_for()
    theirs.get_by_role("button", name="Back to the defaults").click()
    mine.get_by_text("every frame").wait_for()
    until(lambda: len(objects(mine)) == 1, "the newest picture again")


def test_the_page_comes_back_after_the_server_restarts(visit):
    view = WebView(port=0)
    port = int(view.url.rstrip("/").rpartition(":")[2])
    view.sink("cam", HELLO).write(*shot(7, RED, boot_id="one"))
    page = visit(view.url)
    page.locator('#picture[data-seq="7"]').wait_for()
    view.close()
    page.get_by_text("The connection is lost. Trying again").wait_for()
    with WebView(port=port) as again:
        again.sink("cam", HELLO).write(*shot(3, GREEN, boot_id="two"))
        page.locator('#picture[data-seq="3"]').wait_for()
        page.locator("#overlay").wait_for(state="hidden")
        assert list(objects(page)) == ["green thing 2"]


def test_a_stranger_is_refused_and_the_link_lets_in(visit, browser):
    with WebView(port=0, token="correct-horse-battery-staple") as view:
        view.sink("cam", HELLO).write(*shot(1, RED))
        plain, _, _ = view.url.partition("?")
        stranger = visit(plain)
        stranger.get_by_text("This viewer opens with its link").wait_for()
        assert stranger.locator("canvas").count() == 0
        said = stranger.evaluate(
            """() => new Promise((done) => {
                const socket = new WebSocket(location.href.replace("http", "ws") + "view");
                socket.onopen = () => done("open");
                socket.onerror = () => done("refused");
            })"""
        )
        assert said == "refused"
        friend = visit(view.url)
        friend.locator('#picture[data-seq="1"]').wait_for()
        assert friend.url == plain  # the token does not stay in the address bar
        assert friend.evaluate("document.cookie") == ""


def test_after_a_restart_with_another_token_the_page_says_so(visit):
    view = WebView(port=0, token="correct-horse-battery-staple")
    port = int(re.search(r":(\d+)/", view.url)[1])
    view.sink("cam", HELLO).write(*shot(1, RED))
    page = visit(view.url)
    page.locator('#picture[data-seq="1"]').wait_for()
    view.close()
    with WebView(port=port, token="another-horse-battery-staple"):
        page.get_by_text("This page needs the link that StreamAVIS printed").wait_for()


def test_everything_works_from_the_keyboard(view, visit):
    sink = view.sink("cam", HELLO)
    sink.write(*shot(1, RED))
    page = visit(view.url)
    page.locator('#picture[data-seq="1"]').wait_for()
    page.keyboard.press("Space")
    page.get_by_text("paused", exact=True).wait_for()
    sink.write(*shot(2, RED))
    sink.write(*shot(3, RED))
    page.keyboard.press("Space")
    sink.write(*shot(4, RED))
    page.locator('#picture[data-seq="4"]').wait_for()
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Legend and keys").wait_for()
    page.keyboard.press("Escape")
    page.locator("#keys").wait_for(state="hidden")
    # The focus leaves a closed dialog only when the page is next drawn: a key may come before.
    with page.expect_download() as download:
        page.evaluate(
            """() => {
                const dialog = document.getElementById("keys");
                dialog.showModal();
                dialog.close();
                const key = new KeyboardEvent("keydown", { key: "s", bubbles: true });
                dialog.querySelector("button").dispatchEvent(key);
            }"""
        )
    assert download.value.suggested_filename.endswith(".png")
    reached = set()
    page.evaluate("document.activeElement.blur()")
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.value"))
    assert {
        "pause",
        "masks",
        "save",
        "full",
        "help",
        "sounding-from",
        "score-from",
        "stride",
    } <= reached
    assert {*CLASSES, "reset", "events"} <= reached


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(view, visit, scheme):
    view.sink("cam", HELLO).write(*shot(1, RED, GREEN))
    page = visit(
        view.url,
        viewport={"width": 360, "height": 740},
        color_scheme=scheme,
        reduced_motion="reduce",
    )
    page.locator('#picture[data-seq="1"]').wait_for()
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 360
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, canvas, [role=meter]")]
            .filter((e) => !e.textContent.trim() && !e.getAttribute("aria-label"))
            .filter((e) => !e.labels?.length)
            .map((e) => e.outerHTML)"""
    )
    assert unnamed == []


def test_a_slow_page_holds_up_nobody(view, visit):
    sink = view.sink("cam", HELLO)
    slow, quick = visit(view.url), visit(view.url)
    for page in (slow, quick):
        page.get_by_text("Waiting for the first picture").wait_for()
    slow.evaluate("() => { createImageBitmap = () => new Promise(() => {}); }")  # never done
    for seq in range(1, 30):
        sink.write(*shot(seq, RED))
        quick.locator(f'#picture[data-seq="{seq}"]').wait_for()
    assert slow.locator("#picture").get_attribute("data-seq") is None
