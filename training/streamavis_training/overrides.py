"""Changing any field of a recipe by its path: `trainer.rate=1e-4`, `stages.0.until=0.5`."""

from __future__ import annotations

import dataclasses
import json
import tomllib
import typing
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from streamavis.errors import ArgumentError, InputError
from streamavis.model.backbones import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = ["as_values", "differences", "merged", "override", "parse", "read_config"]

Config = TypeVar("Config")


def parse(setting: str) -> dict[str, Any]:
    """`a.b=VALUE` as nested dicts. VALUE is as TOML writes it, else text; `none` is None.

    Raises:
        ArgumentError: there is no `=` or no path.
    """
    path, equals, text = setting.partition("=")
    if not equals or not path.strip():
        raise ArgumentError(f"{setting!r} is no setting; expected PATH=VALUE, as trainer.rate=1e-4")
    value = _value(text.strip())
    for name in reversed(path.strip().split(".")):
        value = {name: value}
    return typing.cast("dict[str, Any]", value)


def read_config(path: Path) -> dict[str, Any]:
    """The settings of a TOML file, or of a JSON file such as a run's `config.json`.

    Raises:
        InputError: it cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
        found = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise InputError(f"{path}: neither TOML nor JSON: {error}") from error
    if not isinstance(found, dict):
        raise InputError(f"{path}: holds a {type(found).__name__}, expected fields by name")
    return found


def override(config: Config, values: Mapping[str, Any], path: str = "") -> Config:
    """A copy of a dataclass with some fields changed.

    Args:
        config: a dataclass instance; its dataclass fields are changed in turn.
        values: by field name. For a dataclass a dict of some of its fields, for a tuple its
            entries or a dict of some of them by number.
        path: of `config`, for messages.

    Raises:
        ArgumentError: a field does not exist or a value has the wrong type; names path, value, what
            is expected, and the fields there are.
    """
    assert dataclasses.is_dataclass(config) and not isinstance(config, type)
    kinds = typing.get_type_hints(type(config))
    names = [f.name for f in dataclasses.fields(config)]
    changes = {}
    for name, value in values.items():
        where = f"{path}.{name}" if path else name
        if name not in names:
            there = f"the fields of {path}" if path else "the fields"
            raise ArgumentError(f"{where}: there is no such field; {there} are: {', '.join(names)}")
        changes[name] = _changed(getattr(config, name), value, kinds[name], where)
    try:
        return dataclasses.replace(config, **changes)
    except ValueError as error:
        raise ArgumentError(f"{path or 'settings'}: {error}") from error


def as_values(config: Any) -> dict[str, Any]:
    """All fields as JSON has them, to write and to give to `override` again."""
    plain = msgspec.json.decode(msgspec.json.encode(dataclasses.asdict(config), enc_hook=str))
    return typing.cast("dict[str, Any]", plain)


def differences(old: Any, new: Any, path: str = "") -> list[str]:
    """Where two results of `as_values` differ, as `path: old -> new`."""
    if isinstance(old, dict) and isinstance(new, dict):
        found = []
        for name in sorted(old.keys() | new.keys()):
            where = f"{path}.{name}" if path else name
            found += differences(old.get(name), new.get(name), where)
        return found
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return differences(_numbered(old), _numbered(new), path)
    return [] if old == new else [f"{path}: {old} -> {new}"]


def _numbered(values: list[Any]) -> dict[str, Any]:
    return {str(index): value for index, value in enumerate(values)}


def _value(text: str) -> Any:
    if text.lower() in ("none", "null"):
        return None
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _changed(current: Any, value: Any, kind: Any, path: str) -> Any:
    if dataclasses.is_dataclass(current) and isinstance(value, dict):
        if hasattr(current, "kind") and "kind" in value:
            return _of_kind(current, value, path)
        return override(current, value, path)
    if isinstance(current, tuple) and isinstance(value, dict):
        return _entries(current, value, path)
    if value is None and type(None) in typing.get_args(kind):
        return None
    if current is None and isinstance(value, dict):
        fields = ", ".join(f"{path}.{name}" for name in value)
        raise ArgumentError(f"{fields}: {path} is none in this recipe, so it has no fields to set")
    if value is None and "none" in typing.get_args(kind):
        value = "none"  # a choice of this name, which was taken for no value
    try:
        return msgspec.convert(value, kind, strict=False)
    except (msgspec.ValidationError, TypeError) as error:
        expected = kind.__name__ if isinstance(kind, type) else str(kind).replace("typing.", "")
        raise ArgumentError(
            f"{path} is {value!r}: {error} (type {expected}, now {current!r})"
        ) from error


def _of_kind(current: Any, values: Mapping[str, Any], path: str) -> Any:
    """A backbone's configuration: some fields of the current one, or another kind in full."""
    kind = values["kind"]
    fields = {name: value for name, value in values.items() if name != "kind"}
    if kind == current.kind:
        return override(current, fields, path)
    if kind not in KINDS:
        raise ArgumentError(f"{path}.kind is {kind!r}, expected one of: {', '.join(KINDS)}")
    try:
        return msgspec.convert(fields, KINDS[kind].config, strict=False)
    except (msgspec.ValidationError, ValueError) as error:
        raise ArgumentError(f"{path}: a backbone of kind {kind!r}: {error}") from error


def _entries(current: tuple[Any, ...], values: Mapping[str, Any], path: str) -> tuple[Any, ...]:
    changed = list(current)
    for index, value in values.items():
        where = f"{path}.{index}"
        if not index.isdecimal() or int(index) >= len(current):
            raise ArgumentError(
                f"{where}: there is no such entry; {path} has 0 to {len(current) - 1}"
            )
        entry = current[int(index)]
        changed[int(index)] = _changed(entry, value, type(entry), where)
    return tuple(changed)


def merged(settings: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Nested settings in one; of two for one field the later counts."""
    whole: dict[str, Any] = {}
    for one in settings:
        for name, value in one.items():
            if isinstance(value, dict) and isinstance(whole.get(name), dict):
                whole[name] = merged([whole[name], value])
            else:
                whole[name] = value
    return whole
