"""`streamavis bench attack`: what a hostile peer costs a healthy one, on loopback.

Each row starts what is attacked and its healthy readers in processes of their own. They are
measured in turns, alone and beside the attack, so that other work of the machine counts for both.
Nothing but 127.0.0.1 is ever connected to.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypedDict

from rich.table import Table
from streamavis_apps.exits import ExitCode
from streamavis_apps.figures import write
from streamavis_apps.machine import machine
from streamavis_apps.terminal import Terminal

from streamavis.errors import InputError
from streamavis_benchmarks.attack.peers import (
    Attack,
    Lender,
    Site,
    connecting,
    requesting,
    setting,
    subscribing,
    wrong_keys,
)
from streamavis_benchmarks.attack.sites import (
    START_S,
    answer,
    browse,
    keyed,
    lending,
    live,
    plain,
    read,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from multiprocessing.connection import Connection

    from rich.console import Console

__all__ = ["ROWS", "Row", "judge", "run"]

MAX_GAP_S: Final = 0.5
MAX_P95: Final = 1.1  # of that alone
_TIMER_MS: Final = 2.0  # two percentiles that differ by less are equal
MAX_BACK_S: Final = 10.0
_BACK_MB: Final = 8.0  # memory that an allocator keeps
_TURNS: Final = 3
_SAMPLE_S: Final = 0.1
_SETTLE_S: Final = 1.0
_LOW: Final = 19


class Row(TypedDict):
    """One attack, and what it cost one healthy reader."""

    attack: str
    reader: str  # "robot" or "page"
    sent: int  # messages, connections or requests of the attack
    gap_s: tuple[float, float]  # longest time without an answer: alone, beside the attack
    p50_ms: tuple[float, float]  # age of results, or time to a page: alone, beside the attack
    p95_ms: tuple[float, float]
    memory_mb: tuple[float, float, float]  # of what is attacked: before, at most, at the end
    back_s: float | None  # until memory was where it had been; None: not within `MAX_BACK_S`


@dataclass(frozen=True)
class _Kind:
    open: Callable[[], AbstractContextManager[Site]]
    attack: Attack
    readers: tuple[str, ...] = ("robot",)


@dataclass
class _Phase:
    gap_s: float
    values: list[float]


_READERS: Final = {"robot": read, "page": browse}


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
        seconds: of each attack, and of the measurement without it, three times in turns.
        json_path: where the figures go as well; replaced.
        console: standard output by default.

    Raises:
        InputError: a process of the benchmark did not start.
    """
    console = console or Terminal()
    measured: list[Row] = []
    for name in rows or list(ROWS):
        with console.status(f"{name}, {2 * _TURNS * seconds:.0f} s"):
            measured += _measure(name, ROWS[name], seconds)
    table = Table(box=None, pad_edge=False)
    for heading in (
        "attack",
        "reader",
        "sent",
        "gap, s",
        "p50, ms",
        "p95, ms",
        "memory, MB",
        "goals",
    ):
        table.add_column(heading, header_style="dim", justify="left")
    for row in measured:
        gap, p95, memory = row["gap_s"], row["p95_ms"], row["memory_mb"]
        p50 = row["p50_ms"]
        table.add_row(
            row["attack"],
            row["reader"],
            f"{row['sent']:,}",
            f"{gap[0]:.2f} -> {gap[1]:.2f}",
            f"{p50[0]:.0f} -> {p50[1]:.0f}",
            f"{p95[0]:.0f} -> {p95[1]:.0f}",
            " -> ".join(f"{value:.0f}" for value in memory),
            ", ".join(judge(row)) or "held",
        )
    console.print(table)
    console.print(
        f"goals: gap < {MAX_GAP_S} s; p95 at most {MAX_P95} of that alone (or {_TIMER_MS:g} ms "
        f"more); memory back within {MAX_BACK_S:.0f} s"
    )
    write(console, json_path, {"benchmark": "attack", "rows": measured, "machine": machine()})
    return ExitCode.DONE


def judge(row: Row) -> list[str]:
    """The goals that a row misses. A page may take longer, as long as it has no gap."""
    missed = ["gap"] if row["gap_s"][1] >= MAX_GAP_S else []
    alone, beside = row["p95_ms"]
    if row["reader"] == "robot" and beside > max(MAX_P95 * alone, alone + _TIMER_MS):
        missed.append("p95")
    return [*missed, "memory"] if row["back_s"] is None else missed


def _measure(name: str, kind: _Kind, seconds: float) -> list[Row]:
    with ExitStack() as stack:
        site = stack.enter_context(kind.open())
        readers = [stack.enter_context(_reader(each, site)) for each in kind.readers]
        alone: list[list[_Phase]] = []
        beside: list[list[_Phase]] = []
        sent: list[int] = []
        _phase(readers, lambda: time.sleep(seconds))  # what comes first is slower
        before = _memory_mb(site.pid)
        with _Peak(site.pid) as peak:
            for _ in range(_TURNS):
                alone.append(_phase(readers, lambda: time.sleep(seconds)))
                beside.append(_phase(readers, lambda: sent.append(_attack(kind, site, seconds))))
                time.sleep(_SETTLE_S)
        back_s = _back_s(site.pid, before)
        after = _memory_mb(site.pid)
        return [
            {
                "attack": name,
                "reader": reader,
                "sent": sum(sent),
                "gap_s": (_gap(alone, place), _gap(beside, place)),
                "p50_ms": (_part(alone, place, 0.5), _part(beside, place, 0.5)),
                "p95_ms": (_part(alone, place, 0.95), _part(beside, place, 0.95)),
                "memory_mb": (before, peak.most_mb, after),
                "back_s": back_s,
            }
            for place, reader in enumerate(kind.readers)
        ]


@contextmanager
def _reader(name: str, site: Site) -> Iterator[Connection]:
    """A healthy reader that has had its first answer."""
    spawn = multiprocessing.get_context("spawn")
    near, far = spawn.Pipe()
    place = replace(site, lender=None)
    reader = spawn.Process(target=_READERS[name], args=(place, far), daemon=True)
    reader.start()
    try:
        answer(near)
        yield near
        near.send("stop")
        reader.join(START_S)
    finally:
        reader.kill()
        reader.join()


def _attack(kind: _Kind, site: Site, seconds: float) -> int:
    """Attack from a thread of low priority: its own work is not what is measured."""
    sent: list[int] = []

    def work() -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOW)  # of the thread: Linux
        sent.append(kind.attack(site, seconds))

    thread = threading.Thread(target=work, name="attack", daemon=True)
    thread.start()
    thread.join()
    if not sent:
        raise InputError("the attack broke off; its traceback is above")
    return sent[0]


def _phase(readers: list[Connection], act: Callable[[], None]) -> list[_Phase]:
    """What each reader got while `act` ran."""
    for reader in readers:
        reader.send("begin")
    act()
    for reader in readers:
        reader.send("told")
    return [_Phase(*answer(reader)) for reader in readers]


def _gap(phases: list[list[_Phase]], place: int) -> float:
    return max(each[place].gap_s for each in phases)


def _part(phases: list[list[_Phase]], place: int, share: float) -> float:
    """A percentile of what a reader got in all phases; infinite where it got nothing."""
    values = sorted(value for each in phases for value in each[place].values)
    return values[int(share * (len(values) - 1))] if values else float("inf")


class _Peak:
    """Samples a process's resident memory on a thread of its own; a context manager."""

    def __init__(self, pid: int) -> None:
        self.most_mb = 0.0
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory", daemon=True)

    def __enter__(self) -> _Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(_SAMPLE_S):
            self.most_mb = max(self.most_mb, _memory_mb(self._pid))


def _back_s(pid: int, before_mb: float) -> float | None:
    """Seconds until a process has as little memory as before."""
    begin = time.monotonic()
    while (taken_s := time.monotonic() - begin) < MAX_BACK_S:
        if _memory_mb(pid) <= before_mb + max(_BACK_MB, 0.02 * before_mb):
            return taken_s
        time.sleep(_SAMPLE_S)
    return None


def _memory_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _lent(site: Site, seconds: float) -> int:
    assert isinstance(site.lender, Lender), "opened with one"
    return site.lender.flood(site, seconds)


_MALFORMED: Final = b"GET / HTTP/1.1\r\nHost: [\r\nConnection: close\r\n\r\n"
_GUESS: Final = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer wrong-token\r\n\r\n"
_BOTH: Final = ("robot", "page")

ROWS: Final = {
    "wire: prefixes": _Kind(plain, subscribing(lambda n: [b"\1avis1.cam.frame\0%d" % n])),
    "wire: subscribe, cancel": _Kind(plain, subscribing(lambda n: [b"\1avis1.", b"\0avis1."])),
    "wire: silent": _Kind(plain, connecting(b"", keep=True, wire=True)),
    "wire: no ZMTP": _Kind(plain, connecting(bytes(2_000), keep=False, wire=True)),
    "wire: wrong keys": _Kind(keyed, wrong_keys),
    "web: silent": _Kind(live, connecting(b"", keep=True), _BOTH),
    "web: malformed": _Kind(live, connecting(_MALFORMED, keep=False), _BOTH),
    "web: wrong tokens": _Kind(live, connecting(_GUESS, keep=True), _BOTH),
    "web: requests": _Kind(live, requesting("GET /api/status"), _BOTH),
    "web: settings": _Kind(live, setting(1), _BOTH),
    "web: settings of 8": _Kind(live, setting(8), _BOTH),
    "web: lent pictures": _Kind(lending, _lent, _BOTH),
}
