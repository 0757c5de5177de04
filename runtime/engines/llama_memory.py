"""A llama.cpp context's cache: which cells carry which sequence's number."""

from ...errors import EngineError
from . import llama_api as api
from .llama_tree import END


class LlamaMemory:
    """See `llama_tree.Memory`."""

    def __init__(self, context: int) -> None:
        self._memory = api.get_memory(context)

    def remove(self, number: int, first: int = 0, end: int = END) -> None:
        if not api.seq_rm(self._memory, number, first, end):
            raise EngineError("this model's state cannot be taken back", "ask `can.rollback`")

    def copy(self, source: int, target: int, first: int, end: int) -> None:
        api.seq_cp(self._memory, source, target, first, end)

    def length(self, number: int) -> int:
        return api.seq_last(self._memory, number) + 1
