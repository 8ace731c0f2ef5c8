"""docs/WIRE.md: its readers in other languages read, with keys and without."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import zmq
from wire_samples import FRAME, WAIT_S, hello

from streamavis.wire import KeyFolder, Publisher

if TYPE_CHECKING:
    from collections.abc import Sequence

PAGE = (Path(__file__).parents[2] / "docs" / "WIRE.md").read_text(encoding="utf-8")

# What the program uses of zmq.h, for a machine that has libzmq with pyzmq alone.
HEADER = """
#include <stddef.h>
#define ZMQ_SUB 2
#define ZMQ_SUBSCRIBE 6
#define ZMQ_MAXMSGSIZE 22
#define ZMQ_CURVE_PUBLICKEY 48
#define ZMQ_CURVE_SECRETKEY 49
#define ZMQ_CURVE_SERVERKEY 50
typedef struct zmq_msg_t {
    unsigned char _[64] __attribute__((aligned(sizeof(void *))));
} zmq_msg_t;
void *zmq_ctx_new(void);
int zmq_ctx_term(void *);
void *zmq_socket(void *, int);
int zmq_close(void *);
int zmq_setsockopt(void *, int, const void *, size_t);
int zmq_connect(void *, const char *);
int zmq_msg_init(zmq_msg_t *);
int zmq_msg_close(zmq_msg_t *);
int zmq_msg_recv(zmq_msg_t *, void *, int);
void *zmq_msg_data(zmq_msg_t *);
size_t zmq_msg_size(const zmq_msg_t *);
"""


def code(language: str) -> str:
    """The page's one program in this language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return found


@cache
def compiler() -> str | None:
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


def bundled() -> Path | None:
    """The libzmq that came with pyzmq; None: pyzmq uses the system's."""
    folder = Path(zmq.__file__).parents[1] / "pyzmq.libs"
    return next(iter(folder.glob("libzmq-*.so*")), None)


def has_system_library(folder: Path) -> bool:
    """Whether this machine compiles and links with libzmq of its own."""
    program = folder / "probe.c"
    program.write_text('#include <zmq.h>\nint main(void) { return !zmq_has("curve"); }\n')
    built = subprocess.run(
        [compiler(), program, "-o", folder / "probe", "-lzmq"], capture_output=True
    )
    return built.returncode == 0 and subprocess.run([folder / "probe"]).returncode == 0


@cache
def no_c() -> str:
    """Why no C program can be built here; empty where it can."""
    if compiler() is None:
        return "needs a C compiler: scripts/system --compiler"
    return ""


@cache
def no_node() -> str:
    """Why no Node.js program can run here; empty where it can."""
    if shutil.which("node") is None:
        return "needs Node.js"
    asked = ["node", "-e", "require('zeromq'); require('msgpackr')"]
    if subprocess.run(asked, capture_output=True).returncode != 0:
        return "needs the npm packages zeromq and msgpackr where NODE_PATH finds them"
    return ""


@pytest.fixture(params=["system", "pyzmq"])
def c_reader(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """The command of the C program, linked with the system's libzmq or with that of pyzmq."""
    if no_c():
        pytest.skip(no_c())
    (tmp_path / "reader.c").write_text(code("c"))
    command = [compiler(), "-Wall", "-Wextra", "-Werror", tmp_path / "reader.c"]
    command += ["-o", tmp_path / "reader"]
    if request.param == "system":
        if not has_system_library(tmp_path):
            pytest.skip("needs libzmq with CURVE and its header: apt-get install libzmq3-dev")
        command += ["-lzmq"]
    else:
        library = bundled()
        if library is None:
            pytest.skip("this pyzmq brings no libzmq of its own")
        (tmp_path / "zmq.h").write_text(HEADER)
        command += ["-isystem", tmp_path, library, f"-Wl,-rpath,{library.parent}"]
    subprocess.run(list(map(str, command)), check=True)
    return [str(tmp_path / "reader")]


@pytest.fixture
def keys(tmp_path: Path) -> KeyFolder:
    """A key folder with one client, robot1."""
    folder = KeyFolder(tmp_path / "keys")
    folder.init()
    folder.add("robot1", tmp_path / "robot1.key")
    return folder


def read(command: Sequence[str], publisher: Publisher) -> list[str]:
    """Publish until the reader has printed a frame, then end; return what it printed."""
    heard = threading.Event()

    def send() -> None:
        while not heard.wait(0.02):
            publisher.publish(FRAME)
        publisher.close("ended")

    sender = threading.Thread(target=send)
    sender.start()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:
        guard = threading.Timer(WAIT_S, reader.kill)
        guard.start()
        try:
            lines = []
            for line in reader.stdout:
                lines.append(line.strip())
                if "frame" in line or "dog" in line:
                    heard.set()
            assert reader.wait() == 0
        finally:
            heard.set()
            guard.cancel()
            sender.join()
    return lines


@pytest.mark.parametrize("with_keys", [False, True])
def test_c_reads(c_reader: list[str], keys: KeyFolder, tmp_path: Path, with_keys: bool) -> None:
    boot = hello(boot_id=FRAME.boot_id)
    folder = keys.path if with_keys else None
    with Publisher("tcp://127.0.0.1:*", "cam-1", hello=boot, keys=folder) as publisher:
        words = [publisher.endpoint, *([str(tmp_path / "robot1.key")] if with_keys else [])]
        lines = read([*c_reader, *words], publisher)
    assert any(re.fullmatch(r"avis1\.cam-1\.frame \d{3}", line) for line in lines), lines
    assert lines[-1].startswith("avis1.cam-1.eos ")


def test_c_refuses_what_is_no_key_file(c_reader: list[str], tmp_path: Path) -> None:
    (tmp_path / "bad.key").write_text(json.dumps({"server": "x" * 39, "public": "", "secret": ""}))
    for name in ("bad.key", "absent.key"):
        words = [*c_reader, "tcp://127.0.0.1:9", str(tmp_path / name)]
        done = subprocess.run(words, capture_output=True, text=True)
        assert (done.returncode, "no key file" in done.stderr) == (1, True)


@pytest.mark.parametrize("with_keys", [False, True])
def test_node_reads(keys: KeyFolder, node: list[str], tmp_path: Path, with_keys: bool) -> None:
    boot = hello(boot_id=FRAME.boot_id)
    folder = keys.path if with_keys else None
    with Publisher("tcp://127.0.0.1:*", "cam-1", hello=boot, keys=folder) as publisher:
        words = [publisher.endpoint, *([str(tmp_path / "robot1.key")] if with_keys else [])]
        lines = read([*node, *words], publisher)
    assert lines[0] == f'{FRAME.seq} [["dog",0.5],["drum",null]]'


@pytest.fixture
def node(tmp_path: Path) -> list[str]:
    """The command of the Node.js program."""
    if no_node():
        pytest.skip(no_node())
    (tmp_path / "reader.js").write_text(code("js"))
    return ["node", str(tmp_path / "reader.js")]


def test_the_key_file_is_as_the_page_says(keys: KeyFolder, tmp_path: Path) -> None:
    (shown,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    made, said = json.loads((tmp_path / "robot1.key").read_text()), json.loads(shown)
    assert made.keys() == said.keys()
    assert made["streamavis"] == said["streamavis"]
    assert {len(made[name]) for name in ("public", "secret", "server")} == {40}
