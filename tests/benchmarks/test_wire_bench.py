"""`streamavis bench wire`: what it sends, and that a row measures."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from streamavis_apps.terminal import Terminal
from streamavis_benchmarks.wire import message, run

from streamavis.wire import decode, encode

if TYPE_CHECKING:
    from pathlib import Path


def test_the_message_has_sixty_kilobytes_and_is_valid() -> None:
    data = encode(message())
    assert 55_000 < len(data) < 65_000
    assert len(decode(data).tracks) == 10


def test_a_row_behind_a_relay_is_measured(tmp_path: Path) -> None:
    file = tmp_path / "wire.json"
    with (tmp_path / "said.txt").open("w") as said:
        run(["1 reader, relay"], seconds=1.0, json_path=file, console=Terminal(file=said))
    (row,) = json.loads(file.read_text())["rows"]
    assert row["results"] + row["missed"] == 30
    assert 0 < row["p50_ms"] <= row["p99_ms"]
