"""Who gets in: token, Host, Origin. The same for pages, WebSockets and the API."""

import asyncio
import socket

import pytest
from aiohttp import ClientSession, CookieJar, WSServerHandshakeError
from aiohttp.test_utils import TestClient, TestServer
from streamavis_apps.web.guard import Guard, is_loopback, new_token
from streamavis_apps.web.server import Server
from streamavis_apps.web.settings import Controls
from streamavis_apps.web.web_view import WebView

from streamavis.errors import WireError

TOKEN = "correct-horse-battery-staple"
PATHS = ["/", "/view", "/feed", "/api/status", "/api/settings", "/static/main.js", "/nowhere"]


def ask(scenario, token=None, names=()):
    """Run `scenario(client, origin)` against a server of its own."""

    async def run():
        server = Server(Guard(token, names), Controls(), {}, None)
        # Unsafe: keeps cookies of a bare address too, as browsers do.
        jar = CookieJar(unsafe=True)
        async with TestClient(TestServer(server.app), cookie_jar=jar) as client:
            await scenario(client, str(client.make_url("/")).rstrip("/"))

    asyncio.run(asyncio.wait_for(run(), 60))


async def status_of(client, path, **options):
    async with client.get(path, allow_redirects=False, **options) as response:
        return response.status


def test_on_this_machine_nobody_is_asked_for_a_token():
    async def scenario(client, origin):
        async with client.get("/") as response:
            assert response.status == 200
            assert "StreamAVIS" in await response.text()

    ask(scenario)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "offered",
    [
        {},
        {"params": {"token": "correct-horse-battery-stapl"}},
        {"params": {"token": ""}},
        {"headers": {"Authorization": "Bearer wrong-horse-battery-staple"}},
        {"headers": {"Authorization": f"Basic {TOKEN}"}},
        {"headers": {"Authorization": "Bearer \u00e9\u00e9"}},
        {"headers": {"Cookie": f"streamavis=%s; streamavis-1={TOKEN}"}},
    ],
)
def test_without_the_token_nothing_opens(path, offered):
    async def scenario(client, origin):
        headers = {"Origin": origin, **offered.get("headers", {})}
        assert await status_of(client, path, **{**offered, "headers": headers}) == 401
        if path in {"/view", "/feed"}:
            with pytest.raises(WSServerHandshakeError) as refused:
                await client.ws_connect(path, headers=headers, params=offered.get("params"))
            assert refused.value.status == 401

    ask(scenario, TOKEN)


@pytest.mark.parametrize("path", ["/?token=" + TOKEN[:-1], "/?token=", "/?x=" + TOKEN])
def test_a_wrong_token_in_the_address_is_not_traded(path):
    async def scenario(client, origin):
        async with client.get(path, allow_redirects=False) as response:
            assert response.status == 401
            assert "Set-Cookie" not in response.headers
            assert TOKEN not in await response.text()

    ask(scenario, TOKEN)


def test_the_right_token_is_traded_for_a_cookie_that_scripts_cannot_read():
    async def scenario(client, origin):
        async with client.get(f"/?token={TOKEN}", allow_redirects=False) as response:
            assert response.status == 303
            assert response.headers["Location"] == "/"
            cookie = response.headers["Set-Cookie"]
            assert "HttpOnly" in cookie
            assert "SameSite=Lax" in cookie
        for path in ("/", "/api/status", "/static/main.js"):
            assert await status_of(client, path) == 200
        async with client.ws_connect("/view", headers={"Origin": origin}) as socket:
            assert (await socket.receive_json())["kind"] == "streams"

    ask(scenario, TOKEN)


def test_programs_bring_the_token_as_a_bearer():
    async def scenario(client, origin):
        headers = {"Authorization": f"Bearer {TOKEN}"}
        assert await status_of(client, "/api/status", headers=headers) == 200

    ask(scenario, TOKEN)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8765", 200),
        ("localhost:9000", 200),  # through a tunnel
        ("[::1]:8765", 200),
        ("192.168.1.7:8765", 200),
        (f"{socket.gethostname()}:8765", 200),
        ("box.example:8765", 200),
        ("evil.example", 421),
        ("localhost.evil.example:8765", 421),
        ("127.0.0.1.evil.example", 421),
        ("", 421),
    ],
)
def test_only_names_of_this_machine_are_answered(host, status):
    """DNS rebinding: a page of evil.example that resolves to us still says evil.example."""

    async def scenario(client, origin):
        for path in ("/", "/api/status", "/static/main.js"):
            assert await status_of(client, path, headers={"Host": host}) == status

    ask(scenario, names=("box.example",))


@pytest.mark.parametrize("path", ["/view", "/feed"])
@pytest.mark.parametrize(
    "origin", [None, "null", "http://evil.example", "http://127.0.0.1:1", "file://", "https://"]
)
def test_a_foreign_page_cannot_open_a_websocket(path, origin):
    async def scenario(client, own):
        headers = {} if origin is None else {"Origin": origin}
        with pytest.raises(WSServerHandshakeError) as refused:
            await client.ws_connect(path, headers=headers)
        assert refused.value.status == 403

    ask(scenario)


def test_settings_change_from_our_own_page_only():
    async def scenario(client, origin):
        for headers, status in [({}, 403), ({"Origin": "http://evil.example"}, 403)]:
            async with client.put("/api/settings", data='{"stride": 3}', headers=headers) as answer:
                assert answer.status == status
        headers = {"Origin": origin}
        async with client.put("/api/settings", data='{"stride": 3}', headers=headers) as answer:
            assert (await answer.json())["stride"] == 3
        async with client.put("/api/settings", data='{"stride": 0}', headers=headers) as answer:
            assert answer.status == 422
        async with client.put("/api/settings", data=b"x" * 100_000, headers=headers) as answer:
            assert answer.status == 413

    ask(scenario)


def test_every_answer_keeps_the_page_to_itself():
    async def scenario(client, origin):
        for path in ("/", "/static/main.js", "/api/status"):
            async with client.get(path) as response:
                policy = response.headers["Content-Security-Policy"]
                assert "default-src 'none'" in policy
                assert "frame-ancestors 'none'" in policy
                assert "unsafe" not in policy
                assert response.headers["X-Content-Type-Options"] == "nosniff"
                assert response.headers["Referrer-Policy"] == "no-referrer"

    ask(scenario)


@pytest.mark.parametrize("path", ["/static/../view.py", "/static/%2e%2e/view.py", "/static/"])
def test_nothing_beside_the_page_is_served(path):
    async def scenario(client, origin):
        assert await status_of(client, path) in {403, 404}

    ask(scenario)


def test_a_token_that_can_be_guessed_is_refused():
    with pytest.raises(WireError, match="can be guessed: give it 16 or more"):
        Guard("secret")
    assert len({new_token() for _ in range(50)}) == 50
    assert min(len(new_token()) for _ in range(50)) >= 40


@pytest.mark.parametrize(
    ("host", "alone"),
    [("127.0.0.1", True), ("127.3.2.1", True), ("::1", True), ("localhost", True)]
    + [(host, False) for host in ("0.0.0.0", "::", "192.168.1.7", "box.example", "")],
)
def test_what_counts_as_this_machine(host, alone):
    assert is_loopback(host) == alone


def test_beyond_this_machine_a_random_token_is_asked_for():
    with WebView(host="0.0.0.0", port=0) as view:
        address, _, token = view.url.partition("?token=")
        assert len(token) >= 40
        port = address.rstrip("/").rpartition(":")[2]

        async def run():
            async with ClientSession() as client:
                async with client.get(f"http://127.0.0.1:{port}/") as response:
                    assert response.status == 401
                headers = {"Authorization": f"Bearer {token}"}
                async with client.get(f"http://127.0.0.1:{port}/", headers=headers) as response:
                    assert response.status == 200

        asyncio.run(asyncio.wait_for(run(), 60))
