"""The metrics port: which Host it answers, with which headers, and how many connections."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import pytest

from streamavis.sinks.metrics_server import serve_metrics

WAIT_S = 60.0


@pytest.fixture
def address():
    with serve_metrics("127.0.0.1:0", dict) as url:
        yield "127.0.0.1", urlsplit(url).port


def asked(address, path="/stats", host="Host: 127.0.0.1:9100\r\n"):
    with socket.create_connection(address, timeout=WAIT_S) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\n{host}\r\n".encode("latin-1"))
        got = b""
        while part := connection.recv(65_536):
            got += part
    return got


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("Host: 127.0.0.1:9100\r\n", 200),
        ("Host: localhost\r\n", 200),
        ("Host: [::1]:9100\r\n", 200),
        ("Host: evil.example:9100\r\n", 421),
        ("Host: 127.0.0.1.nip.io\r\n", 421),
        ("Host: [\r\n", 421),
        ("Host: \xff\r\n", 421),
        ("Host: localhost\r\nHost: evil.example\r\n", 421),
        ("", 421),
    ],
)
@pytest.mark.parametrize("path", ["/stats", "/metrics"])
def test_only_this_machine_is_answered(address, path, host, status):
    got = asked(address, path, host)
    assert got.split(maxsplit=2)[1] == b"%d" % status
    assert b"Content-Security-Policy: default-src 'none'" in got


def test_another_path_has_the_headers_too(address):
    got = asked(address, "/nowhere")
    assert got.split(maxsplit=2)[1] == b"404"
    assert b"X-Content-Type-Options: nosniff" in got


def test_silent_connections_leave_for_one_that_asks(address):
    silent = [socket.create_connection(address, timeout=WAIT_S) for _ in range(40)]
    assert asked(address).split(maxsplit=2)[1] == b"200"
    for each in silent[:24]:
        assert each.recv(1) == b""
    for each in silent:
        each.close()
