# what follows needs mcap
"""`streamavis record` and `play`: from the wire into a file and back."""

from __future__ import annotations

import io
import queue
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("mcap", reason="needs the extra mcap: pip install mcap")

from streamavis_apps import play, record
from streamavis_apps.exits import ExitCode, Stop
from streamavis_apps.terminal import Terminal
from wire_samples import FRAME, WAIT_S, hello

from streamavis.errors import OutputError
from streamavis.recordings import McapWriter, Recording
from streamavis.types import FrameResult
from streamavis.wire import Publisher, Subscriber

if TYPE_CHECKING:
    from pathlib import Path

    from streamavis.wire import Message


def test_what_is_recorded_is_played_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, said = tmp_path / "out.mcap", io.StringIO()
    written: queue.Queue[Message] = queue.Queue()

    class Told(McapWriter):
        def message(self, message: Message, time_ns: int) -> None:
            super().message(message, time_ns)
            written.put(message)

    monkeypatch.setattr(record, "McapWriter", Told)
    with Publisher("tcp://127.0.0.1:*", "cam-1", hello=hello()) as publisher:
        sender = threading.Thread(target=publish_all, args=(publisher, written))
        sender.start()
        code = record.run(
            publisher.endpoint, file, console=Terminal(file=said, width=200), stop=Stop()
        )
        sender.join()
    assert code is ExitCode.DONE
    kept = [one.message for one in Recording(file).messages()]
    seqs = [message.seq for message in kept if isinstance(message, FrameResult)]
    assert seqs == list(range(20))
    assert "20 results" in said.getvalue()

    got, said = [], io.StringIO()
    address = f"ipc://{tmp_path}/wire"
    reader = threading.Thread(target=read_all, args=(address, got))
    reader.start()
    code = play.run(
        file, address, speed=100.0, wait=True, console=Terminal(file=said, width=200), stop=Stop()
    )
    reader.join()
    assert code is ExitCode.DONE
    assert "20 results sent" in said.getvalue()
    results = [message for message in got if isinstance(message, FrameResult)]
    assert results, "the publisher drops what comes too fast for a reader, but not everything"
    assert all(result.tracks == FRAME.tracks for result in results)
    seqs = [result.seq for result in results]
    assert seqs == sorted(set(seqs))
    assert len({result.boot_id for result in results}) == 1


def publish_all(publisher: Publisher, written: queue.Queue[Message]) -> None:
    """Publish one result after the other, each when the one before has been written."""
    assert written.get(timeout=WAIT_S).classes, "the hello comes first"
    for seq in range(20):
        publisher.publish(replace(FRAME, seq=seq, capture_time_ns=seq, boot_id=""))
        while getattr(written.get(timeout=WAIT_S), "seq", None) != seq:
            pass
    publisher.close("ended")


def read_all(address: str, got: list[Message]) -> None:
    with Subscriber(address, kinds=("frame", "hello")) as reader:
        got.extend(reader)


def test_a_file_that_is_there_is_not_replaced(tmp_path: Path) -> None:
    file = tmp_path / "out.mcap"
    file.write_text("precious")
    with pytest.raises(OutputError, match="--overwrite"):
        record.run("tcp://127.0.0.1:9", file, stop=Stop())
    assert file.read_text() == "precious"
    code = record.run("tcp://127.0.0.1:9", file, overwrite=True, seconds=0.01, stop=Stop())
    assert code is ExitCode.DONE
    assert list(Recording(file).messages()) == []
