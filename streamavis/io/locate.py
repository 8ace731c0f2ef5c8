"""From what a user names to what FFmpeg opens: a file is a file, whatever its name looks like."""

from __future__ import annotations

import glob
import io
import os
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from streamavis.errors import InputError

__all__ = ["Located", "file_url", "is_address", "locate"]

_LAVFI = "lavfi:"
_STDIN = "-"
_NUMBER = re.compile(r"%(0?\d*)d")  # as in frame%04d.png
_WILD = re.compile(r"[*?\[]")
_PICTURES = frozenset(
    {".avif", ".bmp", ".dpx", ".exr", ".gif", ".jp2", ".jpeg", ".jpg", ".jxl", ".pbm", ".pcx"}
    | {".pgm", ".png", ".ppm", ".qoi", ".sgi", ".tga", ".tif", ".tiff", ".webp"}
)
_SEQUENCE_FPS = 25  # FFmpeg's own for numbered pictures


@dataclass(frozen=True, slots=True)
class Located:
    """What `av.open` is given."""

    what: str | io.BytesIO
    format: str | None = None
    options: dict[str, str] = field(default_factory=dict)
    path: Path | None = None  # None: not a regular file
    once: bool = False  # a pipe: what was read of it is gone


def is_address(text: str) -> bool:
    """True for `scheme://...`, unless there is a file of that name."""
    return "://" in text and not os.path.exists(text)  # noqa: PTH110  Path raises for long names


def locate(url: str | Path) -> Located:
    """Find a file, a folder or pattern of pictures, standard input, an address or a test source.

    It is a file where such a file exists, or where it is neither an address nor `lavfi:GRAPH`.

    Raises:
        InputError: there is no such file, or nothing to read in it.
    """
    text = str(url)
    exists = os.path.exists(text)  # noqa: PTH110  see above
    if not exists and text.startswith(_LAVFI):
        return Located(text.removeprefix(_LAVFI), "lavfi")
    if not exists and "://" in text:
        return Located(text)
    if text == _STDIN:
        return Located("pipe:0", once=True)
    return _file(_expanded(text))


def file_url(path: Path) -> str:
    """A path as FFmpeg opens it: as a file, also where its name has a colon."""
    return f"file:{path}"


def _expanded(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:  # no such user
        return Path(text)


def _file(path: Path) -> Located:
    name = str(path)
    if not os.path.exists(name):  # noqa: PTH110  see above
        pictures = _matching(path)
        if pictures:
            return _sequence(pictures)
        raise InputError(f"{name}: no such file; check the path")
    if path.is_dir():
        return _sequence(_pictures_in(path))
    if not path.is_file():
        return Located(file_url(path), once=True)
    if path.stat().st_size == 0:
        raise InputError(f"{name}: the file is empty")
    if "%" in path.name and path.suffix.lower() in _PICTURES:
        return _sequence([path])  # else FFmpeg takes the name for a pattern
    return Located(file_url(path), path=path)


def _matching(path: Path) -> list[Path]:
    """Pictures whose names fit `frame%04d.png` or `*.jpg`, in order."""
    folder, name = path.parent, path.name
    if _NUMBER.search(name) and folder.is_dir():
        parts = _NUMBER.split(name)  # text and width, in turn
        pattern = "".join(
            (r"\d{%s,}" % (part.lstrip("0") or "1") if n % 2 else re.escape(part))
            for n, part in enumerate(parts)
        )
        found = [p for p in folder.iterdir() if re.fullmatch(pattern, p.name)]
    elif _WILD.search(str(path)):
        found = [Path(p) for p in glob.glob(str(path))]  # noqa: PTH207  absolute ones as well
    else:
        return []
    return sorted((p for p in found if p.is_file()), key=_natural)


def _pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder, of the kind that most of them have."""
    try:
        found = [p for p in folder.iterdir() if p.suffix.lower() in _PICTURES and p.is_file()]
    except OSError as error:
        raise InputError(f"{folder}: may not be read: {error.strerror}") from error
    kinds = Counter(p.suffix.lower() for p in found)
    if not kinds:
        raise InputError(
            f"{folder}: is a directory without pictures; name a media file in it, or a folder of "
            "numbered pictures"
        )
    kind = kinds.most_common(1)[0][0]
    return sorted((p for p in found if p.suffix.lower() == kind), key=_natural)


def _natural(path: Path) -> tuple[object, ...]:
    """Order of names in which 2 comes before 10."""
    pieces = re.split(r"(\d+)", path.name)
    return tuple(int(p) if n % 2 else p for n, p in enumerate(pieces))


def _sequence(pictures: list[Path]) -> Located:
    """Pictures one after the other, 25 a second, as FFmpeg's `concat` reads them."""
    lines = ["ffconcat version 1.0"]
    for picture in pictures:
        url = file_url(picture.absolute()).replace("'", "'\\''")
        lines += [f"file '{url}'", f"duration {1 / _SEQUENCE_FPS}"]
    script = io.BytesIO("\n".join(lines).encode("utf-8", "surrogateescape"))
    return Located(script, "concat", {"safe": "0"})
