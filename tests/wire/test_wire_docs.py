"""docs/WIRE.md: its programs run, and its tables name every field."""

from __future__ import annotations

import re
import select
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from wire_samples import FRAME, WAIT_S, hello

from streamavis.types import Track
from streamavis.wire import EndOfStream, Hello, Publisher, StageLatency, Status

PAGE = (Path(__file__).parents[2] / "docs" / "WIRE.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize(("number", "shown"), [(0, "7 dog (2, 1, 5, 3)"), (1, "('dog', 0.5,")])
def test_the_readers_read_until_the_end(number, shown):
    with Publisher("tcp://127.0.0.1:*", "cam-1", hello=hello(boot_id="b0")) as publisher:
        program = PROGRAMS[number].replace("tcp://127.0.0.1:5555", publisher.endpoint)
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
    exec(PROGRAMS[2], {})
    assert capsys.readouterr().out.startswith("tcp://127.0.0.1:")


@pytest.mark.parametrize("cls", [type(FRAME), Track, Hello, Status, StageLatency, EndOfStream])
def test_every_field_is_explained(cls):
    for field in fields(cls):
        assert f"`{field.name}`" in PAGE, f"{cls.__name__}.{field.name} is not in docs/WIRE.md"
