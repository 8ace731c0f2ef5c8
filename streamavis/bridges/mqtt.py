"""States over MQTT: one binary sensor of Home Assistant per class, and one for speech."""

from __future__ import annotations

import ipaddress
import json
import logging
import re
import socket
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from streamavis.bridges.heard import SPEECH, HeardStates
from streamavis.bridges.home_assistant import (
    PAYLOADS,
    bridge_topic,
    discovery,
    stream_topic,
    topic,
)
from streamavis.errors import ArgumentError, MissingExtraError
from streamavis.types import FrameResult
from streamavis.wire.schema import EndOfStream, Hello

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from streamavis.bridges.heard import Change
    from streamavis.wire.schema import Message

__all__ = ["Broker", "Client", "MqttBridge"]

_KEEPALIVE_S: Final = 15  # a broker publishes the last will after one and a half of it
_RETRY_S: Final = (1, 30)
_CLOSE_S: Final = 2.0
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_ADDRESS: Final = re.compile(
    r"(?:(?P<scheme>mqtts?)://)?(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>\d{1,5}))?/?"
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Broker:
    """Where an MQTT broker is, and how it is reached."""

    host: str
    port: int = 1883
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    ca: Path | None = None  # certificate authority, with tls; None: the system's
    plain: bool = False  # a password may be sent to another machine without tls

    @classmethod
    def at(
        cls,
        address: str,
        *,
        user: str | None = None,
        password: str | None = None,
        ca: Path | None = None,
        plain: bool = False,
    ) -> Self:
        """Read `HOST`, `HOST:PORT`, `mqtt://HOST` or, with TLS, `mqtts://HOST`.

        Raises:
            ArgumentError: it is none, or a password would be sent in clear to another machine.
        """
        match = _ADDRESS.fullmatch(address)
        tls = match is not None and match["scheme"] == "mqtts"
        port = int((match and match["port"]) or (8883 if tls else 1883))
        if match is None or not 0 < port < 65_536:
            raise ArgumentError(
                "the broker's address is not HOST, HOST:PORT, mqtt://HOST:PORT or "
                "mqtts://HOST:PORT (with TLS); user and password do not belong in it"
            )
        host = match["host"].strip("[]")
        if ca is not None and not tls:
            raise ArgumentError(f"a certificate authority belongs to TLS: mqtts://{host}:8883")
        if password is not None and not (tls or plain or _is_this_machine(host)):
            raise ArgumentError(
                f"the password would be sent in clear to {host}; use TLS, mqtts://{host}:8883, or "
                "allow it on a network that you trust: --mqtt-plain (plain=True)"
            )
        return cls(host, port, user, password, tls, ca, plain)


class Client(Protocol):
    """What is used of `paho.mqtt.client.Client`."""

    on_connect: Any
    on_disconnect: Any

    def will_set(self, topic: str, payload: str, qos: int, retain: bool) -> None: ...
    def publish(self, topic: str, payload: str, qos: int, retain: bool) -> Any: ...
    def connect_async(self, host: str, port: int, keepalive: int) -> Any: ...
    def loop_start(self) -> Any: ...
    def loop_stop(self) -> Any: ...
    def disconnect(self) -> Any: ...


class MqttBridge:
    """Publishes who is heard, and describes it to Home Assistant. A context manager.

    Every state is retained, so that whoever subscribes later has it at once. While there is no
    connection nothing is queued; with the next one all states are sent again. The broker says
    `offline` for this bridge when it dies, and the bridge for a stream whose results stop.

    `message` and `silent` are for one thread; sending is done by another.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        name: str | None = None,
        prefix: str = "streamavis",
        root: str = "homeassistant",
        client: Callable[[str], Client] | None = None,
    ) -> None:
        """Connect in the background; the broker may be started later, or again.

        Args:
            broker: where to.
            name: of this bridge, unlike that of any other at the broker; None: the machine's.
            prefix: of the topics.
            root: where Home Assistant looks for descriptions.
            client: makes the client of this id; None: that of paho-mqtt.

        Raises:
            ArgumentError: a name has other characters than letters, digits, `_` and `-`.
            MissingExtraError: paho-mqtt is not installed.
            InputError: the certificate authority cannot be read.
        """
        name = name or re.sub(r"[^A-Za-z0-9]+", "-", socket.gethostname()).strip("-") or "bridge"
        for text in (name, prefix, root):
            if _NAME.fullmatch(text) is None:
                raise ArgumentError(f"{text[:80]!r} is no name; use letters, digits, '_' and '-'")
        self.sent = 0
        self._broker = broker
        self._name, self._prefix, self._root = name, prefix, root
        self._lock = threading.Lock()
        self._heard: dict[str, HeardStates] = {}
        self._kept: dict[str, str] = {}  # topic -> retained payload, to be sent with a connection
        self._connected = threading.Event()
        self._client = (client or self._paho)(f"streamavis-{name}")
        self._client.will_set(bridge_topic(prefix, name), "offline", 1, True)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.connect_async(broker.host, broker.port, _KEEPALIVE_S)
        self._client.loop_start()

    @property
    def connected(self) -> bool:
        """Whether the broker has accepted this bridge. From any thread."""
        return self._connected.is_set()

    def wait_connected(self, timeout_s: float) -> bool:
        """Wait until the broker has accepted this bridge; False: it has not in this time."""
        return self._connected.wait(timeout_s)

    def message(self, message: Message) -> None:
        """Take the next message of a stream and publish what has changed."""
        stream = message.stream
        if isinstance(message, Hello):
            for label in (SPEECH, *message.classes):
                self._describe(stream, label)
        elif isinstance(message, FrameResult):
            if stream not in self._heard:
                self._heard[stream] = HeardStates(stream)
            self._keep(stream_topic(self._prefix, stream), "online")
            for change in self._heard[stream].update(message):
                self._tell(change)
        elif isinstance(message, EndOfStream) or message.source in ("failed", "ended"):
            self.silent(stream)

    def silent(self, stream: str | None = None) -> None:
        """Publish that no results arrive; None: of any stream."""
        for one in [stream] if stream is not None else list(self._heard):
            self._keep(stream_topic(self._prefix, one), "offline")

    def close(self) -> None:
        """Say `offline` for the bridge and its streams, and disconnect."""
        self.silent()
        if self.connected:
            info = self._client.publish(bridge_topic(self._prefix, self._name), "offline", 1, True)
            _wait(info)
        self._client.disconnect()
        self._client.loop_stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _tell(self, change: Change) -> None:
        self._describe(change.stream, change.label)
        state = topic(self._prefix, change.stream, change.label)
        facts = {"track_ids": change.ids, "confidence": change.score}
        self._keep(f"{state}/attributes", json.dumps(facts))
        self._keep(state, PAYLOADS[change.state])

    def _describe(self, stream: str, label: str) -> None:
        where, content = discovery(
            prefix=self._prefix,
            root=self._root,
            name=self._name,
            stream=stream,
            label=label,
            version=_version(),
        )
        self._keep(where, json.dumps(content))

    def _keep(self, where: str, payload: str) -> None:
        """Publish a retained value that differs from the one before."""
        with self._lock:
            if self._kept.get(where) == payload:
                return
            self._kept[where] = payload
            if self.connected:
                self._publish(where, payload)

    def _publish(self, where: str, payload: str) -> None:
        self._client.publish(where, payload, 1, True)
        self.sent += 1

    # What follows is called by the client's own thread.

    def _on_connect(self, client: Any, data: Any, flags: Any, reason: Any, _more: Any) -> None:
        if getattr(reason, "is_failure", bool(reason)):
            _log.warning(
                "MQTT broker %s:%d refuses: %s", self._broker.host, self._broker.port, reason
            )
            return
        with self._lock:
            self._connected.set()
            self._publish(bridge_topic(self._prefix, self._name), "online")
            for where, payload in self._kept.items():
                self._publish(where, payload)

    def _on_disconnect(self, client: Any, data: Any, flags: Any, reason: Any, _more: Any) -> None:
        if self.connected and getattr(reason, "is_failure", False):
            _log.warning("MQTT broker %s:%d: %s", self._broker.host, self._broker.port, reason)
        self._connected.clear()

    def _paho(self, client_id: str) -> Client:
        try:
            from paho.mqtt.client import Client as PahoClient
            from paho.mqtt.enums import CallbackAPIVersion
        except ModuleNotFoundError as error:
            raise MissingExtraError("paho-mqtt", "mqtt") from error
        client = PahoClient(CallbackAPIVersion.VERSION2, client_id=client_id)
        broker = self._broker
        if broker.user is not None:
            client.username_pw_set(broker.user, broker.password)
        if broker.tls:
            client.tls_set(ca_certs=None if broker.ca is None else str(broker.ca))
        client.reconnect_delay_set(*_RETRY_S)
        client.max_queued_messages_set(10_000)
        return client


def _wait(info: Any) -> None:
    """Wait until a message has left, for a bounded time; without a connection it never does."""
    try:
        info.wait_for_publish(_CLOSE_S)
    except (RuntimeError, ValueError) as error:  # paho: not connected, queue full
        _log.info("the last MQTT message was not sent: %s", error)


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _version() -> str:
    from importlib.metadata import version

    return version("streamavis")
