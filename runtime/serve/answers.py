"""A worker's events in an event loop: what another thread hears is awaited here."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

from ...errors import AccelError
from ..messages import Event, Finished, Generate
from ..supervisor import Supervisor
from .running import Running


async def events(worker: Supervisor, request: Generate, running: Running) -> AsyncGenerator[Event]:
    """What comes of a prompt; the last event is `Finished`. Raises what it failed with. Whoever stops listening cancels
    it: close the generator; whoever cancels `running` has it end, reason "cancelled"."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[Event | AccelError] = asyncio.Queue()

    def deliver(event: Event | AccelError) -> None:
        with suppress(RuntimeError):  # the loop has ended, and nobody listens
            loop.call_soon_threadsafe(queue.put_nowait, event)

    asking = loop.run_in_executor(None, worker.begin, request, deliver)
    try:
        id = await asyncio.shield(asking)
    except asyncio.CancelledError:
        asking.add_done_callback(lambda asked: None if asked.exception() else worker.cancel(asked.result()))
        raise
    finally:
        del asking  # an error in it would hold this frame and the frame the error, with all that was asked
    ended = False
    try:
        with running.ending(lambda: worker.cancel(id)):
            while not ended:
                event = await queue.get()
                ended = isinstance(event, AccelError | Finished)
                if isinstance(event, AccelError):
                    try:
                        raise event
                    finally:
                        del event  # which would hold this frame, and be held by it
                yield event
    finally:
        if not ended:
            worker.cancel(id)
