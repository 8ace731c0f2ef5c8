"""Bounds on what other parties choose: log lines, rates, connections and descriptors.

Pure bookkeeping with clocks passed in. The web server, the metrics server and the publisher use
the same classes, so that each rule exists once.
"""

from __future__ import annotations

import sys
import threading
from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

__all__ = ["RESERVED_DESCRIPTORS", "LogLimiter", "Places", "RateLimit", "scarce"]

# Descriptors that no connection may use: key folder, recordings, devices and their restarts, and
# one burst of accepted connections that is not yet refused.
RESERVED_DESCRIPTORS: Final = 64

_INTERVAL_S: Final = 60.0  # one line a minute and kind is enough to notice and costs 10 kB a day
_MAX_KINDS: Final = 16  # of one group: kinds that include an address could be as many as addresses


class LogLimiter:
    """Logs one line per kind and minute, and counts the others.

    A kind is a group and a detail, (group, detail), or a group alone. The next line of the same
    kind tells how many were left out. A flood in one group hides no line of another. Thread-safe.
    """

    def __init__(
        self,
        log: Callable[[str], None],
        clock: Callable[[], int],
        *,
        interval_s: float = _INTERVAL_S,
        max_kinds: int = _MAX_KINDS,
    ) -> None:
        """Prepare.

        Args:
            log: gets each line.
            clock: monotonic ns.
            interval_s: seconds between two lines of one kind.
            max_kinds: kinds of one group a minute; further ones share one kind.
        """
        self._log = log
        self._clock = clock
        self._interval_ns = round(interval_s * 1e9)
        self._max_kinds = max_kinds
        self._lock = threading.Lock()
        self._told_ns: OrderedDict[Hashable, int] = OrderedDict()  # the oldest first
        self._kinds: Counter[Hashable] = Counter()  # told within a minute, by group
        self._untold: Counter[Hashable] = Counter()  # by group

    def tell(self, kind: Hashable, line: str, *, known: bool = False) -> None:
        """Log `line`, or count it.

        Args:
            kind: what is limited together; its group is of a fixed set of ours.
            line: one sentence.
            known: the detail is of a fixed set too (a listed name, not a peer's choice), so that
                the number of kinds does not count.
        """
        if (text := self.admit(kind, line, known=known)) is not None:
            self._log(text)

    def admit(self, kind: Hashable, line: str, *, known: bool = False) -> str | None:
        """The line to log, with the number left out before it; None: not now. As in `tell`."""
        with self._lock:
            return self._admit(kind, line, known)

    def _admit(self, kind: Hashable, line: str, known: bool) -> str | None:
        now_ns = self._clock()
        while self._told_ns:
            oldest, told_ns = next(iter(self._told_ns.items()))
            if now_ns - told_ns < self._interval_ns:
                break
            del self._told_ns[oldest]
            self._kinds[_group(oldest)] -= 1
        group = _group(kind)
        if kind not in self._told_ns and self._kinds[group] >= self._max_kinds and not known:
            kind = (group, None)  # the others of this group
        if kind in self._told_ns:
            self._untold[group] += 1
            return None
        self._told_ns[kind] = now_ns
        self._kinds[group] += 1
        untold = self._untold.pop(group, 0)
        return line + (f" ({untold} more of this kind)" if untold else "")


def _group(kind: Hashable) -> Hashable:
    return kind[0] if isinstance(kind, tuple) else kind


class RateLimit:
    """A token bucket: `per_s` events a second on average, `burst` at once."""

    def __init__(self, per_s: float, burst: float, clock: Callable[[], int]) -> None:
        """Start full; `clock` is monotonic, ns."""
        self._per_s, self._burst = per_s, burst
        self._clock = clock
        self._tokens, self._at_ns = burst, clock()

    def take(self, cost: float = 1.0) -> bool:
        """Take `cost` tokens if they are there."""
        self._fill()
        if self._tokens < min(cost, self._burst):
            return False
        self._tokens -= cost
        return True

    def wait_s(self, cost: float = 1.0) -> float:
        """Seconds until `take(cost)` succeeds; 0: now."""
        self._fill()
        return max(0.0, (min(cost, self._burst) - self._tokens) / self._per_s)

    def _fill(self) -> None:
        now_ns = self._clock()
        gained = (now_ns - self._at_ns) / 1e9 * self._per_s
        self._tokens = min(self._burst, self._tokens + gained)
        self._at_ns = now_ns


@dataclass(slots=True)
class _Guest:
    address: str
    proven: bool = False


class Places:
    """Which connections may stay, by address and in all.

    A connection is new until it has shown that it is a client (`prove`). New connections are few,
    and the oldest new one leaves for the next: a client shows what it is within milliseconds, so
    silent connections do not keep it out. Proven connections stay; where there is no room for one
    more, it is the one that leaves.
    """

    def __init__(self, *, new: int, new_each: int, proven: int, proven_each: int) -> None:
        """Set the numbers.

        Args:
            new: connections that have shown nothing yet, in all.
            new_each: the same, of one address.
            proven: connections of clients, in all.
            proven_each: the same, of one address.
        """
        self._new, self._new_each = new, new_each
        self._proven, self._proven_each = proven, proven_each
        self._guests: dict[Hashable, _Guest] = {}  # the oldest first

    def __len__(self) -> int:
        return len(self._guests)

    def __contains__(self, key: object) -> bool:
        return key in self._guests

    def take(self, key: Hashable, address: str) -> list[Hashable]:
        """A connection has come; return those that have to be closed, already forgotten here."""
        self._guests.pop(key, None)
        self._guests[key] = _Guest(address)
        gone = self._surplus([k for k in self._waiting() if self._of(k, address)], self._new_each)
        return gone + self._surplus(self._waiting(), self._new)

    def prove(self, key: Hashable) -> bool:
        """A connection has shown that it is a client; False: no room, and it is forgotten."""
        guest = self._guests.get(key)
        if guest is None or guest.proven:
            return guest is not None
        inside = [each.address for each in self._guests.values() if each.proven]
        if len(inside) >= self._proven or inside.count(guest.address) >= self._proven_each:
            del self._guests[key]
            return False
        guest.proven = True
        return True

    def leave(self, key: Hashable) -> None:
        """A connection is closed."""
        self._guests.pop(key, None)

    def clear(self) -> None:
        """All connections are closed."""
        self._guests.clear()

    def _waiting(self) -> list[Hashable]:
        return [key for key, guest in self._guests.items() if not guest.proven]

    def _of(self, key: Hashable, address: str) -> bool:
        return self._guests[key].address == address

    def _surplus(self, waiting: list[Hashable], most: int) -> list[Hashable]:
        gone = waiting[: max(0, len(waiting) - most)]
        for key in gone:
            del self._guests[key]
        return gone


def scarce(descriptor: int) -> bool:
    """True where a new descriptor of this number leaves fewer than `RESERVED_DESCRIPTORS`.

    POSIX gives the lowest free number, so the number tells how many are in use.
    """
    if sys.platform == "win32":  # no such limit
        return False
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft != resource.RLIM_INFINITY and descriptor >= soft - RESERVED_DESCRIPTORS
