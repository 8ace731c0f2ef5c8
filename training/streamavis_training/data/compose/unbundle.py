"""Opening a bundle of material: unpacked once, with every name and size checked."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import tarfile
import zlib
from typing import TYPE_CHECKING, Any

import msgspec

from streamavis.errors import InputError, OutputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["BUNDLE", "FORMAT", "INDEX", "SCENES", "SUFFIX", "Contents", "opened"]

SUFFIX = ".tar.gz"
FORMAT = 1  # rises whenever the file changes its meaning
BUNDLE, INDEX, SCENES = "bundle.json", "index.json", "scenes/scenes.json"
_MAX_FILE, _MAX_ALL, _MAX_FILES = 256 << 20, 2 << 30, 200_000  # bytes, bytes, files
_NAME = re.compile(r"bundle\.json|index\.json|(cutouts|sounds|backgrounds|scenes)/[^/\\\0]{1,240}")


class Contents(msgspec.Struct):
    """What `bundle.json` says of the other files."""

    bundle: int  # FORMAT
    files: int
    size: int  # bytes of them
    notes: dict[str, Any]  # split, tiers, level, sources with their licences


def opened(paths: Sequence[Path], cache: Path) -> list[Path]:
    """The same paths, with a folder in place of each bundle.

    Args:
        paths: folders of material, index and scene files, bundles (`.tar.gz`).
        cache: folder in which a bundle is unpacked; a second call finds it.

    Raises:
        InputError: a bundle is damaged or holds what no bundle holds.
        OutputError: `cache` cannot be written.
    """
    return [_opened(path, cache) if path.name.endswith(SUFFIX) else path for path in paths]


def _opened(path: Path, cache: Path) -> Path:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    place = cache / "bundles" / digest[:16]
    if place.is_dir():
        return place
    # Its own name: of two processes that start together the first one's stays.
    partial = place.with_name(f"{place.name}.{os.getpid()}")
    try:
        partial.mkdir(parents=True)
        try:
            _unpack(path, partial)
            if not place.is_dir():
                partial.rename(place)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise OutputError(f"{place}: cannot be unpacked into ({error})") from error
    return place


def _unpack(path: Path, folder: Path) -> None:
    files, size = 0, 0
    try:
        with tarfile.open(path, "r:gz") as tar:
            for member in tar:
                _check(path, member, files, size)
                target = folder / member.name
                target.parent.mkdir(exist_ok=True)
                source = tar.extractfile(member)
                assert source is not None, "a regular file has content"
                if target.exists():
                    raise InputError(f"{path}: holds {member.name!r} twice")
                data = source.read()
                target.write_bytes(data)
                if member.name != BUNDLE:
                    files, size = files + 1, size + len(data)
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise InputError(f"{path}: is damaged or no bundle ({error}); copy it again") from error
    try:
        contents = msgspec.json.decode((folder / BUNDLE).read_bytes(), type=Contents)
    except (FileNotFoundError, msgspec.DecodeError) as error:
        raise InputError(f"{path}: has no readable {BUNDLE}: not a bundle, or cut off") from error
    if (contents.bundle, contents.files, contents.size) != (FORMAT, files, size):
        raise InputError(
            f"{path}: holds {files} files of {size} bytes in all, but {BUNDLE} (format "
            f"{contents.bundle}, expected {FORMAT}) says {contents.files} of {contents.size}"
        )


def _check(path: Path, member: tarfile.TarInfo, files: int, size: int) -> None:
    """Refuse links, devices, odd names and too much."""
    last = member.name.rpartition("/")[2]
    if not member.isreg() or not _NAME.fullmatch(member.name) or last in (".", ".."):
        raise InputError(f"{path}: {member.name!r} is nothing that a bundle of material holds")
    if member.size > _MAX_FILE or size + member.size > _MAX_ALL or files >= _MAX_FILES:
        raise InputError(
            f"{path}: {member.name!r} of {member.size:,} bytes is beyond what is unpacked: "
            f"{_MAX_FILES:,} files, {_MAX_FILE:,} bytes each, {_MAX_ALL:,} in all"
        )
