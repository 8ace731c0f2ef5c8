# what follows needs paho-mqtt
"""MQTT: states for Home Assistant, at a broker of a few lines and at mosquitto."""

from __future__ import annotations

import json
import os
import queue
import shutil
import socket
import subprocess
from dataclasses import replace

import pytest

pytest.importorskip("paho.mqtt", reason="needs the extra mqtt: pip install paho-mqtt")

from fake_broker import FakeBroker
from paho.mqtt import client as paho
from wire_samples import EOS, FRAME, HELLO, WAIT_S

from streamavis.bridges import Broker, MqttBridge
from streamavis.bridges.home_assistant import slug
from streamavis.errors import ArgumentError

DOG = FRAME.tracks[0]
LOUD = replace(FRAME, tracks=[replace(DOG, sounding=0.9)])
QUIET = replace(FRAME, capture_time_ns=10**13, tracks=[replace(DOG, sounding=0.1)])
MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")


@pytest.fixture
def broker():
    opened = FakeBroker()
    yield opened
    opened.close()


def until(got: queue.Queue, topic: str, payload: str | None = None) -> list[tuple[str, str]]:
    """What was published up to this topic with this payload."""
    seen = []
    while True:
        where, what, retained = got.get(timeout=WAIT_S)
        assert retained, f"{where} is not retained"
        seen.append((where, what))
        if where == topic and payload in (None, what):
            return seen


def test_states_and_their_descriptions_are_published(broker):
    with MqttBridge(Broker("127.0.0.1", broker.port), name="hall") as bridge:
        bridge.message(HELLO)
        bridge.message(LOUD)
        seen = dict(until(broker.published, "streamavis/cam-1/heard/dog"))
        bridge.message(QUIET)
        later = until(broker.published, "streamavis/cam-1/heard/dog", "OFF")
        bridge.message(EOS)
        until(broker.published, "streamavis/cam-1/availability", "offline")
    assert broker.published.get(timeout=WAIT_S)[:2] == (
        "streamavis/bridge/hall/availability",
        "offline",
    )
    assert seen["streamavis/bridge/hall/availability"] == "online"
    assert seen["streamavis/cam-1/availability"] == "online"
    assert seen["streamavis/cam-1/speech"] == "OFF"
    assert seen["streamavis/cam-1/heard/dog"] == "ON"
    assert json.loads(seen["streamavis/cam-1/heard/dog/attributes"]) == {
        "track_ids": [7],
        "confidence": 0.9,
    }
    told = {where: json.loads(what) for where, what in seen.items() if where.endswith("/config")}
    assert {one["name"] for one in told.values()} == {
        "Somebody speaks",
        "Dog is heard",
        "Drum is heard",
    }
    dog = told["homeassistant/binary_sensor/streamavis_cam-1/heard_dog/config"]
    assert dog["state_topic"] == "streamavis/cam-1/heard/dog"
    assert {one["topic"] for one in dog["availability"]} == {
        "streamavis/bridge/hall/availability",
        "streamavis/cam-1/availability",
    }
    assert len({one["unique_id"] for one in told.values()}) == 3
    assert later[-1] == ("streamavis/cam-1/heard/dog", "OFF")


def test_only_changes_are_sent_and_all_of_them_again_after_a_break(broker):
    with MqttBridge(Broker("127.0.0.1", broker.port), name="hall") as bridge:
        bridge.message(HELLO)
        bridge.message(LOUD)
        until(broker.published, "streamavis/cam-1/heard/dog", "ON")
        sent = bridge.sent
        for _ in range(20):
            bridge.message(LOUD)
        assert bridge.sent == sent
        broker.kick()
        assert broker.connects.get(timeout=WAIT_S)
        assert broker.connects.get(timeout=WAIT_S)
        again = dict(until(broker.published, "streamavis/cam-1/heard/dog", "ON"))
        assert again["streamavis/bridge/hall/availability"] == "online"


def test_a_broker_that_refuses_is_told_without_secrets(caplog):
    refusing = FakeBroker(accepts=False)
    broker = Broker.at(f"127.0.0.1:{refusing.port}", user="camera", password="s3cret")
    assert "s3cret" not in repr(broker)
    with MqttBridge(broker, name="hall") as bridge:
        assert b"s3cret" in refusing.connects.get(timeout=WAIT_S)
        assert refusing.connects.get(timeout=WAIT_S), "it tries again, and has told by then"
        assert "refuses" in caplog.text
        bridge.message(LOUD)
        assert not bridge.connected
    refusing.close()
    assert "s3cret" not in caplog.text
    assert "camera" not in caplog.text


@pytest.mark.parametrize(
    ("address", "host", "port", "tls"),
    [
        ("ha.local", "ha.local", 1883, False),
        ("10.0.0.5:1884", "10.0.0.5", 1884, False),
        ("mqtts://ha.local", "ha.local", 8883, True),
        ("mqtt://[::1]:1885/", "::1", 1885, False),
    ],
)
def test_addresses(address, host, port, tls):
    broker = Broker.at(address)
    assert (broker.host, broker.port, broker.tls) == (host, port, tls)


@pytest.mark.parametrize("address", ["", "a b", "user:pw@host", "http://host", "host:0", "h:99999"])
def test_what_is_no_address_is_not_quoted(address):
    with pytest.raises(ArgumentError, match="user and password do not belong in it") as raised:
        Broker.at(address)
    assert "pw" not in str(raised.value)


def test_a_password_is_not_sent_in_clear_to_another_machine():
    with pytest.raises(ArgumentError, match="in clear"):
        Broker.at("ha.local", password="x")
    for address in ("localhost", "127.0.0.1", "[::1]", "mqtts://ha.local"):
        assert Broker.at(address, password="x").password == "x"
    assert Broker.at("ha.local", password="x", plain=True).plain


def test_labels_become_parts_of_topics_that_differ():
    labels = ["dog", "Dog", "dog#", "a/b", "a_b", "+", "ÄÖ", ""]
    slugs = [slug(label) for label in labels]
    assert len(set(slugs)) == len(labels)
    assert all(part.replace("_", "").isalnum() and part.isascii() for part in slugs)


@pytest.fixture
def mosquitto(tmp_path):
    """A real broker that asks for a password; its port."""
    if MOSQUITTO is None:
        pytest.skip("needs mosquitto: scripts/system --tests")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (tmp_path / "users").write_text("camera:s3cret\nreader:r\n")
    subprocess.run(["mosquitto_passwd", "-U", tmp_path / "users"], check=True)
    (tmp_path / "users").chmod(0o600)
    user = subprocess.run(["id", "-un"], check=True, capture_output=True, text=True).stdout
    (tmp_path / "conf").write_text(
        f"listener {port} 127.0.0.1\npassword_file {tmp_path}/users\nuser {user}"
    )
    with subprocess.Popen([MOSQUITTO, "-c", tmp_path / "conf"], stderr=subprocess.PIPE) as broker:
        for line in broker.stderr:
            if b"running" in line:
                break
        yield port
        broker.terminate()


def test_mosquitto_keeps_states_and_publishes_the_last_will(mosquitto):
    got: queue.Queue[tuple[str, str]] = queue.Queue()
    reader = paho.Client(paho.CallbackAPIVersion.VERSION2)
    reader.username_pw_set("reader", "r")
    reader.on_message = lambda _c, _u, message: got.put((message.topic, message.payload.decode()))
    broker = Broker.at(f"127.0.0.1:{mosquitto}", user="camera", password="s3cret")
    with MqttBridge(broker, name="hall") as bridge:
        bridge.message(HELLO)
        bridge.message(LOUD)
        assert bridge.wait_connected(WAIT_S)
        reader.connect("127.0.0.1", mosquitto)
        reader.subscribe("#", qos=1)  # comes after the states: they are retained
        reader.loop_start()
        seen = {}
        there = "streamavis/bridge/hall/availability"
        wanted = {"streamavis/cam-1/heard/dog": "ON", there: "online"}
        while not (wanted.items() <= seen.items() and len(configs(seen)) == 3):
            topic, payload = got.get(timeout=WAIT_S)
            seen[topic] = payload
        bridge._client.socket().shutdown(socket.SHUT_RDWR)  # as if this process had died
        states = []
        while len(states) < 2:
            topic, payload = got.get(timeout=WAIT_S)
            if topic == there:
                states.append(payload)
        assert states == ["offline", "online"], "its last will, and its return"
    reader.loop_stop()


def configs(topics) -> list[str]:
    return [topic for topic in topics if topic.endswith("/config")]
