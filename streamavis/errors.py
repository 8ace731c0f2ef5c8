"""Every error StreamAVIS raises on purpose.

    StreamAVISError
    ├── InputError            a file, device or address cannot be read
    │   ├── InputAddressError     the text is no such address (also an ArgumentError)
    │   ├── InputTrackError       there is no track of this number (also an ArgumentError)
    │   └── TruncatedInputError   it could be read in part; the part was kept
    ├── ArgumentError         a value that was given is none that it may be (also a ValueError)
    ├── MisuseError           a call at a time when it is not allowed (also a RuntimeError)
    ├── StoppedError          it was asked to stop before it had begun
    ├── MissingExtraError     an optional package is not installed
    ├── CheckpointError       a weights file is of another kind, version or shape
    │   └── UnknownModelError     no model has this name (also an ArgumentError)
    ├── StreamStateError      a state does not fit the model or the batch
    ├── ModelOutputError      the model produced NaN or infinity
    ├── ShapeError            a tensor or array has the wrong shape, dtype or device
    │   └── KernelArgumentError   the same, told by an operator of `streamavis_kernels`
    ├── KernelBackendError    a kernel backend is unknown or cannot be had (streamavis_kernels)
    ├── OutputError           a result file cannot be written
    │   └── OutputPathError       its path cannot be an output's (also an ArgumentError)
    ├── CapacityError         the machine is too slow for what is asked of it
    └── WireError             a message or an address is refused
        ├── WireAddressError      the text is no such address (also an ArgumentError)
        ├── KeyFileError          a key is missing, damaged or open to others
        │   └── KeyArgumentError      the text is no name or no key (also an ArgumentError)
        ├── SchemaError           the message does not follow the schema
        └── SchemaVersionError    the message has another major version

Each message names the value, what was expected and what to do about it.
"""

from __future__ import annotations

__all__ = [
    "ArgumentError",
    "CapacityError",
    "CheckpointError",
    "InputAddressError",
    "InputError",
    "InputTrackError",
    "KeyArgumentError",
    "KeyFileError",
    "MissingExtraError",
    "MisuseError",
    "ModelOutputError",
    "OutputError",
    "OutputPathError",
    "SchemaError",
    "SchemaVersionError",
    "ShapeError",
    "StoppedError",
    "StreamAVISError",
    "StreamStateError",
    "TruncatedInputError",
    "UnknownModelError",
    "WireAddressError",
    "WireError",
]


class StreamAVISError(Exception):
    """Base of every error StreamAVIS raises on purpose."""


class ArgumentError(StreamAVISError, ValueError):
    """A value that was given is none that it may be; the message says what it may be."""


class MisuseError(StreamAVISError, RuntimeError):
    """A call at a time when it is not allowed; the message says what to do instead."""


class InputError(StreamAVISError):
    """A file, device or address cannot be read; the message names it and the cause."""


class InputAddressError(InputError, ArgumentError):
    """The text is no address of a camera, a microphone or a stream."""


class InputTrackError(InputError, ArgumentError):
    """The input has no picture or sound track of the number that is asked for."""


class TruncatedInputError(InputError):
    """The input broke off: everything before the break was delivered."""


class StoppedError(StreamAVISError):
    """The caller asked to stop, or the granted time was over, before a source gave anything."""


class MissingExtraError(StreamAVISError):
    """An optional package is not installed; the message names the command that installs it."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"{package} is not installed; install it with: pip install 'streamavis[{extra}]'"
        )


class CheckpointError(StreamAVISError):
    """A weights file is of another kind, version or shape than the model."""


class UnknownModelError(CheckpointError, ArgumentError):
    """No model has this name; the message lists those there are."""


class StreamStateError(StreamAVISError):
    """A state does not fit the model or the batch it is used with."""


class ModelOutputError(StreamAVISError):
    """The model produced NaN or infinity: its weights or its state are damaged."""


class ShapeError(StreamAVISError, ValueError):
    """A tensor or array has the wrong shape, dtype or device."""


class OutputError(StreamAVISError):
    """A result file cannot be written."""


class OutputPathError(OutputError, ArgumentError):
    """A path cannot be that of an output: the wrong suffix, the input itself, named twice."""


class CapacityError(StreamAVISError):
    """The machine is too slow for what is asked of it; the message has the measured figures."""


class WireError(StreamAVISError):
    """A message or an address is refused."""


class WireAddressError(WireError, ArgumentError):
    """The text is no address that can be bound or connected to."""


class KeyFileError(WireError):
    """A key file or the key folder is missing, damaged or open to others; never tells a secret."""


class KeyArgumentError(KeyFileError, ArgumentError):
    """The text is no client's name, or no public key."""


class SchemaError(WireError):
    """A message does not follow the schema."""


class SchemaVersionError(SchemaError):
    """A message has a major version this reader does not know."""
