"""docs/WIRE.md: its programs run, and its tables name every field."""

from __future__ import annotations

import asyncio
import re
import select
import subprocess
import sys
import threading
from dataclasses import fields
from pathlib import Path

import pytest
from wire_samples import FRAME, WAIT_S, hello

from streamavis.types import Track
from streamavis.wire import (
    EndOfStream,
    Hello,
    Listener,
    Publisher,
    StageLatency,
    Status,
    Subscriber,
)

PAGE = (Path(__file__).parents[2] / "docs" / "WIRE.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def program_with(*texts: str) -> str:
    """The one Python program on the page that has these texts."""
    (found,) = [program for program in PROGRAMS if all(text in program for text in texts)]
    return found


@pytest.mark.parametrize(
    ("texts", "shown"),
    [(("dead_man_s=0.5",), "7 dog (2, 1, 5, 3)"), (("import msgpack, zmq",), "('dog', 0.5,")],
)
def test_the_readers_read_until_the_end(texts, shown):
    with Publisher("tcp://127.0.0.1:*", "cam-1", hello=hello(boot_id="b0")) as publisher:
        program = program_with(*texts).replace("tcp://127.0.0.1:5555", publisher.endpoint)
        with subprocess.Popen(
            [sys.executable, "-u", "-c", program], stdout=subprocess.PIPE, text=True
        ) as reader:
            try:
                printed = ""
                for _ in range(round(WAIT_S / 0.05)):
                    publisher.publish(FRAME)
                    if select.select([reader.stdout], [], [], 0.05)[0]:
                        printed = reader.stdout.readline()
                        if shown in printed or not printed:
                            break
                assert shown in printed
                publisher.end(EndOfStream(reason="ended"))
                assert reader.wait(WAIT_S) == 0
            finally:
                reader.kill()


def test_the_sender_sends(capsys):
    exec(program_with("import Hello, Publisher"), {})
    assert capsys.readouterr().out.startswith("tcp://127.0.0.1:")


@pytest.mark.parametrize(
    ("text", "calls"),
    [("results.latest()", "steer"), ("async with", "act"), ("Listener(", "act")],
)
def test_the_other_ways_to_read_are_those_of_the_page(text, calls):
    """The snippets lack their surroundings: a publisher, functions of a robot, an event loop."""
    got = []

    async def act_async(result):
        got.append(result)

    with Publisher("tcp://127.0.0.1:*", "cam-1", hello=hello(boot_id="b0")) as publisher:
        places = {
            "Subscriber": Subscriber,
            "Listener": Listener,
            "ADDRESS": publisher.endpoint,
            "stop": list,
            "steer": lambda result: got.append(result) if result else publisher.publish(FRAME),
            "act": act_async if "async" in text else got.append,
            "running": lambda: not got,
        }
        program = program_with(text)
        if calls == "act":
            sender = threading.Thread(target=publish_until, args=(publisher, got))
            sender.start()
        if "async" in text:
            lines = "".join(f"    {line}\n" for line in program.splitlines())
            exec(f"async def main():\n{lines}", places)
            asyncio.run(places["main"]())
        else:
            exec(program, places)
        if calls == "act":
            sender.join()
    assert got[0].seq == FRAME.seq


def publish_until(publisher, got):
    """Publish until somebody has got a result, then end the stream."""
    while not got:
        publisher.publish(FRAME)
    publisher.end(EndOfStream(reason="ended"))


@pytest.mark.parametrize("cls", [type(FRAME), Track, Hello, Status, StageLatency, EndOfStream])
def test_every_field_is_explained(cls):
    for field in fields(cls):
        assert f"`{field.name}`" in PAGE, f"{cls.__name__}.{field.name} is not in docs/WIRE.md"
