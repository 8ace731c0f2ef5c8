"""Keys of the wire: who the publisher is, and who may read it.

A key folder holds, for its owner alone (folders 0700, files 0600):

    server.key            the publisher's pair of keys
    clients/NAME.pub      a client that may read: its public key, one line of Z85
    clients/NAME.key      the file to carry to that client, where it was made here

Keys are CurveZMQ's (Curve25519), in Z85: 40 characters for 32 bytes (ZeroMQ RFC 26 and 32).
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from struct import error as StructError
from typing import TYPE_CHECKING, Final, Self, TypeVar

import msgspec
import zmq
from zmq.utils import z85

from streamavis.errors import KeyArgumentError, KeyFileError
from streamavis.wire.key_files import (
    check_private_folder,
    create_private,
    make_private_folder,
    read_private,
    remove,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MAX_CLIENTS", "ClientKey", "KeyFolder", "ServerKeys", "check_public", "default_folder"]

MAX_CLIENTS: Final = 1_000
_KEY_CHARS: Final = 40
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_INIT: Final = "make one with: streamavis keys init"
_ADD: Final = "make one on the publisher's machine with: streamavis keys add NAME"


class _ServerFile(msgspec.Struct, tag_field="streamavis", tag="server key"):
    public: str
    secret: str


class _ClientFile(msgspec.Struct, tag_field="streamavis", tag="client key"):
    name: str
    public: str
    secret: str
    server: str


_File = TypeVar("_File", _ServerFile, _ClientFile)


def default_folder() -> Path:
    """Return the user's own key folder: `~/.config/streamavis/keys`, or as XDG has it."""
    config = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    # The XDG specification has relative paths ignored.
    home = config if config.is_absolute() else Path.home() / ".config"
    return home / "streamavis" / "keys"


def check_public(text: str) -> str:
    """Return a public key as it is, if it can be one.

    Raises:
        KeyFileError: it is no 32 bytes in Z85.
    """
    _decode(text, f"{text[:80]!r} is no public key")
    return text


@dataclass(frozen=True, slots=True)
class ClientKey:
    """What a client proves itself with, and whom it believes."""

    name: str
    public: str
    server: str  # public key of the publisher
    secret: str = field(repr=False)

    @classmethod
    def new(cls, name: str, server: str) -> Self:
        """Make a pair of keys for a client of the publisher with public key `server`.

        Raises:
            KeyFileError: the name is not allowed, or `server` is no key.
        """
        public, secret = _pair()
        return cls(_checked_name(name), public, check_public(server), secret)

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read a client's key file.

        Raises:
            KeyFileError: it is absent, damaged, no client's, or others may read it.
        """
        path = Path(path)
        file = _parse(path, read_private(path, absent=_ADD), _ClientFile)
        if _NAME.fullmatch(file.name) is None:
            raise KeyFileError(f"{path}: is damaged: {file.name[:80]!r} is no client's name")
        _decode(file.server, f"{path}: is damaged: its server key is none")
        _check_pair(path, file.public, file.secret)
        return cls(file.name, file.public, file.server, file.secret)

    def write(self, path: Path) -> None:
        """Write the key file, mode 0600; it must not exist.

        Raises:
            KeyFileError: it exists or cannot be written.
        """
        create_private(path, _text(_ClientFile(self.name, self.public, self.secret, self.server)))


@dataclass(frozen=True, slots=True)
class ServerKeys:
    """What a publisher proves itself with, and whom it lets in."""

    public: str
    secret: str = field(repr=False)
    clients: Mapping[bytes, str]  # public key, 32 bytes -> name
    faults: tuple[str, ...] = ()  # a sentence for each client that is not let in for its file


class KeyFolder:
    """The publisher's key and its list of clients, on disk."""

    def __init__(self, path: Path) -> None:
        """Name the folder; nothing is opened."""
        self.path = path
        self._server = path / "server.key"
        self._clients = path / "clients"

    def init(self) -> str:
        """Make the folder and the publisher's pair of keys; return the public one.

        Raises:
            KeyFileError: there is one already, the folder is not private or cannot be written.
        """
        make_private_folder(self.path)
        make_private_folder(self._clients)
        if self._server.exists():
            raise KeyFileError(
                f"{self._server}: exists already (public key {self.server()[0]}); to begin anew, "
                f"with a new key file for every client, remove {self.path} first"
            )
        public, secret = _pair()
        create_private(self._server, _text(_ServerFile(public, secret)))
        return public

    def add(self, name: str, out: Path | None = None) -> Path:
        """Let a new client in; return its key file, to be carried to it.

        Args:
            name: 1 to 64 letters, digits, `_` or `-`, the first a letter or digit.
            out: where the key file goes; None: `clients/NAME.key` of the folder.

        Raises:
            KeyFileError: the name is taken or not allowed, or a file cannot be written.
        """
        server, _ = self.server()
        key = ClientKey.new(name, server)
        self._check_free(name)
        path = self._clients / f"{name}.key" if out is None else out
        key.write(path)
        try:
            self._list(name, key.public)
        except KeyFileError:
            remove(path)
            raise
        return path

    def add_public(self, name: str, public: str) -> str:
        """Let a client in that has its keys already; return the publisher's public key.

        Raises:
            KeyArgumentError: the name is not allowed, or the key is none.
            KeyFileError: the name is taken, or the key is listed already.
        """
        server, _ = self.server()
        _checked_name(name)
        try:
            check_public(public)
        except KeyFileError as error:
            raise KeyArgumentError(str(error)) from None
        self._check_free(name)
        if public == server:
            raise KeyFileError(f"{public} is the publisher's own key, expected a client's")
        listed = {key: other for other, key in self.clients().items()}
        if public in listed:
            raise KeyFileError(f"{public} is listed already, as {listed[public]}")
        self._list(name, public)
        return server

    def revoke(self, name: str) -> tuple[str, ...]:
        """Let a client in no longer; its key file here goes too.

        Other names of the same public key go with it: the key would still open the door.

        Returns:
            The names that were listed with this key, `name` first.

        Raises:
            KeyFileError: no reader has this name, or a file cannot be removed.
        """
        _checked_name(name)
        check_private_folder(self.path, absent=_INIT)
        names = (name, *self._others(name))
        # The list first: it is what counts.
        removed = [
            remove(self._clients / f"{each}.{kind}") for kind in ("pub", "key") for each in names
        ]
        if not any(removed):
            known = ", ".join(sorted(self._names())) or "none"
            raise KeyFileError(f"{name} is not listed in {self.path}; listed: {known}")
        return names

    def server(self) -> tuple[str, str]:
        """Return the publisher's keys, public and secret.

        Raises:
            KeyFileError: the folder or the file is absent, damaged, or others may read it.
        """
        check_private_folder(self.path, absent=_INIT)
        file = _parse(self._server, read_private(self._server, absent=_INIT), _ServerFile)
        _check_pair(self._server, file.public, file.secret)
        return file.public, file.secret

    def clients(self) -> dict[str, str]:
        """Return name -> public key of every client whose file is sound, by name.

        Raises:
            KeyFileError: the list itself cannot be read.
        """
        self.server()
        keys = {name: self._key_of(name) for name in sorted(self._names())}
        return {name: z85.encode(key).decode() for name, key in keys.items() if key is not None}

    def load(self) -> ServerKeys:
        """Read everything a publisher needs to know.

        A client whose file is damaged or open to others is not let in, and is no reason to shut
        the rest out.

        Raises:
            KeyFileError: the publisher's key or the list itself cannot be read.
        """
        public, secret = self.server()
        check_private_folder(self._clients, absent=_INIT)
        clients: dict[bytes, str] = {}
        faults = []
        for name in sorted(self._names()):
            path = self._clients / f"{name}.pub"
            try:
                clients[_read_public(path)] = _checked_name(name)
            except KeyFileError as error:
                faults.append(str(error))
        return ServerKeys(public, secret, clients, tuple(faults))

    def fingerprint(self) -> tuple[object, ...]:
        """Return something that differs once a file or a permission has changed; never raises."""
        try:
            names: list[str] | str = sorted(self._names())
        except KeyFileError as error:
            names = str(error)
        listed = [] if isinstance(names, str) else [self._clients / f"{n}.pub" for n in names]
        places = [self.path, self._server, self._clients, *listed]
        return (names, *map(_stamp, places))

    def _names(self) -> list[str]:
        try:
            with os.scandir(self._clients) as entries:
                found = [entry.name for entry in islice(entries, 4 * MAX_CLIENTS)]
        except OSError as error:
            raise KeyFileError(f"{self._clients}: cannot be read: {error.strerror}") from error
        names = [name.removesuffix(".pub") for name in found if name.endswith(".pub")]
        if len(names) > MAX_CLIENTS or len(found) == 4 * MAX_CLIENTS:
            raise KeyFileError(f"{self._clients}: has more than {MAX_CLIENTS} clients")
        return names

    def _key_of(self, name: str) -> bytes | None:
        """The public key of a listed client; None: its file is not sound."""
        try:
            return _read_public(self._clients / f"{_checked_name(name)}.pub")
        except KeyFileError:
            return None

    def _others(self, name: str) -> list[str]:
        """Other names that are listed with the key of this one."""
        key = self._key_of(name)
        listed = [] if key is None else sorted(self._names())
        return [other for other in listed if other != name and self._key_of(other) == key]

    def _check_free(self, name: str) -> None:
        for kind in ("pub", "key"):
            if (self._clients / f"{name}.{kind}").exists():
                raise KeyFileError(
                    f"{name} is taken: {self._clients / f'{name}.{kind}'} exists; choose another "
                    f"name, or first: streamavis keys revoke {name}"
                )

    def _list(self, name: str, public: str) -> None:
        create_private(self._clients / f"{name}.pub", f"{public}\n".encode())


def _checked_name(name: str) -> str:
    if _NAME.fullmatch(name) is None:
        raise KeyArgumentError(
            f"{name[:80]!r} is no client's name; expected 1 to 64 letters, digits, _ or -, "
            "the first a letter or digit"
        )
    return name


def _pair() -> tuple[str, str]:
    public, secret = zmq.curve_keypair()
    return public.decode(), secret.decode()


def _decode(text: str, what: str) -> bytes:
    """Return the 32 bytes of a key. `what` begins the message, as the key may be a secret."""
    if len(text) != _KEY_CHARS:
        raise KeyFileError(f"{what}: it has {len(text)} characters, expected {_KEY_CHARS} of Z85")
    try:
        return z85.decode(text)
    except (ValueError, KeyError, StructError):
        # From nothing: the cause would quote what may be a secret.
        raise KeyFileError(f"{what}: expected {_KEY_CHARS} characters of Z85") from None


def _check_pair(path: Path, public: str, secret: str) -> None:
    _decode(public, f"{path}: is damaged: its public key is none")
    _decode(secret, f"{path}: is damaged: its secret key is none")
    if zmq.curve_public(secret.encode()).decode() != public:
        raise KeyFileError(f"{path}: is damaged: its public and secret key do not match")


def _read_public(path: Path) -> bytes:
    data = read_private(path, absent=_ADD)
    text = data.decode("ascii", "replace").rstrip("\r\n")
    return _decode(text, f"{path}: is damaged: it holds no public key")


def _parse(path: Path, data: bytes, kind: type[_File]) -> _File:
    wanted = kind.__struct_config__.tag
    try:
        file: _ServerFile | _ClientFile = msgspec.json.decode(data, type=_ServerFile | _ClientFile)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        # From nothing: the cause may quote a line with a secret.
        raise KeyFileError(f"{path}: is damaged, or no StreamAVIS {wanted}") from None
    if not isinstance(file, kind):
        raise KeyFileError(
            f"{path}: is a StreamAVIS {type(file).__struct_config__.tag}, expected a {wanted}"
        )
    return file


def _text(file: _ServerFile | _ClientFile) -> bytes:
    return msgspec.json.format(msgspec.json.encode(file), indent=2) + b"\n"


def _stamp(path: Path) -> object:
    try:
        found = path.stat()
    except OSError as error:
        return error.errno
    return found.st_ino, found.st_ctime_ns, found.st_size, found.st_mode, found.st_uid
