"""`streamavis bridge`: its command line."""

import typer

from streamavis_apps.commands.options import (
    InsecureReader,
    Mqtt,
    MqttCa,
    MqttPassword,
    MqttPlain,
    MqttUser,
    PublisherAddress,
    ReaderKey,
    StreamName,
    Webhook,
)

__all__ = ["command"]


def command(
    address: PublisherAddress,
    mqtt: Mqtt = None,
    mqtt_user: MqttUser = None,
    mqtt_password_file: MqttPassword = None,
    mqtt_ca: MqttCa = None,
    mqtt_plain: MqttPlain = False,
    webhook: Webhook = None,
    stream: StreamName = None,
    key: ReaderKey = None,
    insecure: InsecureReader = False,
) -> None:
    """Tell MQTT, Home Assistant or a web server who is heard in a published stream.

    Over MQTT each class is a binary sensor, "dog is heard", and each camera
    has another, "somebody speaks"; Home Assistant finds them by itself. A
    webhook gets every change as JSON. Runs until Ctrl-C; a stream that ends
    is waited for. MQTT needs the extra mqtt.

    [bold]Examples[/]
      streamavis bridge tcp://127.0.0.1:5555 --mqtt homeassistant.local
      STREAMAVIS_MQTT_PASSWORD=... streamavis bridge tcp://127.0.0.1:5555 \
        --mqtt mqtts://broker.lan --mqtt-user camera
      streamavis bridge tcp://10.0.0.5:5555 --key robot1.key --webhook https://host/hook
    """
    if key is not None and insecure:
        raise typer.BadParameter("--key and --insecure exclude each other.")
    if mqtt is None and webhook is None:
        raise typer.BadParameter("Say where to: --mqtt HOST, --webhook URL, or both.")
    from streamavis_apps.bridge import run
    from streamavis_apps.bridges import Services

    services = Services(
        mqtt=mqtt,
        user=mqtt_user,
        password_file=mqtt_password_file,
        ca=mqtt_ca,
        plain=mqtt_plain,
        webhook=webhook,
    )
    raise typer.Exit(run(address, services, stream=stream, key=key, insecure=insecure))
