"""HLS playlists on disk: what they name and is not there, which FFmpeg passes over in silence."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["missing_segments"]

_SUFFIXES = frozenset({".m3u8", ".m3u"})
_MOST_BYTES = 16 << 20
_DEEPEST = 2  # a master playlist names playlists, which name segments


def missing_segments(path: Path, depth: int = 1) -> list[Path]:
    """Files that a playlist names and that do not exist; none for anything but a playlist."""
    if path.suffix.lower() not in _SUFFIXES or path.stat().st_size > _MOST_BYTES:
        return []
    missing: list[Path] = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        name = line.strip()
        if not name or name.startswith("#") or urlsplit(name).scheme not in ("", "file"):
            continue
        segment = path.parent / unquote(urlsplit(name).path)
        if segment.exists() or (path.parent / name).exists():
            if depth < _DEEPEST and segment.is_file():
                missing += missing_segments(segment, depth + 1)
        else:
            missing.append(segment)
    return missing
