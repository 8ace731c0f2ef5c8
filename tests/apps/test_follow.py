"""`streamavis follow` against a publisher, its heads, and its drawing."""

from __future__ import annotations

import io
import threading
import xml.etree.ElementTree
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from streamavis_apps.app import app
from streamavis_apps.exits import ExitCode, Stop
from streamavis_apps.follow.heads import open_head
from streamavis_apps.follow.run import Following, run
from typer.testing import CliRunner

from streamavis import masks
from streamavis.errors import ArgumentError, OutputError, WireError
from streamavis.follow import Axis, Follower, Pose, SimulatedHead
from streamavis.types import FrameResult, SoundBearing, Track
from streamavis.wire import EndOfStream, Hello, Publisher

WAIT_S = 60.0
RLE = masks.encode(np.ones((8, 12), bool))
FACE = Track(3, "person", 0, 0.9, 0.9, 0.9, (0, 0, 12, 8), (6.0, 4.0), 96, RLE, bearing=(25.0, 5.0))
BLANK = FrameResult("demo", 0, 0, 0, (8, 12), "ok", 0.0, "ok", "driver", [])


class WatchedHead:
    """A head that a test can wait for."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.at = Pose(0, 0)
        self.holds = 0
        self.closed = False

    def pose(self) -> Pose:
        return self.at

    def move(self, pose: Pose) -> None:
        with self.changed:
            self.at = pose
            self.changed.notify_all()

    def hold(self) -> None:
        with self.changed:
            self.holds += 1
            self.changed.notify_all()

    def close(self) -> None:
        self.closed = True

    def wait(self, what) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: what(self), WAIT_S)


def publish(publisher: Publisher, stop: threading.Event, result: FrameResult) -> None:
    seq = 0
    while not stop.wait(0.02):
        publisher.publish(replace(result, seq=seq, capture_time_ns=seq))
        seq += 1


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (replace(BLANK, tracks=[FACE]), "turns to person 3 at 2"),
        (replace(BLANK, sound_bearing=SoundBearing(0, 60.0, 0.9)), "turns to a sound off screen"),
    ],
)
def test_a_head_turns_to_who_sounds_and_stands_still_when_nothing_comes(result, says) -> None:
    out, head, stop, quiet = io.StringIO(), WatchedHead(), Stop(), threading.Event()
    hello = Hello(model="nano", classes=("person",), size=(8, 12))
    codes = []
    with Publisher("tcp://127.0.0.1:*", "demo", hello=hello) as publisher:
        plan = Following(address=publisher.endpoint, moving=False)
        console = Console(file=out, width=100)

        def follow() -> None:
            codes.append(run(plan, head=head, console=console, stop=stop))

        sender = threading.Thread(target=publish, args=(publisher, quiet, result))
        follower = threading.Thread(target=follow)
        follower.start()
        sender.start()
        head.wait(lambda head: head.at.pan > 20)
        quiet.set()
        sender.join()
        head.wait(lambda head: head.holds > 0)
        publisher.end(EndOfStream(reason="ended"))
        follower.join(WAIT_S)
    assert codes == [ExitCode.DONE]
    assert head.closed
    assert says in out.getvalue()
    assert "stands still: nothing arrived for 0.5 s" in out.getvalue()
    assert "the stream ended (ended)" in out.getvalue()


def test_nobody_at_the_address_is_said(tmp_path: Path) -> None:
    plan = Following(address=f"ipc://{tmp_path}/none", wait_s=0.1)
    with pytest.raises(WireError, match=r"nothing arrived for 0.1 s; start a publisher"):
        run(plan, console=Console(file=io.StringIO()), stop=Stop())


def test_a_head_that_breaks_ends_the_command_and_is_closed(tmp_path: Path) -> None:
    class Broken(WatchedHead):
        asked = 0

        def pose(self) -> Pose:
            self.asked += 1
            if self.asked > 3:
                raise OutputError("servo 1 does not answer")
            return self.at

    head = Broken()
    with pytest.raises(OutputError, match="servo 1"):
        run(
            Following(address=f"ipc://{tmp_path}/none"),
            head=head,
            console=Console(file=io.StringIO()),
            stop=Stop(),
        )
    assert head.closed


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("arm", "expected sim"),
        ("dynamixel:", "expected sim"),
        ("dynamixel:/dev/null?speed=3", "speed=3 is not known"),
        ("dynamixel:/dev/null?pan=2&tilt=2", "two ids from 1 to 252"),
        ("ros:/topic?neck=a", "neck is not known"),
        ("no_such_module:head", "No module named"),
        ("json:no_such_name", "no attribute"),
    ],
)
def test_a_head_that_is_none_is_refused(text: str, says: str) -> None:
    with pytest.raises(ArgumentError, match=says):
        open_head(text)


def test_a_users_own_driver_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_head_driver.py").write_text(
        "import time\nfrom streamavis.follow import SimulatedHead\n"
        "def make():\n    return SimulatedHead(time.monotonic_ns)\n"
    )
    monkeypatch.chdir(tmp_path)
    assert isinstance(open_head("my_head_driver:make"), SimulatedHead)
    assert isinstance(open_head("sim"), SimulatedHead)


def test_the_drawing_is_svg_and_the_same_every_time(tmp_path: Path) -> None:
    runner = CliRunner()
    for name in ("a.svg", "b.svg"):
        done = runner.invoke(app, ["follow", "--picture", str(tmp_path / name)])
        assert done.exit_code == 0, done.output
    drawing = (tmp_path / "a.svg").read_bytes()
    assert drawing == (tmp_path / "b.svg").read_bytes()
    root = xml.etree.ElementTree.fromstring(drawing)
    words = " ".join(root.itertext())
    assert "off screen, 105" in words
    assert "the wire is silent" in words


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "name a publisher"),
        (["tcp://127.0.0.1:1", "--pan-limits", "30"], "not LOW,HIGH"),
        (["tcp://127.0.0.1:1", "--pan-limits", "10,30"], "expected the front"),
        (["tcp://127.0.0.1:1", "--key", "a", "--insecure"], "exclude each other"),
        (["--picture", "a.png"], "the drawing is SVG"),
    ],
)
def test_wrong_options_are_refused(arguments: list[str], says: str) -> None:
    done = CliRunner().invoke(app, ["follow", *arguments])
    assert done.exit_code in (1, 2)
    assert says in " ".join(done.output.split())


def test_the_driver_in_the_documents_moves() -> None:
    page = (Path(__file__).parents[2] / "docs" / "ROBOTS.md").read_text(encoding="utf-8")
    (program,) = [
        block.split("```")[0] for block in page.split("```python\n")[1:] if "MyHead" in block
    ]
    names: dict[str, type] = {}
    exec(compile(program, "ROBOTS.md", "exec"), names)
    head = names["MyHead"]()
    follower = Follower(head, pan=Axis(low=-90, high=90), tilt=Axis(low=-30, high=30), moving=False)
    follower.step(0)
    for number in range(1, 100):
        now_ns = number * 20_000_000
        follower.see(replace(BLANK, tracks=[FACE], seq=number, capture_time_ns=now_ns), now_ns)
        follower.step(now_ns)
    assert head.pose().pan == pytest.approx(25, abs=0.1)
    assert head.pose().tilt == pytest.approx(5, abs=0.1)
