"""Messages to bytes and back, for bytes that anybody may have sent."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Any, Final, NoReturn

import msgpack
import msgspec

from streamavis.errors import SchemaError, SchemaVersionError
from streamavis.types import FrameResult, message_fields
from streamavis.wire.checks import MAX_COUNTS, MAX_ENTRIES, MAX_ITEMS, check_masks, check_message
from streamavis.wire.schema import (
    KINDS,
    MAJOR,
    VERSION,
    Kind,
    Message,
    kind_of,
    parse_topic,
    topic,
)

__all__ = ["MAX_MESSAGE", "decode", "encode", "restore"]

MAX_MESSAGE: Final = 1 << 20  # bytes, topic included

_FRAME: Final = tuple(one.name for one in fields(FrameResult))
_MINOR = re.compile(r"([0-9]{1,4})\.[0-9]{1,4}")


def encode(message: Message) -> bytes:
    """Return the message as it travels, topic first.

    Raises:
        SchemaError: a value is not allowed on the wire, or there is too much of it.
    """
    if message.v != VERSION:
        raise SchemaError(f"the message has v {message.v!r} but this sender writes {VERSION}")
    try:
        check_message(message)
        head = topic(message.stream, kind_of(message))
        data = head + msgspec.msgpack.encode(
            message_fields(message, _FRAME) if isinstance(message, FrameResult) else message
        )
    except (TypeError, ValueError, OverflowError) as error:
        raise SchemaError(f"cannot write this {kind_of(message)} message: {error}") from error
    if len(data) > MAX_MESSAGE:
        raise SchemaError(
            f"the {kind_of(message)} message has {len(data)} bytes, at most {MAX_MESSAGE}: "
            "report fewer tracks or coarser masks"
        )
    return data


def decode(data: bytes) -> Message:
    """Return the message in `data`, checked from end to end; unknown keys are ignored.

    Lengths are capped before anything is allocated for them, then the version is read, and only
    then the rest: what a later major version means by a key is not this reader's to guess.

    Raises:
        SchemaVersionError: it has another major version.
        SchemaError: it does not follow the schema.
    """
    if len(data) > MAX_MESSAGE:
        raise SchemaError(f"the message has {len(data)} bytes, at most {MAX_MESSAGE}")
    stream, kind, start = parse_topic(data)
    return restore(stream, kind, _unpack(memoryview(data)[start:]))


def restore(stream: str, kind: Kind, fields: dict[str, Any]) -> Message:
    """Return the message of these fields, checked from end to end; unknown keys are ignored.

    Args:
        stream: that the fields must name.
        kind: of the message.
        fields: plain values, as msgpack and JSON give them.

    Raises:
        SchemaVersionError: it has another major version.
        SchemaError: it does not follow the schema.
    """
    _check_version(fields.get("v"))
    try:
        message: Message = msgspec.convert(fields, KINDS[kind])
    except msgspec.ValidationError as error:
        raise SchemaError(f"malformed {kind} message: {error}") from error
    if message.stream != stream:
        raise SchemaError(f"the topic says stream {stream!r}, the message {message.stream[:80]!r}")
    check_message(message)
    if isinstance(message, FrameResult):
        check_masks(message)
    return message


def _unpack(payload: memoryview) -> dict[str, Any]:
    # msgpack compares every length with its cap before it allocates; msgspec has no such caps.
    try:
        fields = msgpack.unpackb(
            payload,
            max_str_len=MAX_COUNTS,
            max_bin_len=MAX_COUNTS,
            max_array_len=MAX_ITEMS,
            max_map_len=MAX_ENTRIES,
            max_ext_len=0,
            ext_hook=_refuse_ext,
        )
    except SchemaError:
        raise
    except (ValueError, msgpack.UnpackException) as error:
        reason = str(error) or type(error).__name__
        raise SchemaError(f"malformed message: {reason[:200]}") from error
    if not isinstance(fields, dict):
        raise SchemaError(f"expected a map of fields but got {type(fields).__name__}")
    return fields


def _refuse_ext(code: int, _data: bytes) -> NoReturn:
    raise SchemaError(f"ext type {code} is not part of the schema")


def _check_version(version: object) -> None:
    match = _MINOR.fullmatch(version) if isinstance(version, str) else None
    if match is None:
        raise SchemaError(f"v is {str(version)[:40]!r}, expected a version such as {VERSION!r}")
    if int(match[1]) != MAJOR:
        raise SchemaVersionError(
            f"the message has schema version {match[0]} but this reader knows {VERSION}: "
            "use the same major version of streamavis on both sides"
        )
