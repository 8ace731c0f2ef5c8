"""Addresses: loopback or refused, and nothing on disk is destroyed by a bind."""

from __future__ import annotations

import socket

import pytest
from wire_samples import hello

from streamavis.errors import WireError
from streamavis.wire import Publisher, Subscriber
from streamavis.wire.address import is_local, to_bind, to_connect


@pytest.mark.parametrize(
    ("address", "endpoint"),
    [
        ("tcp://127.0.0.1:5555", "tcp://127.0.0.1:5555"),
        ("tcp://127.0.0.1:*", "tcp://127.0.0.1:*"),
        ("tcp://127.0.0.1:0", "tcp://127.0.0.1:*"),
        ("tcp://127.8.9.10:05555", "tcp://127.8.9.10:5555"),
        ("tcp://localhost:5555", "tcp://127.0.0.1:5555"),
        ("tcp://[::1]:5555", "tcp://[::1]:5555"),
    ],
)
def test_loopback_may_be_bound(address, endpoint):
    assert to_bind(address) == endpoint


@pytest.mark.parametrize(
    "address",
    [
        "tcp://*:5555",
        "tcp://0.0.0.0:5555",
        "tcp://[::]:5555",
        "tcp://[::ffff:10.0.0.1]:5555",
        "tcp://192.168.1.7:5555",
        "tcp://128.0.0.1:5555",
        "tcp://eth0:5555",
        "tcp://lo:5555",
        "tcp://example.org:5555",
        "tcp://127.0.0.1.example.org:5555",
        "tcp://2130706433:5555",
    ],
)
@pytest.mark.parametrize("use", [to_bind, to_connect])
def test_beyond_loopback_is_refused_without_keys(use, address):
    assert not is_local(address)
    with pytest.raises(WireError, match=r"without (a )?key|names no machine"):
        use(address)


@pytest.mark.parametrize(
    ("address", "bound", "connected"),
    [
        ("tcp://10.0.0.5:5555", "tcp://10.0.0.5:5555", "tcp://10.0.0.5:5555"),
        ("tcp://[fd00::2]:5555", "tcp://[fd00::2]:5555", "tcp://[fd00::2]:5555"),
        ("tcp://0.0.0.0:5555", "tcp://0.0.0.0:5555", None),
        ("tcp://*:5555", "tcp://0.0.0.0:5555", None),
        ("tcp://[::]:5555", "tcp://[::]:5555", None),
        ("tcp://robot.example.org:5555", None, "tcp://robot.example.org:5555"),
        ("tcp://eth0:5555", None, "tcp://eth0:5555"),
        ("tcp://2130706433:5555", None, None),
        ("tcp://10.0.0.5;127.0.0.1:5555", None, None),
        ("tcp://-a:5555", None, None),
    ],
)
def test_beyond_loopback_with_keys(address, bound, connected):
    for use, expected in ((to_bind, bound), (to_connect, connected)):
        if expected is None:
            with pytest.raises(WireError):
                use(address, beyond=True)
        else:
            assert use(address, beyond=True) == expected


@pytest.mark.parametrize(
    "address",
    [
        "",
        "5555",
        "tcp://127.0.0.1",
        "tcp://127.0.0.1:http",
        "tcp://127.0.0.1:65536",
        "tcp://127.0.0.1:5555;10.0.0.1:5555",
        "tcp://127.0.0.1:5555\n",
        "tcp://127.0.0.1:5555,tcp://0.0.0.0:5555",
        "udp://127.0.0.1:5555",
        "inproc://results",
        "ipc://",
        "ipc://*",
    ],
)
@pytest.mark.parametrize("use", [to_bind, to_connect])
def test_malformed_addresses_are_refused_in_one_sentence(use, address):
    with pytest.raises(WireError) as caught:
        use(address)
    assert "\n" not in str(caught.value)


def test_a_subscriber_needs_a_port():
    with pytest.raises(WireError, match="names no port"):
        Subscriber("tcp://127.0.0.1:*")


def test_a_port_in_use_is_refused():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(WireError, match="in use"):
            Publisher(f"tcp://127.0.0.1:{other.getsockname()[1]}", "cam", hello=hello())


def test_a_port_is_free_again_after_close():
    with Publisher("tcp://127.0.0.1:*", "cam", hello=hello()) as first:
        endpoint = first.endpoint
        with pytest.raises(WireError, match="in use"):
            Publisher(endpoint, "cam", hello=hello())
    Publisher(endpoint, "cam", hello=hello()).close()


def test_an_ipc_bind_destroys_no_file_and_robs_no_publisher(tmp_path):
    precious = tmp_path / "results.jsonl"
    precious.write_text("precious")
    with pytest.raises(WireError, match="a file that exists"):
        Publisher(f"ipc://{precious}", "cam", hello=hello())
    assert precious.read_text() == "precious"
    with Publisher(f"ipc://{tmp_path}/cam", "cam", hello=hello()) as first:
        with pytest.raises(WireError, match="in use"):
            Publisher(first.endpoint, "cam", hello=hello())
        with Subscriber(first.endpoint, kinds=("hello",)) as reader:
            assert reader.receive(10.0).stream == "cam"


def test_a_socket_left_behind_is_taken_over(tmp_path):
    path = tmp_path / "cam"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    Publisher(f"ipc://{path}", "cam", hello=hello()).close()


def test_an_ipc_path_that_cannot_be_is_refused(tmp_path):
    with pytest.raises(WireError, match="cannot publish on"):
        Publisher(f"ipc://{tmp_path}/missing/cam", "cam", hello=hello())
