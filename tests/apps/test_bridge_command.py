# what follows needs paho-mqtt
"""`streamavis bridge`: from the wire to a broker, with a password that others cannot read."""

from __future__ import annotations

import io
import threading
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("paho.mqtt", reason="needs the extra mqtt: pip install paho-mqtt")

from fake_broker import FakeBroker
from streamavis_apps import bridge
from streamavis_apps.bridges import Services
from streamavis_apps.exits import ExitCode, Stop
from streamavis_apps.terminal import Terminal
from wire_samples import FRAME, WAIT_S, hello

from streamavis.errors import KeyFileError
from streamavis.wire import Publisher

if TYPE_CHECKING:
    from pathlib import Path


def test_results_reach_the_broker_until_it_is_stopped() -> None:
    broker, stop, said = FakeBroker(), Stop(), io.StringIO()
    topics = set()

    def watch(publisher: Publisher) -> None:
        try:
            while "streamavis/cam-1/heard/dog" not in topics:
                publisher.publish(FRAME)
                topics.add(broker.published.get(timeout=WAIT_S)[0])
        finally:
            stop.event.set()

    boot = hello(boot_id=FRAME.boot_id)
    with Publisher("tcp://127.0.0.1:*", "cam-1", hello=boot) as publisher:
        watcher = threading.Thread(target=watch, args=(publisher,))
        watcher.start()
        services = Services(mqtt=f"127.0.0.1:{broker.port}", webhook="http://127.0.0.1:9/x?t=s3")
        console = Terminal(file=said, width=200)
        code = bridge.run(publisher.endpoint, services, console=console, stop=stop)
        watcher.join()
    assert code is ExitCode.DONE
    assert f"MQTT at 127.0.0.1:{broker.port}" in said.getvalue()
    assert "s3" not in said.getvalue()
    broker.close()


def test_the_password_is_in_the_environment_or_in_a_private_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMAVIS_MQTT_PASSWORD", "one")
    assert Services(mqtt="localhost", user="camera").broker().password == "one"
    file = tmp_path / "password"
    file.write_text("two\n")
    services = Services(mqtt="localhost", user="camera", password_file=file)
    file.chmod(0o644)
    with pytest.raises(KeyFileError, match="others may read"):
        services.broker()
    file.chmod(0o600)
    assert services.broker().password == "two"
    assert Services(webhook="http://x/").broker() is None
