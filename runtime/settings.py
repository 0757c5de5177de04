"""Every setting in one table: its name, type, default, flag, environment variable, key in `accel.toml` and help.

A field of `Settings` is a row of the table. Its value comes from the first of these that names it: the flag
(`--max-tokens`), the environment (`ACCEL_MAX_TOKENS`), the file (`max_tokens` in `accel.toml`), the default.
`python -m accel.runtime.settings` prints the table as Markdown.
"""

import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ..devices.paths import config_dir
from ..errors import SettingError, UsageError
from ..units import Bytes
from .text import LONGEST_STOP, MOST_STOPS

PREFIX = "ACCEL_"
_MOST = 2**31 - 1  # that a count of tokens can be
_LONGEST_FILE = 2**16  # bytes: far more than all settings, and what TOML of any shape is read from in seconds
_SHOWN = 100  # characters of a value that an error quotes
FOLDER_VARIABLE = PREFIX + "HOME"  # read by devices/paths.py before there can be a settings file


@dataclass(frozen=True, slots=True)
class Kind:
    """What a value may be: `read` turns text or a TOML value into it and raises ValueError otherwise."""

    what: str
    read: Callable[[Any], Any]


def _text(value: object) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise ValueError
    value.encode()  # raises a ValueError for what is no character, and could not be sent to a worker
    return value


def _texts(value: object) -> tuple[str, ...]:
    found = tuple(_text(item) for item in (value if isinstance(value, list | tuple) else [value]))
    if len(found) > MOST_STOPS or not all(0 < len(text) <= LONGEST_STOP for text in found):
        raise ValueError
    return found


def _switch(value: object) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    return value if isinstance(value, bool) else words[_text(value).lower()]


def _size(value: object) -> Bytes:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError
    return Bytes.parse(str(value))


def _within(value: Any, low: float, high: float) -> Any:
    if not low <= value <= high:
        raise ValueError
    return value


def _whole(low: int, high: int) -> Kind:
    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise ValueError
        return _within(int(value), low, high)

    return Kind(f"a whole number from {low} to {high}", read)


def _number(low: float, high: float) -> Kind:
    def read(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError
        return _within(float(value), low, high)

    return Kind(f"a number from {low} to {high}", read)


def _one_of(*words: str) -> Kind:
    return Kind(f"one of {', '.join(words)}", lambda value: words[words.index(value)])


TEXT = Kind("text in UTF-8", _text)
TEXTS = Kind(f"at most {MOST_STOPS} texts, each of 1 to {LONGEST_STOP} characters", _texts)
SWITCH = Kind("true or false", _switch)
SIZE = Kind("a size such as 6GiB or 512MiB", _size)


def _row(default: Any, kind: Kind, help: str, unset: str = "") -> Any:
    """One row: `unset` says what happens where nothing is given and the default alone does not tell."""
    return field(default=default, metadata={"kind": kind, "help": help, "unset": unset})


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user wants, each field resolved; see the module's docstring."""

    model: str = _row("", TEXT, "the model: a GGUF file, or hf:owner/repo[:file]", "the demo model")
    context: int | None = _row(None, _whole(1, _MOST), "tokens of context", "as many as are sensible and fit")
    memory: Bytes | None = _row(None, SIZE, "most memory that may be used", "what the machine has free")  # noqa: RUF009
    kv_type: str | None = _row(
        None,
        _one_of("f16", "q8_0", "q4_0", "f32"),
        "format of the KV cache: f16 or f32, and with --approximate q8_0 or q4_0",
        "f16, which keeps the text exact",
    )
    approximate: bool = _row(
        False, SWITCH, "allow what changes the text where not all fits: experts in less precision, a smaller KV format"
    )
    deterministic: bool = _row(False, SWITCH, "with --approximate: same seed, same text, whatever is in memory")
    drafting: bool = _row(True, SWITCH, "guess ahead where that makes answers faster; the text stays the same")
    draft_model: str = _row("", TEXT, "a smaller model that guesses too, named as the model is")
    threads: int | None = _row(None, _whole(1, 1024), "threads that compute", "the fastest number, as measured")
    temperature: float = _row(0.8, _number(0, 100), "how freely the next token is drawn; 0 always takes the likeliest")
    top_k: int = _row(40, _whole(0, _MOST), "draw among this many likeliest tokens; 0 for all")
    top_p: float = _row(0.95, _number(0, 1), "draw among the likeliest tokens that together have this probability")
    min_p: float = _row(0.0, _number(0, 1), "leave out tokens less likely than this share of the likeliest")
    repeat_penalty: float = _row(1.0, _number(0.01, 100), "makes recent tokens less likely; 1 leaves them as they are")
    seed: int | None = _row(
        None, _whole(0, 2**64 - 1), "same seed, same text", "a new one for every chat, told by /stats"
    )
    max_tokens: int | None = _row(
        None, _whole(1, _MOST), "most tokens of one answer", "until it ends or the context is full"
    )
    stop: tuple[str, ...] = _row((), TEXTS, "text at which an answer ends; may be given several times")
    system: str = _row("", TEXT, "system prompt", "the model's own")
    sessions: bool = _row(True, SWITCH, "keep conversations on disk, so that they can be resumed")
    offline: bool = _row(False, SWITCH, "never use the network")
    parallel: int | None = _row(
        None, _whole(1, 256), "texts that are answered at once, within one context", "4 for `accel serve`, else 1"
    )
    host: str = _row("127.0.0.1", TEXT, "address to listen at; anything beyond this machine needs a key")
    port: int = _row(11500, _whole(0, 65535), "port to listen at; 0 for any that is free")
    idle_unload: int = _row(
        900, _whole(0, _MOST), "seconds without a request after which a model is closed; 0 for never"
    )
    power: str = _row(
        "auto",
        _one_of("auto", "eco", "balanced", "full"),
        "eco: at most half of the cores, and prompts read in smaller batches; full: all threads of the processor; "
        "auto: eco while the daemon lives on a battery, else balanced",
    )
    prompt_memory: Bytes | None = _row(  # noqa: RUF009
        None,
        SIZE,
        "memory for prompts that no text is at, beside the context",
        "a quarter of what a model leaves free, 1 GiB at most, where several texts are answered at once",
    )
    prompt_cache: Bytes = _row(  # noqa: RUF009
        Bytes.from_gib(1), SIZE, "disk for prompts that no text is at, for each model; kept across restarts"
    )
    most_waiting: int = _row(256, _whole(0, 65536), "requests that may wait for their turn")
    most_of_a_client: int = _row(64, _whole(1, 65536), "requests of one client, running and waiting")


@dataclass(frozen=True, slots=True)
class Setting:
    """A row of the table, as help and documentation need it."""

    name: str
    kind: Kind
    default: Any
    help: str
    unset: str

    @property
    def flag(self) -> str:
        """As it is typed; the model is the one that has no flag."""
        return "MODEL" if self.name == "model" else "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        return PREFIX + self.name.upper()

    @property
    def default_words(self) -> str:
        if isinstance(self.default, bool):
            return str(self.default).lower()
        return self.unset or ("none" if self.default in ((), "", None) else f"{self.default}")

    def read(self, value: object, source: str) -> Any:
        """Raises SettingError, naming where the value came from."""
        try:
            return self.kind.read(value)
        except (ValueError, KeyError, OverflowError, UsageError) as error:
            raise SettingError(f"{source} is {_quoted(value)}", f"give {self.kind.what}") from error


def _quoted(value: object) -> str:
    try:
        shown = repr(value)
    except ValueError:  # Python writes no whole number of thousands of digits
        return "a number of too many digits"
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"


TABLE: dict[str, Setting] = {
    row.name: Setting(row.name, row.metadata["kind"], row.default, row.metadata["help"], row.metadata["unset"])
    for row in fields(Settings)
}


def resolve(
    flags: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> Settings:
    """The settings that hold now. `flags` maps names of settings to what was typed, None for not at all.

    Raises SettingError for an unknown name in any of the three places, and for a value that its setting cannot take.
    """
    environment = os.environ if environment is None else environment
    file = config_dir() / "accel.toml" if file is None else file
    values = _from_file(file) | _from_environment(environment)
    for name, value in (flags or {}).items():
        if value is not None:
            values[name] = _known(name, "setting", list(TABLE)).read(value, TABLE[name].flag)
    return Settings(**values)


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    values = {}
    known = {setting.variable: setting for setting in TABLE.values()}
    for variable in environment:
        if variable.startswith(PREFIX) and variable != FOLDER_VARIABLE:
            setting = _known(variable, "environment variable", [*known, FOLDER_VARIABLE], known)
            values[setting.name] = setting.read(environment[variable], variable)
    return values


def _from_file(file: Path) -> dict[str, Any]:
    import tomllib

    try:
        found = tomllib.loads(_bytes_of(file).decode())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (ValueError, RecursionError) as error:  # a ValueError: no TOML, no UTF-8, or a number of too many digits
        raise SettingError(f"{file} is no TOML: {error}", "correct the file or delete it") from error
    except OSError as error:
        raise SettingError(f"cannot read {file}: {error.strerror}", "make it readable or delete it") from error
    return {
        name: _known(name, "key", list(TABLE), where=f" in {file}").read(value, f"{name} in {file}")
        for name, value in found.items()
    }


def _bytes_of(file: Path) -> bytes:
    """Raises OSError; SettingError for what is no file of some length: a pipe or a device may never end."""
    if not stat.S_ISREG(file.stat().st_mode):
        raise SettingError(f"cannot read {file}: it is no regular file", "put a text file there or delete it")
    with file.open("rb") as source:
        raw = source.read(_LONGEST_FILE + 1)
    if len(raw) > _LONGEST_FILE:
        raise SettingError(f"{file} is longer than {Bytes(_LONGEST_FILE)}", "leave only settings in it or delete it")
    return raw


def _known(name: str, what: str, names: list[str], table: Mapping[str, Setting] = TABLE, where: str = "") -> Setting:
    if name in table:
        return table[name]
    raise SettingError(f"unknown {what} {name}{where}", f"the nearest is {nearest(name, names)}")


def nearest(name: str, names: list[str]) -> str:
    """The one of `names` that a typing error most likely meant."""
    import difflib

    def likeness(known: str) -> tuple[bool, float]:
        return known.startswith(name), difflib.SequenceMatcher(None, name.lower(), known.lower()).ratio()

    return max(names, key=likeness)


def markdown() -> str:
    """The table for people; README.md holds exactly this between its markers."""
    lines = ["| flag | environment | `accel.toml` | default | what it does |", "|---|---|---|---|---|"]
    for row in TABLE.values():
        lines.append(f"| `{row.flag}` | `{row.variable}` | `{row.name}` | {row.default_words} | {row.help} |")
    lines.append(f"| | `{FOLDER_VARIABLE}` | | the system's own | one folder for all files of accel |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(markdown())
