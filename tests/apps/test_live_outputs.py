# what follows needs mcap
"""The outputs of `streamavis live`: one set for each stream, services for all of them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("mcap", reason="needs the extra mcap: pip install mcap")

from streamavis_apps.bridges import Services
from streamavis_apps.exits import Stop
from streamavis_apps.live.sinks import Outputs, Wanted

from streamavis.errors import ArgumentError, OutputPathError
from streamavis.sinks.outputs import _NEVER_RAN
from streamavis.wire import Hello

HELLO = Hello(model="fake", classes=("dog",), size=(48, 64), fps=10.0)
INFO = SimpleNamespace(name="camera:0")


def test_each_stream_has_a_recording_and_all_share_the_services(tmp_path: Path) -> None:
    services = Services(webhook="http://127.0.0.1:9/x?token=s3cret")
    wanted = Wanted(mcap=tmp_path / "out.mcap", services=services)
    with Outputs(wanted, Stop()) as outputs:
        for place, stream in enumerate(("door", "yard")):
            sinks = outputs.of(HELLO, INFO, stream=stream, place=place, several=True)
            assert [sink.name for sink in sinks] == ["mcap", "services"]
            for sink in sinks:
                sink.close(_NEVER_RAN)
        assert outputs.places["recording of door"] == str(tmp_path / "out-door.mcap")
        assert "s3cret" not in str(outputs.places)
    assert (tmp_path / "out-yard.mcap").exists()


def test_outputs_that_cannot_be(tmp_path: Path) -> None:
    path = tmp_path / "out.mcap"
    with pytest.raises(OutputPathError, match="named twice"):
        Outputs(Wanted(mcap=path, record=path), Stop())
    outputs = Outputs(Wanted(services=Services(mqtt="user:pw@host")), Stop())
    with pytest.raises(ArgumentError, match="do not belong in it"), outputs:
        pass
