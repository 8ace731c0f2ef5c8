"""The other end of a hand-over: a process of its own that goes on with a stream.

    python handover_child.py FOLDER

Goes on with each N.session in FOLDER from item N of the clip on, and writes what it saw as N.json.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
import torch
from runtime_fakes import clip

from streamavis import checkpoint
from streamavis.clock import ManualClock
from streamavis.session import Session
from streamavis.types import AudioChunk, AudioGap, FrameResult, VideoFrame


def items() -> Iterator[AudioChunk | VideoFrame]:
    """40 frames at 10 a second whose sound is lost from 1.5 s on; after 1.9 s comes 0.3 s again."""
    for n, item in enumerate(clip(40, at=lambda n: (n if n < 20 else n - 17) * 100_000_000)):
        if isinstance(item, VideoFrame) or not 30 <= n < 48:
            yield item


def follow(session: Session, items: Iterable[AudioChunk | VideoFrame]) -> list[FrameResult]:
    results = []
    for item in items:
        if isinstance(item, VideoFrame):
            results.append(session.see(item))
        elif not isinstance(item, AudioGap):
            session.hear(item)
    return results


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    network = checkpoint.load(folder / "model.safetensors")
    for path in folder.glob("*.session"):
        stream = Session.from_bytes(path.read_bytes(), network, clock=ManualClock(0))
        results = follow(stream, list(items())[int(path.stem) :])
        path.with_suffix(".json").write_bytes(msgspec.json.encode(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
