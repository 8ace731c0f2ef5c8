"""The webhook: batches, retries, a bounded queue, no secrets in logs."""

from __future__ import annotations

import json
import queue
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise

import pytest
from wire_samples import EOS, FRAME, WAIT_S

from streamavis.bridges import WebhookBridge
from streamavis.bridges.webhook import _http_post
from streamavis.errors import ArgumentError

DOG = FRAME.tracks[0]
SECOND = 1_000_000_000
URL = "https://hook.example/x?token=s3cret"


class Server:
    """Answers requests with statuses that are put in, and keeps their bodies."""

    def __init__(self) -> None:
        self.statuses: queue.Queue[int | OSError] = queue.Queue()
        self.bodies: queue.Queue[list[dict]] = queue.Queue()

    def __call__(self, url: str, body: bytes, timeout_s: float) -> int:
        status = self.statuses.get(timeout=WAIT_S)
        self.bodies.put(json.loads(body)["changes"])
        if isinstance(status, OSError):
            raise status
        return status


class Pauses:
    """No waiting; how long it would have been is noted."""

    def __init__(self) -> None:
        self.seconds: queue.Queue[float] = queue.Queue()

    def __call__(self, event: threading.Event, seconds: float) -> bool:
        self.seconds.put(seconds)
        return event.is_set()


def frame(at_s: float, sounding: float):
    at_ns = round(at_s * SECOND)
    return replace(FRAME, capture_time_ns=at_ns, tracks=[replace(DOG, sounding=sounding)])


def test_changes_are_posted_the_oldest_first():
    server = Server()
    server.statuses.put(204)
    with WebhookBridge(URL, post=server, pause=Pauses()) as bridge:
        for result in (frame(0, 0.9), frame(1, 0.9), frame(3, 0.1)):
            bridge.message(result)
        bridge.message(EOS)
        got = []
        while len(got) < 4:
            got += server.bodies.get(timeout=WAIT_S)
            server.statuses.put(200)
    assert [(one["event"], one["label"], one["state"]) for one in got] == [
        ("speech", None, "off"),
        ("heard", "dog", "on"),
        ("heard", "dog", "off"),
        ("end", None, "failed"),
    ]
    assert got[1]["track_ids"] == [7]
    assert (bridge.sent, bridge.dropped) == (4, 0)


def test_what_fails_is_sent_again_ever_more_slowly_and_its_url_is_not_logged(caplog):
    server, pauses = Server(), Pauses()
    for answer in (OSError(f"cannot reach {URL}"), 503, 429, 200):
        server.statuses.put(answer)
    with WebhookBridge(URL, post=server, pause=pauses) as bridge:
        bridge.message(frame(0, 0.9))
        bodies = [server.bodies.get(timeout=WAIT_S) for _ in range(4)]
    assert all(body == bodies[0] for body in bodies)
    waits = [pauses.seconds.get(timeout=WAIT_S) for _ in range(4)][1:]
    assert waits[0] >= 1
    assert all(later > 1.5 * sooner for sooner, later in pairwise(waits))
    assert (bridge.sent, bridge.dropped) == (2, 0)
    assert "OSError; trying again" in caplog.text
    assert "s3cret" not in caplog.text
    assert caplog.text.count("trying again") == 1


def test_an_answer_that_refuses_is_final(caplog):
    server = Server()
    for status in (302, 200):
        server.statuses.put(status)
    with WebhookBridge(URL, post=server, pause=Pauses()) as bridge:
        bridge.message(frame(0, 0.9))
        server.bodies.get(timeout=WAIT_S)
        bridge.message(frame(5, 0.1))
        server.bodies.get(timeout=WAIT_S)
    assert (bridge.sent, bridge.dropped) == (1, 2)
    assert "answers 302" in caplog.text


def test_the_oldest_are_dropped_when_too_many_wait():
    server = Server()
    bridge = WebhookBridge(URL, post=server, pause=Pauses())
    for at in range(1_200):
        bridge.message(frame(2 * at, 0.9 * (at % 2)))
    server.statuses.put(400)
    assert len(server.bodies.get(timeout=WAIT_S)) <= 100
    for _ in range(20):
        server.statuses.put(200)
    bridge.close()
    assert bridge.sent + bridge.dropped == 1 + 1_200
    assert bridge.dropped >= 201


@pytest.mark.parametrize("url", ["", "ftp://host/x", "https://", "host/x"])
def test_what_is_no_url(url):
    with pytest.raises(ArgumentError, match="no URL of a web server"):
        WebhookBridge(url)


def test_over_http_and_redirects_are_not_followed():
    got: queue.Queue[tuple[str, str, bytes]] = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.put((self.path, self.headers["Content-Type"], body))
            self.send_response(302 if self.path == "/moved" else 200)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *words: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}"
        assert _http_post(f"{base}/hook", b"{}", WAIT_S) == 200
        assert _http_post(f"{base}/moved", b"{}", WAIT_S) == 302
        server.shutdown()
    assert got.get_nowait() == ("/hook", "application/json", b"{}")
    assert got.get_nowait()[0] == "/moved"
    assert got.empty()
