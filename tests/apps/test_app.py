"""The command tree: help, version, usage errors, error reports, and how little it imports."""

import re
import subprocess
import sys

import pytest
import typer
from streamavis_apps.app import Commands, app
from streamavis_apps.help_page import page
from typer.testing import CliRunner

from streamavis.errors import InputError, TruncatedInputError

COMMANDS = [
    "demo",
    "replay",
    "view",
    "devices",
    "calibrate",
    "synth",
    "train",
    "eval",
    "predict",
    "reproduce",
    "convert",
    "segment",
    "doctor",
    "keys",
    "bench",
]


def invoke(*args, app=app):
    return CliRunner().invoke(app, list(args), env={"COLUMNS": "200", "TERM": "dumb"})


def plain(text):
    return " ".join(re.sub(r"[│╭╮╰╯─]", " ", text).split())


def failing_app(error):
    """The tree's error handling around a command that fails."""
    tree = typer.Typer(cls=Commands, pretty_exceptions_enable=False)

    @tree.callback()
    def options(debug: bool = False):
        pass

    @tree.command()
    def fail():
        raise error

    return tree


def test_help_lists_every_command_and_exit_code():
    result = invoke("--help")
    assert result.exit_code == 0
    for name in COMMANDS:
        assert name in result.stdout
    assert "3 the input broke off" in plain(result.stdout)


@pytest.mark.parametrize(
    "name",
    [
        *COMMANDS,
        "keys init",
        "keys add",
        "keys revoke",
        "keys list",
        "bench kernels",
        "bench pipeline",
        "bench world",
    ],
)
def test_each_help_says_what_it_does_with_an_example(name):
    result = invoke(*name.split(), "--help")
    assert result.exit_code == 0
    if name not in ("doctor", "keys", "bench"):
        assert f"streamavis {name}" in result.stdout.split("Example")[1]


def test_version():
    assert re.fullmatch(r"streamavis \d+\.\d+\.\d+\S*\n", invoke("--version").stdout)


@pytest.mark.parametrize(
    "line",
    [
        "replay",
        "replay clip.mp4 --speed 0",
        "replay clip.mp4 --speed fast",
        "replay clip.mp4 --speed nan",
        "replay clip.mp4 --view hologram",
        "synth --out x --clips 0 --seed 1",
        "synth --out x --clips 1 --seed 1 --size 320",
        "synth --out x --clips 1 --seed 1 --size 8x8",
        "view",
        "view tcp://10.0.0.5:5555 --key a.key --insecure",
        "replay clip.mp4 --keys dir",
        "replay clip.mp4 --insecure",
        "replay clip.mp4 --publish tcp://10.0.0.5:5555 --keys dir --insecure",
        "live --keys dir",
        "keys add robot1 --public x --out y",
        "unheard-of",
        "view 127.0.0.1:5555",
        "view tcp://127.0.0.1:99999",
        "live --camera rtsq://door/cam",
        "live --mic camera:0",
        "live --camera a=camera:0 --camera a=camera:1",
        "live --camera browser",
        "live --publish 5555",
        "live --metrics 0.0.0.0:9",
        "replay clip.mp4 --publish tcp://",
        "inspect nope",
        "convert in.pth out.pth",
        "bench kernels --device tpu",
    ],
)
def test_a_wrong_command_line_is_a_usage_error(line):
    result = invoke(*line.split())
    assert result.exit_code == 2
    assert result.stdout == ""


def test_an_address_without_its_scheme_is_completed():
    said = invoke("view", "127.0.0.1:5555").stderr
    assert "did you mean tcp://127.0.0.1:5555?" in said
    assert ":*" not in said, "a port that only a publisher can ask for"


def test_an_unknown_model_is_told_with_all_that_could_be_inspected():
    said = invoke("inspect", "nope").stderr
    for name in ("nano", "r50", "swin_l"):
        assert name in said


def test_an_expected_error_is_one_line_on_stderr():
    result = invoke("fail", app=failing_app(InputError("clip.mp4: empty file")))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "streamavis: error: clip.mp4: empty file\n"


def test_truncation_and_interruption_have_codes_of_their_own():
    assert invoke("fail", app=failing_app(TruncatedInputError("x"))).exit_code == 3
    assert invoke("fail", app=failing_app(KeyboardInterrupt())).exit_code == 130


def test_debug_shows_the_traceback_and_keeps_the_code():
    result = invoke("--debug", "fail", app=failing_app(TruncatedInputError("broke off")))
    assert result.exit_code == 3
    assert "Traceback" in result.stderr
    assert result.stderr.endswith("streamavis: error: broke off\n")


def test_a_bug_is_reported_as_one():
    code = (
        "import sys; from streamavis_apps import cli, app\n"
        "app.Commands.invoke = lambda *_: 1 / 0\n"
        "sys.argv = ['streamavis', 'doctor']; cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("streamavis: error: internal error: ZeroDivisionError")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("module", ["streamavis_apps.app", "streamavis_apps.view"])
def test_help_and_view_import_no_torch(module):
    code = f"import sys, {module}; print(*{{'torch', 'av', 'cv2'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_bad_input_is_told_before_torch_is_loaded(tmp_path):
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from streamavis_apps.cli import main\n"
        f"sys.argv = ['streamavis', 'replay', {str(tmp_path / 'none.mp4')!r}]; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert "none.mp4" in done.stderr and "torch" not in done.stderr


def test_without_typer_the_command_names_the_extra():
    code = (
        "import sys; sys.modules['typer'] = None\n"
        "from streamavis_apps.cli import main; sys.argv = ['streamavis', 'view']; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == (
        "streamavis: error: typer is not installed; "
        "install it with: pip install 'streamavis[cli]'\n"
    )


def every_command(group=None, path=()):
    """Each command with its words, groups too."""
    group = group or typer.main.get_command(app)
    yield path, group
    for name, command in getattr(group, "commands", {}).items():
        yield from every_command(command, (*path, name))


@pytest.mark.parametrize("columns", [60, 100])
def test_every_help_fits_its_terminal_and_cuts_nothing_off(columns):
    for path, command in every_command():
        usage = f"streamavis {' '.join(path)} [OPTIONS] PATH[=WEIGHT]|world|pool:DIR..."
        shown = page(command, usage, columns).plain
        for line in shown.splitlines():
            assert len(line) <= columns, (path, line)
        assert "…" not in shown and "<bool>" not in shown
        declared = [name for param in command.params for name in param.opts if "-" in name]
        hidden = {"--ready-fd", "--show-completion"}
        assert all(name in shown for name in set(declared) - hidden), path


def test_an_example_is_one_command_at_any_width():
    examples = {}
    for columns in (60, 200):
        shown = page(typer.main.get_command(app).commands["live"], "", columns).plain
        joined = re.sub(r" \\\n +", " ", shown)
        lines = {re.sub(r"   after:.*", "", line.strip()) for line in joined.splitlines()}
        examples[columns] = {line for line in lines if line.startswith("streamavis live")}
    assert examples[60] == examples[200]
    assert len(examples[60]) == 7


def test_without_a_command_the_help_is_shown_as_an_error():
    for line in ([], ["keys"], ["bench"]):
        result = invoke(*line)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "Usage: streamavis" in result.stderr or "Usage: root" in result.stderr


ROBOT = """
import sys
for name in ("torch", "av", "cv2", "scipy", "safetensors", "sounddevice", "aiohttp"):
    sys.modules[name] = None  # as on a machine with the extra cli
from streamavis_apps.cli import main
sys.argv[0] = "streamavis"
main()
"""


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("--version", 0, r"streamavis \d"),
        ("view tcp://127.0.0.1:9 --wait 0.1 --plain", 1, "nothing arrived for 0.1 s"),
        ("view --key none.key tcp://10.0.0.5:5555", 1, r"none\.key: there is no such key file"),
        ("keys --keys none list", 2, "No such option"),
        ("keys list --keys none", 1, "streamavis keys init"),
        ("live", 1, r"pip install 'streamavis\[engine\]'"),
        ("eval --gt a --pred b", 1, r"scipy is not installed.*pip install 'streamavis\[engine\]'"),
        ("train --out x", 1, r"pip install 'streamavis\[engine\]'"),
    ],
)
def test_the_extra_cli_is_enough_for_a_robot_and_the_rest_names_its_extra(line, code, said):
    command = [sys.executable, "-c", ROBOT, *line.split()]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    assert re.search(said, done.stdout + done.stderr)
    assert "Traceback" not in done.stderr
