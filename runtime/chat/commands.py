"""What a line that was typed means: a message, or one of the chat's commands."""

import re
from dataclasses import dataclass

from ...errors import UsageError
from ..settings import nearest

COMMANDS = {
    "help": ("", "these commands"),
    "plan": ("", "what goes where in memory, and why"),
    "stats": ("", "speed, context and memory of this chat, and its seed"),
    "system": ("[TEXT]", "show the system prompt, or set another"),
    "retry": ("", "answer the last message again, with the next seed"),
    "save": ("[NAME]", "keep this chat under a name"),
    "open": ("NAME", "go on with a saved chat"),
    "quit": ("", "leave (so does Ctrl-D; Ctrl-C stops an answer)"),
}
_COMMAND = re.compile(r"/([a-z]+)(?:\s+(.*?))?\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Command:
    name: str
    argument: str = ""


def parse(line: str) -> Command | str:
    """The command, or the message itself; a message that should begin with a slash begins with a space before it.

    Raises UsageError for what looks like a command and is none.
    """
    found = _COMMAND.fullmatch(line)
    if not found:
        return line
    name, argument = found[1], found[2] or ""
    if name not in COMMANDS:
        raise UsageError(f"there is no /{name}", f"the nearest is /{nearest(name, list(COMMANDS))}; /help lists all")
    wants = COMMANDS[name][0]
    if argument and not wants:
        raise UsageError(f"/{name} takes nothing after it", "put a space before it to send it as a message")
    if wants and not wants.startswith("[") and not argument:
        raise UsageError(f"/{name} needs a {wants.lower()}", f"write /{name} {wants}")
    return Command(name, argument)


def help_text() -> str:
    words = {f"/{name} {argument}".rstrip(): what for name, (argument, what) in COMMANDS.items()}
    width = max(map(len, words))
    return "\n".join(f"{command:<{width}}  {what}" for command, what in words.items())
