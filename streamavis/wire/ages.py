"""How old a result is, as far as a reader can know."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from streamavis.types import FrameResult, Stage
from streamavis.wire.address import host_boot_id

if TYPE_CHECKING:
    from streamavis.wire.schema import Hello, Status

__all__ = ["Age", "AgeBook"]

_REMEMBERED: Final = 64  # senders, and results of which the time of arrival is known

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Age:
    """Time since the frame was taken."""

    seconds: float
    exact: bool  # False: a lower bound without the network delay


class AgeBook:
    """Knows which senders share this reader's clock, and when their results arrived."""

    def __init__(self) -> None:
        self._hosts: OrderedDict[str, str | None] = OrderedDict()  # boot_id -> host_boot_id
        self._arrivals: OrderedDict[tuple[str, str, int], int] = OrderedDict()

    def note(self, message: FrameResult | Hello | Status, now_ns: int) -> None:
        """Remember what `message`, received at `now_ns`, tells about ages."""
        if isinstance(message, FrameResult):
            _remember(self._arrivals, _key(message), now_ns)
        else:
            _remember(self._hosts, message.boot_id, message.host_boot_id)

    def age(self, result: FrameResult, now_ns: int) -> Age:
        """Return the age of a result at `now_ns`, this reader's monotonic clock.

        Exact when the sender's machine is this one since the same boot, as a hello or a status
        has told: then both read one clock. Else the time it took at the sender plus the time
        since it arrived here.
        """
        captured_ns = result.stamps.get(Stage.CAPTURE)
        host = self._hosts.get(result.boot_id)
        if captured_ns is not None and host is not None and host == host_boot_id():
            return Age((now_ns - captured_ns) / 1e9, exact=True)
        here_ns = now_ns - self._arrivals.get(_key(result), now_ns)
        stamps = result.stamps.values()
        there_ns = max(stamps) - captured_ns if captured_ns is not None else 0
        return Age((here_ns + there_ns) / 1e9, exact=False)


def _key(result: FrameResult) -> tuple[str, str, int]:
    return result.stream, result.boot_id, result.seq


def _remember(book: OrderedDict[_Key, _Value], key: _Key, value: _Value) -> None:
    book[key] = value
    book.move_to_end(key)
    if len(book) > _REMEMBERED:
        book.popitem(last=False)
