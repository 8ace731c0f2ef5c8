"""`streamavis replay --view web` after its end: again, from another place, until it is left."""

import asyncio
import io
import json
import re
import struct
import threading
from contextlib import contextmanager

import pytest
from aiohttp import ClientSession, WSMsgType
from app_media import FPS, FRAMES, write_clip
from rich.console import Console
from runtime_fakes import FakeModel
from streamavis_apps.commands.options import Address, Web
from streamavis_apps.exits import Stop
from streamavis_apps.replay import again
from streamavis_apps.replay.replay import Replay, run


class Said(io.StringIO):
    """What a console says; `address` is told once it is there."""

    def __init__(self):
        super().__init__()
        self.told = threading.Event()
        self.address = ""

    def write(self, text):
        if found := re.search(r"open (http\S+)", text):
            self.address = found[1]
            self.told.set()
        return super().write(text)


@contextmanager
def replaying(path, **plan):
    """`streamavis replay PATH --view web` on a thread of this process; its address."""
    said, stop, errors = Said(), Stop(), []
    web = Web(Address("127.0.0.1", 0))
    wanted = Replay(source=path, speed=None, web=web, **plan)

    def work():
        try:
            run(wanted, console=Console(file=said, width=200), stop=stop)
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert said.told.wait(60)
        yield said.address
        thread.join(60)  # it ends by itself once nobody watches
        assert not thread.is_alive()
    finally:
        stop.event.set()
        thread.join(60)
    assert errors == []


async def passes(address, wishes):
    """What a page is shown: for each pass the first and last place in s, and how it ended."""
    seen, told, wishes, end, seekable = [], [], list(wishes), None, False
    async with (
        ClientSession() as client,
        client.ws_connect(address + "view", headers={"Origin": address.rstrip("/")}) as socket,
    ):
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                (length,) = struct.unpack_from("!I", message.data)
                seen.append(json.loads(message.data[4 : 4 + length])["result"])
                await socket.send_json({"kind": "drawn"})
            else:
                text = json.loads(message.data)
                end = text if text["kind"] == "eos" else end
                if text["kind"] in ("hello", "playback"):
                    seekable = text.get("playback", text)["seekable"]
            # The end may be told before the last picture is drawn.
            if end is not None and seekable and seen and seen[-1]["seq"] == end["seq"]:
                run = [one for one in seen if one["boot_id"] == seen[-1]["boot_id"]]
                places = [one["capture_time_ns"] / 1e9 for one in run]
                told.append((min(places), max(places), end["reason"]))
                if not wishes:
                    return told
                end = None
                await socket.send_json({"kind": "play", **wishes.pop(0)})
    return told


def follow(address, wishes):
    return asyncio.run(asyncio.wait_for(passes(address, wishes), 100))


@pytest.fixture
def clip(tmp_path, monkeypatch):
    monkeypatch.setattr("streamavis.checkpoint.load", lambda name: FakeModel())
    monkeypatch.setattr(again, "_LEFT_S", 0.4)
    write_clip(tmp_path / "clip.mp4")
    return tmp_path / "clip.mp4"


def test_a_recording_plays_again_and_from_another_place_until_it_is_left(clip):
    last_s = (FRAMES - 1) / FPS
    middle_s = round(last_s / 2 * FPS) / FPS
    with replaying(clip) as address:
        told = follow(address, [{"from_s": 0.0}, {"from_s": middle_s}])
    assert [reason for _, _, reason in told] == ["ended"] * 3
    assert [round(end, 3) for _, end, _ in told] == [round(last_s, 3)] * 3
    assert told[2][0] >= middle_s - 1e-6


def test_outputs_hold_the_recording_once_however_often_it_is_played(clip, tmp_path):
    lines = tmp_path / "out.jsonl"
    with replaying(clip, jsonl=lines) as address:
        assert len(follow(address, [{"from_s": 0.0}])) == 2
    assert len(lines.read_text().splitlines()) == FRAMES
