"""`accel service`: a daemon that starts with its user's session and is started again where it fails, by whatever the
system has for that: systemd or launchd."""

import os
import plistlib
import shlex
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...devices.files import write_atomic
from ...devices.paths import cache_dir, config_dir, state_dir
from ...errors import NotThere, UsageError
from ..settings import PREFIX, SWITCH, TABLE, TEXTS, Settings
from .guard import is_local
from .keys import add_key, key_file, read_keys
from .run import named

_SECONDS = 60  # that a daemon may take to end, answers that it has begun included
_LABEL = "accel.serve"
# What else decides where a daemon finds its files and modules.
_KEPT = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "HF_HOME", "HF_HUB_CACHE", "HF_ENDPOINT", "PYTHONPATH")


@dataclass(frozen=True, slots=True)
class Job:
    """What is run."""

    words: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    folders: tuple[str, ...] = ()  # all that it writes to, temporary files aside


class Manager(ABC):
    """Of services, one for each user."""

    file: Path  # that describes the job
    hint: str  # what starts it by hand
    note: str = ""  # what else its user may want

    @abstractmethod
    def text(self, job: Job) -> bytes: ...

    @abstractmethod
    def start(self) -> str:
        """Now, and whenever the user's session starts; what went wrong, or nothing."""

    @abstractmethod
    def stop(self) -> None: ...

    @abstractmethod
    def state(self) -> str: ...

    def remove(self) -> None:
        self.stop()
        self.file.unlink()


class Systemd(Manager):
    hint = "systemctl --user enable --now accel"
    note = "; to have it run while you are logged out, too: loginctl enable-linger"

    def __init__(self) -> None:
        config = os.environ.get("XDG_CONFIG_HOME")
        self.file = (Path(config) if config else Path.home() / ".config") / "systemd" / "user" / "accel.service"

    def text(self, job: Job) -> bytes:
        return unit_of(job).encode()

    def start(self) -> str:
        return _ask("daemon-reload") or _ask("enable", "accel") or _ask("restart", "accel")

    def stop(self) -> None:
        _ask("disable", "--now", "accel")

    def state(self) -> str:
        return _run("systemctl", "--user", "is-active", "accel").stdout.strip() or "unknown"

    def remove(self) -> None:
        super().remove()
        _ask("daemon-reload")


class Launchd(Manager):
    def __init__(self) -> None:
        self.file = Path.home() / "Library" / "LaunchAgents" / f"{_LABEL}.plist"
        self._domain = f"gui/{os.getuid()}"
        self.hint = f"launchctl bootstrap {self._domain} {shlex.quote(str(self.file))}"

    def text(self, job: Job) -> bytes:
        return agent_of(job)

    def start(self) -> str:
        self.stop()
        return _told(_run("launchctl", "bootstrap", self._domain, str(self.file)))

    def stop(self) -> None:
        _run("launchctl", "bootout", f"{self._domain}/{_LABEL}")

    def state(self) -> str:
        lines = _run("launchctl", "print", f"{self._domain}/{_LABEL}").stdout.splitlines()
        return next(
            (line.partition("=")[2].strip() for line in lines if line.strip().startswith("state =")), "not loaded"
        )


def run(action: str, settings: Settings, models: Sequence[str], typed: Mapping[str, Any]) -> int:
    """`install`, `status` or `uninstall`; `typed`: the settings that were given as flags. Raises UsageError where the
    system has no services, NotThere for one that was not installed, DiskFull, AccelError."""
    manager = manager_here()
    if action == "install":
        return _install(manager, settings, models, typed)
    if not manager.file.exists():
        raise NotThere("the service is not installed", "accel service install does it")
    if action == "status":
        print(f"{manager.state()}: {manager.file}")
        return 0
    manager.remove()
    print(f"removed {manager.file}")
    return 0


def manager_here() -> Manager:
    """Raises UsageError where there is none."""
    if shutil.which("systemctl"):
        return Systemd()
    if shutil.which("launchctl"):
        return Launchd()
    raise UsageError("this system has neither systemd nor launchd", "start accel serve by other means")


def job_of(models: Sequence[str], typed: Mapping[str, Any], environment: Mapping[str, str]) -> Job:
    """A daemon as it would be if it was started here and now."""
    names = [name for name in environment if name.startswith(PREFIX) or name in _KEPT]
    words = [sys.executable, "-P", "-m", "accel.runtime.cli", "serve", *flags_of(typed), "--", *map(_placed, models)]
    folders = tuple(str(folder) for folder in (cache_dir(), config_dir(), state_dir()))
    return Job(tuple(words), {name: environment[name] for name in names}, folders)


def flags_of(typed: Mapping[str, Any]) -> list[str]:
    """Settings as they are typed."""
    words: list[str] = []
    for name, value in typed.items():
        row = TABLE[name]
        if row.kind is SWITCH:
            words.append(row.flag if value else row.flag.replace("--", "--no-", 1))
        else:
            for each in value if row.kind is TEXTS else [value]:
                words.append(f"{row.flag}={_placed(each) if name == 'draft_model' else each}")
    return words


def unit_of(job: Job) -> str:
    """A unit of systemd's. What it may not do is what a daemon has no use for; what is not said here GPUs need."""
    program, *arguments = job.words
    lines = [
        "# Written by `accel service install`.",
        "[Unit]",
        "Description=accel: language models over HTTP",
        "StartLimitIntervalSec=120",
        "StartLimitBurst=5",
        "",
        "[Service]",
        f"ExecStart={' '.join([_unit_word(program), *(_unit_word(word).replace('$', '$$') for word in arguments)])}",
        *(f"Environment={_unit_word(f'{name}={value}')}" for name, value in job.environment.items()),
        "Restart=on-failure",
        "RestartSec=2",
        "KillMode=mixed",  # the daemon ends its workers itself, once they have answered
        f"TimeoutStopSec={_SECONDS}",
        "UMask=0077",
        "NoNewPrivileges=yes",
        "PrivateTmp=yes",
        "ProtectSystem=strict",
        "ProtectHome=read-only",
        *(f"ReadWritePaths={_unit_word(f'-{folder}')}" for folder in job.folders),
        "LockPersonality=yes",
        "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
        "RestrictRealtime=yes",
        "RestrictSUIDSGID=yes",
        "SystemCallArchitectures=native",
        "SystemCallFilter=@system-service",
        "SystemCallErrorNumber=EPERM",
        "",
        "[Install]",
        "WantedBy=default.target",
    ]
    return "\n".join(lines) + "\n"


def agent_of(job: Job) -> bytes:
    """A property list of launchd's."""
    described = {
        "Label": _LABEL,
        "ProgramArguments": list(job.words),
        "EnvironmentVariables": dict(job.environment),
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ExitTimeOut": _SECONDS,
        "Umask": 0o077,
    }
    return plistlib.dumps(described)


def _unit_word(text: str) -> str:
    """As systemd reads it back: quoted, its own escapes and specifiers spelled out."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return '"' + "".join(letter if letter.isprintable() else _escape(letter) for letter in escaped) + '"'


def _escape(letter: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in letter.encode())


def _placed(model: str) -> str:
    """A file is named by its whole path: a service starts elsewhere."""
    name, path = named(model)
    found = Path(path).expanduser()
    placed = str(found.absolute()) if found.exists() else path
    return f"{name}={placed}" if name else placed


def _install(manager: Manager, settings: Settings, models: Sequence[str], typed: Mapping[str, Any]) -> int:
    job = job_of(models, typed, os.environ)
    if not is_local(settings.host) and not read_keys(key_file()):
        print(f"clients need this key, which is not shown again: {add_key(key_file())}")
    manager.file.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(manager.file, manager.text(job))
    print(f"wrote {manager.file}")
    if trouble := manager.start():
        print(f"it could not be started: {trouble}\nnext: {manager.hint}")
    else:
        print(f"{manager.state()}; next: accel ps{manager.note}")
    return 0


def _ask(*words: str) -> str:
    return _told(_run("systemctl", "--user", *words))


def _told(done: "subprocess.CompletedProcess[str]") -> str:
    """Why it failed, if it did."""
    return (done.stderr.strip() or f"code {done.returncode}") if done.returncode else ""


def _run(*words: str) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=_SECONDS + 30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(words, 1, "", str(error))
