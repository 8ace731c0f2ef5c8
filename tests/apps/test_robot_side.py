"""On a robot: the base package and the extra `cli`, without torch, av, OpenCV or SciPy."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from streamavis.wire import Hello, Publisher

if TYPE_CHECKING:
    from pathlib import Path

# Import names of every extra but `cli`.
BLOCKED = (
    "torch torchaudio av cv2 sounddevice scipy safetensors tensorboard cupy aiohttp "
    "mcap paho pyarrow supervision rerun"
)
# Runs each command line of standard input, a JSON list, and prints its exit code and its output.
RUNNER = f"""
import json, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {set(BLOCKED.split())!r}:
            raise ModuleNotFoundError(f"{{name}} is blocked in this test", name=name)

sys.meta_path.insert(0, Blocked())
from typer.testing import CliRunner
from streamavis_apps.app import app

for words in json.load(sys.stdin):
    done = CliRunner().invoke(app, words)
    print(json.dumps([done.exit_code, done.output]), flush=True)
"""


def run(*lines: list[str]) -> list[tuple[int, str]]:
    """Exit code and output of each command line, in one process."""
    done = subprocess.run(
        [sys.executable, "-c", RUNNER],
        input=json.dumps(lines),
        capture_output=True,
        text=True,
        check=True,
    )
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


def test_version_keys_and_view_need_no_engine(tmp_path: Path) -> None:
    keys = str(tmp_path / "keys")
    hello = Hello(model="nano", classes=("dog",), size=(6, 8))
    with Publisher("tcp://127.0.0.1:*", "cam", hello=hello) as publisher:
        version, init, add, listed, relay, bridge, view = run(
            ["--version"],
            ["keys", "init", "--keys", keys],
            ["keys", "add", "robot1", "--keys", keys],
            ["keys", "list", "--keys", keys],
            ["relay", "tcp://0.0.0.0:5555"],
            ["bridge", "tcp://0.0.0.0:5555", "--webhook", "http://127.0.0.1:9/"],
            ["view", publisher.endpoint, "--plain", "--wait", "0.1"],
        )
    assert version[0] == 0
    assert version[1].startswith("streamavis ")
    assert [init[0], add[0], listed[0]] == [0, 0, 0]
    assert "robot1" in listed[1]
    for code, said in (relay, bridge):
        assert code == 2
        assert "names no machine" in said
    assert "waiting for tcp://127.0.0.1:" in view[1]
    assert "nothing arrived for 0.1 s" in view[1]


@pytest.mark.parametrize(
    ("extra", "lines"),
    [
        (
            "engine",
            [
                ["demo"],
                ["live"],
                ["replay", "FILE"],
                ["inspect", "FILE"],
                ["convert", "FILE", "x.safetensors"],
                ["devices"],
                ["calibrate"],
                ["bench", "model"],
            ],
        ),
        ("mqtt", [["bridge", "tcp://127.0.0.1:9", "--mqtt", "localhost"]]),
        ("mcap", [["record", "tcp://127.0.0.1:9", "NEW"], ["play", "FILE"]]),
    ],
)
def test_a_command_that_needs_more_names_its_extra(
    extra: str, lines: list[list[str]], tmp_path: Path
) -> None:
    file = tmp_path / "file.bin"
    file.write_bytes(b"x")
    words = {"FILE": str(file), "NEW": str(tmp_path / "new.bin")}
    given = [[words.get(word, word) for word in line] for line in lines]
    for line, (code, said) in zip(lines, run(*given), strict=True):
        assert code == 1, f"{line}: {said}"
        assert f"pip install 'streamavis[{extra}]'" in said, f"{line}: {said}"


def test_a_head_follows_without_the_engine(tmp_path: Path) -> None:
    (tmp_path / "tty").write_text("")
    drawing = tmp_path / "follow.svg"
    nobody = f"ipc://{tmp_path}/none"
    drawn, silent, serial = run(
        ["follow", "--picture", str(drawing)],
        ["follow", nobody, "--wait", "0.1"],
        ["follow", nobody, "--head", f"dynamixel:{tmp_path}/tty"],
    )
    assert drawn[0] == 0, drawn[1]
    assert drawing.read_text().startswith("<svg")
    assert silent[0] == 1
    assert "nothing arrived for 0.1 s" in silent[1]
    assert serial[0] == 1
    assert "is no serial port" in serial[1]
