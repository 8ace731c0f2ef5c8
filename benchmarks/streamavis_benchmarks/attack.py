"""`streamavis bench attack`: what a hostile peer costs a healthy one, on loopback.

Each row starts a server and a healthy peer in processes of their own, measures them alone, and
then beside an attack. Nothing but 127.0.0.1 is ever connected to.
"""

from __future__ import annotations

import http.client
import multiprocessing
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypedDict

import zmq
from rich.table import Table
from streamavis_apps.exits import ExitCode
from streamavis_apps.figures import write
from streamavis_apps.machine import machine
from streamavis_apps.terminal import Terminal

from streamavis.types import FrameResult, Stage
from streamavis.wire import Hello, Publisher, Status, Subscriber

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

    from rich.console import Console

__all__ = ["ROWS", "Row", "run"]

_TOKEN: Final = "only-for-this-benchmark"
_PERIOD_S: Final = 0.05
_START_S: Final = 60.0  # a process that starts imports torch
_SETTLE_S: Final = 1.0
_HERE: Final = "127.0.0.1"


class Row(TypedDict):
    """One attack, and what it cost."""

    attack: str
    sent: int  # messages, connections or requests of the attack
    gap_s: tuple[float, float]  # longest time without an answer: alone, beside the attack
    p95_ms: tuple[float, float]  # age of results, or time to a page: alone, beside the attack
    memory_mb: tuple[float, float, float]  # of the server: before, at most, after


@dataclass(frozen=True)
class _Kind:
    serve: Callable[[Connection], None]
    visit: Callable[[int, Connection], None]
    attack: Callable[[int, float], int]


def run(
    rows: list[str] | None,
    *,
    seconds: float,
    json_path: Path | None = None,
    console: Console | None = None,
) -> ExitCode:
    """Attack, print a table and write the figures.

    Args:
        rows: names of `ROWS`; None: all.
        seconds: of each attack, and of the measurement before it.
        json_path: where the figures go as well; replaced.
        console: standard output by default.
    """
    console = console or Terminal()
    measured = []
    for name in rows or list(ROWS):
        with console.status(f"{name}, {2 * seconds:.0f} s"):
            measured.append(_measure(name, ROWS[name], seconds))
    table = Table(box=None, pad_edge=False)
    for heading in ("attack", "sent", "gap, s", "p95, ms", "memory, MB"):
        table.add_column(heading, header_style="dim", justify="left")
    for row in measured:
        gap, p95, memory = row["gap_s"], row["p95_ms"], row["memory_mb"]
        table.add_row(
            row["attack"],
            f"{row['sent']:,}",
            f"{gap[0]:.2f} -> {gap[1]:.2f}",
            f"{p95[0]:.1f} -> {p95[1]:.1f}",
            f"{memory[0]:.0f} -> {memory[1]:.0f}, then {memory[2]:.0f}",
        )
    console.print(table)
    write(console, json_path, {"benchmark": "attack", "rows": measured, "machine": machine()})
    return ExitCode.DONE


def _measure(name: str, kind: _Kind, seconds: float) -> Row:
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    near, far = spawn.Pipe()
    server = spawn.Process(target=kind.serve, args=(theirs,), daemon=True)
    server.start()
    try:
        port = _answer(ours)
        visitor = spawn.Process(target=kind.visit, args=(port, far), daemon=True)
        visitor.start()
        _answer(near)  # it has had its first answer
        alone = _phase(near, lambda: time.sleep(seconds))
        before = _memory_mb(server.pid)
        sent: list[int] = []
        beside = _phase(near, lambda: sent.append(kind.attack(port, seconds)))
        most = _memory_mb(server.pid)
        time.sleep(_SETTLE_S)
        after = _memory_mb(server.pid)
        near.send("stop")
        visitor.join(_START_S)
    finally:
        server.kill()
        server.join()
    return {
        "attack": name,
        "sent": sent[0],
        "gap_s": (alone[0], beside[0]),
        "p95_ms": (alone[1], beside[1]),
        "memory_mb": (before, most, after),
    }


def _answer(pipe: Connection) -> Any:
    if not pipe.poll(_START_S):
        raise TimeoutError(f"a process of the benchmark did not answer within {_START_S:.0f} s")
    return pipe.recv()


def _phase(visitor: Connection, act: Callable[[], None]) -> tuple[float, float]:
    """Longest gap (s) and 95th percentile (ms) of a visitor while `act` runs."""
    visitor.send("begin")
    act()
    visitor.send("told")
    gap_s, p95_ms = _answer(visitor)
    return gap_s, p95_ms


def _memory_mb(pid: int | None) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _watch(pipe: Connection, ask: Callable[[], float | None]) -> None:
    """Ask again and again; tell gap and percentile of each phase. `ask` gives ms or None."""
    while ask() is None:
        pass
    pipe.send("ready")
    last, gap_s, values = time.monotonic(), 0.0, [0.0]
    while True:
        value, now = ask(), time.monotonic()
        gap_s = max(gap_s, now - last)
        if value is not None:
            last = now
            values.append(value)
        if not pipe.poll():
            continue
        word = pipe.recv()
        if word == "stop":
            return
        if word == "told":
            pipe.send((gap_s, sorted(values)[int(0.95 * (len(values) - 1))]))
        last, gap_s, values = now, 0.0, [0.0]


def _publish(pipe: Connection) -> None:
    """A publisher of 20 results a second."""
    hello = Hello(model="m", classes=("dog",), size=(360, 640))
    status = Status(source="running", audio="ok", video="ok")
    with Publisher(f"tcp://{_HERE}:*", "cam", hello=hello, status=lambda: status) as publisher:
        pipe.send(int(publisher.endpoint.rpartition(":")[2]))
        seq = 0
        while True:
            now_ns = time.monotonic_ns()
            result = FrameResult("cam", 0, seq, now_ns, (360, 640), "ok", 0.0, "ok", "driver", [])
            result.stamps = {str(Stage.CAPTURE): now_ns}
            publisher.publish(result)
            seq += 1
            time.sleep(_PERIOD_S)


def _read(port: int, pipe: Connection) -> None:
    with Subscriber(f"tcp://{_HERE}:{port}") as reader:

        def ask() -> float | None:
            result = reader.receive(2 * _PERIOD_S)
            return 1e3 * reader.age(result).seconds if isinstance(result, FrameResult) else None

        _watch(pipe, ask)


def _serve(pipe: Connection) -> None:
    from urllib.parse import urlsplit

    from streamavis_apps.web.view import WebView

    with WebView(port=0, token=_TOKEN) as view:
        pipe.send(urlsplit(view.url).port)
        pipe.recv()


def _browse(port: int, pipe: Connection) -> None:
    def ask() -> float | None:
        began = time.monotonic()
        connection = http.client.HTTPConnection(_HERE, port, timeout=2)
        try:
            connection.request("GET", "/", headers={"Authorization": f"Bearer {_TOKEN}"})
            fine = connection.getresponse().status == http.HTTPStatus.OK
        except OSError:
            fine = False
        finally:
            connection.close()
        took_s = time.monotonic() - began
        time.sleep(max(0.0, _PERIOD_S - took_s))
        return 1e3 * took_s if fine else None

    _watch(pipe, ask)


def _subscribing(make: Callable[[int], list[bytes]]) -> Callable[[int, float], int]:
    def attack(port: int, seconds: float) -> int:
        sent, end = 0, time.monotonic() + seconds
        with zmq.Context() as context, context.socket(zmq.XSUB) as hostile:
            hostile.set(zmq.LINGER, 0)
            hostile.connect(f"tcp://{_HERE}:{port}")
            while time.monotonic() < end:
                for message in make(sent):
                    try:
                        hostile.send(message, zmq.NOBLOCK)
                        sent += 1
                    except zmq.Again:  # it is being disconnected
                        time.sleep(0.001)
        return sent

    return attack


def _connecting(words: bytes, *, keep: bool) -> Callable[[int, float], int]:
    def attack(port: int, seconds: float) -> int:
        kept: list[socket.socket] = []
        sent, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                connection = socket.create_connection((_HERE, port), timeout=1)
                connection.sendall(words)
            except OSError:
                continue
            sent += 1
            kept.append(connection)
            if not keep or len(kept) > 400:
                kept.pop(0).close()
        for connection in kept:
            connection.close()
        return sent

    return attack


_MALFORMED: Final = b"GET / HTTP/1.1\r\nHost: [\r\nConnection: close\r\n\r\n"
_GUESS: Final = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer wrong-token\r\n\r\n"

ROWS: Final = {
    "wire: prefixes": _Kind(
        _publish, _read, _subscribing(lambda n: [b"\1avis1.cam.frame\0%d" % n])
    ),
    "wire: subscribe, cancel": _Kind(
        _publish, _read, _subscribing(lambda n: [b"\1avis1.", b"\0avis1."])
    ),
    "wire: silent": _Kind(_publish, _read, _connecting(b"", keep=True)),
    "web: silent": _Kind(_serve, _browse, _connecting(b"", keep=True)),
    "web: malformed": _Kind(_serve, _browse, _connecting(_MALFORMED, keep=False)),
    "web: wrong tokens": _Kind(_serve, _browse, _connecting(_GUESS, keep=True)),
}
