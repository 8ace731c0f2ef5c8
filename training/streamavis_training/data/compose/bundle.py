"""The material of one split in one file small enough to carry to another machine."""

from __future__ import annotations

import bisect
import gzip
import io
import os
import tarfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from streamavis.errors import InputError, OutputError
from streamavis_training.data.compose.shrink import (
    LEVELS,
    Level,
    Small,
    small_background,
    small_cutout,
    small_scene,
    small_sound,
)
from streamavis_training.data.compose.unbundle import (
    BUNDLE,
    FORMAT,
    INDEX,
    SCENES,
    SUFFIX,
    Contents,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from streamavis_training.data.compose.catalogue import Catalogue

__all__ = ["Bundled", "write_bundle"]

_SAMPLED = 32  # one record in so many is encoded to estimate a level's size
_SAFE = 0.97  # of the limit, for the estimate
_FILE = 60  # bytes of a file's header and record, compressed


@dataclass(frozen=True)
class Bundled:
    """What was written."""

    path: Path
    size: int  # bytes
    level: Level
    cutouts: int
    sounds: int
    backgrounds: int
    scenes: int


def write_bundle(
    catalogue: Catalogue,
    out: Path,
    limit: int,
    *,
    notes: dict[str, Any] | None = None,
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Bundled:
    """Write pictures, sounds, masks, records and licences as one `.tar.gz`.

    The best of `LEVELS` that fits is taken. The same catalogue and limit give the same bytes.

    Args:
        catalogue: records of one split, as `Catalogue.choose` returns them.
        out: the file; replaced if it exists.
        limit: bytes.
        notes: kept in the file beside the sources and their licences.
        jobs: threads that encode.
        progress: called with the number of files encoded and of all.

    Raises:
        InputError: a file of the material cannot be decoded, or the limit is too low.
        OutputError: `out` cannot be written or has another suffix.
    """
    if not out.name.endswith(SUFFIX):
        raise OutputError(f"{out}: a bundle's name must end in {SUFFIX}")
    kinds = _kinds(catalogue)
    # Each level is smaller than the one before.
    first = bisect.bisect_left(
        range(len(LEVELS)),
        True,
        key=lambda n: _estimate(kinds, LEVELS[n], jobs) <= limit * _SAFE,
    )
    smallest = 0
    for level in LEVELS[first:]:
        smallest = _write(catalogue, level, out, limit, notes or {}, jobs, progress)
        if smallest <= limit:
            counts = [len(records) for _, records, _ in kinds]
            return Bundled(out, smallest, level, *counts)
    size = smallest or _estimate(kinds, LEVELS[-1], jobs)
    raise InputError(
        f"the material takes {size / 1e6:.1f} MB at the lowest quality, more than the limit of "
        f"{limit / 1e6:.1f} MB; raise --limit-mb or name fewer tiers"
    )


def _kinds(catalogue: Catalogue) -> list[tuple[str, Sequence[Any], Callable[[Any, Level], Small]]]:
    return [
        ("cutouts", catalogue.cutouts, small_cutout),
        ("sounds", catalogue.sounds, small_sound),
        ("backgrounds", catalogue.backgrounds, small_background),
        ("scenes", catalogue.scenes, small_scene),
    ]


def _estimate(kinds: list[Any], level: Level, jobs: int) -> int:
    """Bytes of the bundle, from some of the records."""
    total = 0.0
    for _, records, shrink in kinds:
        some = records[::_SAMPLED]
        small = [len(x.data) + x.text // 2 + _FILE for x in _each(some, shrink, level, jobs)]
        total += sum(small) * len(records) / max(len(some), 1)
    return int(total)


def _each(
    records: Sequence[Any], shrink: Callable[[Any, Level], Small], level: Level, jobs: int
) -> Iterator[Small]:
    """Encode in threads (OpenCV and FFmpeg let the others run), in order, a few ahead."""
    with ThreadPoolExecutor(jobs) as pool:
        for start in range(0, len(records), 64):
            yield from pool.map(lambda record: shrink(record, level), records[start : start + 64])


def _write(
    catalogue: Catalogue,
    level: Level,
    out: Path,
    limit: int,
    notes: dict[str, Any],
    jobs: int,
    progress: Callable[[int, int], None] | None,
) -> int:
    """Write the bundle; returns its size, and leaves no file where that is above the limit."""
    partial = out.with_name(f"{out.name}.{os.getpid()}")
    try:
        try:
            with partial.open("wb") as file:
                _fill(file, catalogue, level, notes, jobs, progress)
            size = partial.stat().st_size
            if size <= limit:
                partial.replace(out)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{out}: cannot be written ({error.strerror})") from error
    return size


def _fill(
    file: Any,
    catalogue: Catalogue,
    level: Level,
    notes: dict[str, Any],
    jobs: int,
    progress: Callable[[int, int], None] | None,
) -> None:
    # No name and no time: the bytes depend on the content alone.
    with (
        gzip.GzipFile("", "wb", 6, file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        adding = _Adding(tar)
        records: dict[str, list[dict[str, Any]]] = {}
        annotations: list[dict[str, Any]] = []
        labels = sorted({item.label for scene in catalogue.scenes for item in scene.objects})
        numbers = {label: n for n, label in enumerate(labels, 1)}
        kinds = _kinds(catalogue)
        done, of = 0, sum(len(found) for _, found, _ in kinds)
        for kind, found, shrink in kinds:
            records[kind] = []
            for record, small in zip(found, _each(found, shrink, level, jobs), strict=True):
                name = adding.named(kind, record.path.stem, small.suffix, small.data)
                facts = {k: getattr(record, k) for k in ("licence", "tier", "split", "group")}
                number = len(records[kind]) + 1
                place = {"id": number, "file_name": name} if kind == "scenes" else {"file": name}
                records[kind].append(place | facts | {"source": record.source} | small.facts)
                annotations += [
                    {"image_id": number, "category_id": numbers[label], **mask}
                    for label, mask in small.masks
                ]
                done += 1
                if progress is not None:
                    progress(done, of)
        scenes = {
            "images": records.pop("scenes"),
            "annotations": annotations,
            "categories": [{"id": n, "name": label} for label, n in numbers.items()],
        }
        adding.add(SCENES, msgspec.json.encode(scenes))
        adding.add(INDEX, msgspec.json.encode(records))
        sources = [asdict(credit) for credit in catalogue.credits()]
        notes = notes | {"level": asdict(level), "sources": sources}
        contents = Contents(FORMAT, adding.files, adding.size, notes)
        adding.add(BUNDLE, msgspec.json.encode(contents))


class _Adding:
    """Adds files without owner and time; every name once."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self._names: set[str] = set()
        self.files, self.size = 0, 0

    def named(self, folder: str, stem: str, suffix: str, data: bytes) -> str:
        """Add a file; returns its name, with a number where another has it already."""
        name, number = f"{folder}/{stem}{suffix}", 1
        while name in self._names:
            number += 1
            name = f"{folder}/{stem}-{number}{suffix}"
        self.add(name, data)
        return name

    def add(self, name: str, data: bytes) -> None:
        self._names.add(name)
        member = tarfile.TarInfo(name)
        member.size, member.mode = len(data), 0o644
        self._tar.addfile(member, io.BytesIO(data))
        self.files += 1
        self.size += len(data)
