"""The services that are told who is heard: opened from what the command line says."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

from streamavis.bridges import Broker, MqttBridge, WebhookBridge
from streamavis.redaction import display_name
from streamavis.wire.key_files import read_private

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from streamavis.wire import Message

__all__ = ["Bridge", "Bridges", "Services"]

_PASSWORD = "STREAMAVIS_MQTT_PASSWORD"


class Bridge(Protocol):
    """What gets messages and tells a service."""

    def message(self, message: Message) -> None: ...
    def silent(self, stream: str | None = None) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Services:
    """The services that were asked for."""

    mqtt: str | None = None  # address of the broker
    user: str | None = None
    password_file: Path | None = None
    ca: Path | None = None
    plain: bool = False
    webhook: str | None = None

    def broker(self) -> Broker | None:
        """The MQTT broker, with its password; None: none was asked for.

        Raises:
            ArgumentError: the address is none, or the password would be sent in clear.
            KeyFileError: others may read the file of the password, or it is absent.
        """
        if self.mqtt is None:
            return None
        password = os.environ.get(_PASSWORD)
        if self.password_file is not None:
            data = read_private(self.password_file, absent=f"or set {_PASSWORD}")
            password = data.decode("utf-8", "replace").strip("\r\n")
        return Broker.at(self.mqtt, user=self.user, password=password, ca=self.ca, plain=self.plain)


class Bridges:
    """All that was asked for, as one; a context manager.

    Attributes:
        told: where each one goes, for the user, without secrets.
    """

    def __init__(self, services: Services) -> None:
        """Open them.

        Raises:
            ArgumentError: an address is none.
            KeyFileError: the file of the password cannot be used.
            MissingExtraError: paho-mqtt is not installed.
        """
        self.told: list[str] = []
        self._bridges: list[Bridge] = []
        self._stack = ExitStack()
        with ExitStack() as opening:
            if (broker := services.broker()) is not None:
                self._bridges.append(opening.enter_context(MqttBridge(broker)))
                self.told.append(f"MQTT at {broker.host}:{broker.port}")
            if services.webhook is not None:
                self._bridges.append(opening.enter_context(WebhookBridge(services.webhook)))
                self.told.append(f"webhook {display_name(services.webhook)}")
            self._stack = opening.pop_all()

    def message(self, message: Message) -> None:
        """Hand a message to each."""
        for bridge in self._bridges:
            bridge.message(message)

    def silent(self, stream: str | None = None) -> None:
        """Say to each that nothing arrives."""
        for bridge in self._bridges:
            bridge.silent(stream)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()
