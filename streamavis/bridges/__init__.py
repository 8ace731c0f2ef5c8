"""Who is heard, for services of others: MQTT with Home Assistant, and webhooks. No torch."""

from streamavis.bridges.heard import Change, HeardStates, State
from streamavis.bridges.mqtt import Broker, MqttBridge
from streamavis.bridges.webhook import WebhookBridge

__all__ = ["Broker", "Change", "HeardStates", "MqttBridge", "State", "WebhookBridge"]
