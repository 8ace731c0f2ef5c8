"""`streamavis view` against a publisher: what it prints, and how it ends."""

import io
import re
import threading
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console
from streamavis_apps import view
from streamavis_apps.exits import ExitCode, Stop
from typer.testing import CliRunner

from streamavis import masks
from streamavis.errors import WireError
from streamavis.types import FrameResult, Track
from streamavis.wire import EndOfStream, Hello, Publisher

HELLO = Hello(model="nano", classes=("bell", "frog"), size=(8, 12))
BLANK = FrameResult("demo", 0, 0, 0, (8, 12), "ok", 0.0, "ok", "pts", [])
RLE = masks.encode(np.ones((8, 12), bool))


def bell(sounding):
    return Track(3, "bell", 0, 0.9, sounding, 0.9, (0, 0, 12, 8), (6.0, 4.0), 96, RLE)


class Follower:
    """`view.run` in a thread, with a console whose text can be read."""

    def __init__(self, address, **options):
        self.out = io.StringIO()
        self.stop = Stop()
        self.code = self.error = None
        terminal = options.pop("terminal", False)
        console = Console(file=self.out, width=80, force_terminal=terminal, color_system=None)
        options = {"console": console, "stop": self.stop, **options}
        self._thread = threading.Thread(target=self._run, args=(address, options))
        self._thread.start()

    def _run(self, address, options):
        try:
            self.code = view.run(address, **options)
        except Exception as error:
            self.error = error

    def join(self):
        self._thread.join(60)
        assert not self._thread.is_alive()
        return self.out.getvalue()


@contextmanager
def publisher(**options):
    with Publisher("tcp://127.0.0.1:*", "demo", hello=HELLO, **options) as sender:
        yield sender


def wait_for(follower, *texts, doing=lambda: None):
    """Until the follower has shown one of `texts`; a burst would be dropped on the way."""
    for _ in range(3000):
        doing()
        if any(text in follower.out.getvalue() for text in texts):
            return
        threading.Event().wait(0.02)
    raise AssertionError(f"none of {texts} in {follower.out.getvalue()!r}")


def publish_until_seen(sender, follower):
    """Send frame 0 again and again until the follower has shown one."""
    blank = replace(BLANK, tracks=[bell(0.1)])
    wait_for(follower, "Now sounding", "sees", doing=lambda: sender.publish(blank))


def test_changes_are_printed_and_the_end_ends_it():
    with publisher() as sender:
        follower = Follower(sender.endpoint, wait_s=60)
        publish_until_seen(sender, follower)
        for seq, level, said in [(1, 0.9, "sounds (90 %)"), (5, 0.2, "falls silent")]:
            later = replace(BLANK, seq=seq, capture_time_ns=seq * 500_000_000)
            sender.publish(replace(later, tracks=[bell(level)]))
            wait_for(follower, said)
        sender.end(EndOfStream(reason="failed", detail="the camera was unplugged", seq=5))
        lines = follower.join().splitlines()
    # What this test sends next may be half a second late on a loaded machine.
    lines = [line for line in lines if "nothing arrives any more" not in line]
    assert follower.code is ExitCode.DONE
    assert [" ".join(line.split()) for line in lines[:-1]] == [
        f"waiting for {sender.endpoint}",
        "0.0 s demo: sees bell; sounding: none",
        "0.5 s bell 3 sounds (90 %)",
        "2.5 s bell 3 falls silent",
    ]
    assert re.fullmatch(
        r"The engine failed \(the camera was unplugged\): \d+ frames seen, 3 missed", lines[-1]
    )


def test_on_a_terminal_the_table_stands_still_and_stays():
    with publisher() as sender:
        follower = Follower(sender.endpoint, terminal=True, wait_s=60)
        publish_until_seen(sender, follower)
        sender.publish(replace(BLANK, seq=1, tracks=[bell(0.87)]))
        wait_for(follower, "87 %")
        sender.end(EndOfStream(reason="ended", seq=1))
        text = follower.join()
    last_panel = text[text.rindex("╭") :]
    assert "Now sounding: bell 3" in last_panel
    assert "87 %" in last_panel
    assert text.rstrip().endswith("missed")


def test_being_asked_to_stop_ends_it_cleanly():
    with publisher() as sender:
        follower = Follower(sender.endpoint)
        publish_until_seen(sender, follower)
        follower.stop.event.set()
        assert "frames seen, 0 missed" in follower.join()
    assert follower.code is ExitCode.DONE


def test_a_silent_stream_is_told_and_waited_for():
    with publisher() as sender:
        follower = Follower(sender.endpoint)
        publish_until_seen(sender, follower)
        wait_for(follower, "nothing arrives any more")
        sender.publish(replace(BLANK, seq=1, tracks=[bell(0.9)]))
        sender.end(EndOfStream(reason="ended", seq=1))
        text = follower.join()
    assert text.index("nothing arrives any more") < text.index("bell 3 sounds")


def test_nobody_there_is_an_error_after_the_wait():
    with pytest.raises(WireError, match=r"nothing arrived for 0\.2 s"):
        view.run("tcp://127.0.0.1:9", wait_s=0.2, console=Console(file=io.StringIO()), stop=Stop())


@pytest.mark.parametrize("address", ["5555", "tcp://192.168.0.7:5555", "tcp://127.0.0.1:*"])
def test_a_refused_address_is_one_clear_line(address):
    from streamavis_apps.app import app

    result = CliRunner().invoke(app, ["view", address])
    assert result.exit_code == 2
    assert result.stderr.startswith("streamavis: error: ") and address in result.stderr
    assert result.stderr.count("\n") == 1
