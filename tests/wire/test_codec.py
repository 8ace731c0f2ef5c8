"""The codec: laws, golden bytes, and what hostile senders may cost."""

from __future__ import annotations

import math
import random
import tracemalloc
from dataclasses import fields, replace

import msgpack
import pytest
from hypothesis import given, settings
from wire_samples import EOS, FRAME, HELLO, SAMPLES, STATUS, messages

from streamavis.errors import SchemaError, SchemaVersionError, WireError
from streamavis.types import FrameResult, Rle
from streamavis.wire import VERSION, decode, encode
from streamavis.wire.codec import MAX_MESSAGE
from streamavis.wire.schema import KINDS, topic

# Built once, as 1.0 wrote them. If one of these cannot be read any more: that is schema v2.
GOLDEN = {
    "hello": (
        "61766973312e63616d2d312e68656c6c6f008aa56d6f64656ca46e616e6fa7636c617373657392a3646f"
        "67a46472756da473697a65920608a3667073cb403df851eb851eb8a96861735f617564696fc3a176a331"
        "2e30a673747265616da563616d2d31a7626f6f745f6964a26230ac686f73745f626f6f745f6964a26830"
        "a977616c6c5f74696d65cb3ff8000000000000"
    ),
    "status": (
        "61766973312e63616d2d312e737461747573008fa6736f75726365a772756e6e696e67a5617564696fa4"
        "6c6f7374a5766964656fa26f6ba565706f636802a373657129a863617074757265642da970726f636573"
        "7365642aa764726f7070656481a57374616c6503a76c6174656e637981a56d6f64656c84a67035305f6d"
        "73cb403e000000000000a67039355f6d73cb4044c00000000000a67039395f6d73cb404e200000000000"
        "a66d61785f6d73cb404e800000000000a176a3312e30a673747265616da563616d2d31a7626f6f745f69"
        "64a26230ac686f73745f626f6f745f6964c0a977616c6c5f74696d65cb4004000000000000ac6d6f6e6f"
        "746f6e69635f6e73cf0000001cbe991a14"
    ),
    "eos": (
        "61766973312e63616d2d312e656f73008ba6726561736f6ea66661696c6564a664657461696cb663616d"
        "65726120302077617320756e706c7567676564a565706f636802a373657129a863617074757265642da9"
        "70726f6365737365642aa764726f7070656481a57374616c6503a176a3312e30a673747265616da56361"
        "6d2d31a7626f6f745f6964a26230a977616c6c5f74696d65cb400c000000000000"
    ),
    "frame": (
        "61766973312e63616d2d312e6672616d65008ea673747265616da563616d2d31a565706f636802a37365"
        "7129af636170747572655f74696d655f6e73ce3ade68b1a473697a65920608a5617564696fa26f6bad61"
        "7564696f5f64656c61795f73cb3f947ae147ae147ba5766964656fa26f6ba5636c6f636ba66472697665"
        "72a6747261636b73928aa2696407a56c6162656ca3646f67a8636c6173735f696400a573636f7265cb3f"
        "e8000000000000a8736f756e64696e67cb3fe0000000000000a776697369626c65c0a3626f7894020105"
        "03a863656e74726f696492cb4010000000000000cb4000000000000000a4617265610fa3726c6582a473"
        "697a65920608a6636f756e7473ab3d333330303030303030358aa2696409a56c6162656ca46472756da8"
        "636c6173735f696401a573636f7265cb3ff0000000000000a8736f756e64696e67c0a776697369626c65"
        "cb3fd0000000000000a3626f789400000806a863656e74726f696492cb400c000000000000cb40040000"
        "00000000a46172656130a3726c6582a473697a65920608a6636f756e7473a3306031a176a3312e30a762"
        "6f6f745f6964a26230a977616c6c5f74696d65cb4012000000000000a67374616d707382a76361707475"
        "7265cd03e8a77075626c697368cd7918"
    ),
}


# The keys that minor versions have added, with what 1.0 is read as.
ADDED = {
    "hello": {"intrinsics": None, "frame_id": ""},
    "status": {"model": "ok", "inputs": [], "notices": [], "degraded": []},
    "eos": {},
    "frame": {"frame_id": "", "capture_wall_time": None, "sound_bearing": None},
}
ADDED_TO_TRACKS = {"bearing": None, "bearing_agrees": None}
# As 1.2 writes them, of the samples.
WRITTEN = {
    "hello": {
        "intrinsics": {
            "fx": 10.0,
            "fy": 11.0,
            "cx": 3.5,
            "cy": 2.5,
            "distortion": [0.5, 0, 0, 0, 0],
        },
        "frame_id": "camera",
    },
    "status": {
        "model": "failed",
        "inputs": [
            {
                "source": "mic:default",
                "modality": "audio",
                "state": "stalled",
                "since_ns": 77,
                "reason": "no sound for 0.4 s",
            }
        ],
        "notices": [
            {
                "number": 3,
                "time_ns": 99,
                "kind": "load",
                "text": "too slow to keep up, now every 2nd frame",
            }
        ],
        "degraded": ["viewers at 5 Hz", "every 2nd frame"],
    },
    "eos": {},
    "frame": {
        "frame_id": "camera",
        "capture_wall_time": 4.25,
        "sound_bearing": {"time_ns": 987_000_000, "azimuth": -12.5, "confidence": 0.75},
    },
}
WRITTEN_IN_TRACKS = [
    {"bearing": [1.5, -0.25], "bearing_agrees": False},
    {"bearing": None, "bearing_agrees": None},
]


def raw(message: object, **changes: object) -> bytes:
    """Return the encoded sample with some of its fields replaced, unchecked."""
    head, payload = encode(message).split(b"\0", 1)
    return head + b"\0" + msgpack.packb(msgpack.unpackb(payload) | changes)


def raw_track(**changes: object) -> bytes:
    tracks = msgpack.unpackb(encode(FRAME).split(b"\0", 1)[1])["tracks"]
    return raw(FRAME, tracks=[tracks[0] | changes])


@settings(max_examples=80, deadline=None)
@given(messages)
def test_what_is_encoded_is_decoded(message):
    assert decode(encode(message)) == message


@pytest.mark.parametrize("kind", SAMPLES)
def test_golden_bytes_of_v1_are_read(kind):
    expected = replace(SAMPLES[kind], v="1.0", **ADDED[kind])
    if kind == "frame":
        expected.tracks = [replace(track, **ADDED_TO_TRACKS) for track in expected.tracks]
    assert decode(bytes.fromhex(GOLDEN[kind])) == expected


@pytest.mark.parametrize("kind", SAMPLES)
def test_what_1_0_wrote_is_still_written_with_the_keys_of_minor_versions(kind):
    head, payload = bytes.fromhex(GOLDEN[kind]).split(b"\0", 1)
    expected = msgpack.unpackb(payload) | WRITTEN[kind] | {"v": VERSION}
    for track, added in zip(expected.get("tracks", []), WRITTEN_IN_TRACKS, strict=False):
        track |= added
    written_head, written = encode(SAMPLES[kind]).split(b"\0", 1)
    assert written_head == head
    assert msgpack.unpackb(written) == expected


def test_results_and_messages_have_one_version():
    assert {message.v for message in SAMPLES.values()} == {VERSION}


@pytest.mark.parametrize("kind", SAMPLES)
def test_unknown_keys_and_minor_versions_are_read(kind):
    newer = raw(SAMPLES[kind], v="1.7", colour=["red", {"x": b"\0"}], zoom=1.5)
    assert decode(newer) == replace(SAMPLES[kind], v="1.7")


@pytest.mark.parametrize("kind", SAMPLES)
def test_every_field_without_a_default_is_needed(kind):
    head, payload = encode(SAMPLES[kind]).split(b"\0", 1)
    sent = msgpack.unpackb(payload)
    assert set(sent) == {field.name for field in fields(SAMPLES[kind])}
    with pytest.raises(SchemaError):
        decode(head + b"\0" + msgpack.packb({"v": VERSION}))


@pytest.mark.parametrize(
    "data",
    [
        raw(FRAME, v="2.0"),
        raw(FRAME, v="2.0", tracks="something else altogether"),
        encode(FRAME).replace(b"avis1.", b"avis2."),
        b"avis2.a topic of another shape",
    ],
)
def test_another_major_version_is_refused_by_name(data):
    with pytest.raises(SchemaVersionError, match=r"version 2(\.0)? .* knows 1\.2"):
        decode(data)


MALFORMED = {
    "nothing": b"",
    "no topic": b"hello",
    "no payload": topic("cam-1", "frame"),
    "cut short": encode(FRAME)[:-1],
    "too long": encode(FRAME) + b"\0",
    "unknown kind": encode(FRAME).replace(b".frame\0", b".fraud\0"),
    "kind of another": encode(FRAME).replace(b".frame\0", b".hello\0"),
    "stream of another": encode(FRAME).replace(b"avis1.cam-1.", b"avis1.cam-2."),
    "bad stream name": b"avis1.a/b.frame\0" + encode(FRAME).split(b"\0", 1)[1],
    "no map": topic("cam-1", "frame") + msgpack.packb([1, 2, 3]),
    "int keys": topic("cam-1", "frame") + msgpack.packb({1: 2}),
    "no version": topic("cam-1", "frame") + msgpack.packb({"stream": "cam-1"}),
    "version is a number": raw(FRAME, v=1.0),
    "version is a word": raw(FRAME, v="one"),
    "ext": raw(FRAME, colour=msgpack.ExtType(5, b"x")),
    "empty ext": raw(FRAME, colour=msgpack.ExtType(5, b"")),
    "timestamp ext": raw(FRAME, colour=msgpack.Timestamp(1, 2)),
    "no utf-8": raw(FRAME).replace(b"driver", b"\xff\xfe\xfd\xfc\xfb\xfa"),
    "unknown state": raw(FRAME, audio="loud"),
    "size 0": raw(FRAME, size=[0, 8]),
    "size 16385": raw(FRAME, size=[6, 16_385]),
    "size of three": raw(FRAME, size=[6, 8, 3]),
    "seq < 0": raw(FRAME, seq=-1),
    "seq is a bool": raw(FRAME, seq=True),
    "time beyond int64": raw(FRAME, capture_time_ns=2**63),
    "delay is NaN": raw(FRAME, audio_delay_s=math.nan),
    "wall time is infinite": raw(FRAME, wall_time=math.inf),
    "65 stamps": raw(FRAME, stamps={str(n): n for n in range(65)}),
    "long stamp": raw(FRAME, stamps={"x" * 257: 1}),
    "1025 tracks": raw(FRAME, tracks=[None] * 1_025),
    "id < 0": raw_track(id=-1),
    "long label": raw_track(label="x" * 257),
    "score > 1": raw_track(score=1.01),
    "score is NaN": raw_track(score=math.nan),
    "score is nil": raw_track(score=None),
    "sounding < 0": raw_track(sounding=-0.01),
    "sounding is NaN": raw_track(sounding=math.nan),
    "visible > 1": raw_track(visible=2),
    "box is NaN": raw_track(box=[0, 0, math.nan, 1]),
    "box is far": raw_track(box=[0, 0, 10**9, 1]),
    "centroid is infinite": raw_track(centroid=[math.inf, 0.0]),
    "bearing of one": raw_track(bearing=[1.0]),
    "bearing is NaN": raw_track(bearing=[math.nan, 0]),
    "azimuth of a track is 181": raw_track(bearing=[181.0, 0.0]),
    "elevation is -91": raw_track(bearing=[0.0, -91.0]),
    "agrees with a number": raw_track(bearing_agrees=1),
    "sound from 181 degrees": raw(FRAME, sound_bearing={"time_ns": 1, "azimuth": 181.0,
        "confidence": 1.0}),
    "sound with confidence 2": raw(FRAME, sound_bearing={"time_ns": 1, "azimuth": None,
        "confidence": 2.0}),
    "captured before 1970": raw(FRAME, capture_wall_time=-1.0),
    "long frame_id": raw(FRAME, frame_id="x" * 257),
    "focal length is NaN": raw(HELLO, intrinsics={"fx": math.nan, "fy": 1.0, "cx": 1.0, "cy": 1.0}),
    "four coefficients": raw(HELLO, intrinsics={"fx": 1.0, "fy": 1.0, "cx": 1.0, "cy": 1.0,
        "distortion": [0.0] * 4}),
    "mask of another size": raw_track(rle={"size": [6, 9], "counts": "0`1"}),
    "mask cut short": raw_track(rle={"size": [6, 8], "counts": "0`"}),
    "mask of 256 KiB": raw_track(rle={"size": [6, 8], "counts": "0" * (1 << 18) + "`1"}),
    "fps is NaN": raw(HELLO, fps=math.nan),
    "1025 classes": raw(HELLO, classes=["dog"] * 1_025),
    "unknown source state": raw(STATUS, source="dancing"),
    "latency is NaN": raw(STATUS, latency={"model": dict.fromkeys(
        ("p50_ms", "p95_ms", "p99_ms", "max_ms"), math.nan)}),
    "65 notices": raw(STATUS, notices=[{"number": 1, "time_ns": 1, "kind": "load",
        "text": ""}] * 65),
    "long reason": raw(STATUS, inputs=[{"source": "x", "modality": "audio", "state": "stalled",
        "since_ns": 1, "reason": "x" * 257}]),
    "notice of an unknown kind": raw(STATUS, notices=[{"number": 1, "time_ns": 1, "kind": "joke",
        "text": ""}]),
    "input since before time": raw(STATUS, inputs=[{"source": "x", "modality": "audio",
        "state": "stalled", "since_ns": -1, "reason": ""}]),
    "dropped < 0": raw(STATUS, dropped={"stale": -1}),
    "unknown reason": raw(EOS, reason="boredom"),
    "long detail": raw(EOS, detail="x" * 257),
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_messages_are_refused(name):
    with pytest.raises(SchemaError) as caught:
        decode(MALFORMED[name])
    assert not isinstance(caught.value, SchemaVersionError)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("header", "backing"),
    [
        (b"\xdd\x7f\xff\xff\xff", b""),  # array32 of 2^31 - 1
        (b"\xdf\xff\xff\xff\xff", b""),  # map32
        (b"\xdb\x7f\xff\xff\xff", b""),  # str32
        (b"\xc6\xff\xff\xff\xff", b""),  # bin32
        (b"\xc9\xff\xff\xff\xff\x05", b""),  # ext32
        (b"\xdd\x00\x08\x00\x00", b"\xc0" * (1 << 19)),  # honest, but half a million elements
        (b"\xdf\x00\x01\x00\x00", b"\xa1x\xc0" * (1 << 16)),
    ],
)
@pytest.mark.parametrize("key", ["tracks", "unknown"])
def test_a_length_is_capped_before_it_is_allocated(header, backing, key):
    data = topic("cam-1", "frame") + b"\x82\xa1v\xa31.0" + msgpack.packb(key) + header + backing
    tracemalloc.start()
    with pytest.raises(SchemaError):
        decode(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50_000


def test_the_worst_message_costs_no_more_than_declared():
    """Small containers within every cap: 72 bytes of memory a byte is the most there is."""
    row = b"\xdc\x04\x00" + b"\x80" * 1_024
    head = topic("cam-1", "frame") + b"\x82\xa1v\xa31.0\xa1x\xdc\x04\x00"
    count = (MAX_MESSAGE - len(head)) // len(row)
    data = head + row * count + b"\xc0" * (1_024 - count)
    assert len(data) <= MAX_MESSAGE
    tracemalloc.start()
    with pytest.raises(SchemaError, match="malformed frame"):
        decode(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 80 * MAX_MESSAGE


def test_an_oversized_message_is_refused_unread():
    with pytest.raises(SchemaError, match="at most 1048576"):
        decode(encode(FRAME) + bytes(MAX_MESSAGE))


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        (replace(FRAME, v="1.0"), "v '1.0'"),
        (replace(FRAME, stream="a.b"), "stream name"),
        (replace(FRAME, wall_time=math.nan), "wall_time is nan"),
        (replace(FRAME, seq=object()), "cannot write"),
        (replace(FRAME, boot_id="\ud800"), "cannot write"),
        (replace(FRAME, tracks=[replace(FRAME.tracks[0], id=n, rle=Rle((6, 8), "0" * 250_000))
                                for n in range(9)]), "report fewer tracks"),
    ],
)  # fmt: skip
def test_what_no_reader_would_accept_is_not_sent(message, cause):
    with pytest.raises(SchemaError, match=cause):
        encode(message)


def _mutate(data: bytes, chance: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(out) + 1)
        match chance.randrange(4):
            case 0:
                out[place : place + 1] = bytes([chance.randrange(256)])
            case 1:
                out[place:place] = chance.randbytes(chance.randint(1, 6))
            case 2:
                del out[place : place + chance.randint(1, 6)]
            case 3:  # headers of containers, strings, ext and floats
                out[place : place + 1] = bytes([chance.randrange(0xC0, 0xE0)]) + b"\xff" * 4
    return bytes(out)


def _fuzz(rounds: int) -> None:
    chance = random.Random(0)
    originals = [encode(message) for message in SAMPLES.values()]
    refused = 0
    for _ in range(rounds):
        data = _mutate(chance.choice(originals), chance)
        try:
            message = decode(data)
        except WireError:
            refused += 1
            continue
        assert type(message) in KINDS.values()
        if isinstance(message, FrameResult):
            for track in message.tracks:
                assert track.mask.shape == track.rle.size
    assert rounds * 0.3 < refused < rounds


def test_mutations_are_read_or_refused():
    _fuzz(3_000)


@pytest.mark.slow
def test_many_mutations_are_read_or_refused():
    _fuzz(100_000)
