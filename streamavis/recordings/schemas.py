"""JSON schemas of what a recording holds: our messages, and those of Foxglove that it shows.

Foxglove's fields are those of its published schemas, as of foxglove-sdk 2026: CompressedImage,
ImageAnnotations, RawAudio and Log.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final, TypeAlias

import msgspec

from streamavis.wire.schema import KINDS, Kind

__all__ = ["FOXGLOVE", "wire_schema"]

_Schema: TypeAlias = dict[str, Any]

_NUMBER: Final[_Schema] = {"type": "number"}
_TEXT: Final[_Schema] = {"type": "string"}
_COUNT: Final[_Schema] = {"type": "integer", "minimum": 0}
_BYTES: Final[_Schema] = {"type": "string", "contentEncoding": "base64"}


def _object(title: str, **properties: _Schema) -> _Schema:
    required = list(properties)
    return {"title": title, "type": "object", "properties": properties, "required": required}


def _list(items: _Schema) -> _Schema:
    return {"type": "array", "items": items}


_TIME: Final = _object("time", sec=_COUNT, nsec={**_COUNT, "maximum": 999_999_999})
_POINT: Final = _object("foxglove.Point2", x=_NUMBER, y=_NUMBER)
_COLOUR: Final = _object("foxglove.Color", r=_NUMBER, g=_NUMBER, b=_NUMBER, a=_NUMBER)
_PAIRS: Final = _list(_object("foxglove.KeyValuePair", key=_TEXT, value=_TEXT))

FOXGLOVE: Final[dict[str, _Schema]] = {
    schema["title"]: schema
    for schema in (
        _object(
            "foxglove.CompressedImage", timestamp=_TIME, frame_id=_TEXT, data=_BYTES, format=_TEXT
        ),
        _object(
            "foxglove.RawAudio",
            timestamp=_TIME,
            data=_BYTES,
            format=_TEXT,
            sample_rate=_COUNT,
            number_of_channels=_COUNT,
        ),
        _object(
            "foxglove.Log",
            timestamp=_TIME,
            level=_COUNT,
            message=_TEXT,
            name=_TEXT,
            file=_TEXT,
            line=_COUNT,
        ),
        _object(
            "foxglove.ImageAnnotations",
            circles=_list({"title": "foxglove.CircleAnnotation", "type": "object"}),
            points=_list(
                _object(
                    "foxglove.PointsAnnotation",
                    timestamp=_TIME,
                    type=_COUNT,
                    points=_list(_POINT),
                    outline_color=_COLOUR,
                    outline_colors=_list(_COLOUR),
                    fill_color=_COLOUR,
                    thickness=_NUMBER,
                    metadata=_PAIRS,
                )
            ),
            texts=_list(
                _object(
                    "foxglove.TextAnnotation",
                    timestamp=_TIME,
                    position=_POINT,
                    text=_TEXT,
                    font_size=_NUMBER,
                    text_color=_COLOUR,
                    background_color=_COLOUR,
                    metadata=_PAIRS,
                )
            ),
        ),
    )
}


@cache
def wire_schema(kind: Kind) -> bytes:
    """The JSON schema of one kind of message of the wire, in the parts that Foxglove reads.

    That is one type for each field, no references, one type of items in a list. A field that may
    be null has the type of its other values, and `nullable`.
    """
    schema = msgspec.json.schema(KINDS[kind])
    return msgspec.json.encode(_plain(schema, schema["$defs"]))


def _plain(node: _Schema, definitions: _Schema) -> _Schema:
    """`node` without what not every reader of JSON schemas understands."""
    if "$ref" in node:
        return _plain(definitions[node["$ref"].rpartition("/")[2]], definitions)
    if "anyOf" in node:
        (known,) = (one for one in node["anyOf"] if one.get("type") != "null")
        return {**_plain(known, definitions), "nullable": True}
    if "enum" in node:
        return {"type": "string", "enum": node["enum"]}
    plain: _Schema = {name: node[name] for name in ("type", "title", "required") if name in node}
    if "properties" in node:
        named = node["properties"].items()
        plain["properties"] = {name: _plain(one, definitions) for name, one in named}
    if isinstance(node.get("additionalProperties"), dict):
        plain["additionalProperties"] = _plain(node["additionalProperties"], definitions)
    items = node["prefixItems"][0] if "prefixItems" in node else node.get("items")
    if items:
        plain["items"] = _plain(items, definitions)
    return plain
