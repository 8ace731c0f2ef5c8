"""Feed generated media to everything that reads, records or listens: `make fuzz-media N=10000`.

Each item is made from its number by one process and read by another, and both are watched.
Reading may neither crash nor hang, nor raise anything but an error of ours; times must rise,
sound must be mono in order, and the recording must hold the pictures. What fails is named by its
number, which makes it again: `python tests/io/fuzz_media.py --first 1234 --items 1`. FFmpeg aborts
while it writes some items; they are counted as `could not be made`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from fuzz_worker import Died, Worker

if TYPE_CHECKING:
    from collections.abc import Callable

HANGS_S = 120.0  # wall time; an item takes 0.1 s of a free core
SLOW_S = 10.0  # of CPU: more is a fault of its own
SHOWN_S = 10.0  # between lines of progress
MOST_FRAMES = 200
NOT_MADE = "could not be made"


@dataclass
class Findings:
    """What came of the items."""

    began: float = field(default_factory=time.monotonic)
    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    not_made: list[str] = field(default_factory=list)
    slowest: tuple[float, int] = (0.0, -1)  # CPU s, item

    @property
    def items(self) -> int:
        return self.outcomes.total()

    def line(self) -> str:
        rate = self.items / max(time.monotonic() - self.began, 1e-9)
        return (
            f"{self.items} items, {rate:.1f} a second, {len(self.not_made)} {NOT_MADE}, "
            f"{len(self.failures)} failed, slowest {self.slowest[0]:.1f} s (item {self.slowest[1]})"
        )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=10_000, help="how many [10000]")
    parser.add_argument("--first", type=int, default=0, help="number of the first one [0]")
    parser.add_argument("--seconds", type=float, help="stop after this time")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="copy items that fail into DIR")
    options = parser.parse_args()
    shown = time.monotonic()

    def show(findings: Findings, news: str) -> None:
        nonlocal shown
        if news:
            print(news, flush=True)
        if time.monotonic() - shown > SHOWN_S:
            shown = time.monotonic()
            print(findings.line(), flush=True)

    found = Findings()
    try:
        fuzz(options.first, options.items, options.seconds, show, options.keep, found)
    except KeyboardInterrupt:
        print("interrupted")
    print(found.line())
    for outcome, count in found.outcomes.most_common():
        print(f"{count:7} {outcome}")
    print(*found.failures, sep="\n")
    return int(bool(found.failures))


def fuzz(
    first: int,
    count: int,
    seconds: float | None = None,
    show: Callable[[Findings, str], None] = lambda findings, news: None,
    keep: Path | None = None,
    found: Findings | None = None,
) -> Findings:
    """Try `count` items from number `first` on, for at most `seconds`."""
    found = found or Findings()
    end = time.monotonic() + (seconds if seconds is not None else float("inf"))
    with (
        tempfile.TemporaryDirectory() as folder,
        Worker(make, HANGS_S, quiet=True) as maker,
        Worker(tried, HANGS_S) as reader,
    ):
        path = Path(folder) / "item"
        for number in range(first, first + count):
            if time.monotonic() >= end:
                break
            try:
                kind = maker.ask((number, path))
            except Died as death:
                news = f"item {number}: {NOT_MADE}: {death}"
                found.outcomes[NOT_MADE] += 1
                found.not_made.append(news)
            else:
                news = _judge(found, reader, number, path)
                if news:
                    news += f": {kind}"
                    found.failures.append(news)
                    if keep is not None:
                        keep.mkdir(parents=True, exist_ok=True)
                        (keep / f"item-{number}").write_bytes(path.read_bytes())
            show(found, news)
    return found


def _judge(found: Findings, reader: Worker, number: int, path: Path) -> str:
    """What is wrong with the reading of an item; empty where nothing is."""
    try:
        word, reason, cpu_s = reader.ask(path)
    except Died as death:
        found.outcomes["crash or hang"] += 1
        return f"item {number}: {death}"
    found.outcomes[word] += 1
    found.slowest = max(found.slowest, (cpu_s, number))
    if not reason and cpu_s > SLOW_S:
        reason = f"took {cpu_s:.1f} s of CPU time"
    return f"item {number}: {reason}" if reason else ""


def make(order: tuple[int, Path]) -> str:
    """Write an item to a file; returns what it is."""
    from fuzz_items import item

    number, path = order
    made = item(number)
    path.write_bytes(made.data)
    return made.kind


def tried(path: Path) -> tuple[str, str, float]:
    """One word for what came of an item; the reason, where it failed; the CPU time, s."""
    from streamavis.errors import StreamAVISError

    began = time.process_time()
    word, reason = "FAILED", ""
    try:
        with tempfile.TemporaryDirectory() as folder:
            word = _read_and_record(path, Path(folder) / "copy.mp4")
    except StreamAVISError as error:
        word = type(error).__name__
        if len(str(error).splitlines()) != 1 or str(path) not in str(error):
            reason = f"an error that is not one line with the name: {error!r}"
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}:{place.lineno}"
        reason = f"{type(error).__name__}: {str(error)[:200]!r} at {where}"
    return word, reason, time.process_time() - began


def _read_and_record(path: Path, out: Path) -> str:
    """As `replay --record` does; then the sound once more, as a live stream's."""
    from streamavis.errors import TruncatedInputError
    from streamavis.io.media import MediaSource
    from streamavis.io.record import Recorder
    from streamavis.types import AudioChunk

    outcome, frames, heard_ns, last = "ok", 0, -1, (-1, 0)
    with MediaSource(path) as source:
        info = source.info
        sound = path if info.has_audio else None
        with Recorder(out, info.width, info.height, fps=info.fps, sound=sound) as recorder:
            try:
                for entry in source:
                    if isinstance(entry, AudioChunk):
                        assert entry.samples.ndim == 1, entry.samples.shape
                        assert entry.samples.dtype == "float32"
                        assert entry.start_time_ns >= 0, f"sound at {entry.start_time_ns}"
                        heard_ns = entry.start_time_ns
                        continue
                    assert (entry.capture_time_ns, entry.epoch) > last, (entry, last)
                    assert entry.epoch >= last[1]
                    last = (entry.capture_time_ns, entry.epoch)
                    assert entry.image.ndim == 3
                    assert entry.image.flags.c_contiguous
                    recorder.write(entry.image, entry.capture_time_ns)
                    frames += 1
                    if frames >= MOST_FRAMES:
                        break
            except TruncatedInputError:
                outcome = "truncated"
    with MediaSource(out) as copy:
        copies = sum(not isinstance(entry, AudioChunk) for entry in copy)
    assert copies == frames, f"{copies} of {frames} pictures recorded"
    _listen_live(path)
    return outcome if heard_ns >= 0 or not info.has_audio else f"{outcome}, nothing heard"


def _listen_live(path: Path) -> None:
    """The way of a network stream: pictures and sound as they are decoded, on arrival times."""
    from streamavis.io.container import open_media
    from streamavis.io.live.stream_sound import StreamSound
    from streamavis.io.live.timeline import StreamTimeline
    from streamavis.io.unusable import UNUSABLE

    media = open_media(path)
    with media.container:
        timeline = StreamTimeline()
        sound, now_ns = StreamSound(timeline), 0
        while True:
            try:
                for packet in media.container.demux():
                    now_ns += 10_000_000
                    timeline.arrived(packet.pts, packet.time_base, now_ns)
                    if media.audio is None or packet.stream.index != media.audio.index:
                        continue
                    try:
                        for frame in packet.decode():
                            for _ in sound.feed(frame, now_ns):
                                pass
                    except UNUSABLE:
                        continue
            except IndexError:
                continue  # a stream that was not there at first
            except UNUSABLE:
                return
            return


if __name__ == "__main__":
    sys.exit(main())
