"""Changes as JSON, posted to a URL."""

from __future__ import annotations

import json
import logging
import random
import threading
import urllib.error
import urllib.request
from collections import deque
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, Final, Protocol, Self
from urllib.parse import urlsplit

from streamavis.bridges.heard import SPEECH, HeardStates
from streamavis.errors import ArgumentError
from streamavis.redaction import display_name
from streamavis.types import FrameResult
from streamavis.wire.schema import EndOfStream

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from streamavis.wire.schema import Message

__all__ = ["Post", "WebhookBridge"]

_MOST: Final = 1_000  # changes that wait; then the oldest is dropped
_BATCH: Final = 100  # changes in one request
_GATHER_S: Final = 0.2  # changes that come together are sent together
_RETRY_S: Final = (1.0, 60.0)
_TIMEOUT_S: Final = 10.0
_CLOSE_S: Final = 2.0  # for what waits when it is closed

_log = logging.getLogger(__name__)


class Post(Protocol):
    """Sends a body to a URL and returns the HTTP status."""

    def __call__(self, url: str, body: bytes, timeout_s: float) -> int: ...


class WebhookBridge:
    """Posts what changes, a list of it in each request. A context manager.

    The body is `{"changes": [...]}`, the oldest first. Each has `stream`, `event` (`heard`,
    `speech` or `end`), `label`, `state`, `track_ids`, `confidence`, `capture_time_ns` and
    `wall_time`.

    A request that fails (no connection, status 408, 429 or 5xx) is sent again, ever more slowly,
    until it succeeds. Any other status from 300 on is an answer, and its changes are dropped.
    Redirects are not followed. The URL's secrets are never logged.

    Attributes:
        dropped: changes that were not delivered: too many waited, or they were refused.
        sent: changes that were delivered.
    """

    def __init__(
        self,
        url: str,
        *,
        post: Post | None = None,
        pause: Callable[[threading.Event, float], bool] | None = None,
    ) -> None:
        """Start the thread that sends.

        Args:
            url: http or https.
            post: sends one request; None: by HTTP.
            pause: waits for an event or so many seconds; True: the event has come.

        Raises:
            ArgumentError: it is no URL of a web server.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ArgumentError(
                f"{display_name(url)!r} is no URL of a web server: https://HOST/PATH"
            )
        self.dropped = 0
        self.sent = 0
        self._url = url
        self._shown = display_name(url)
        self._post: Post = post or _http_post
        self._pause = pause or (lambda event, seconds: event.wait(seconds))
        self._heard: dict[str, HeardStates] = {}
        self._waiting: deque[dict[str, Any]] = deque()
        self._lock = threading.Lock()
        self._more = threading.Event()
        self._closing = threading.Event()
        self._failing = False
        self._thread = threading.Thread(target=self._run, name="webhook", daemon=True)
        self._thread.start()

    def message(self, message: Message) -> None:
        """Take the next message of a stream; never waits."""
        stream = message.stream
        if isinstance(message, EndOfStream):
            self._put(
                stream=stream, event="end", label=None, state=message.reason, track_ids=[],
                confidence=None, capture_time_ns=None, wall_time=message.wall_time,
            )  # fmt: skip
        elif isinstance(message, FrameResult):
            if stream not in self._heard:
                self._heard[stream] = HeardStates(stream)
            for change in self._heard[stream].update(message):
                is_speech = change.label == SPEECH
                self._put(
                    stream=stream,
                    event="speech" if is_speech else "heard",
                    label=None if is_speech else change.label,
                    state=change.state,
                    track_ids=list(change.ids),
                    confidence=change.score,
                    capture_time_ns=change.time_ns,
                    wall_time=change.wall_time,
                )

    def silent(self, stream: str | None = None) -> None:
        """Silence is no change of who is heard: nothing is sent."""

    def close(self) -> None:
        """Try to send what waits, for a bounded time, and stop."""
        self._closing.set()
        self._more.set()
        self._thread.join(_CLOSE_S)
        with self._lock:
            left = len(self._waiting)
            self.dropped += left
            self._waiting.clear()
        if left:
            _log.warning("webhook %s: %d changes were not sent", self._shown, left)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _put(self, **change: Any) -> None:
        with self._lock:
            if len(self._waiting) >= _MOST:
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append(change)
        self._more.set()

    # What follows runs in the thread that sends.

    def _run(self) -> None:
        wait_s = _RETRY_S[0]
        while True:
            if not self._waiting:
                if self._closing.is_set():
                    return
                self._more.wait()
                self._more.clear()
                self._pause(self._closing, _GATHER_S)
                continue
            with self._lock:
                batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
            status, failure = self._try(json.dumps({"changes": batch}).encode())
            if status is not None and status < 300:
                self.sent += len(batch)
                wait_s, self._failing = _RETRY_S[0], False
                continue
            if status is not None and status < 500 and status not in (408, 429):
                self.dropped += len(batch)
                _log.warning("webhook %s answers %d: changes dropped", self._shown, status)
                continue
            self._again(batch)
            if not self._failing:
                _log.warning("webhook %s: %s; trying again", self._shown, failure)
            self._failing = True
            if self._closing.is_set():
                return
            self._pause(self._closing, wait_s * (1 + 0.2 * random.random()))
            wait_s = min(2 * wait_s, _RETRY_S[1])

    def _try(self, body: bytes) -> tuple[int | None, str]:
        try:
            status = self._post(self._url, body, _TIMEOUT_S)
        except (OSError, HTTPException, ValueError) as error:
            # Its text may quote the URL.
            return None, type(error).__name__
        return status, f"status {status}"

    def _again(self, batch: list[dict[str, Any]]) -> None:
        """Put a batch back at the front; what has no place any more is dropped, oldest first."""
        with self._lock:
            places = max(0, _MOST - len(self._waiting))
            kept = batch[len(batch) - min(places, len(batch)) :]
            self.dropped += len(batch) - len(kept)
            self._waiting.extendleft(reversed(kept))


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer: another server is not to get what was meant for this one."""

    def redirect_request(self, *args: Any, **options: Any) -> None:
        return None


def _http_post(url: str, body: bytes, timeout_s: float) -> int:
    opener = urllib.request.build_opener(_NoRedirect)
    headers = {"Content-Type": "application/json", "User-Agent": "StreamAVIS"}
    request = urllib.request.Request(url, body, headers, method="POST")
    try:
        with opener.open(request, timeout=timeout_s) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
