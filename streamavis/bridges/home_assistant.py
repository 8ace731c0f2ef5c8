"""Home Assistant's MQTT discovery: topics and descriptions of binary sensors."""

from __future__ import annotations

import hashlib
import re
from typing import Any, Final

from streamavis.bridges.heard import SPEECH

__all__ = ["PAYLOADS", "bridge_topic", "discovery", "slug", "stream_topic", "topic"]

# `None` is how an MQTT binary sensor of Home Assistant says that its state is unknown.
PAYLOADS: Final = {"on": "ON", "off": "OFF", "unknown": "None"}


def bridge_topic(prefix: str, name: str) -> str:
    """Whether the bridge itself is there: `online` or, as its last will, `offline`."""
    return f"{prefix}/bridge/{name}/availability"


def stream_topic(prefix: str, stream: str) -> str:
    """Whether results of the stream arrive: `online` or `offline`."""
    return f"{prefix}/{stream}/availability"


def topic(prefix: str, stream: str, label: str) -> str:
    """The state of a class, `ON`, `OFF` or `None`; attributes are one level below."""
    return f"{prefix}/{stream}/{'speech' if label == SPEECH else f'heard/{slug(label)}'}"


def slug(label: str) -> str:
    """A label as part of a topic or an id: `a-z 0-9 _`, and another one for another label."""
    plain = re.sub(r"[^a-z0-9]+", "_", label.lower()).strip("_")[:48]
    if plain and plain == label:
        return plain
    return f"{plain}_{hashlib.sha256(label.encode()).hexdigest()[:8]}".strip("_")


def discovery(
    *, prefix: str, root: str, name: str, stream: str, label: str, version: str
) -> tuple[str, dict[str, Any]]:
    """Topic and content that make Home Assistant show one binary sensor.

    Args:
        prefix: of our topics, such as `streamavis`.
        root: of Home Assistant's, `homeassistant` unless it was changed there.
        name: of this bridge.
        stream: whose sensor it is; one device for each stream.
        label: of the class, or `SPEECH`.
        version: of StreamAVIS.
    """
    state = topic(prefix, stream, label)
    part = "speech" if label == SPEECH else f"heard_{slug(label)}"
    unique = f"streamavis_{stream}_{part}"
    return f"{root}/binary_sensor/streamavis_{stream}/{part}/config", {
        "name": "Somebody speaks" if label == SPEECH else f"{label.capitalize()} is heard",
        "unique_id": unique,
        "state_topic": state,
        "payload_on": PAYLOADS["on"],
        "payload_off": PAYLOADS["off"],
        "device_class": "sound",
        "json_attributes_topic": f"{state}/attributes",
        "availability_mode": "all",
        "availability": [
            {"topic": bridge_topic(prefix, name)},
            {"topic": stream_topic(prefix, stream)},
        ],
        "device": {
            "identifiers": [f"streamavis_{stream}"],
            "name": f"StreamAVIS {stream}",
            "manufacturer": "StreamAVIS",
            "sw_version": version,
        },
        "origin": {"name": "StreamAVIS", "sw_version": version},
    }
