"""What `streamavis bench attack` attacks, and the healthy readers beside it."""

from __future__ import annotations

import http.client
import multiprocessing
import re
import tempfile
import threading
import time
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from streamavis.errors import InputError
from streamavis.types import FrameResult, Stage
from streamavis.wire import Hello, Publisher, Status, Subscriber
from streamavis.wire.keys import ClientKey, KeyFolder
from streamavis_benchmarks.attack.peers import HERE, TOKEN, Lender, Site
from streamavis_benchmarks.live.command import STREAMAVIS
from streamavis_benchmarks.rigs.process import Program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection

__all__ = ["START_S", "answer", "browse", "keyed", "lending", "live", "plain", "read"]

START_S: Final = 120.0  # a process that starts imports torch
_PERIOD_S: Final = 0.05
_CAMERA: Final = "lavfi:testsrc2=size=640x360:rate=5[out0]"
_PORTS: Final = re.compile(r"(results of main|results|view) +(?:tcp|http)://[^:/]+:(\d+)")
_LENT: Final = re.compile(r"open http://[^:/]+:(\d+)")


def answer(pipe: Connection) -> Any:
    """What a process of the benchmark has to say.

    Raises:
        InputError: it said nothing in time.
    """
    if not pipe.poll(START_S):
        raise InputError(f"a process of the benchmark did not answer within {START_S:.0f} s")
    return pipe.recv()


@contextmanager
def plain() -> Iterator[Site]:
    """A publisher of 20 results a second."""
    with _publishing(None) as site:
        yield site


@contextmanager
def keyed() -> Iterator[Site]:
    """The same with keys."""
    with tempfile.TemporaryDirectory() as place:
        folder = KeyFolder(Path(place) / "keys")
        folder.init()
        key = folder.add("robot")
        with _publishing(folder.path) as site:
            server = ClientKey.read(key).server
            yield Site(site.pid, site.wire, server_key=server, reader_key=str(key))


@contextmanager
def _publishing(keys: Path | None) -> Iterator[Site]:
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    server = spawn.Process(target=_publish, args=(theirs, keys), daemon=True)
    server.start()
    try:
        assert server.pid is not None, "started"
        yield Site(server.pid, answer(ours))
    finally:
        server.kill()
        server.join()


def _publish(pipe: Connection, keys: Path | None) -> None:
    hello = Hello(model="m", classes=("dog",), size=(360, 640))
    status = Status(source="running", audio="ok", video="ok")
    address = f"tcp://{HERE}:*"
    with Publisher(address, "cam", hello=hello, status=lambda: status, keys=keys) as publisher:
        pipe.send(int(publisher.endpoint.rpartition(":")[2]))
        seq = 0
        while True:
            now_ns = time.monotonic_ns()
            result = FrameResult("cam", 0, seq, now_ns, (360, 640), "ok", 0.0, "ok", "driver", [])
            result.stamps = {str(Stage.CAPTURE): now_ns}
            publisher.publish(result)
            seq += 1
            time.sleep(_PERIOD_S)


@contextmanager
def live() -> Iterator[Site]:
    """`streamavis live` with the shipped model, 5 pictures a second, page and robot's address."""
    with _command("--camera", f"main={_CAMERA}") as (program, ports):
        _wait(program, ports, {"results", "view"})
        yield Site(program.process.pid, ports["results"], ports["view"])


@contextmanager
def lending() -> Iterator[Site]:
    """The same, and a visitor who lends a second camera; the robot reads the first."""
    from streamavis_apps.web.pictures import to_jpeg

    noise = np.random.default_rng(0).integers(0, 255, (90, 160, 3), np.uint8)
    image = np.repeat(np.repeat(noise, 12, 0), 12, 1)  # 1080 x 1920
    cameras = ("--camera", f"main={_CAMERA}", "--camera", "lent=browser", "--min-rate", "0.1")
    with _command(*cameras) as (program, ports):
        _wait(program, ports, {"open"})
        with Lender(ports["open"], to_jpeg(image, 1920)) as lender:
            _wait(program, ports, {"results of main"})
            site = Site(program.process.pid, ports["results of main"], ports["open"])
            yield Site(site.pid, site.wire, site.web, lender=lender)


@contextmanager
def _command(*cameras: str) -> Iterator[tuple[Program, dict[str, int]]]:
    ports: dict[str, int] = {}

    def take(line: str) -> None:
        if (found := _PORTS.search(line)) is not None:
            ports[found[1]] = int(found[2])
        if (found := _LENT.search(line)) is not None:
            ports["open"] = int(found[1])

    command = [*STREAMAVIS, "live", *cameras, "--mic", "none", "--view", "web"]
    command += ["--listen", f"{HERE}:0", "--token", TOKEN, "--publish", _free_address()]
    with Program(command, take) as program:
        yield program, ports


def _free_address() -> str:
    """An address of two ports that were free a moment ago."""
    import socket

    with socket.create_server((HERE, 0)) as found:
        return f"tcp://{HERE}:{found.getsockname()[1]}"


def _wait(program: Program, ports: dict[str, int], wanted: set[str]) -> None:
    pause, end = threading.Event(), time.monotonic() + START_S
    while not wanted <= ports.keys():
        if not program.runs or time.monotonic() > end:
            raise InputError(f"`streamavis live` did not start: {program.tail}")
        pause.wait(0.1)


def read(site: Site, pipe: Connection) -> None:
    """A robot: the age of each result, ms."""
    key = site.reader_key or None
    with Subscriber(f"tcp://{HERE}:{site.wire}", key=key) as reader:

        def ask() -> float | None:
            result = reader.receive(2 * _PERIOD_S)
            return 1e3 * reader.age(result).seconds if isinstance(result, FrameResult) else None

        _watch(pipe, ask)


def browse(site: Site, pipe: Connection) -> None:
    """A visitor of the page: the time each visit takes, ms."""

    def ask() -> float | None:
        began = time.monotonic()
        connection = http.client.HTTPConnection(HERE, site.web, timeout=2)
        try:
            connection.request("GET", "/", headers={"Authorization": f"Bearer {TOKEN}"})
            fine = connection.getresponse().status == HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            fine = False
        finally:
            connection.close()
        took_s = time.monotonic() - began
        time.sleep(max(0.0, _PERIOD_S - took_s))
        return 1e3 * took_s if fine else None

    _watch(pipe, ask)


def _watch(pipe: Connection, ask: Callable[[], float | None]) -> None:
    """Ask again and again; tell gap and values of each phase. `ask` gives ms or None."""
    while ask() is None:
        pass
    pipe.send("ready")
    last, gap_s = time.monotonic(), 0.0
    values: list[float] = []
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
            pipe.send((gap_s, values))
        last, gap_s, values = now, 0.0, []
