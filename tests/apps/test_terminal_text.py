"""Text of peers, files and models reaches a terminal as text."""

import io
import logging
import re
from pathlib import Path

import numpy as np
import pytest
import streamavis_apps
from rich.console import Console
from rich.live import Live
from rich.table import Table
from streamavis_apps.exits import describe
from streamavis_apps.results.board import Board
from streamavis_apps.results.tables import board_panel
from streamavis_apps.terminal import Terminal
from streamavis_apps.text import PlainFormatter, shown
from streamavis_apps.view import Lines, _end_line, _greeting

from streamavis import masks
from streamavis.errors import InputError
from streamavis.types import FrameResult, Track
from streamavis.wire import EndOfStream

TITLE = "\x1b]0;PWNED\x07\x1b[2J"
HOSTILE = [
    "[/dog]",
    "[bold",
    "[link=http://a]b[/link]",
    TITLE,
    "\u202egod",
    "\u2066a\u2069",
    "a\rb",
]
HOSTILE += ["\x9b2J", "a\x7fb", "a\u2028b", "\udc80", "a\tb\nc", "\u200fa", "\x00"]
ACTS = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def result(label):
    track = Track(3, label, 0, 0.9, 0.9, 0.9, (0, 0, 12, 8), (6.0, 4.0), 96, masks.encode(MASK))
    return FrameResult("demo", 0, 0, 0, (8, 12), "ok", 0.0, "ok", "pts", [track])


MASK = np.ones((8, 12), bool)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_label_is_shown_as_text_whatever_it_is(text):
    """`view` ended with an internal error at `[/dog]`, and ESC reached the terminal."""
    board = Board()
    first = result(text)
    changes = board.update(first, 0)
    out = io.StringIO()
    console = Console(file=out, width=100, force_terminal=True, color_system=None)
    console.print(board_panel(board, title="demo at x", age=None, columns=100))
    lines = Lines(console, "tcp://127.0.0.1:1")
    for change in [_greeting(first), *changes]:
        lines.tell(board, change)
    assert not ACTS.search(out.getvalue())
    visible = ACTS.sub("\ufffd", text.replace("\n", "\ufffd"))
    assert out.getvalue().count(visible.rstrip("\ufffd")[:12]) >= 3


def test_an_end_with_control_characters_is_shown_as_text():
    class Over:
        end = EndOfStream(reason="failed", detail=f"because [/b] {TITLE}")

    last = _end_line(Over, Board())
    assert "because [/b] \ufffd]0;PWNED\ufffd\ufffd[2J" in last


@pytest.mark.parametrize("text", HOSTILE)
def test_the_programs_console_makes_everything_safe(text):
    out = io.StringIO()
    console = Terminal(file=out, width=100, force_terminal=True, color_system=None)
    table = Table(title=text.replace("\n", " "))
    table.add_column(text)
    table.add_row(text)
    console.print(table)
    console.print(text)
    assert not ACTS.search(out.getvalue())
    if "[" in text and text.isprintable():
        assert out.getvalue().count(text) == 4


def test_live_pictures_still_move_the_cursor():
    out = io.StringIO()
    console = Terminal(file=out, width=40, force_terminal=True, color_system=None)
    with Live(console=console, auto_refresh=False) as live:
        live.update(f"one\n{TITLE}", refresh=True)
        live.update("two", refresh=True)
    assert "\x1b[1A" in out.getvalue()
    assert "\x1b]0" not in out.getvalue()


def test_an_error_is_one_line_of_text():
    line = describe(InputError(f"gt.json: video '{TITLE}[/b]': broken"))
    assert line == "gt.json: video '\ufffd]0;PWNED\ufffd\ufffd[2J[/b]': broken"
    assert describe(OSError(2, "No such file", f"a{TITLE}")).startswith("a\ufffd]0")


def test_a_log_record_is_text():
    record = logging.LogRecord("a", logging.WARNING, "", 0, "%s", (f"peer {TITLE}\nx",), None)
    assert PlainFormatter().format(record) == "peer \ufffd]0;PWNED\ufffd\ufffd[2J\nx"


def test_plain_text_stays_as_it_is():
    for text in ("dog", "Hund 🐕 ñ 犬", "[bold]", "naïve (x) | y"):
        assert shown(text) == text


def test_every_program_prints_on_the_safe_console():
    """Help pages alone make consoles of their own: their text is ours."""
    root = Path(streamavis_apps.__file__).parent
    own = [
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        if re.search(r"(?<![\w.])Console\(", path.read_text()) and path.name != "terminal.py"
    ]
    assert own == ["help_page.py"]
