"""Builds C++ sources for this very CPU, once, into a cache all processes of a user share."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import shlex
import shutil
import subprocess
import threading
from pathlib import Path

from streamavis_kernels.errors import KernelBackendError

__all__ = ["FLAGS", "build", "cache_directory", "load"]

FLAGS = (
    *("-std=c++17", "-O3", "-march=native", "-fopenmp", "-fPIC", "-shared"),
    # Let comparisons and floor() vectorise; none of these assumes that numbers are finite.
    *("-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros"),
)
TIMEOUT_S = 120


def cache_directory() -> Path:
    """Where built kernels live: $STREAMAVIS_CACHE, else the user's cache folder."""
    if own := os.environ.get("STREAMAVIS_CACHE"):
        return Path(own) / "kernels"
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "streamavis" / "kernels"


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
    may build the same kernel at the same time, and machines may share the cache.

    Raises:
        KernelBackendError: there is no compiler, it failed, or the cache cannot be written.
    """
    command, target = _compiler()
    key = hashlib.sha256("\0".join((text, target, *command, *flags)).encode()).hexdigest()[:24]
    library = cache_directory() / f"{name}-{key}.so"
    if library.exists():
        return library
    partial = library.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
    try:
        library.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            _run((*command, *flags, "-x", "c++", "-", "-o", str(partial)), text)
            partial.replace(library)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise KernelBackendError(
            f"cannot write the kernel cache {library.parent} ({error.strerror}); "
            "name a writable folder in STREAMAVIS_CACHE"
        ) from error
    return library


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
