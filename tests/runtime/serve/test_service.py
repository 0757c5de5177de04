"""What the system is told about a daemon that it should run."""

import os
import plistlib
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel.errors import NotThere, UsageError
from accel.runtime import cli
from accel.runtime.serve import service
from accel.runtime.serve.keys import key_file, read_keys
from accel.runtime.serve.service import Job, agent_of, flags_of, job_of, unit_of
from accel.runtime.settings import Settings

ODD = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=20)


@pytest.fixture(autouse=True)
def own_home(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return home


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a systemctl of ours was asked, line by line; it fails where the file beside it says so."""
    record, tool = tmp_path / "asked", tmp_path / "bin" / "systemctl"
    tool.parent.mkdir()
    broken = shlex.quote(str(tmp_path / "broken"))
    lines = [
        f'echo "$@" >> {shlex.quote(str(record))}',
        '[ "$2" = is-active ] && echo active',
        f"[ -e {broken} ] && echo no bus >&2 && exit 1",
        "exit 0",
    ]
    tool.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:/usr/bin:/bin")
    return record


def unit_file(tmp_path: Path) -> Path:
    return tmp_path / ".config" / "systemd" / "user" / "accel.service"


def values(unit: str, key: str) -> list[str]:
    return [line.partition("=")[2] for line in unit.splitlines() if line.startswith(f"{key}=")]


def as_systemd_reads(value: str) -> list[str]:
    """The words of a quoted value: escapes, then specifiers."""
    words, word, at = [], None, 0
    while at < len(value):
        letter = value[at]
        if letter == '"':
            words, word = ([*words, word], None) if word is not None else (words, b"")
        elif word is None:
            assert letter == " "
        elif letter == "\\" and value[at + 1] == "x":
            word += bytes([int(value[at + 2 : at + 4], 16)])
            at += 3
        elif letter == "\\":
            word += value[at + 1].encode()
            at += 1
        else:
            word += letter.encode()
        at += 1
    assert word is None
    found = [each.decode() for each in words]
    assert all("%" not in each.replace("%%", "") for each in found)
    return [each.replace("%%", "%") for each in found]


@given(
    st.lists(ODD, min_size=1, max_size=4), st.dictionaries(st.sampled_from(["A", "B"]), ODD), st.lists(ODD, max_size=2)
)
def test_whatever_stands_in_a_path_or_a_setting_the_unit_says_it(words, environment, folders):
    unit = unit_of(Job(tuple(words), environment, tuple(folders)))
    (command,) = values(unit, "ExecStart")
    program, *arguments = as_systemd_reads(command)
    assert all("$" not in each.replace("$$", "") for each in arguments)
    assert [program, *(each.replace("$$", "$") for each in arguments)] == words
    assert [as_systemd_reads(each) for each in values(unit, "Environment")] == [
        [f"{n}={v}"] for n, v in environment.items()
    ]
    assert [as_systemd_reads(each) for each in values(unit, "ReadWritePaths")] == [[f"-{each}"] for each in folders]


@given(st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=0xD7FF), max_size=20), min_size=1))
def test_launchd_is_told_the_same(words):
    read = plistlib.loads(agent_of(Job(tuple(words), {"A": words[0]})))
    assert read["ProgramArguments"] == words and read["EnvironmentVariables"] == {"A": words[0]}
    assert read["KeepAlive"] == {"SuccessfulExit": False} and read["RunAtLoad"] is True


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")
def test_systemd_itself_finds_nothing_wrong(tmp_path):
    odd = tmp_path / "a b 100% $HOME"
    odd.mkdir()
    (odd / "python").symlink_to(sys.executable)
    job = job_of(["a.gguf"], {"system": 'say "hi"\nto $USER; 100%'}, {"ACCEL_HOME": str(odd)})
    file = tmp_path / "accel.service"
    file.write_text(unit_of(Job((str(odd / "python"), *job.words[1:]), job.environment, job.folders)))
    done = subprocess.run(
        ["systemd-analyze", "--user", "verify", str(file)],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
    )
    ours = [line for line in done.stderr.splitlines() if "accel.service" in line]
    assert not ours, done.stderr


def test_a_unit_gives_a_daemon_what_it_needs_and_no_more(home):
    unit = unit_of(job_of([], {}, {}))
    for line in (
        *(
            "NoNewPrivileges=yes",
            "ProtectSystem=strict",
            "ProtectHome=read-only",
            "PrivateTmp=yes",
            "LockPersonality=yes",
        ),
        *("Restart=on-failure", "KillMode=mixed", "WantedBy=default.target", "SystemCallFilter=@system-service"),
    ):
        assert line in unit.splitlines()
    assert values(unit, "ReadWritePaths") == [f'"-{home / name}"' for name in ("cache", "config", "state")]


def test_the_command_is_this_interpreters_and_names_files_by_their_whole_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("model.gguf", "draft.gguf"):
        (tmp_path / name).touch()
    typed = {"port": "1234", "stop": ["a", "--b"], "drafting": False, "offline": True, "draft_model": "draft.gguf"}
    models = ["model.gguf", "m=model.gguf", "hf:owner/repo", "n=hf:owner/repo"]
    words = job_of(models, typed, {}).words
    assert words[0] == sys.executable and Path(words[0]).is_absolute()
    whole = str(tmp_path / "model.gguf")
    assert words[-4:] == (whole, f"m={whole}", "hf:owner/repo", "n=hf:owner/repo")
    given = cli.build_parser().parse_args(words[words.index("serve") :])
    assert given.models == list(words[-4:]) and given.port == "1234" and given.stop == ["a", "--b"]
    assert given.drafting is False and given.offline is True and given.draft_model == str(tmp_path / "draft.gguf")


def test_without_models_and_settings_the_command_is_read_too():
    words = job_of([], {}, {}).words
    assert cli.build_parser().parse_args(words[words.index("serve") :]).models == []
    assert flags_of({"seed": "5"}) == ["--seed=5"]


def test_what_decides_in_this_shell_where_files_lie_decides_it_there_too():
    environment = {"ACCEL_HOME": "/a", "HF_HUB_CACHE": "/b", "HF_TOKEN": "secret", "PATH": "/bin", "ACCEL_PORT": "5"}
    assert job_of([], {}, environment).environment == {"ACCEL_HOME": "/a", "HF_HUB_CACHE": "/b", "ACCEL_PORT": "5"}


def test_installed_it_is_started_and_uninstalled_it_is_gone(asked, tmp_path, capsys):
    assert service.run("install", Settings(), [], {}) == 0
    told = capsys.readouterr().out
    assert str(unit_file(tmp_path)) in told and "next: accel ps" in told
    assert asked.read_text().splitlines()[:3] == ["--user daemon-reload", "--user enable accel", "--user restart accel"]
    assert service.run("status", Settings(), [], {}) == 0
    assert capsys.readouterr().out.startswith("active: ")
    assert service.run("uninstall", Settings(), [], {}) == 0
    assert "--user disable --now accel" in asked.read_text() and not unit_file(tmp_path).exists()
    for action in ("status", "uninstall"):
        with pytest.raises(NotThere, match="install"):
            service.run(action, Settings(), [], {})


def test_where_it_cannot_be_started_the_command_to_type_is_said(asked, tmp_path, capsys):
    (tmp_path / "broken").touch()
    assert service.run("install", Settings(), [], {}) == 0
    told = capsys.readouterr().out
    assert "no bus" in told and "next: systemctl --user enable --now accel" in told and unit_file(tmp_path).exists()


def test_for_others_a_key_is_made_where_it_can_be_read_and_not_in_the_log(asked, capsys):
    service.run("install", Settings(host="0.0.0.0"), [], {"host": "0.0.0.0"})
    told = capsys.readouterr().out
    (key,) = [word for word in told.split() if word.startswith("accel-")]
    assert read_keys(key_file()).lets_in(key)
    service.run("install", Settings(host="0.0.0.0"), [], {"host": "0.0.0.0"})
    assert "accel-" not in capsys.readouterr().out


def test_a_system_without_services_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="neither systemd nor launchd"):
        service.run("install", Settings(), [], {})
