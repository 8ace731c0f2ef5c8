"""Builds C++ sources for this very CPU, once, into a cache all processes of a user share."""

from __future__ import annotations

import atexit
import ctypes
import functools
import hashlib
import logging
import os
import shlex
import shutil
import subprocess
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from streamavis_kernels.errors import KernelBackendError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["FLAGS", "build", "cache_directory", "load", "telling_builds"]

_logger = logging.getLogger(__name__)
_listeners: list[Callable[[str], None]] = []  # of `telling_builds`

FLAGS = (
    *("-std=c++17", "-O3", "-march=native", "-fopenmp", "-fPIC", "-shared"),
    # Let comparisons and floor() vectorise; none of these assumes that numbers are finite.
    *("-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros"),
)
TIMEOUT_S = 120


def cache_directory() -> Path:
    """Where built kernels are looked for: $STREAMAVIS_CACHE, else the user's cache folder.

    Where it cannot be written, they are built into a folder of this process (see `build`).
    """
    if own := os.environ.get("STREAMAVIS_CACHE"):
        return Path(own) / "kernels"
    base = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return Path(base) / "streamavis" / "kernels"


@contextmanager
def telling_builds(told: Callable[[str], None]) -> Iterator[None]:
    """Call `told` with a kernel's name whenever one is about to be compiled, which takes seconds.

    For programs that tell their users why the first run takes longer. Called on the thread that
    builds.
    """
    _listeners.append(told)
    try:
        yield
    finally:
        _listeners.remove(told)


def load(source: Path, flags: tuple[str, ...]) -> ctypes.CDLL:
    """Compile the file `source` for this CPU, unless the cache has it, and load it.

    Raises:
        KernelBackendError: see `build`; or what was built does not load.
    """
    library = build(source.read_text(), source.stem, flags)
    try:
        return ctypes.CDLL(str(library))
    except OSError as error:
        raise KernelBackendError(f"cannot load {library}: {error}") from error


def build(text: str, name: str, flags: tuple[str, ...]) -> Path:
    """Compile C++ into a shared library, unless the cache has it.

    The file's name holds a hash of everything it depends on, and it appears in one step: processes
    may build the same kernel at the same time, and machines may share the cache. Where the cache
    cannot be written, a temporary folder of this process takes its place, and a warning says so.

    Raises:
        KernelBackendError: there is no compiler, it failed, or no folder can be written.
    """
    command, target = _compiler()
    key = hashlib.sha256("\0".join((text, target, *command, *flags)).encode()).hexdigest()[:24]
    file, folder = f"{name}-{key}.so", cache_directory()
    try:
        if (folder / file).exists():
            return folder / file
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=folder):
            pass  # it can be written
    except OSError as error:
        folder = _temporary_directory(folder, error.strerror or str(error))
    library = folder / file
    if library.exists():
        return library
    partial = library.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
    _logger.info("building kernel %s for this CPU (first run)", name)
    for told in tuple(_listeners):
        told(name)
    try:
        _run((*command, *flags, "-x", "c++", "-", "-o", str(partial)), text)
        partial.replace(library)
    except OSError as error:
        raise KernelBackendError(f"cannot write {library}: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)
    return library


@functools.cache
def _temporary_directory(cache: Path, reason: str) -> Path:
    """A folder for this process alone, in place of a cache that cannot be written."""
    try:
        folder = tempfile.mkdtemp(prefix="streamavis-kernels-")
    except OSError as error:
        raise KernelBackendError(
            f"cannot write the kernel cache {cache} ({reason}), nor a temporary folder ({error}); "
            "name a writable folder in STREAMAVIS_CACHE"
        ) from error
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    _logger.warning(
        "cannot write the kernel cache %s (%s): kernels are built anew by every process; "
        "name a writable folder in STREAMAVIS_CACHE",
        cache,
        reason,
    )
    return Path(folder)


@functools.cache
def _compiler() -> tuple[tuple[str, ...], str]:
    """The command of the C++ compiler, and all it predefines for this CPU: version, vector sets."""
    named = os.environ.get("CXX")
    candidates = [shlex.split(named)] if named else [["c++"], ["g++"], ["clang++"]]
    for program, *options in candidates:
        if path := shutil.which(program):
            command = (path, *options)
            return command, _run((*command, *FLAGS, "-dM", "-E", "-x", "c++", os.devnull))
    raise KernelBackendError(
        f"no C++ compiler found (looked for {', '.join(c[0] for c in candidates)}); "
        "install one (Debian: apt install g++) or name it in CXX"
    )


def _run(command: tuple[str, ...], text: str = "") -> str:
    try:
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, timeout=TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise KernelBackendError(f"{shlex.join(command)} did not finish: {error}") from error
    if done.returncode:
        raise KernelBackendError(
            f"{shlex.join(command)} failed with code {done.returncode}: {done.stderr.strip()}"
        )
    return done.stdout
