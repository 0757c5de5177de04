"""`POST /v1/completions`: a text, or tokens, to go on with as they stand."""

import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ...messages import Chance, Part, Usage
from ...settings import Settings
from ..asked import Asked, Ended, Piece, Words
from ..desk import text_of
from ..parsing import BadField, refuse
from .chat import reason_of, usage_of
from .law import law_of, stops_of
from .shapes import CompletionRequest

_USUAL_MOST = 16  # tokens, as OpenAI has it
_MOST_PROMPTS = 64


def asked(request: CompletionRequest, settings: Settings) -> list[Asked]:
    """One for each prompt. Raises BadField, SettingError."""
    refuse(request.suffix, "suffix", "is not supported: the models here go on with a text, they do not fill one in")
    refuse(request.best_of not in (None, request.n or 1), "best_of", "must be as large as `n`")
    alike = Asked(
        law=law_of(request, settings),
        most=request.max_tokens or settings.max_tokens or _USUAL_MOST,
        stops=stops_of(request.stop, settings),
        chances=request.logprobs,
        count=request.n or 1,
    )
    return [replace(alike, prompt=(part,)) for part in parts_of(request.prompt, "prompt", _MOST_PROMPTS)]


def parts_of(given: Any, field: str, most: int) -> list[Part]:
    """Of a text, texts, a text's tokens, or several such; at most so many. Raises BadField."""
    if isinstance(given, str):
        found: list[Any] = [given]
    elif all(isinstance(each, int) for each in given):
        found = [tuple(given)]
    else:
        found = [tuple(each) if isinstance(each, list) else each for each in given]
    if len(found) > most:
        raise BadField(f"there are {len(found)} texts in `{field}`, and {most} may be", field)
    for each in found:
        if isinstance(each, int) or not each:
            raise BadField(f"`{field}` is empty, or mixes texts and tokens", field)
        if isinstance(each, tuple) and not all(0 <= token < 2**31 for token in each):
            raise BadField(f"`{field}` holds what is no token", field)
    return found


@dataclass(slots=True)
class Writer:
    """The answers to one request's prompts, whole or in chunks. `echoed`: the prompts' texts, where they are wanted."""

    model: str
    count: int = 1  # answers to each prompt
    usage_wanted: bool = False
    echoed: tuple[str, ...] = ()
    id: str = field(default_factory=lambda: f"cmpl-{secrets.token_hex(12)}")
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, choices: Sequence[list[Piece]]) -> dict[str, Any]:
        """`choices`: those of the first prompt, then those of the next."""
        shown = [self._whole(number, pieces) for number, pieces in enumerate(choices)]
        usages = [[piece.usage for piece in pieces if isinstance(piece, Ended)] for pieces in choices]
        return self._frame(shown) | {"usage": self._usage([usage for found in usages for usage in found])}

    async def chunks(self, pieces: AsyncIterator[tuple[int, Piece]]) -> AsyncGenerator[dict[str, Any]]:
        usages: list[Usage] = []
        begun: set[int] = set()
        async for number, piece in pieces:
            if number not in begun:
                begun.add(number)
                yield self._frame([self._choice(number, self._echo(number))])
            if isinstance(piece, Words):
                yield self._frame([self._choice(number, piece.text, chances=piece.chances)])
            elif isinstance(piece, Ended):
                usages.append(piece.usage)
                yield self._frame([self._choice(number, "", reason_of(piece))])
        if self.usage_wanted:
            yield self._frame([]) | {"usage": self._usage(usages)}

    def _whole(self, number: int, pieces: list[Piece]) -> dict[str, Any]:
        text = text_of(pieces, thought=True) + text_of(pieces)
        chances = tuple(chance for piece in pieces if isinstance(piece, Words) for chance in piece.chances)
        (ended,) = (piece for piece in pieces if isinstance(piece, Ended))
        return self._choice(number, self._echo(number) + text, reason_of(ended), chances)

    def _echo(self, number: int) -> str:
        return self.echoed[number // self.count] if self.echoed else ""

    def _choice(
        self, number: int, text: str, reason: str | None = None, chances: Sequence[Chance] = ()
    ) -> dict[str, Any]:
        return {"index": number, "text": text, "logprobs": _logprobs(chances), "finish_reason": reason}

    def _usage(self, usages: list[Usage]) -> dict[str, Any]:
        """Every prompt counts once, whatever the number of its answers."""
        found = usage_of(usages)
        prompts = sum(usage.prompt for usage in usages) // self.count
        return found | {"prompt_tokens": prompts, "total_tokens": prompts + found["completion_tokens"]}

    def _frame(self, choices: list[Any]) -> dict[str, Any]:
        named = {"id": self.id, "object": "text_completion", "created": self.created, "model": self.model}
        return named | {"system_fingerprint": None, "choices": choices}


def _logprobs(chances: Sequence[Chance]) -> dict[str, Any] | None:
    if not chances:
        return None
    texts = [chance.piece.decode(errors="replace") for chance in chances]
    return {
        "tokens": texts,
        "token_logprobs": [max(chance.log, -9999.0) for chance in chances],
        "top_logprobs": [
            {piece.decode(errors="replace"): max(log, -9999.0) for piece, log in chance.best} for chance in chances
        ],
        "text_offset": [sum(map(len, texts[:at])) for at in range(len(texts))],
    }
