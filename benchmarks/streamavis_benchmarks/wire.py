"""`streamavis bench wire`: how old results are at readers, by how many read, on loopback.

The publisher is this process; readers and the relay are processes of their own. One reader is
measured, which reads the latest only; the others take what they get, many in one process.
"""

from __future__ import annotations

import multiprocessing
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypedDict

import numpy as np
import zmq
from rich import box
from rich.table import Table
from streamavis_apps.exits import ExitCode
from streamavis_apps.figures import write
from streamavis_apps.machine import machine, resident_bytes
from streamavis_apps.terminal import Terminal

from streamavis import masks
from streamavis.errors import CapacityError
from streamavis.types import FrameResult, Stage, Track
from streamavis.wire import Hello, Publisher, Relay, Subscriber, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from multiprocessing.connection import Connection
    from pathlib import Path

    from rich.console import Console
    from streamavis_apps.machine import Machine

__all__ = ["ROWS", "ReaderPlan", "WireFigures", "WireRow", "message", "run"]

_FPS: Final = 30
_SIZE: Final = (360, 640)
_START_S: Final = 120.0
_SLOW_S: Final = 0.1  # that the slow reader takes for each result
_STOPPED: Final = 8
_REST_S: Final = 0.5  # for what is on its way when the last result has been sent
_OF_ADDRESS: Final = 50  # readers of the crowd


@dataclass(frozen=True)
class ReaderPlan:
    """Who reads in one row."""

    readers: int  # that keep up, the measured one among them
    relay: bool = False
    slow: bool = False  # the measured one takes 100 ms for each result
    stopped: int = 0  # that are connected and read nothing


ROWS: Final = {
    "1 reader": ReaderPlan(1),
    "10 readers": ReaderPlan(10),
    "100 readers": ReaderPlan(100),
    "1 reader, relay": ReaderPlan(1, relay=True),
    "10 readers, relay": ReaderPlan(10, relay=True),
    "100 readers, relay": ReaderPlan(100, relay=True),
    "slow reader": ReaderPlan(1, slow=True),
    "8 stopped readers": ReaderPlan(1, stopped=_STOPPED),
}


class WireRow(TypedDict):
    """What one row measured."""

    name: str
    results: int  # at the measured reader
    missed: int  # sent, but not read there: skipped for a newer one, or lost
    p50_ms: float  # from `publish` to the reader that has decoded the result
    p95_ms: float
    p99_ms: float
    lost_by_others: float  # share of the results that each of the others did not get
    publisher_cpu: float  # share of one core
    memory_mb: float  # by which the publisher grew


class WireFigures(TypedDict):
    """Ready for JSON."""

    benchmark: str
    seconds: float
    message_bytes: int
    frames_per_s: int
    rows: list[WireRow]
    machine: Machine


def run(
    names: Sequence[str] | None,
    *,
    seconds: float,
    json_path: Path | None = None,
    console: Console | None = None,
) -> ExitCode:
    """Measure row after row.

    Args:
        names: of `ROWS`; None: all.
        seconds: for which results are sent in each row.
        json_path: where the figures go as well; replaced.
        console: standard output by default.

    Raises:
        CapacityError: readers did not start within two minutes.
        OutputError: `json_path` cannot be written.
    """
    console = console or Terminal()
    about = machine()
    result = message()
    rows = []
    for name in names or ROWS:
        with console.status(name):
            rows.append(_measure(name, ROWS[name], result, seconds))
    figures: WireFigures = {
        "benchmark": "wire",
        "seconds": seconds,
        "message_bytes": len(encode(result)),
        "frames_per_s": _FPS,
        "rows": rows,
        "machine": about,
    }
    _print(console, figures)
    write(console, json_path, figures)
    return ExitCode.DONE


def message() -> FrameResult:
    """A result of about 60 kB: ten tracks with masks of noise in blocks."""
    rng = np.random.default_rng(0)
    tracks = []
    for number in range(10):
        coarse = rng.random((_SIZE[0] // 8, _SIZE[1] // 8)) < 0.5
        coarse[:, 26:] = False  # of 80: where a message has 60 kB
        mask = np.kron(coarse, np.ones((8, 8), bool)).astype(bool)
        rle = masks.encode(mask)
        box_ = (0, 0, _SIZE[1], _SIZE[0])
        area = int(mask.sum())
        tracks.append(Track(number, "dog", 0, 0.9, 0.5, None, box_, (10.0, 10.0), area, rle))
    return FrameResult(
        stream="bench",
        epoch=0,
        seq=0,
        capture_time_ns=0,
        size=_SIZE,
        audio="ok",
        audio_delay_s=0.0,
        video="ok",
        clock="driver",
        tracks=tracks,
    )


def _measure(name: str, plan: ReaderPlan, result: FrameResult, seconds: float) -> WireRow:
    context = multiprocessing.get_context("spawn")
    children: list[tuple[multiprocessing.process.BaseProcess, Connection]] = []

    def start(work: Callable[..., None], *words: object) -> Connection:
        ours, theirs = context.Pipe()
        child = context.Process(target=work, args=(theirs, *words), daemon=True)
        child.start()
        children.append((child, ours))
        return ours

    hello = Hello(model="bench", classes=("dog",), size=_SIZE)
    try:
        with Publisher("tcp://127.0.0.1:*", "bench", hello=hello) as publisher:
            endpoint = publisher.endpoint
            if plan.relay:
                endpoint = _told(start(_relay, endpoint))
            measured = start(_measured, endpoint, plan.slow)
            crowd = start(_crowd, endpoint, plan.readers - 1, plan.stopped)
            for pipe in (measured, crowd):
                _told(pipe)
            before = resident_bytes() or 0
            cpu_s, sent = time.process_time(), _send(publisher, result, seconds)
            cpu_s = time.process_time() - cpu_s
            grown = (resident_bytes() or 0) - before
            time.sleep(_REST_S)
            for pipe in (measured, crowd):
                pipe.send("stop")
            ages_ms, got = _told(measured), _told(crowd)
    finally:
        for child, pipe in children:
            pipe.close()
            child.kill()
            child.join()
    p50, p95, p99 = (round(float(np.percentile(ages_ms, part)), 2) for part in (50, 95, 99))
    return {
        "name": name,
        "results": len(ages_ms),
        "missed": sent - len(ages_ms),
        "p50_ms": p50,
        "p95_ms": p95,
        "p99_ms": p99,
        "lost_by_others": round(1 - got / (sent * (plan.readers - 1)), 4) if got else 0.0,
        "publisher_cpu": round(cpu_s / seconds, 3),
        "memory_mb": round(grown / 1e6, 2),
    }


def _send(publisher: Publisher, result: FrameResult, seconds: float) -> int:
    """Send at `_FPS`; return how many."""
    begin_s, count = time.monotonic(), round(seconds * _FPS)
    for seq in range(count):
        time.sleep(max(0.0, begin_s + seq / _FPS - time.monotonic()))
        result.seq = seq
        result.capture_time_ns = seq
        publisher.publish(result)
    return count


def _told(pipe: Connection) -> Any:
    if not pipe.poll(_START_S):
        raise CapacityError(f"a process of the benchmark said nothing for {_START_S:g} s")
    return pipe.recv()


# What follows runs in processes of their own.


def _relay(pipe: Connection, source: str) -> None:
    with Relay([source], "tcp://127.0.0.1:*") as relay:
        pipe.send(relay.endpoint)
        while True:
            relay.step()


def _measured(pipe: Connection, endpoint: str, slow: bool) -> None:
    with Subscriber(endpoint, kinds=("frame", "hello"), latest_only=True) as reader:
        if not isinstance(reader.receive(_START_S), Hello):
            return
        pipe.send("ready")
        ages_ms = []
        while not pipe.poll(0):
            got = reader.receive(0.1)
            if isinstance(got, FrameResult):
                ages_ms.append((time.monotonic_ns() - got.stamps[Stage.PUBLISH]) / 1e6)
                if slow:
                    time.sleep(_SLOW_S)
        pipe.send(ages_ms)


def _crowd(pipe: Connection, endpoint: str, readers: int, stopped: int) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    poller = zmq.Poller()
    sockets = [_subscriber(context, endpoint, number) for number in range(readers + stopped)]
    for each in sockets[:readers]:
        poller.register(each, zmq.POLLIN)
    waiting = set(sockets)
    while waiting:  # each is greeted once it is connected
        waiting = {each for each in waiting if not each.poll(100)}
    pipe.send("ready")
    frames = 0
    while not pipe.poll(0):
        for each, _ in poller.poll(100):
            frames += each.recv().startswith(b"avis1.bench.frame")
    pipe.send(frames)
    context.destroy(0)


def _subscriber(
    context: zmq.Context[zmq.Socket[bytes]], endpoint: str, number: int
) -> zmq.Socket[bytes]:
    reader = context.socket(zmq.SUB)
    reader.set(zmq.LINGER, 0)
    reader.subscribe(b"avis1.bench.")
    # A publisher lets at most 64 readers of one address in: these come from several.
    source = f"127.0.0.{2 + number // _OF_ADDRESS}:0"
    reader.connect(endpoint.replace("tcp://", f"tcp://{source};"))
    return reader


def _print(console: Console, figures: WireFigures) -> None:
    about = figures["machine"]
    console.print(
        f"{figures['message_bytes'] / 1e3:.0f} kB messages, {figures['frames_per_s']}/s, "
        f"{figures['seconds']:g} s a row; {about['cpu']}, {about['cores']} cores, "
        f"load {about['load_1min']}",
        soft_wrap=True,
    )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("readers", no_wrap=True)
    for column in ("p50 ms", "p95 ms", "p99 ms", "missed", "lost by others", "CPU", "MB"):
        table.add_column(column, justify="right")
    for row in figures["rows"]:
        table.add_row(
            row["name"],
            f"{row['p50_ms']:.1f}",
            f"{row['p95_ms']:.1f}",
            f"{row['p99_ms']:.1f}",
            str(row["missed"]),
            f"{row['lost_by_others']:.1%}",
            f"{row['publisher_cpu']:.0%}",
            f"{row['memory_mb']:+.1f}",
        )
    console.print(table)
