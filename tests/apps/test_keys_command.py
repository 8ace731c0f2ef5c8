"""`streamavis keys` as its user types it: what it says, makes, refuses, and never shows."""

import re
import stat

import pytest
from streamavis_apps.app import app
from typer.testing import CliRunner

from streamavis.wire.keys import ClientKey, KeyFolder


@pytest.fixture
def keys(tmp_path, monkeypatch):
    """Run `streamavis keys ...` in a home of its own; exit code, output and errors."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))

    def run(*args):
        done = CliRunner().invoke(app, ["keys", *map(str, args)])
        return done.exit_code, done.stdout, done.stderr

    return run


def test_a_client_is_listed_read_and_revoked(keys, tmp_path):
    folder = KeyFolder(tmp_path / "config" / "streamavis" / "keys")
    code, out, _ = keys("init")
    assert code == 0 and "streamavis keys add NAME" in out
    code, out, _ = keys("add", "robot1", "--out", tmp_path / "robot1.key")
    assert code == 0 and "--key robot1.key" in out
    client = ClientKey.read(tmp_path / "robot1.key")
    assert folder.clients() == {"robot1": client.public}
    assert client.server == folder.server()[0]
    code, out, _ = keys("list")
    assert code == 0 and "robot1" in out and client.public in out and client.server in out
    code, out, _ = keys("revoke", "robot1")
    assert code == 0 and "no longer" in out
    assert folder.clients() == {}
    assert "No readers yet" in keys("list")[1]


def test_a_key_from_elsewhere_needs_no_file(keys, tmp_path):
    keys("init", "--keys", tmp_path / "here")
    public = ClientKey.new("robot1", KeyFolder(tmp_path / "here").server()[0]).public
    code, out, _ = keys("add", "robot1", "--public", public, "--keys", tmp_path / "here")
    assert code == 0 and KeyFolder(tmp_path / "here").server()[0] in out
    assert not list((tmp_path / "here").rglob("*.key.tmp"))
    assert [p.name for p in (tmp_path / "here" / "clients").iterdir()] == ["robot1.pub"]


def test_no_secret_is_ever_shown_and_no_file_is_open_to_others(keys, tmp_path):
    home = tmp_path / "config" / "streamavis" / "keys"
    said = [keys("init"), keys("add", "robot1"), keys("list"), keys("init"), keys("revoke", "x")]
    secrets = [KeyFolder(home).server()[1], ClientKey.read(home / "clients" / "robot1.key").secret]
    for secret in secrets:
        assert not any(secret in text for _, out, err in said for text in (out, err))
    for path in home.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (["add", "robot1"], "streamavis keys init"),
        (["list"], "streamavis keys init"),
        (["revoke", "robot1"], "streamavis keys init"),
    ],
)
def test_before_there_is_a_folder_the_cure_is_named(keys, args, why):
    code, out, err = keys(*args)
    assert (code, out) == (1, "")
    assert why in err and err.count("\n") == 1


@pytest.mark.parametrize("name", ["../evil", "", "a b", "-x-", "n" * 65, "é"])
def test_a_name_that_could_be_a_path_is_refused(keys, tmp_path, name):
    keys("init")
    before = sorted(tmp_path.rglob("*"))
    code, _, err = keys("add", "--", name)
    assert code == 2 and re.search("expected 1 to 64 letters", err)
    assert sorted(tmp_path.rglob("*")) == before


def test_nothing_is_overwritten(keys, tmp_path):
    keys("init")
    mine = tmp_path / "mine.key"
    mine.write_text("precious")
    assert keys("add", "robot1", "--out", mine)[0] == 1
    assert mine.read_text() == "precious"
    assert "robot1" not in keys("list")[1].split("client")[-1]
    keys("add", "robot1")
    assert keys("add", "robot1")[0] == 1
