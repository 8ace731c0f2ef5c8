"""Feed generated media to everything that reads, records or listens: `make fuzz-media N=10000`.

Each item is made from its number, in a process that is watched: it may neither crash nor hang,
nor raise anything but an error of ours; times must rise, sound must be mono in order, and the
recording must hold the pictures. What fails is named by its number, which makes it again:
`python tests/io/fuzz_media.py --only 1234`.
"""

from __future__ import annotations

import argparse
import queue
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

ITEM_S = 120.0  # an item that takes longer hangs; one takes 0.1 s of a free core
SHOWN_S = 5.0  # between lines of progress
MOST_FRAMES = 200


@dataclass
class Findings:
    """What came of the items."""

    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    next_item: int = 0

    @property
    def items(self) -> int:
        return self.outcomes.total()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first item")
    parser.add_argument("--seconds", type=float, help="stop after this time")
    parser.add_argument("--only", type=int, help="this item alone, in this process")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        return work(options.first, options.first + options.items)
    if options.only is not None:
        print(tried(options.only))
        return 0
    shown, told = time.monotonic(), 0

    def show(findings: Findings) -> None:
        nonlocal shown, told
        for failure in findings.failures[told:]:
            print(failure, flush=True)
        told = len(findings.failures)
        if time.monotonic() - shown > SHOWN_S:
            shown = time.monotonic()
            print(f"{findings.items} items, {len(findings.failures)} failures", flush=True)

    found = fuzz(options.first, options.items, options.seconds, show)
    print(f"{found.items} items, slowest {found.slowest_s:.1f} s")
    for outcome, count in found.outcomes.most_common():
        print(f"{count:7} {outcome}")
    print(*(failure for failure in found.failures[told:]), sep="\n")
    return int(bool(found.failures))


def fuzz(first: int, count: int, seconds: float | None = None, show=lambda findings: None):
    """Try items from number `first` on; a process that dies or hangs is replaced by a new one."""
    found = Findings(next_item=first)
    end = time.monotonic() + seconds if seconds is not None else float("inf")
    while found.next_item < first + count and time.monotonic() < end:
        left = first + count - found.next_item
        line = [sys.executable, __file__, "--work", f"--first={found.next_item}"]
        worker = subprocess.Popen([*line, f"--items={left}"], stdout=subprocess.PIPE, text=True)
        try:
            _watch(worker, found, end, show)
        finally:
            worker.kill()
            worker.wait()
    return found


def _watch(worker, found: Findings, end: float, show) -> None:
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def relay() -> None:
        for line in worker.stdout:
            lines.put(line.rstrip("\n"))
        lines.put("")

    threading.Thread(target=relay, daemon=True).start()
    kind = ""
    while time.monotonic() < end:
        began = time.monotonic()
        try:
            line = lines.get(timeout=ITEM_S)
        except queue.Empty:
            line = "hang"
        word, _, rest = line.partition(" ")
        if word == "item":
            kind = rest
            continue
        if word in ("", "hang"):
            code = worker.wait() if word == "" else 0
            if word == "" and code == 0:
                return
            word = word or f"crash ({code})"
            found.outcomes[word] += 1
            found.failures.append(f"item {found.next_item}: {word}: {kind}")
            found.next_item += 1
            return
        found.slowest_s = max(found.slowest_s, time.monotonic() - began)
        found.outcomes[word] += 1
        if word == "FAILED":
            found.failures.append(f"item {found.next_item}: {rest}: {kind}")
        found.next_item += 1
        show(found)


def work(first: int, end: int) -> int:
    """In a process of its own: a line before and after each item."""
    import av
    from fuzz_items import item

    av.logging.set_level(None)
    for number in range(first, end):
        made = item(number)
        print(f"item {made.kind}", flush=True)
        print(tried(number), flush=True)
    return 0


def tried(number: int) -> str:
    """One word for what came of an item, FAILED with the reason."""
    from fuzz_items import item

    from streamavis.errors import StreamAVISError

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "item"
        path.write_bytes(item(number).data)
        try:
            return _read_and_record(path)
        except StreamAVISError as error:
            one_line = len(str(error).splitlines()) == 1 and str(path) in str(error)
            return type(error).__name__ if one_line else f"FAILED not one line: {error!r}"
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{Path(place.filename).name}:{place.lineno}"
            return f"FAILED {type(error).__name__}: {str(error)[:200]!r} at {where}"


def _read_and_record(path: Path) -> str:
    """As `replay --record` does; then the sound once more, as a live stream's."""
    from streamavis.errors import TruncatedInputError
    from streamavis.io.media import MediaSource
    from streamavis.io.record import Recorder
    from streamavis.types import AudioChunk

    outcome, frames, heard_ns, last = "ok", 0, -1, (-1, 0)
    out = path.with_suffix(".mp4")
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
