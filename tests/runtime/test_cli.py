"""The command line as a user meets it: one line per error, its own exit code, nothing half-written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from accel.errors import STATUS, DiskFull, ModelMissing, NetworkError, SettingError, UsageError
from accel.runtime import cli
from accel.runtime.settings import TABLE

ASSETS = Path(__file__).resolve().parents[2].parent / "shared" / "assets"


@pytest.fixture
def accel(home, tmp_path):
    """Runs the real command in a child process with folders of its own."""

    def run(*words: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("ACCEL_")}
        return subprocess.run(
            [sys.executable, "-m", "accel.runtime.cli", *words],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=100,
            cwd=tmp_path,
            env={**clean, "ACCEL_HOME": str(home), "HF_HUB_CACHE": str(tmp_path / "shared"), **environment},
        )

    return run


def refused(done: subprocess.CompletedProcess[str], kind: type, *says: str) -> None:
    assert done.returncode == STATUS[kind].exit, done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("accel: ") and "; " in line
    for words in says:
        assert words in line


def test_help_lists_every_command(accel):
    done = accel("--help")
    assert done.returncode == 0 and not done.stderr
    assert all(name in done.stdout for name in ("chat", "plan", "doctor", "models", "bench"))
    assert accel().stdout == done.stdout


def test_help_and_version_load_nothing_heavy():
    code = "import sys; from accel.runtime import cli; sys.argv=['accel']; cli.main(['--help']); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "rich", "zmq", "jinja2", "huggingface_hub", "llama_cpp", "torch", "asyncio"} & set(loaded)


def test_the_version_is_told(accel):
    name, version = accel("--version").stdout.split()
    assert name == "accel" and version[0].isdigit()


def test_help_of_chat_holds_every_setting(accel):
    told = accel("chat", "--help").stdout
    assert all(row.flag in told for row in TABLE.values() if row.name != "model")
    assert all(" ".join(row.help.split()) in " ".join(told.split()) for row in TABLE.values() if row.name != "model")


@pytest.mark.parametrize(
    ("words", "kind", "says"),
    [
        (["chat", "--temprature", "1"], SettingError, "--temperature"),
        (["chat", "--temprature=1"], SettingError, "--temperature"),
        (["chat", "--temperature", "hot"], SettingError, "number"),
        (["chat", "--temp", "1"], SettingError, "--temperature"),
        (["plan", "--tempo", "1"], SettingError, "the nearest is"),
        (["chat", "a", "b"], UsageError, "'b'"),
        (["chta"], UsageError, "chat"),
        (["chat", "--seed"], UsageError, "--seed"),
        (["models", "burn"], UsageError, "remove"),
        (["models", "remove"], UsageError, "needs a name"),
        (["models", "remove", "a/b"], ModelMissing, "accel models"),
        (["models", "verify", "nonsense"], UsageError, "owner/repo"),
    ],
)
def test_what_cannot_be_meant_is_one_line_with_its_own_code(accel, words, kind, says):
    refused(accel(*words), kind, says)


def test_an_unknown_key_in_the_file_names_the_nearest(accel, home):
    (home / "config").mkdir(parents=True)
    (home / "config" / "accel.toml").write_text("thread = 2\n")
    refused(accel("chat"), SettingError, "thread", "accel.toml", "nearest is threads")


def test_an_unknown_variable_names_the_nearest(accel):
    refused(accel("chat", ACCEL_TEMPRATURE="1"), SettingError, "ACCEL_TEMPERATURE")


def test_no_models_yet_is_no_error(accel):
    done = accel("models")
    assert done.returncode == 0 and done.stdout == "" and "accel chat hf:" in done.stderr
    assert accel("models", "--json").stdout.strip() == "[]"


def test_a_home_that_cannot_be_made_is_said(accel, tmp_path):
    (tmp_path / "file").write_text("")
    done = accel("models", ACCEL_HOME=str(tmp_path / "file" / "home"))
    assert done.returncode == 1 and "ACCEL_HOME" in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_reader_that_leaves_is_no_error(home):
    code = "import sys; from accel.runtime import cli; sys.exit(cli.main(['models', '--json']))"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout and child.stderr
    child.stdout.close()
    error = child.stderr.read()
    child.stderr.close()
    assert child.wait() == cli.READER_GONE and not error


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (KeyboardInterrupt(), 130, ""),
        (BrokenPipeError(), 141, ""),
        (OSError(28, "No space left on device", "/x"), STATUS[DiskFull].exit, "/x"),
        (PermissionError(13, "Permission denied", "/x"), 1, "Permission denied (/x)"),
        (NetworkError("no\nnet\x1b[31m", "plug\tit in"), STATUS[NetworkError].exit, "accel: no net[31m; plug it in\n"),
    ],
)
def test_what_a_command_raises_becomes_a_code_and_a_line(monkeypatch, capfd, error, code, says):
    def fail(_):
        raise error

    monkeypatch.setattr(cli, "_models", fail)
    monkeypatch.setattr(cli.os, "dup2", lambda *_: None)
    assert cli.main(["models"]) == code
    told = capfd.readouterr().err
    assert says in told and len(told.splitlines()) == bool(says)


def test_models_are_listed_verified_and_removed(accel, home, tmp_path):
    folder = home / "cache" / "models" / "owner" / "tiny"
    folder.mkdir(parents=True)
    (folder / "a.gguf").write_bytes(b"abc")
    sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    record = '{"repo": "owner/tiny", "commit": "c", "parts": [{"name": "a.gguf", "size": 3, "sha256": "%s"}]}'
    (folder / "a.gguf.json").write_text(record % sha256)
    assert "owner/tiny:a.gguf" in accel("models").stdout
    assert accel("models", "verify").stdout == "owner/tiny:a.gguf: sound\n"
    (folder / "a.gguf").write_bytes(b"abd")
    done = accel("models", "verify", "owner/tiny")
    assert "checksum" in done.stdout and done.returncode == 16 and "fetch them again" in done.stderr
    assert '"whole": true' in accel("models", "--json").stdout
    assert "3 B freed" in accel("models", "remove", "hf:owner/tiny:a.gguf").stdout
    assert not list((home / "cache" / "models").iterdir())
