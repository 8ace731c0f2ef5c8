"""One writer per output file: a second program that names it is refused."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from pathlib import Path

from streamavis.errors import OutputError

__all__ = ["Claim"]


class Claim:
    """An output file that this process alone writes, until `release`.

    The claim is an advisory lock on the file itself (`flock`): it ends with the process, however
    that ends, and leaves nothing behind. Devices and pipes are not claimed.
    """

    def __init__(self, path: str | Path) -> None:
        """Open `path` for writing, creating it where it is absent; its content stays.

        Raises:
            OutputError: another program, or another output of this one, writes to it; or it
                cannot be written.
        """
        self._path = Path(path)
        self._created = not self._path.exists()
        self.file: int | None = None  # file descriptor
        try:
            self.file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
            if stat.S_ISREG(os.fstat(self.file).st_mode):
                fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.ENOLCK, errno.EOPNOTSUPP) and self.file is not None:
                return  # a file system without locks: written as before there were any
            self.close()
            if error.errno == errno.EWOULDBLOCK:
                raise OutputError(
                    f"{path}: another program is writing to it; "
                    "end that one, or choose another name"
                ) from error
            raise OutputError(f"{path}: cannot be written: {error.strerror}") from error

    def release(self) -> None:
        """Let others write; safe to call twice. A file that was claimed for nothing is removed."""
        if self.file is not None and self._created and os.fstat(self.file).st_size == 0:
            self._path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Let others write and keep the file, empty or not; safe to call twice."""
        if self.file is not None:
            os.close(self.file)
        self.file = None
