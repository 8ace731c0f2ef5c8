"""Where `streamavis live` sends its results: one set of sinks per stream."""

from __future__ import annotations

import secrets
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from streamavis.errors import OutputPathError
from streamavis.sinks.outputs import SinkPlan, open_sinks
from streamavis_apps.commands.options import View, Web
from streamavis_apps.live.views import BROWSER, open_view
from streamavis_apps.sources import is_stdout

if TYPE_CHECKING:
    from types import TracebackType

    from streamavis.io.live.capture import Device
    from streamavis.io.media import MediaInfo
    from streamavis.protocols import Sink
    from streamavis.wire import Hello
    from streamavis_apps.exits import Stop
    from streamavis_apps.live.views import Views

__all__ = ["Outputs", "Wanted", "address_of", "path_of"]

_STARTABLE = Path("streamavis.mp4")  # what `r` in a window starts


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The outputs that were asked for. Of several streams each has its own: see `Outputs`."""

    view: View = View.NONE
    web: Web | None = None  # where the view in a browser is served
    sharing: bool = False  # its page offers to share a camera
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
        places: what each output is -> where it is, for the user.
    """

    def __init__(self, wanted: Wanted, stop: Stop) -> None:
        self.boot_id = secrets.token_hex(8)
        self.places: dict[str, str] = {}
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
            open_view(wanted.view, self._stop, wanted.web, sharing=wanted.sharing)
        )
        if self._views is not None and self._views.where:
            self.places["view"] = self._views.where
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
        """A camera that a browser shares; None where none can."""
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
        of_stream = f" of {stream}" if several else ""
        startable = _STARTABLE if self._views is not None and self._views.records else None
        plan = SinkPlan(
            publish=wanted.publish,
            keys=wanted.keys,
            insecure=wanted.insecure,
            jsonl=wanted.jsonl,
            stamps=True,
            record=wanted.record,
            startable=startable,
        )
        if several:
            plan = _as_one_of_several(plan, stream, place)
        found = open_sinks(plan, hello, stream=stream)
        if found.wire is not None:
            self.places[f"results{of_stream}"] = found.wire.endpoint
        if plan.jsonl is not None:
            self.places[f"lines{of_stream}"] = str(plan.jsonl)
        if found.recording is not None and wanted.record is not None:
            self.places[f"video{of_stream}"] = found.recording.recording
        if self._views is not None:
            shared = info.name == BROWSER
            found.sinks.append(self._views.sink(stream, hello, found.recording, shared=shared))
        return found.sinks


def _as_one_of_several(plan: SinkPlan, stream: str, place: int) -> SinkPlan:
    """`plan` with a path and an address of the stream's own."""

    def own(path: Path | None) -> Path | None:
        return None if path is None else path_of(path, stream)

    return replace(
        plan,
        publish=None if plan.publish is None else address_of(plan.publish, stream, place),
        # On standard output each line names its stream.
        jsonl=plan.jsonl if is_stdout(plan.jsonl) else own(plan.jsonl),
        record=own(plan.record),
        startable=own(plan.startable),
    )


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
