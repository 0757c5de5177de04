"""A conversation as a file to keep: Markdown to read, JSON for programs. Pure."""

import re
import unicodedata
from datetime import UTC, datetime
from typing import Any

from .conversations import Conversation


def as_markdown(conversation: Conversation) -> str:
    """Thoughts are left out."""
    parts = [f"# {conversation.title or 'Conversation'}"]
    if conversation.system:
        parts.append("\n".join(f"> {line}".rstrip() for line in conversation.system.splitlines()))
    for message in conversation.messages:
        parts += ["## Question" if message.role == "user" else "## Answer", message.content]
    return "\n\n".join(parts) + "\n"


def as_record(conversation: Conversation) -> dict[str, Any]:
    """What JSON says of it; the messages as every chat's API has them."""
    return {
        "title": conversation.title,
        "model": conversation.model,
        "system": conversation.system,
        "created": _when(conversation.created),
        "changed": _when(conversation.changed),
        "messages": [
            {"role": message.role, "content": message.content}
            | ({"thought": message.thought} if message.thought else {})
            for message in conversation.messages
        ],
    }


def file_name(conversation: Conversation, ending: str) -> str:
    """Of letters that every system takes."""
    plain = unicodedata.normalize("NFKD", conversation.title.casefold()).encode("ascii", "ignore").decode()
    name = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    return f"{name or 'conversation'}.{ending}"


def _when(seconds: float) -> str:
    """In UTC, as ISO 8601 writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
