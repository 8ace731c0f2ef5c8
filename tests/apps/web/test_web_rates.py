"""How much of what one visitor sends is read, and how much of it is acted on."""

from __future__ import annotations

import asyncio
import struct

from aiohttp.test_utils import TestClient, TestServer
from runtime_fakes import picture
from streamavis_apps.web import server as served
from streamavis_apps.web.browser import BrowserSource
from streamavis_apps.web.feed import Picture
from streamavis_apps.web.guard import Guard
from streamavis_apps.web.pictures import to_jpeg
from streamavis_apps.web.server import Server
from streamavis_apps.web.settings import Controls

JPEG = to_jpeg(picture((0, 10, 10, 40, 30)), 960)


class Frozen:
    """Time that stands still."""

    @staticmethod
    def monotonic_ns():
        return 10**9


def test_beyond_its_rate_a_socket_is_read_more_slowly(monkeypatch):
    waits = []

    async def sleep(wait_s):
        waits.append(wait_s)

    monkeypatch.setattr(served, "time", Frozen)
    monkeypatch.setattr(served.asyncio, "sleep", sleep)

    async def run():
        pace = served._pace()
        for _ in range(1_000):
            await served._keep(pace)

    asyncio.run(run())
    assert len(waits) == 600
    assert set(waits) == {1 / 200}


def test_of_a_flood_of_pictures_few_are_passed_on_and_all_are_answered(monkeypatch):
    monkeypatch.setattr(served, "time", Frozen)
    got = []

    class Source(BrowserSource):
        def receive(self, message):
            got.append(message)
            super().receive(message)

    async def run():
        app = Server(Guard(None), Controls(), {}, Source()).app
        async with TestClient(TestServer(app)) as client:
            origin = {"Origin": str(client.make_url("/")).rstrip("/")}
            async with client.ws_connect("/feed", headers=origin) as socket:
                await socket.send_str('{"kind": "begin", "camera": "c", "microphone": null}')
                assert (await socket.receive_json())["kind"] == "accepted"
                for number in range(100):
                    await socket.send_bytes(struct.pack("<BBdd", 1, 1, number, number) + JPEG)
                for _ in range(100):
                    assert (await socket.receive_json())["kind"] == "taken"

    asyncio.run(asyncio.wait_for(run(), 60))
    assert sum(isinstance(message, Picture) for message in got) == 4
