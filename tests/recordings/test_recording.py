# ruff: noqa: E402  # what follows needs mcap
"""Recordings: what is written is read again, by us and by the library, cut or damaged."""

from __future__ import annotations

import base64
import json
import struct
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

mcap = pytest.importorskip("mcap", reason="needs the extra mcap: pip install mcap")

import zstandard
from mcap.reader import make_reader
from mcap.writer import CompressionType, Writer
from wire_samples import EOS, FRAME, HELLO, STATUS

from streamavis.errors import ArgumentError, InputError, OutputError
from streamavis.recordings import McapWriter, Recorded, Recording
from streamavis.recordings.schemas import FOXGLOVE
from streamavis.types import Notice
from streamavis.wire.schema import KINDS

if TYPE_CHECKING:
    from pathlib import Path

SECOND = 1_000_000_000
T0 = 1_750_000_000 * SECOND


def messages(count: int = 40) -> list[Recorded]:
    """A short stream at 10 frames/s."""
    said = [Recorded(T0, HELLO)]
    for seq in range(count):
        at_ns = T0 + seq * SECOND // 10
        said.append(Recorded(at_ns, replace(FRAME, seq=seq, capture_time_ns=seq * SECOND // 10)))
        said.append(Recorded(at_ns + 1, replace(STATUS, seq=seq)))
    return [*said, Recorded(T0 + count * SECOND // 10, EOS)]


def write(path: Path, said: list[Recorded]) -> Path:
    with McapWriter(path) as writer:
        for one in said:
            writer.message(one.message, one.time_ns)
        assert writer.messages == len(said)
    return path


def by_topic(path: Path) -> dict[str, list[tuple[object, int, dict]]]:
    """Everything in the file, as the library reads it."""
    found: dict[str, list[tuple[object, int, dict]]] = {}
    with path.open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        assert reader.get_summary() is not None
        for schema, channel, message in reader.iter_messages():
            assert (channel.message_encoding, schema.encoding) == ("json", "jsonschema")
            entry = (schema, message.log_time, json.loads(message.data))
            found.setdefault(channel.topic, []).append(entry)
    return found


def test_every_message_is_read_again_as_it_was(tmp_path):
    said = messages()
    recording = Recording(write(tmp_path / "out.mcap", said))
    assert list(recording.messages()) == said
    assert list(recording.messages("cam-1")) == said
    assert list(recording.messages("cam")) == []
    assert (recording.cut, recording.refused) == ("", 0)


def test_the_library_reads_messages_masks_boxes_and_names(tmp_path):
    found = by_topic(write(tmp_path / "out.mcap", messages(3)))
    topics = ("hello", "frame", "status", "eos", "annotations", "masks", "log")
    assert set(found) == {f"/cam-1/{name}" for name in topics}
    assert [fields["seq"] for _, _, fields in found["/cam-1/frame"]] == [0, 1, 2]
    _, time_ns, notes = found["/cam-1/annotations"][1]
    assert time_ns == T0 + SECOND // 10
    dog = next(shape for shape in notes["points"] if shape["metadata"])
    assert [(p["x"], p["y"]) for p in dog["points"]] == [(2, 1), (7, 1), (7, 4), (2, 4)]
    assert {"key": "id", "value": "7"} in dog["metadata"]
    assert [text["text"] for text in notes["texts"]] == ["dog 7: 50 %", "drum 9: unknown"]
    _, _, picture = found["/cam-1/masks"][0]
    assert picture["format"] == "png"
    assert base64.b64decode(picture["data"]).startswith(b"\x89PNG")
    assert picture["timestamp"] == {"sec": 1_750_000_000, "nsec": 0}
    _, _, told = found["/cam-1/log"][0]
    assert (told["message"], told["name"]) == (STATUS.notices[0].text, "cam-1/load")
    assert len(found["/cam-1/log"]) == 1, "a notice is written once"


def test_what_is_written_has_the_fields_of_its_schema(tmp_path):
    with McapWriter(tmp_path / "out.mcap") as writer:
        writer.sound("cam-1", np.array([0.0, 1.0, -2.0], np.float32), T0)
        writer.picture("cam-1", b"\xff\xd8", T0)
        for one in messages(2):
            writer.message(one.message, one.time_ns)
    found = by_topic(tmp_path / "out.mcap")
    assert "/cam-1/masks" not in found, "the stream has pictures"
    for entries in found.values():
        for schema, _, fields in entries:
            # What Foxglove's reader of schemas does not know.
            assert not {b"$ref", b"anyOf", b"prefixItems"} & set(schema.data.split(b'"'))
            conforms(fields, json.loads(schema.data))
            if schema.name in FOXGLOVE:
                assert json.loads(schema.data) == FOXGLOVE[schema.name]
    ((_, time_ns, sound),) = found["/cam-1/audio"]
    pcm = np.frombuffer(base64.b64decode(sound["data"]), "<i2")
    assert (time_ns, sound["sample_rate"], pcm.tolist()) == (T0, 16_000, [0, 32_767, -32_767])
    ((_, _, picture),) = found["/cam-1/image"]
    assert (picture["format"], picture["frame_id"]) == ("jpeg", "cam-1")


def conforms(value: object, schema: dict) -> None:
    """The parts of JSON Schema that our schemas use."""
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}
    kinds["number"] = (int, float)
    if value is None and schema.get("nullable"):
        return
    if "type" in schema:
        assert isinstance(value, kinds[schema["type"]]), (value, schema)
    if isinstance(value, dict):
        assert set(schema.get("required", ())) <= value.keys(), (value, schema)
        for name, each in schema.get("properties", {}).items():
            if name in value:
                conforms(value[name], each)
    elif isinstance(value, list):
        for each in value:
            conforms(each, schema.get("items", {}))


def test_a_cut_file_is_read_up_to_the_cut(tmp_path):
    said = messages(60)
    data = write(tmp_path / "out.mcap", said).read_bytes()
    lengths = []
    for size in np.linspace(8, len(data) - 1, 40).astype(int):
        (tmp_path / "cut.mcap").write_bytes(data[:size])
        recording = Recording(tmp_path / "cut.mcap")
        got = list(recording.messages())
        assert got == said[: len(got)]
        assert recording.cut or len(got) == len(said)
        lengths.append(len(got))
    assert lengths == sorted(lengths)
    assert lengths[-1] == len(said), "the index at the end is not needed"


def test_what_is_not_closed_lacks_the_last_second_at_most(tmp_path):
    said = messages(60)
    writer = McapWriter(tmp_path / "out.mcap")
    for one in said[:-1]:
        writer.message(one.message, one.time_ns)
    got = list(Recording(tmp_path / "out.mcap").messages())
    assert got
    assert said[-2].time_ns - got[-1].time_ns <= SECOND
    writer.close()


def test_damage_is_no_crash_and_gives_no_other_messages(tmp_path):
    said = messages(12)
    data = write(tmp_path / "out.mcap", said).read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(150):
        broken = bytearray(data)
        for at in rng.integers(8, len(data), 3):
            broken[at] = rng.integers(256)
        (tmp_path / "bad.mcap").write_bytes(broken)
        for one in Recording(tmp_path / "bad.mcap").messages():
            assert any(one.message == other.message for other in said)


def test_a_file_that_claims_too_much_is_not_believed(tmp_path):
    def chunk(size: int, packed: bytes, compression: str = "zstd") -> bytes:
        body = struct.pack("<QQQI", 0, 0, size, 0)
        name = compression.encode()
        body += struct.pack("<I", len(name)) + name + struct.pack("<Q", len(packed)) + packed
        return b"\x89MCAP0\r\n\x06" + struct.pack("<Q", len(body)) + body

    bomb = zstandard.compress(bytes(200 << 20))
    cases = {
        "claims 209715200 bytes, at most": chunk(200 << 20, bomb),
        "claims 9 bytes, but has 10": chunk(9, bomb),
        "packed with 'lz4'": chunk(9, b"x", "lz4"),
        "exceeds limit": b"\x89MCAP0\r\n\x06" + struct.pack("<Q", 1 << 40),
        "a record claims": b"\x89MCAP0\r\n\x06" + struct.pack("<Q", 60)
        + struct.pack("<QQQII", 0, 0, 9, 0, 0) + struct.pack("<Q", 1 << 40),
    }  # fmt: skip
    for sentence, data in cases.items():
        (tmp_path / "bad.mcap").write_bytes(data)
        recording = Recording(tmp_path / "bad.mcap")
        assert list(recording.messages()) == []
        assert sentence in recording.cut


def test_messages_are_checked_as_on_the_wire(tmp_path):
    path = tmp_path / "bad.mcap"
    good = json.dumps({"stream": "cam-1"})
    with path.open("wb") as file:
        writer = Writer(file, compression=CompressionType.NONE)
        writer.start()
        channels = [
            writer.register_channel(f"/cam-1/{kind}", "json", 0) for kind in (*KINDS, "annotations")
        ]
        for channel in channels:
            for data in (b"", b"[]", b"{}", good.encode(), b"\xff", b"[" * 5_000):
                writer.add_message(channel, 0, data, 0)
        writer.finish()
    recording = Recording(path)
    assert list(recording.messages()) == []
    assert recording.refused == 6 * len(KINDS)
    with pytest.raises(InputError, match="no results"):
        recording.summary()


def test_a_stream_has_to_be_named_where_there_are_several(tmp_path):
    with McapWriter(tmp_path / "out.mcap") as writer:
        for name in ("a", "b"):
            writer.message(replace(FRAME, stream=name), T0)
    recording = Recording(tmp_path / "out.mcap")
    with pytest.raises(ArgumentError, match="streams a, b; name one"):
        recording.summary()
    with pytest.raises(ArgumentError, match="no stream 'c'; it has a, b"):
        recording.summary("c")
    summary = recording.summary("a")
    assert (summary.stream, summary.frames, summary.size) == ("a", 1, (6, 8))


def test_files_that_are_no_recordings(tmp_path):
    (tmp_path / "x.mcap").write_bytes(b"RIFF....")
    with pytest.raises(InputError, match="no MCAP file"):
        Recording(tmp_path / "x.mcap")
    with pytest.raises(InputError, match="cannot be read"):
        Recording(tmp_path / "absent.mcap")
    with pytest.raises(OutputError, match="--overwrite"):
        McapWriter(tmp_path / "x.mcap")
    with pytest.raises(OutputError, match="cannot be written"):
        McapWriter(tmp_path / "absent" / "x.mcap")
    with McapWriter(tmp_path / "x.mcap", overwrite=True) as writer:
        writer.message(FRAME, T0)
    assert Recording(tmp_path / "x.mcap").summary().frames == 1


def test_a_new_engine_s_notices_are_written(tmp_path):
    first = replace(STATUS, notices=[Notice(2, 1, "load", "slow")])
    later = replace(STATUS, boot_id="b1", notices=[Notice(1, 1, "model", "failed")])
    with McapWriter(tmp_path / "out.mcap") as writer:
        for status in (first, first, later):
            writer.message(status, T0)
    told = [fields["message"] for _, _, fields in by_topic(tmp_path / "out.mcap")["/cam-1/log"]]
    assert told == ["slow", "failed"]
