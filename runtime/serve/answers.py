"""A worker's events in an event loop: what another thread hears is awaited here."""

import asyncio
from collections.abc import AsyncGenerator

from ...errors import AccelError
from ..life import Deliver
from ..messages import Event, Finished, Generate
from ..supervisor import Supervisor
from .post import Post
from .running import Running


async def events(worker: Supervisor, post: Post, request: Generate, running: Running) -> AsyncGenerator[Event]:
    """What comes of a prompt; the last event is `Finished`. `post`: by which the worker's events come. Raises what it
    failed with. Whoever stops listening cancels it: close the generator; whoever cancels `running` has it end, reason
    "cancelled"."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[Event | AccelError] = asyncio.Queue()

    def deliver(event: Event | AccelError) -> None:
        post.put(loop, queue.put_nowait, event)

    if (id := worker.begin_at_once(request, deliver)) is None:
        id = await _begun(worker, request, deliver)
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


async def _begun(worker: Supervisor, request: Generate, deliver: Deliver) -> int:
    """By a worker that may have to be started first."""
    asking = asyncio.get_running_loop().run_in_executor(None, worker.begin, request, deliver)
    try:
        return await asyncio.shield(asking)
    except asyncio.CancelledError:
        asking.add_done_callback(lambda asked: None if asked.exception() else worker.cancel(asked.result()))
        raise
    finally:
        del asking  # an error in it would hold this frame and the frame the error, with all that was asked
