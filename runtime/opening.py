"""What a worker and whoever starts it say before there is a link: one line of JSON each, on its standard streams."""

import msgspec

from .drafting.options import DraftingOptions
from .figures import Count


class PromptStore(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where what is cached of prompts stays when no sequence holds it any more, and how many bytes of it."""

    folder: str
    memory: Count
    disk: Count


class Opening(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a worker on this machine is told on its standard input, one line of JSON: the engine with its options, where
    to listen, and whom to let in (a public key; nothing where the address is private)."""

    engine: str
    options: msgspec.Raw
    address: str
    allowed: str = ""
    drafting: DraftingOptions | None = None
    prompts: PromptStore | None = None


class Listening(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What it says on its standard output, one line of JSON: where to find it, and its public key."""

    address: str
    key: str = ""
