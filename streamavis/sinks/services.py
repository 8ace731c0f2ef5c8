"""Results to services that are told who is heard: MQTT, webhooks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal, Protocol

from streamavis.sinks.publish import end_of

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from streamavis.status import EngineReport
    from streamavis.types import FrameResult, VideoFrame
    from streamavis.wire import Hello, Message

__all__ = ["Service", "ServiceSink"]


class Service(Protocol):
    """What is told: `streamavis.bridges.MqttBridge`, `WebhookBridge`."""

    def message(self, message: Message) -> None: ...


class ServiceSink:
    """Hands one stream's messages to a service, which several streams may share.

    It does not close the service.
    """

    name: Literal["services"] = "services"
    inline: Literal[False] = False

    def __init__(
        self, service: Service, hello: Hello, *, stream: str, lock: threading.Lock
    ) -> None:
        """Prepare.

        Args:
            service: is told.
            hello: what readers are told of the stream.
            stream: its name.
            lock: the same for every sink of this service.
        """
        self._service = service
        self._hello = replace(hello, stream=stream)
        self._lock = lock
        self._last: FrameResult | None = None

    def start(self, report: Callable[[], EngineReport]) -> None:
        """Describe the stream."""
        self._tell(self._hello)

    def write(self, frame: VideoFrame, result: FrameResult) -> None:
        """Hand the result over."""
        self._last = result
        self._tell(result)

    def close(self, report: EngineReport) -> None:
        """Say that the stream is over."""
        self._tell(replace(end_of(report, self._last), stream=self._hello.stream))

    def _tell(self, message: Message) -> None:
        with self._lock:
            self._service.message(message)
