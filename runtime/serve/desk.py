"""Where requests become answers: what was asked goes through the model's template to its worker, in its turn, and what
comes back is told in pieces."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import msgspec

from ...errors import TemplateError, UsageError, WorkerDied
from ..messages import Drafting, Embedded, Event, Finished, Generate, GrammarSource, Part, Prefilled, Started, Text
from .answers import events
from .asked import Asked, Call, Ended, Piece, Reading, Words
from .calls import CallReader
from .hosts import Served
from .running import Running
from .tool_format import described
from .tool_messages import for_template


async def answer(served: Served, asked: Asked, running: Running) -> AsyncGenerator[tuple[int, Piece]]:
    """The pieces of every answer, each with the answer's number; each ends with `Ended`. Closing the generator cancels
    what is left. Raises Busy, UsageError, ContextFull, GrammarError, WorkerDied, EngineError."""
    async with served.turns.turn(running, asked.count):
        request, opened = await _requested(served, asked)
        if asked.count == 1:
            async with aclosing(_pieces(served, asked, request, running, opened, 0)) as pieces:
                async for piece in pieces:
                    yield 0, piece
            return
        told: asyncio.Queue[tuple[int, Piece] | BaseException] = asyncio.Queue()
        tasks = [
            asyncio.create_task(_tell(number, _pieces(served, asked, request, running, opened, number), told))
            for number in range(asked.count)
        ]
        left = len(tasks)
        try:
            while left:
                if isinstance(found := await told.get(), BaseException):
                    try:
                        raise found
                    finally:
                        del found  # which would hold this frame, and be held by it, with all that was asked
                left -= isinstance(found[1], Ended)
                yield found
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def count(served: Served, asked: Asked) -> int:
    """Tokens of the prompt. Raises UsageError, WorkerDied."""
    request, _ = await _requested(served, asked)
    return len(await asyncio.to_thread(served.opened.worker.encode, request.prompt))


async def embedded(served: Served, texts: Sequence[Part], running: Running) -> list[Embedded]:
    """A vector for each text, one after another. Raises Busy, UsageError, ContextFull, ModelUnsupported, WorkerDied."""
    async with served.turns.turn(running):
        return [await asyncio.to_thread(served.opened.worker.embed, [text]) for text in texts]


async def _tell(
    number: int, pieces: AsyncGenerator[Piece], told: "asyncio.Queue[tuple[int, Piece] | BaseException]"
) -> None:
    try:
        async with aclosing(pieces):
            async for piece in pieces:
                told.put_nowait((number, piece))
    except Exception as error:  # noqa: BLE001 - it is raised where the pieces are waited for
        told.put_nowait(error)


async def _pieces(
    served: Served, asked: Asked, request: Generate, running: Running, opened: bool, number: int
) -> AsyncGenerator[Piece]:
    """Of one answer. A worker that dies before it has said anything is asked again, once: another one starts."""
    law = msgspec.structs.replace(request.law, seed=(request.law.seed + number) % 2**64)
    request = msgspec.structs.replace(request, law=law)
    silent = True
    for last in (False, True):
        reader = CallReader(served.tools, _names(asked), opened) if asked.tools else None
        try:
            async with aclosing(events(served.opened.worker, served.post, request, running)) as found:
                async for event in found:
                    for piece in _told(event, reader):
                        silent = silent and isinstance(piece, Reading)
                        yield piece
            return
        except WorkerDied:
            if last or not silent:
                raise


def _told(event: Event, reader: CallReader | None) -> list[Piece]:
    match event:
        case Started():
            return [Reading(event.reused, event.prompt)]
        case Prefilled():
            return [Reading(event.done, event.total)]
        case Text() if reader and not event.thought:
            return [*reader.push(event.text, event.chances)]
        case Text():
            return [Words(event.text, event.thought, event.chances)]
        case Finished():
            rest = reader.finish() if reader else []
            called = bool(reader and reader.called)
            return [*rest, Ended(event.reason, event.usage, event.timings, called, event.stop, event.tokens)]
        case Drafting() | _:
            return []


def _names(asked: Asked) -> frozenset[str]:
    return frozenset(tool["function"]["name"] for tool in asked.tools)


async def _requested(served: Served, asked: Asked) -> tuple[Generate, bool]:
    """What the worker is asked, and whether the prompt has opened a call. Templates are rendered in a process, which
    takes time."""
    return await asyncio.to_thread(_request, served, asked) if asked.messages else _request(served, asked)


def _request(served: Served, asked: Asked) -> tuple[Generate, bool]:
    prompt, grammar, opened = asked.prompt, asked.grammar, False
    if asked.messages:
        prompt = _prompt(served, asked)
    if asked.must_call is not None:
        tools = [tool for tool in asked.tools if asked.must_call in ("", tool["function"]["name"])]
        if not tools:
            raise UsageError(f"there is no tool '{asked.must_call[:100]}'", "name one of `tools`")
        kind, text = served.tools.grammar(tools)
        prompt, grammar, opened = (*prompt, served.tools.open), GrammarSource(kind, text), True
        prompt = tuple(part for part in prompt if part)
    thoughts, tail = served.template.thoughts, prompt[-1]
    thinking = bool(thoughts and isinstance(tail, str) and thoughts.opened_by(tail))
    request = Generate(0, None, prompt, asked.law, asked.most, asked.stops, thoughts, thinking, grammar, asked.chances)
    return request, opened


def _prompt(served: Served, asked: Asked) -> tuple[Part, ...]:
    messages, tools = for_template(asked.messages, served.tools), list(asked.tools)
    if tools and not served.tools.native:
        messages = _with_description(messages, described(tools))
        tools = []
    try:
        prompt = served.template.segments(messages, tools or None, **asked.variables)
    except TemplateError as error:  # it may render others
        raise UsageError(error.what, error.do) from error
    if not prompt:
        raise UsageError("the model's chat template makes nothing of the messages", "send others")
    return prompt


def _with_description(messages: list[Mapping[str, Any]], words: str) -> list[Mapping[str, Any]]:
    """At the end of the system prompt, if there is one."""
    if messages and messages[0].get("role") == "system":
        return [{**messages[0], "content": f"{messages[0].get('content') or ''}\n\n{words}"}, *messages[1:]]
    return [{"role": "system", "content": words}, *messages]


async def collected(pieces: AsyncIterator[tuple[int, Piece]], count: int) -> list[list[Piece]]:
    """All pieces of every answer, texts that follow one another joined."""
    found: list[list[Piece]] = [[] for _ in range(count)]
    async for number, piece in pieces:
        last = found[number][-1] if found[number] else None
        if isinstance(piece, Reading):
            continue
        if isinstance(piece, Words) and isinstance(last, Words) and last.thought == piece.thought:
            found[number][-1] = Words(last.text + piece.text, last.thought, last.chances + piece.chances)
        else:
            found[number].append(piece)
    return found


def text_of(pieces: list[Piece], thought: bool = False) -> str:
    return "".join(piece.text for piece in pieces if isinstance(piece, Words) and piece.thought == thought)


def calls_of(pieces: list[Piece]) -> list[Call]:
    return [piece for piece in pieces if isinstance(piece, Call)]
