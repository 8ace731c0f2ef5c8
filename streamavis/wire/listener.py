"""A reader with a thread of its own, which calls a function for each message."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final, Self, Unpack

from streamavis.wire.subscriber import Options, Subscriber

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from streamavis.wire.schema import EndOfStream, Message

__all__ = ["Listener"]

_TICK_S: Final = 0.1  # how soon `close` is noticed

_log = logging.getLogger(__name__)


class Listener:
    """Calls `on_message` for each message, on a thread of its own. A context manager.

        with Listener("tcp://127.0.0.1:5555", act, on_silence=robot.stop) as listener:
            ...

    Both functions are called by that one thread. `on_message` must return within `dead_man_s`, or
    silence is noticed late. Where it raises, the thread ends: `on_silence` is called, and `close`
    and `join` raise the error.
    """

    def __init__(
        self, address: str, on_message: Callable[[Message], None], **options: Unpack[Options]
    ) -> None:
        """Connect, and start the thread.

        Args:
            address: the publisher's.
            on_message: gets each message of `kinds`.
            options: as of `Subscriber`.

        Raises:
            WireError: as `Subscriber`.
            KeyFileError: as `Subscriber`.
        """
        self._subscriber = Subscriber(address, **options)
        self._on_message = on_message
        self._on_silence = options.get("on_silence")
        self._newest: Message | None = None
        self._closing = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name=f"listen-{address}", daemon=True)
        self._thread.start()

    @property
    def latest(self) -> Message | None:
        """The newest message that was handed over; None: none yet. From any thread."""
        return self._newest

    @property
    def silent(self) -> bool:
        """True when no message has come for `dead_man_s`, or the thread has ended."""
        return self._subscriber.silent or not self._thread.is_alive()

    @property
    def end(self) -> EndOfStream | None:
        """The stream's last message; None while it lasts."""
        return self._subscriber.end

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait for the end of the stream; False: it has not come within `timeout_s`.

        Raises:
            Exception: what `on_message` or the subscriber raised.
        """
        self._thread.join(timeout_s)
        if self._error is not None:
            raise self._error
        return not self._thread.is_alive()

    def close(self) -> None:
        """Stop the thread and disconnect. Not to be called by `on_message`.

        Raises:
            Exception: what `on_message` or the subscriber raised.
        """
        self._closing.set()
        self.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._thread.join()
        if error is None:
            self.join()

    def _run(self) -> None:
        with self._subscriber as subscriber:
            try:
                while not self._closing.is_set() and subscriber.end is None:
                    message = subscriber.receive(_TICK_S)
                    if message is not None:
                        self._newest = message
                        self._on_message(message)
            except Exception as error:
                _log.exception("a reader's function failed; nothing is read any more")
                self._error = error
                if self._on_silence is not None:
                    self._on_silence()
