"""What waits for one browser: little, and the newest of it."""

import asyncio

import pytest
from streamavis_apps.web.viewer import NoPictures, Viewer


class FakeSocket:
    """Keeps what is sent; while `blocked`, sending does not return."""

    def __init__(self):
        self.sent = []
        self.free = asyncio.Event()
        self.free.set()
        self.seen = asyncio.Condition()

    async def _send(self, data):
        await self.free.wait()
        async with self.seen:
            self.sent.append(data)
            self.seen.notify_all()

    send_str = send_bytes = _send

    async def until(self, count):
        async with self.seen:
            await self.seen.wait_for(lambda: len(self.sent) >= count)


class FakePictures:
    version = 0

    async def packet(self):
        return self.version, b"picture %d" % self.version


def play(scenario):
    async def run():
        socket, pictures = FakeSocket(), FakePictures()
        viewer = Viewer(socket, pictures)
        serving = asyncio.create_task(viewer.serve())
        try:
            await scenario(viewer, socket, pictures)
        finally:
            serving.cancel()

    asyncio.run(asyncio.wait_for(run(), 60))


async def settle():
    for _ in range(20):
        await asyncio.sleep(0)


def test_two_pictures_fly_and_the_next_is_the_newest_once_one_was_drawn():
    async def scenario(viewer, socket, pictures):
        for pictures.version in range(1, 51):
            viewer.wake()
            await settle()
        assert socket.sent == [b"picture 1", b"picture 2"]
        viewer.drawn()
        await settle()
        assert socket.sent[2:] == [b"picture 50"]
        viewer.drawn()
        viewer.drawn()
        await settle()
        assert len(socket.sent) == 3  # the same picture is not sent twice

    play(scenario)


def test_a_page_that_claims_too_much_gets_no_more_at_once():
    async def scenario(viewer, socket, pictures):
        for _ in range(100):
            viewer.drawn()
        for pictures.version in range(1, 20):
            viewer.wake()
            await settle()
        assert len(socket.sent) == 2

    play(scenario)


def test_of_a_state_only_the_newest_waits_and_of_passing_notes_the_last_64():
    async def scenario(viewer, socket, pictures):
        socket.free.clear()
        viewer.state("status", "status 0")
        await settle()  # the first is on its way
        for n in range(1, 1000):
            viewer.state("status", f"status {n}")
            viewer.state("settings", f"settings {n}")
            viewer.passing(f"note {n}")
        socket.free.set()
        await socket.until(3 + 64)
        assert socket.sent[:3] == ["status 0", "status 999", "settings 999"]
        assert socket.sent[3:] == [f"note {n}" for n in range(936, 1000)]

    play(scenario)


def test_a_viewer_that_moves_gets_the_other_streams_picture():
    async def scenario(viewer, socket, pictures):
        pictures.version = 7
        viewer.wake()
        await settle()
        other = FakePictures()
        other.version = 1
        viewer.move(other)
        await settle()
        assert socket.sent == [b"picture 7", b"picture 1"]

    play(scenario)


def test_before_the_first_stream_there_is_no_picture_to_ask_for():
    assert NoPictures().version == 0
    with pytest.raises(AssertionError, match="no"):
        asyncio.run(NoPictures().packet())
