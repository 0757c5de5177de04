"""A typed line is a message unless it is exactly one of the commands."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel.errors import UsageError
from accel.runtime.chat.commands import COMMANDS, Command, help_text, parse


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("/quit", Command("quit")),
        ("/quit  ", Command("quit")),
        ("/save my chat ", Command("save", "my chat")),
        ("/save", Command("save")),
        ("/system Be brief.\nAlways.", Command("system", "Be brief.\nAlways.")),
        ("hello", "hello"),
        (" /quit", " /quit"),
        ("/etc/passwd is what?", "/etc/passwd is what?"),
        ("/", "/"),
        ("// a comment", "// a comment"),
        ("/2 is a half", "/2 is a half"),
    ],
)
def test_a_line_is_a_command_or_a_message(line, meant):
    assert parse(line) == meant


@pytest.mark.parametrize(
    ("line", "says"), [("/exit", "/help"), ("/statistics", "/stats"), ("/quit now", "space"), ("/open", "/open NAME")]
)
def test_what_is_no_command_says_what_to_do(line, says):
    with pytest.raises(UsageError, match=says):
        parse(line)


@given(st.text(max_size=20))
def test_every_line_means_something_or_says_why_not(line):
    try:
        meant = parse(line)
    except UsageError:
        assert line.startswith("/")
    else:
        assert meant == line or isinstance(meant, Command)


def test_help_lists_every_command():
    assert [line.split()[0] for line in help_text().splitlines()] == [f"/{name}" for name in COMMANDS]
