"""Addresses of cameras and microphones: what they may look like, and how they may be shown.

An address can carry a user name, a password or a token. `DeviceAddress.name` never does, nor does
its repr; what a library says about an address passes `DeviceAddress.scrub` before it is shown.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import parse_qsl, unquote, urlsplit

from streamavis.errors import InputAddressError, InputError
from streamavis.io.locate import locate
from streamavis.redaction import display_name

__all__ = ["DeviceAddress", "Kind", "parse_camera", "parse_sound"]

NETWORK_SCHEMES = frozenset({"rtsp", "rtsps", "rtmp", "http", "https", "udp", "tcp"})
_CAMERA_FORMS = (
    "camera:0, v4l2:/dev/video0, rtsp://HOST/PATH, http://HOST/stream.mjpeg, udp://HOST:PORT, "
    "tcp://HOST:PORT, lavfi:GRAPH or a file"
)
_SOUND_FORMS = "mic:default, mic:NAME, none, or any address a camera may have"
_MODE_OPTIONS = {
    "size": re.compile(r"[1-9]\d{1,4}x[1-9]\d{1,4}"),
    "fps": re.compile(r"[1-9]\d{0,3}"),
    "format": re.compile(r"[a-z0-9_]{1,16}"),
}


class Kind(StrEnum):
    """Which driver an address asks for."""

    V4L2 = "v4l2"
    NETWORK = "network"
    LAVFI = "lavfi"
    FILE = "file"
    MICROPHONE = "microphone"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class DeviceAddress:
    """Where a camera or microphone is."""

    kind: Kind
    name: str  # for people and events: no credentials
    target: str = field(repr=False)  # for the driver: node, URL, graph, path or device name
    options: tuple[tuple[str, str], ...] = ()  # of a V4L2 camera: size, fps, format

    def __str__(self) -> str:
        return self.name

    def scrub(self, text: str) -> str:
        """`text` without this address's credentials, wherever a library put them."""
        text = text.replace(self.target, self.name)
        for secret in _secrets(self.target):
            text = text.replace(secret, "***")
        return text


def parse_camera(text: str) -> DeviceAddress:
    """Read a camera's address: `camera:0` (or `0`), a URL, `lavfi:GRAPH`, a file.

    A file that exists is one, whatever its name looks like; `./0` is a file called 0.
    A V4L2 camera takes its mode behind a `?`: `camera:0?size=1280x720&fps=30&format=mjpeg`.

    Raises:
        InputAddressError: it is none of these; names what it may be.
        InputError: it names a file that is not there.
    """
    if _is_file(text):
        return DeviceAddress(Kind.FILE, text, text)
    scheme, colon, rest = text.partition(":")
    if text.isdecimal():
        scheme, colon, rest = "camera", ":", text
    if scheme == "camera" and colon:
        number, question, query = rest.partition("?")
        if not number.isdecimal():
            raise InputAddressError(
                f"{text}: expected a number, as in camera:0; `streamavis devices` lists them"
            )
        return _v4l2(f"/dev/video{int(number)}", query, question, text)
    if scheme == "v4l2" and colon:
        node, question, query = rest.partition("?")
        return _v4l2(node, query, question, text)
    if text.startswith("/dev/video"):
        node, question, query = text.partition("?")
        return _v4l2(node, query, question, text)
    return _stream(text, _CAMERA_FORMS)


def parse_sound(text: str) -> DeviceAddress:
    """Read a microphone's address: `mic:default`, `mic:NAME`, `none`, or what has sound in it.

    Raises:
        InputAddressError: it is none of these; names what it may be.
        InputError: it names a file that is not there.
    """
    if text == "none":
        return DeviceAddress(Kind.NONE, "none", "")
    if _is_file(text):
        return DeviceAddress(Kind.FILE, text, text)
    if text == "default":
        text = "mic:default"
    scheme, colon, rest = text.partition(":")
    if scheme == "mic" and colon:
        if not rest.strip():
            raise InputAddressError(f"{text}: names no microphone; `streamavis devices` lists them")
        return DeviceAddress(Kind.MICROPHONE, text, rest.strip())
    if scheme in ("camera", "v4l2") and colon:
        raise InputAddressError(f"{text}: a camera without sound; expected {_SOUND_FORMS}")
    return _stream(text, _SOUND_FORMS)


def _stream(text: str, forms: str) -> DeviceAddress:
    """A network stream, generated source or file."""
    if text.startswith("lavfi:"):
        if not text.removeprefix("lavfi:").strip():
            raise InputAddressError(f"{text}: names no filter graph; try lavfi:testsrc2[out0]")
        return DeviceAddress(Kind.LAVFI, text, text)
    if "://" in text:
        return _url(text, forms)
    if not text.strip():
        raise InputAddressError(f"the address is empty; expected {forms}")
    try:
        if not os.path.exists(text):  # noqa: PTH110  Path raises for names that are too long
            locate(text)  # pictures: frame%04d.png, *.jpg
    except InputError as error:
        raise InputError(f"{text}: no such file; expected {forms}") from error
    return DeviceAddress(Kind.FILE, text, text)


def _is_file(text: str) -> bool:
    """Whether a file of this name exists; numbers and device nodes are cameras."""
    if text.isdecimal() or text.startswith("/dev/"):
        return False
    return os.path.isfile(text)  # noqa: PTH113  Path raises for names that are too long


def _url(text: str, forms: str) -> DeviceAddress:
    name = display_name(text)
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port  # `port` raises where it is no number
    except ValueError as error:
        raise InputAddressError(f"{name}: is not a valid address") from error
    if parts.scheme == "file":
        return _stream(unquote(parts.path), forms)
    if parts.scheme not in NETWORK_SCHEMES:
        raise InputAddressError(f"{name}: {parts.scheme}:// is not known; expected {forms}")
    if not host and not (parts.scheme == "udp" and parts.netloc.startswith("@")):
        raise InputAddressError(f"{name}: names no host; expected {parts.scheme}://HOST/...")
    if parts.scheme in ("udp", "tcp") and parts.port is None:
        raise InputAddressError(f"{name}: names no port; expected {parts.scheme}://HOST:PORT")
    return DeviceAddress(Kind.NETWORK, name, text)


def _v4l2(node: str, query: str, question: str, text: str) -> DeviceAddress:
    if not node.startswith("/dev/"):
        raise InputAddressError(f"{text}: expected a device node, as in v4l2:/dev/video0")
    pairs = parse_qsl(query, keep_blank_values=True) if question else []
    for key, value in pairs:
        pattern = _MODE_OPTIONS.get(key)
        if pattern is None or not pattern.fullmatch(value):
            raise InputAddressError(
                f"{text}: does not understand {key}={value}; "
                "expected ?size=1280x720&fps=30&format=mjpeg, or some of these"
            )
    return DeviceAddress(Kind.V4L2, text, node, tuple(pairs))


def _secrets(target: str) -> list[str]:
    """Every part of a URL that must not be shown, as written and as decoded; longest first."""
    try:
        parts = urlsplit(target)
    except ValueError:
        return []
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    hidden = {user, password, unquote(user), unquote(password)}
    shown = dict(parse_qsl(urlsplit(display_name(target)).query, keep_blank_values=True))
    for key, value in parse_qsl(parts.query, keep_blank_values=True):
        if shown.get(key) != value:
            hidden.add(value)
    return sorted((secret for secret in hidden if len(secret) > 1), key=len, reverse=True)
