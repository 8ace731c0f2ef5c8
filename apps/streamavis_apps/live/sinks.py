"""Where `streamavis live` sends its results: one set of sinks per stream."""

from __future__ import annotations

import secrets
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from streamavis.errors import OutputPathError
from streamavis.runtime.recording import RecordSink
from streamavis.runtime.sinks import JsonlSink, PublishSink
from streamavis.viz import draw
from streamavis_apps.commands.options import View, Web
from streamavis_apps.live.views import BROWSER, open_view
from streamavis_apps.publishing import keys_for
from streamavis_apps.sources import is_stdout

if TYPE_CHECKING:
    from types import TracebackType

    from streamavis.io.live.capture import Device
    from streamavis.io.media import MediaInfo
    from streamavis.runtime.delivery import Sink
    from streamavis.wire import Hello
    from streamavis_apps.exits import Stop
    from streamavis_apps.live.views import Views

__all__ = ["Outputs", "Wanted", "address_of", "path_of"]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The outputs that were asked for. Of several streams each has its own: see `Outputs`."""

    view: View = View.NONE
    web: Web | None = None  # where the view in a browser is served
    lending: bool = False  # a visitor of it is asked for a camera
    publish: str | None = None  # address
    keys: Path | None = None  # folder; see `keys_for`
    insecure: bool = False
    jsonl: Path | None = None
    record: Path | None = None


class Outputs:
    """Opens the outputs of one run, a context manager.

    One stream writes to the paths and the address that were asked for. Of several each has its
    name in its paths (`out.mp4` becomes `out-door.mp4`), and the address's port counts up.

    Attributes:
        boot_id: names the run in everything that is sent.
        told: what each output is -> where it is, for the user.
    """

    def __init__(self, wanted: Wanted, stop: Stop) -> None:
        self.boot_id = secrets.token_hex(8)
        self.told: dict[str, str] = {}
        self._wanted = wanted
        self._stop = stop
        self._stack = ExitStack()
        self._views: Views | None = None
        if wanted.jsonl is not None and wanted.jsonl == wanted.record:
            raise OutputPathError(
                f"{wanted.jsonl}: is named twice; give each output a name of its own"
            )

    def __enter__(self) -> Self:
        wanted = self._wanted
        self._views = self._stack.enter_context(
            open_view(wanted.view, self._stop, wanted.web, lending=wanted.lending)
        )
        if self._views is not None and self._views.where:
            self.told["view"] = self._views.where
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def camera(self) -> Device | None:
        """A camera that a viewer lends; None where none can."""
        return None if self._views is None else self._views.camera

    def stride(self) -> int:
        """One frame in so many is to be looked at, as viewers have it."""
        return 1 if self._views is None else self._views.stride()

    def of(
        self, hello: Hello, info: MediaInfo, *, stream: str, place: int, several: bool
    ) -> list[Sink]:
        """Open the sinks of one stream, the `place`-th.

        Raises:
            OutputError: a file cannot be written.
            WireError: the address is refused or in use.
        """
        wanted = self._wanted
        sinks: list[Sink] = []
        of_stream = f" of {stream}" if several else ""
        # The address first: when it is in use, no file has been replaced yet.
        if wanted.publish is not None:
            address = address_of(wanted.publish, stream, place) if several else wanted.publish
            keys = keys_for(address, wanted.keys, wanted.insecure)
            wire = PublishSink(address, stream, hello, keys=keys, insecure=wanted.insecure)
            sinks.append(wire)
            self.told[f"results{of_stream}"] = wire.endpoint
        if wanted.jsonl is not None:
            shared = is_stdout(wanted.jsonl) or not several  # each line names its stream
            path = wanted.jsonl if shared else path_of(wanted.jsonl, stream)
            sinks.append(JsonlSink(path, stamps=True))
            self.told[f"lines{of_stream}"] = str(path)
        recording: RecordSink | None = None
        if wanted.record is not None or (self._views is not None and self._views.records):
            path = wanted.record or Path("streamavis.mp4")
            recording = RecordSink(
                path_of(path, stream) if several else path,
                draw=draw,
                size=(info.height, info.width),
                fps=info.fps,
                has_audio=hello.has_audio,
                start=wanted.record is not None,
            )
            sinks.append(recording)
            if wanted.record is not None:
                self.told[f"video{of_stream}"] = recording.recording
        if self._views is not None:
            lent = info.name == BROWSER
            sinks.append(self._views.sink(stream, hello, recording, lent=lent))
        return sinks


def path_of(path: Path, stream: str) -> Path:
    """`out.mp4` as one of several streams has it: `out-door.mp4`."""
    return path.with_stem(f"{path.stem}-{stream}")


def address_of(address: str, stream: str, place: int) -> str:
    """An address as the `place`-th of several streams has it.

    The port counts up (`*` stays: any free one); a path gets the stream's name.
    """
    head, colon, port = address.rpartition(":")
    if address.startswith("tcp://") and colon and port.isdecimal():
        return f"{head}:{int(port) + place}"
    return address if address.startswith("tcp://") else f"{address}-{stream}"
