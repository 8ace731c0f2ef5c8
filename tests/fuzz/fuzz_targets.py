"""What is fuzzed: each target makes a mutant of a good input and feeds it to a reader of ours.

A target's `attempt` returns quietly when the mutant is refused by the error that the reader
documents, or is accepted and then works. Anything else that is raised is a finding.
"""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack

sys.path.append(str(Path(__file__).parents[1]))
sys.path.append(str(Path(__file__).parents[1] / "wire"))
sys.path.append(str(Path(__file__).parents[1] / "runtime"))
sys.path.append(str(Path(__file__).parents[1] / "metrics"))
sys.path.append(str(Path(__file__).parents[1] / "model"))
from handover_child import follow
from metric_cases import rectangle, rle, track, truth_file
from mutation import changed_bytes, changed_tree
from runtime_fakes import FakeModel, clip
from tiny import network
from web_targets import Jpeg, Web
from wire_samples import FRAME, SAMPLES

from streamavis import checkpoint
from streamavis.clock import ManualClock
from streamavis.errors import (
    CheckpointError,
    InputError,
    KeyFileError,
    SchemaError,
    StreamStateError,
)
from streamavis.metrics import evaluate_files
from streamavis.runtime import handover
from streamavis.session import Session
from streamavis.types import FrameResult
from streamavis.wire import decode, encode
from streamavis.wire.keys import ClientKey, KeyFolder


@dataclass
class Wire:
    """Messages as a subscriber gets them."""

    folder: Path

    def mutant(self, random: Any) -> bytes:
        message = random.choice([*SAMPLES.values(), FRAME, FRAME])
        data = encode(message)
        if random.random() < 0.3:
            return changed_bytes(data, random)
        head, payload = data.split(b"\0", 1)
        tree = changed_tree(msgpack.unpackb(payload), random)
        with contextlib.suppress(OverflowError, UnicodeError):  # a value MessagePack cannot write
            return head + b"\0" + msgpack.packb(tree)
        return data

    def attempt(self, data: bytes) -> None:
        try:
            message = decode(data)
        except SchemaError:
            return
        if isinstance(message, FrameResult):
            for track in message.tracks:
                assert track.mask.shape == tuple(message.size), "a mask of another size"
                assert track.mask.sum() == track.area, "an area of another mask"
        message.v = SAMPLES["frame"].v
        assert decode(encode(message)) == message, "what was read cannot be sent on"


@dataclass
class Sessions:
    """A session's bytes, with a right digest."""

    folder: Path

    def __post_init__(self) -> None:
        here = Session(FakeModel(), stream="cam", clock=ManualClock(0))
        follow(here, clip(4))
        self._body = here.to_bytes()[len(handover._MAGIC) + handover._DIGEST_BYTES :]
        self._next = list(clip(6))[-2:]

    def mutant(self, random: Any) -> bytes:
        tree = msgpack.unpackb(self._body)
        if random.random() < 0.15:
            body = changed_bytes(self._body, random)
        else:
            if random.random() < 0.2:
                tree["ring"] = msgpack.packb(changed_tree(msgpack.unpackb(tree["ring"]), random))
            else:
                ring = tree.pop("ring")
                tree = {"ring": ring} | changed_tree(tree, random)
            try:
                body = msgpack.packb(tree)
            except (OverflowError, UnicodeError):  # a value that MessagePack cannot write
                body = self._body
        return handover._MAGIC + handover._digest([body]) + body

    def attempt(self, data: bytes) -> None:
        try:
            session = Session.from_bytes(data, FakeModel(), clock=ManualClock(0))
        except StreamStateError:
            return
        session.short_side = min(session.short_side, 64)
        for result in follow(session, self._next):
            result.boot_id = "b"
            encode(result)
        session.to_bytes()


class Annotations:
    """Ground truth and predictions of `streamavis eval`."""

    def __init__(self, folder: Path) -> None:
        mask = rectangle(2, 2, 8, 8)
        self._truth = truth_file({"a": (2, [(1, [mask, mask]), (2, [None, mask])]), "b": (1, [])})
        shapes = [[[2, 2, 8, 8]], [[2, 2, 9, 2, 9, 9]], rle(mask), [rle(mask)]]
        self._truth["annotations"][1]["segmentations"] = shapes[1:3]
        self._truth["annotations"].append(
            {**self._truth["annotations"][0], "id": 9, "segmentations": [shapes[0], shapes[3]]}
        )
        self._predictions = [track(1, 1, [mask, mask]), track(1, 2, [None, mask])]
        self._gt, self._pred = folder / "gt.json", folder / "pred.json"

    def mutant(self, random: Any) -> bytes:
        truth, predictions = self._truth, self._predictions
        if random.random() < 0.5:
            truth = changed_tree(truth, random)
        else:
            predictions = changed_tree(predictions, random)
        data = json.dumps([truth, predictions]).encode()
        return changed_bytes(data, random) if random.random() < 0.1 else data

    def attempt(self, data: bytes) -> None:
        truth, predictions = data, data
        with contextlib.suppress(ValueError, RecursionError):
            truth, predictions = (json.dumps(part).encode() for part in json.loads(data))
        self._gt.write_bytes(truth)
        self._pred.write_bytes(predictions)
        with contextlib.suppress(InputError):
            evaluate_files(self._gt, [self._pred])


class Weights:
    """The configuration and the header of a weights file."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "weights.safetensors"
        checkpoint.save(network(), self._path)
        data = self._path.read_bytes()
        size = int.from_bytes(data[:8], "little")
        self._header, self._body = json.loads(data[8 : 8 + size]), data[8 + size :]

    def mutant(self, random: Any) -> bytes:
        header = self._header
        choice = random.random()
        if choice < 0.7:
            about = header["__metadata__"]
            config = json.dumps(changed_tree(json.loads(about["config"]), random))
            header = header | {"__metadata__": about | {"config": config}}
        elif choice < 0.9:
            header = changed_tree(header, random)
        text = json.dumps(header).encode()
        if choice >= 0.9:
            text = changed_bytes(text, random)
        return len(text).to_bytes(8, "little") + text + self._body

    def attempt(self, data: bytes) -> None:
        self._path.write_bytes(data)
        with contextlib.suppress(CheckpointError):
            checkpoint.load(self._path).init_state(1)


class Keys:
    """A reader's key file and a publisher's folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = KeyFolder(folder / "keys")
        self._folder.init()
        self._client = self._folder.add("robot")
        self._public = self._folder.path / "clients" / "robot.pub"
        self._files = [path for path in self._folder.path.rglob("*") if path.is_file()]
        self._good = {path: path.read_bytes() for path in self._files}

    def mutant(self, random: Any) -> bytes:
        place = random.randrange(len(self._files))
        data = self._good[self._files[place]]
        if data.startswith(b"{") and random.random() < 0.6:
            data = json.dumps(changed_tree(json.loads(data), random)).encode()
        else:
            data = changed_bytes(data, random)
        return bytes([place]) + data

    def attempt(self, data: bytes) -> None:
        path = self._files[data[0] % len(self._files)]
        path.write_bytes(data[1:])
        secrets = [json.loads(good)["secret"] for good in self._good.values() if b"secret" in good]
        try:
            for read in (self._folder.load, lambda: ClientKey.read(self._client_file())):
                try:
                    read()
                except KeyFileError as error:
                    assert not any(secret in str(error) for secret in secrets), "a secret is told"
        finally:
            path.write_bytes(self._good[path])

    def _client_file(self) -> Path:
        return next(path for path in self._files if path.suffix == ".key" and "robot" in path.name)


TARGETS = {
    "wire": Wire,
    "session": Sessions,
    "annotations": Annotations,
    "weights": Weights,
    "keys": Keys,
    "jpeg": Jpeg,
    "web": Web,
}


def corpus(name: str) -> list[bytes]:
    """Inputs that once were findings, or are of a kind that was."""
    folder = Path(__file__).parent / "corpus" / name
    return [path.read_bytes() for path in sorted(folder.glob("*"))]
