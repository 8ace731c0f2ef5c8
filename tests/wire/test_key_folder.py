"""Key files: private, checked, whole or not there; no message ever has a secret."""

from __future__ import annotations

import json
import os
import stat

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from streamavis.errors import KeyFileError
from streamavis.wire.key_files import MAX_BYTES
from streamavis.wire.keys import ClientKey, KeyFolder, check_public, default_folder


@pytest.fixture
def folder(tmp_path):
    made = KeyFolder(tmp_path / "keys")
    made.init()
    return made


def put(path, data: bytes | str, mode: int = 0o600):
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    path.chmod(mode)
    return path


def test_everything_made_is_for_its_owner_alone(folder):
    folder.add("robot1")
    for path in [folder.path, *folder.path.rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path
    assert not list(folder.path.rglob("*.tmp"))


def test_a_client_s_file_round_trips_and_fits_the_publisher(folder, tmp_path):
    key = ClientKey.read(folder.add("robot1", tmp_path / "robot1.key"))
    keys = folder.load()
    assert (key.name, key.server) == ("robot1", keys.public)
    assert folder.clients() == {"robot1": key.public}
    assert zmq.curve_public(key.secret.encode()).decode() == key.public
    assert not keys.faults


def test_secrets_are_in_no_text(folder):
    key = ClientKey.read(folder.add("robot1"))
    keys = folder.load()
    for shown in (repr(key), str(key), repr(keys), f"{keys}"):
        assert key.secret not in shown and keys.secret not in shown


def test_a_revoked_client_is_gone_with_its_file(folder):
    path = folder.add("robot1")
    folder.add("robot2")
    before = folder.fingerprint()
    folder.revoke("robot1")
    assert list(folder.clients()) == ["robot2"]
    assert not path.exists()
    assert folder.fingerprint() != before
    with pytest.raises(KeyFileError, match=r"robot1 is not listed in .*; listed: robot2"):
        folder.revoke("robot1")


def test_a_public_key_from_elsewhere_is_listed_once(folder):
    public = zmq.curve_keypair()[0].decode()
    assert folder.add_public("robot1", public) == folder.server()[0]
    with pytest.raises(KeyFileError, match="listed already, as robot1"):
        folder.add_public("robot2", public)
    with pytest.raises(KeyFileError, match="the publisher's own key"):
        folder.add_public("robot2", folder.server()[0])
    assert folder.clients() == {"robot1": public}


def test_nothing_is_overwritten(folder, tmp_path):
    server = folder.server()
    with pytest.raises(KeyFileError, match="exists already"):
        folder.init()
    assert folder.server() == server
    taken = put(tmp_path / "precious", "precious")
    with pytest.raises(KeyFileError, match="exists already"):
        folder.add("robot1", taken)
    assert taken.read_text() == "precious"
    assert folder.clients() == {}, "without its file nobody is listed"
    folder.add("robot1")
    with pytest.raises(KeyFileError, match="robot1 is taken"):
        folder.add("robot1")


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "-x", "a" * 65, "ä", "a\n", "a\0"])
def test_a_name_that_is_none_is_refused(folder, name):
    for use in (
        folder.add,
        folder.revoke,
        lambda n: folder.add_public(n, zmq.curve_keypair()[0].decode()),
    ):
        with pytest.raises(KeyFileError, match="is no client's name"):
            use(name)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o620, 0o604, 0o602, 0o610])
def test_what_others_may_read_or_change_is_refused_with_its_cure(folder, mode):
    path = folder.add("robot1")
    path.chmod(mode)
    with pytest.raises(KeyFileError, match=f"mode 0{mode:o}, expected 0600.*chmod 600"):
        ClientKey.read(path)
    listed = folder.path / "clients" / "robot1.pub"
    listed.chmod(mode)
    keys = folder.load()
    assert not keys.clients, "it is not let in"
    assert "chmod 600" in keys.faults[0]
    (folder.path / "server.key").chmod(mode)
    with pytest.raises(KeyFileError, match=r"server\.key.*chmod 600"):
        folder.load()


@pytest.mark.parametrize("place", [".", "clients"])
def test_a_folder_that_others_may_look_into_is_refused(folder, place):
    (folder.path / place).chmod(0o750)
    with pytest.raises(KeyFileError, match=r"mode 0750, expected 0700.*chmod 700"):
        folder.load()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_somebody_else_is_refused(folder):
    path = folder.add("robot1")
    os.chown(path, 12345, -1)
    with pytest.raises(KeyFileError, match="belongs to user 12345, expected 0"):
        ClientKey.read(path)


def test_what_is_no_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe", 0o600)
    for place in (tmp_path / "pipe", tmp_path, "/dev/zero", tmp_path / "none", "a\0b"):
        with pytest.raises(KeyFileError):
            ClientKey.read(place)


def test_a_file_that_is_too_long_is_refused(folder, tmp_path):
    text = folder.add("robot1").read_text()
    assert ClientKey.read(put(tmp_path / "fits", text.ljust(MAX_BYTES)))
    with pytest.raises(KeyFileError, match=f"longer than {MAX_BYTES} bytes"):
        ClientKey.read(put(tmp_path / "long", text.ljust(MAX_BYTES + 1)))


def test_a_server_s_key_is_no_client_s(folder):
    with pytest.raises(KeyFileError, match="is a StreamAVIS server key, expected a client key"):
        ClientKey.read(folder.path / "server.key")


@pytest.mark.parametrize("field", ["public", "secret", "server", "name", "streamavis"])
@pytest.mark.parametrize("value", [None, 7, "", "x", "~" * 40, "#" * 40, "0" * 40, "x" * 1000, []])
def test_a_damaged_field_is_refused_and_no_secret_told(folder, tmp_path, field, value):
    good = json.loads(folder.add("robot1").read_text())
    path = put(tmp_path / "damaged", json.dumps({**good, field: value}))
    if (field, value) in [("name", "x"), ("server", "0" * 40), ("name", "0" * 40)]:
        assert ClientKey.read(path), "another, but sound"
        return
    with pytest.raises(KeyFileError) as caught:
        ClientKey.read(path)
    assert good["secret"] not in str(caught.value)
    assert str(path) in str(caught.value)
    assert caught.value.__cause__ is None or good["secret"] not in str(caught.value.__cause__)


def test_a_damaged_client_shuts_nobody_else_out(folder):
    folder.add("robot1")
    put(folder.path / "clients" / "robot2.pub", "not a key\n")
    put(folder.path / "clients" / "no name.pub", zmq.curve_keypair()[0])
    put(folder.path / "clients" / "robot3.pub~", zmq.curve_keypair()[0])
    keys = folder.load()
    assert list(keys.clients.values()) == ["robot1"]
    assert len(keys.faults) == 2


@given(st.binary(max_size=600))
def test_any_bytes_are_a_key_or_refused(tmp_path_factory, data):
    path = put(tmp_path_factory.mktemp("k") / "k", data)
    with pytest.raises(KeyFileError):
        ClientKey.read(path)


@given(
    st.text(max_size=60) | st.from_regex(r"[0-9a-zA-Z.:+=^!/*?&<>(){}@%$#-]{40}", fullmatch=True)
)
def test_any_text_is_a_public_key_or_refused(text):
    try:
        assert check_public(text) == text
    except KeyFileError as error:
        assert "Z85" in str(error)
    else:
        assert len(text) == 40


def test_the_default_folder_is_the_user_s_own(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    assert default_folder() == tmp_path / ".config/streamavis/keys"
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    assert default_folder() == tmp_path / ".config/streamavis/keys"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    assert default_folder() == tmp_path / "xdg/streamavis/keys"


def test_two_names_of_one_key_are_listed_and_revoked_together(tmp_path):
    folder = KeyFolder(tmp_path / "keys")
    folder.init()
    folder.add("robot1")
    folder.add("robot2")
    clients = tmp_path / "keys" / "clients"
    (clients / "copy.pub").write_bytes((clients / "robot1.pub").read_bytes())
    (clients / "copy.pub").chmod(0o600)
    assert list(folder.clients()) == ["copy", "robot1", "robot2"]
    assert folder.revoke("robot1") == ("robot1", "copy")
    assert list(folder.clients()) == ["robot2"]
    assert set(folder.load().clients.values()) == {"robot2"}
