"""A draft model that works in a thread of its own, while the target does.

For two that compute on different devices (`make.are_apart`): on the same cores both would wait for one another. A draft
model of other tokens works by turns all the same: what was translated is not for two threads.
"""

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from ...errors import AccelError
from ..engines.base import Rows, Stop
from .draft import NOTHING, Context, Draft, Verdict
from .guessing import Guesser, Wish
from .model import ModelDrafter


class Beside:
    """See `draft.Drafter`. The drafter and its engine belong to the thread from now on.

    Once a draft is given, the thread goes on as if the target were to accept all of it; the next `start` ends that, and
    what came true of it is there already.
    """

    def __init__(self, drafter: ModelDrafter) -> None:
        self._drafter = drafter
        self._thread = ThreadPoolExecutor(1, "drafter")
        self._stop = Stop()
        self._texts = 0
        self._answer: Future[list[Draft]] | None = None
        self._job: Future[None] | None = None
        self._job_before: Future[None] | None = None

    @property
    def trouble(self) -> AccelError | None:
        """See `Reader`."""
        return self._drafter.trouble

    @property
    def given_up(self) -> bool:
        return self._drafter.given_up

    @property
    def reading(self) -> float:
        return self._drafter.reading

    def start(self, contexts: Sequence[Context], limits: Sequence[int]) -> None:
        texts = zip(contexts, limits, strict=True)
        self.begin([self.wish(c.number, c.tokens, c.sampler.fork(apart=True), limit) for c, limit in texts])

    def wish(self, number: int, tokens: Sequence[int], guesser: Guesser, limit: int) -> Wish:
        return self._drafter.wish(number, tokens, guesser, limit)

    def begin(self, wishes: list[Wish]) -> None:
        self._stop.set()
        self._stop, self._texts, self._answer = Stop(), len(wishes), Future()
        self._job_before, self._job = self._job, self._thread.submit(self._work, wishes, self._answer, self._stop)

    def take(self, deadline: float | None = None) -> list[Draft]:
        answer, self._answer = self._answer, None
        if answer is None:
            return []
        try:
            drafts = answer.result(None if deadline is None else max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            return [NOTHING] * self._texts
        if self._job_before:
            self._job_before.result()  # it has ended; an error of its own is raised, not lost
        return drafts

    def observe(self, verdicts: Sequence[Verdict], rows: Rows) -> None:
        """The next text says it all."""

    def forget(self, number: int) -> None:
        self._stop.set()
        self._thread.submit(self._drafter.forget, number)

    def close(self) -> None:
        """Ends the thread; the engine may be closed then."""
        self._stop.set()
        self._thread.shutdown()

    def _work(self, wishes: list[Wish], answer: "Future[list[Draft]]", stop: Stop) -> None:
        try:
            answer.set_result(self._drafter.draft(wishes, lambda: bool(stop)))
        except BaseException as error:
            answer.set_exception(error)
            raise
        self._drafter.go_on(stop)
