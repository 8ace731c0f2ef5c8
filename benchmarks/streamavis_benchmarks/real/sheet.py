"""Many drawn results on one picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from streamavis.errors import OutputError
from streamavis.viz.overlay import draw_tracks
from streamavis_benchmarks.real.measured import Tile

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from streamavis.types import FrameResult

__all__ = ["contact_sheet", "tile_of", "write_sheet"]

_COLUMNS, _WIDTH, _HEIGHT, _TITLE = 6, 320, 240, 20  # a tile's pixels
_TEXT = (230, 230, 230)


def tile_of(title: str, picture: NDArray[np.uint8], result: FrameResult) -> Tile:
    """Draw what is said of a picture, at the size in which it will be seen.

    Args:
        title: above it.
        picture: (H, W, 3) RGB, of any size.
        result: of the picture.
    """
    height, width = picture.shape[:2]
    scale = min((_WIDTH - 4) / width, (_HEIGHT - 2) / height)
    size = max(int(width * scale), 1), max(int(height * scale), 1)
    small = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    draw_tracks(small, result)
    return Tile(title, small)


def contact_sheet(tiles: Sequence[Tile]) -> NDArray[np.uint8]:
    """(H, W, 3) RGB of all tiles, row by row, each with its title."""
    rows = -(-max(len(tiles), 1) // _COLUMNS)
    columns = min(max(len(tiles), 1), _COLUMNS)
    sheet = np.full((rows * (_HEIGHT + _TITLE), columns * _WIDTH, 3), 24, np.uint8)
    for place, tile in enumerate(tiles):
        top = place // _COLUMNS * (_HEIGHT + _TITLE)
        left = place % _COLUMNS * _WIDTH
        height, width = tile.picture.shape[:2]
        x = left + (_WIDTH - width) // 2
        sheet[top + _TITLE : top + _TITLE + height, x : x + width] = tile.picture
        title = tile.title.encode("ascii", "replace").decode()[:44]
        where = (left + 4, top + _TITLE - 6)
        cv2.putText(sheet, title, where, cv2.FONT_HERSHEY_SIMPLEX, 0.4, _TEXT, 1, cv2.LINE_AA)
    return sheet


def write_sheet(path: Path, tiles: Sequence[Tile]) -> None:
    """Write a contact sheet as PNG.

    Raises:
        OutputError: the file cannot be written.
    """
    _, packed = cv2.imencode(".png", contact_sheet(tiles)[..., ::-1])
    try:
        path.write_bytes(packed.tobytes())
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
