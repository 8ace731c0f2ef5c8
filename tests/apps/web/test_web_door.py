"""Connections of the web server: silent, slow, too many; malformed requests; guessed tokens."""

from __future__ import annotations

import asyncio
import logging
import socket
from urllib.parse import urlsplit

import pytest
from aiohttp.test_utils import TestClient, TestServer
from streamavis_apps.web import door
from streamavis_apps.web.guard import GUESS_WAIT_S, GUESSES, Guard
from streamavis_apps.web.server import Server
from streamavis_apps.web.settings import Controls
from streamavis_apps.web.web_view import WebView

TOKEN = "correct-horse-battery-staple"
WAIT_S = 60.0
GET = "GET / HTTP/1.1\r\nConnection: close\r\n"


@pytest.fixture
def view():
    with WebView(port=0, token=TOKEN) as view:
        yield view


def connected(view: WebView) -> socket.socket:
    return socket.create_connection(("127.0.0.1", urlsplit(view.url).port), timeout=WAIT_S)


def told(connection: socket.socket) -> bytes:
    """Everything until the server closes."""
    got = b""
    try:
        while part := connection.recv(65_536):
            got += part
    except ConnectionError:
        pass
    finally:
        connection.close()
    return got


def answer(view: WebView, request: str) -> bytes:
    connection = connected(view)
    connection.sendall(request.encode("latin-1"))
    return told(connection)


def page(view: WebView) -> bytes:
    host = f"Host: 127.0.0.1:{urlsplit(view.url).port}\r\n"
    return answer(view, f"{GET}{host}Authorization: Bearer {TOKEN}\r\n\r\n")


HERE = "Host: 127.0.0.1:8765\r\n"
SOCKET = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ("Host: [\r\n", 421),
        ("Host: [::1\r\n", 421),
        ("Host: 127.0.0.1:abc\r\n", 421),
        ("Host: 127.0.0.1:99999\r\n", 421),
        ("Host: 127.0.0.1:-1\r\n", 421),
        ("Host: x;script-src * @127.0.0.1\r\n", 421),
        ("Host: \xff\xfe\r\n", 421),
        ("", 400),
        (HERE + "Authorization: Bearer \xff\xfe\r\n", 401),
        (HERE + "Cookie: streamavis-8765=\xff\xfe\r\n", 401),
        (HERE + SOCKET + "Origin: http://[\r\n", 403),
        (HERE + SOCKET + "Origin: \xff\r\n", 403),
        (HERE + "A: " + "b" * 20_000 + "\r\n", 400),
        ("not a header\r\n", 400),
    ],
)
def test_what_is_malformed_is_refused_quietly_and_with_the_headers(view, caplog, lines, status):
    got = answer(view, GET + lines + "\r\n")
    assert got.split(maxsplit=2)[1] == b"%d" % status, got[:200]
    assert b"Content-Security-Policy: default-src 'none'" in got
    assert b"script-src *" not in got
    assert caplog.text == ""


@pytest.mark.parametrize("path", ["/?token=%ff%fe", "/?token=%ed%a0%80", "/nowhere"])
def test_a_path_or_query_of_a_stranger_is_no_error_of_ours(view, caplog, path):
    got = answer(view, GET.replace("/ ", path + " ") + HERE + "\r\n")
    assert got.startswith(b"HTTP/1.1 401")
    assert caplog.text == ""


def test_a_page_that_does_not_exist_has_the_headers_too(view):
    request = GET.replace("/ ", "/nowhere ") + HERE + f"Authorization: Bearer {TOKEN}\r\n\r\n"
    got = answer(view, request)
    assert got.startswith(b"HTTP/1.1 404")
    assert b"frame-ancestors 'none'" in got


def test_silent_connections_leave_for_a_client(view, caplog):
    silent = [connected(view) for _ in range(60)]
    assert page(view).startswith(b"HTTP/1.1 200")
    closed = [told(each) for each in silent[: 60 - 32 + 1]]
    assert set(closed) == {b""}
    lines = [r.getMessage() for r in caplog.records]
    assert lines == ["web viewer: 127.0.0.1 opens connections, sends no requests"]
    for each in silent:
        each.close()


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("HEAD_S", b""),
        ("HEAD_S", b"GET / HTTP/1.1\r\nHost: 127"),
        ("PLAIN_S", b"GET / HTTP/1.1\r\nHost: 127"),
        ("PLAIN_S", b"PUT /api/settings HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{"),
    ],
)
def test_a_connection_that_never_ends_its_request_is_closed(monkeypatch, name, sent):
    for limit in ("HEAD_S", "PLAIN_S"):
        monkeypatch.setattr(door, limit, 0.05 if limit == name else 1e6)
    with WebView(port=0, token=TOKEN) as view:
        connection = connected(view)
        connection.sendall(sent)
        told(connection)  # returns: it was closed


def test_without_descriptors_to_spare_a_connection_is_refused(view, caplog, monkeypatch):
    monkeypatch.setattr(door, "scarce", lambda descriptor: True)
    for _ in range(20):
        assert page(view) == b""
    monkeypatch.undo()
    assert page(view).startswith(b"HTTP/1.1 200")
    (record,) = caplog.records
    assert "too few descriptors" in record.getMessage()


def test_an_error_of_ours_is_logged_once_a_minute(caplog):
    with WebView(port=0, token=TOKEN) as view:

        async def broken(*_):
            raise RuntimeError("oops")

        view._server.app._router._frozen = False
        view._server.app._router.add_get("/broken", broken)
        request = GET.replace("/ ", "/broken ") + HERE + f"Authorization: Bearer {TOKEN}\r\n\r\n"
        for _ in range(5):
            got = answer(view, request)
            assert got.startswith(b"HTTP/1.1 500")
            assert b"Content-Security-Policy" in got
    (record,) = caplog.records
    assert record.exc_info is not None


def test_wrong_tokens_are_slowed_and_told_once_and_the_right_one_is_not(caplog):
    waits = []

    async def pause(wait_s):
        waits.append(wait_s)

    async def run():
        server = Server(Guard(TOKEN, pause=pause), Controls(), {}, None)
        async with TestClient(TestServer(server.app)) as client:
            for _ in range(GUESSES + 20):
                wrong = {"Authorization": "Bearer wrong-horse-battery-staple"}
                async with client.get("/", headers=wrong) as response:
                    assert response.status == 401
            before = len(waits)
            async with client.get("/", headers={"Authorization": f"Bearer {TOKEN}"}) as response:
                assert response.status == 200
            async with client.get("/") as response:
                assert response.status == 401, "no token is no guess"
            assert len(waits) == before

    with caplog.at_level(logging.WARNING, "streamavis_apps"):
        asyncio.run(asyncio.wait_for(run(), WAIT_S))
    assert set(waits) == {GUESS_WAIT_S}
    assert 18 <= len(waits) <= 20
    assert len(caplog.records) == 1
