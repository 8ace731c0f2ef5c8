"""Files and folders that nobody but their owner may read: where keys are kept."""

from __future__ import annotations

import contextlib
import os
import shlex
import stat
import tempfile
from typing import TYPE_CHECKING, Final

from streamavis.errors import KeyFileError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "MAX_BYTES",
    "check_private_folder",
    "create_private",
    "make_private_folder",
    "read_private",
    "remove",
]

MAX_BYTES: Final = 4_096  # of a key file, which has a few hundred
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def read_private(path: Path, *, absent: str) -> bytes:
    """Read a file that only its owner may read, or write.

    Args:
        path: a regular file of at most `MAX_BYTES`; a link to one is followed.
        absent: what to do where there is none, for the error's message.

    Raises:
        KeyFileError: it is absent, too long, no file, or others may read or replace it.
    """
    try:
        # Not blocking: a pipe in the place of the file must not stop us for ever.
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except FileNotFoundError as error:
        raise KeyFileError(f"{path}: there is no such key file; {absent}") from error
    except (OSError, ValueError) as error:
        raise KeyFileError(f"{path}: cannot be read: {_why(error)}") from error
    try:
        # The open file is asked, not its name: that may mean another one by now.
        _check_owned(path, os.fstat(handle), "600")
        data = os.read(handle, MAX_BYTES + 1)
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be read: {_why(error)}") from error
    finally:
        os.close(handle)
    if len(data) > MAX_BYTES:
        raise KeyFileError(
            f"{path}: is no key file: longer than {MAX_BYTES} bytes; a key file has a few hundred"
        )
    return data


def create_private(path: Path, data: bytes) -> None:
    """Write a new file, mode 0600: whole and on the disk, or not at all.

    Raises:
        KeyFileError: there is a file already, or it cannot be written.
    """
    try:
        handle, name = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=path.parent)
    except (OSError, ValueError) as error:
        raise KeyFileError(f"{path}: cannot be written: {_why(error)}") from error
    try:
        with open(handle, "wb") as file:  # noqa: PTH123
            file.write(data)
            file.flush()
            os.fsync(handle)
        # A link, as a rename would replace what is there.
        os.link(name, path)
    except FileExistsError as error:
        raise KeyFileError(f"{path}: exists already, and no key is ever overwritten") from error
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be written: {_why(error)}") from error
    finally:
        os.unlink(name)  # noqa: PTH108
    _sync(path.parent)


def remove(path: Path) -> bool:
    """Remove a file for good, also after a power cut; False: there was none.

    Raises:
        KeyFileError: it cannot be removed.
    """
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be removed: {_why(error)}") from error
    _sync(path.parent)
    return True


def make_private_folder(path: Path) -> None:
    """Make a folder, mode 0700, unless there is one that is private already.

    Raises:
        KeyFileError: it cannot be made, or others may look into the one there is.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be made: {_why(error)}") from error
    check_private_folder(path, absent="it has just gone")


def check_private_folder(path: Path, *, absent: str) -> None:
    """Refuse a folder that others may look into, or change.

    Raises:
        KeyFileError: it is absent, no folder, or not private.
    """
    try:
        found = path.stat()
    except FileNotFoundError as error:
        raise KeyFileError(f"{path}: there is no such key folder; {absent}") from error
    except (OSError, ValueError) as error:
        raise KeyFileError(f"{path}: cannot be read: {_why(error)}") from error
    if not stat.S_ISDIR(found.st_mode):
        raise KeyFileError(f"{path}: is a file, expected a key folder")
    _check_owned(path, found, "700")


def _check_owned(path: Path, found: os.stat_result, mode: str) -> None:
    if mode == "600" and not stat.S_ISREG(found.st_mode):
        raise KeyFileError(f"{path}: is no file, expected a key file")
    if os.name != "posix":
        raise KeyFileError(f"{path}: this system does not tell who may read it; keys need POSIX")
    if found.st_uid not in (os.geteuid(), 0):
        raise KeyFileError(
            f"{path}: belongs to user {found.st_uid}, expected {os.geteuid()} (you) or 0 (root): "
            "whoever owns a key can replace it; use a copy of your own"
        )
    if found.st_mode & _OTHERS:
        cure = f"run: chmod {mode} {shlex.quote(str(path))}"
        raise KeyFileError(
            f"{path}: others may read or change it (mode 0{stat.S_IMODE(found.st_mode):o}, "
            f"expected 0{mode}); {'name a folder for keys alone, or ' * (mode == '700')}{cure}"
        )


def _sync(folder: Path) -> None:
    # A key that was removed must not be back after a power cut. Not every file system can.
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _why(error: OSError | ValueError) -> str:
    return getattr(error, "strerror", None) or str(error)
