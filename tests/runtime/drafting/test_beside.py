"""A draft model in a thread of its own guesses the same, some of it before it is asked."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from accel.errors import EngineError
from accel.runtime.drafting.beside import Beside
from accel.runtime.drafting.draft import NOTHING
from accel.runtime.drafting.model import ModelDrafter
from accel.runtime.engines.base import Stop
from accel.runtime.engines.fake import FakeEngine

from .writing import PROMPTS, answers, begin, contexts, law, near, step, target, write


@pytest.fixture
def beside() -> Iterator:
    opened: list[Beside] = []

    def opens(engine: Any, **named) -> Beside:
        opened.append(Beside(ModelDrafter(engine, **named)))
        return opened[-1]

    yield opens
    for drafter in opened:
        drafter.close()


class Watched(FakeEngine):
    """Notes which threads it was spoken to by."""

    threads: set[str]

    def forward(self, *given):
        self.__dict__.setdefault("threads", set()).add(threading.current_thread().name)
        return super().forward(*given)


def settle(drafter: Beside) -> None:
    """Waits until it has gone as far ahead as it goes."""
    assert drafter._job
    drafter._job.result()


@pytest.mark.parametrize(
    "given", [law(0.0), law(0.8), law(0.8, repeat_penalty=1.3)], ids=["greedy", "drawn", "penalised"]
)
@pytest.mark.parametrize("leaves", [1, 3])
@pytest.mark.parametrize("model", [target, near], ids=["same", "near"])
@pytest.mark.parametrize("waits", [False, True])
def test_a_text_and_its_drafts_are_the_same_as_without_a_thread(beside, given, leaves, model, waits):
    plain = write(target(), None, given)
    alone = write(target(), ModelDrafter(model(), least=0.0, leaves=leaves), given)
    drafter = beside(model(), least=0.0, leaves=leaves)
    drafted = write(target(), drafter, given, between=lambda: settle(drafter) if waits else None)
    assert answers(drafted) == answers(plain)
    assert [text.drafts for text in drafted] == [text.drafts for text in alone]
    assert drafter.trouble is None


def test_what_was_guessed_right_is_ready_before_it_is_asked_for(beside):
    draft = target()
    drafter = beside(draft, least=0.0)
    texts = begin(engine := target(), PROMPTS, law(0.8))
    for limit in (4, 4, 3):  # a shorter draft is the beginning of what is there
        drafter.start(contexts(texts), [limit] * 3)
        drafts = drafter.take()
        settle(drafter)
        step(engine, texts, drafts)
        before = draft.forwards
        drafter._stop.set()
        drafter._drafter.begin([drafter.wish(n, t.tokens, t.sampler.fork(), 3) for n, t in enumerate(texts)])
        assert [len(guess) for guess in drafter._drafter.take()] == [3, 3, 3]
        assert draft.forwards == before


def test_chains_that_went_ahead_and_trees_may_take_turns(beside):
    drafter, turn = beside(target(), least=0.0), iter([1, 3, 1, 1, 3, 3] * 9)

    def change() -> None:
        settle(drafter)
        drafter._drafter.leaves = next(turn)

    texts = write(target(), drafter, law(0.8), between=change)
    assert answers(texts) == answers(write(target(), None, law(0.8))) and drafter.trouble is None
    assert all(len(draft) for text in texts for draft in text.drafts[:-1])


def test_what_was_guessed_wrong_is_thrown_away(beside):
    draft = target()
    drafter = beside(draft, least=0.0)
    texts = begin(target(), PROMPTS[:1], law(0.0))
    (text,) = texts
    drafter.start(contexts(texts), [4])
    (draft_before,) = drafter.take()
    settle(drafter)
    for told in (draft_before.tokens[:2], draft_before.tokens[:1], ()):
        text.tokens += [*told, ord("Z")]
        drafter.start(contexts(texts), [4])
        (guess,) = drafter.take()
        fresh = ModelDrafter(target(), least=0.0)
        fresh.start(contexts(texts), [4])
        assert [guess] == fresh.take()


def test_a_draft_that_is_not_ready_in_time_is_empty_and_its_work_is_not_lost(beside):
    draft = target(seconds_per_forward=0.2)
    drafter = beside(draft, least=0.0)
    texts = begin(target(), PROMPTS[:1], law(0.0))
    drafter.start(contexts(texts), [2])
    assert drafter.take(deadline=0.0) == [NOTHING]
    drafter.start(contexts(texts), [2])
    assert len(drafter.take()[0]) == 2
    assert draft.rows_forwarded <= len(PROMPTS[0]) + 4


def test_only_its_own_thread_speaks_to_the_engine(beside):
    draft = Watched()
    write(target(), beside(draft, least=0.0), law(0.8))
    assert len(draft.threads) == 1 and threading.current_thread().name not in draft.threads


def test_a_failure_ahead_of_time_is_a_reason_and_costs_one_draft(beside):
    for forward in range(1, 12):
        draft = target(fail_at=forward)
        drafter = beside(draft, least=0.0)
        texts = write(target(), drafter, law(0.8), between=lambda d=drafter: settle(d))
        assert answers(texts) == answers(write(target(), None, law(0.8)))
        assert draft.forwards > forward and drafter.trouble is None
    drafter = beside(target(fail_at=1), least=0.0)
    texts = begin(target(), PROMPTS[:1], law(0.0))
    drafter.start(contexts(texts), [2])
    assert drafter.take() == [NOTHING] and isinstance(drafter.trouble, EngineError)


def test_a_mistake_in_the_thread_is_not_lost(beside, monkeypatch):
    drafter = beside(target())
    texts = begin(target(), PROMPTS[:1], law(0.0))

    def mistaken(stop: Stop) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(drafter._drafter, "go_on", mistaken)
    drafter.start(contexts(texts), [2])
    drafter.take()
    with pytest.raises(ZeroDivisionError):
        for _ in range(2):
            drafter.start(contexts(texts), [2])
            drafter.take()


def test_nothing_asked_is_nothing_drafted(beside):
    drafter = beside(target())
    assert drafter.take() == []
    drafter.start([], [])
    assert drafter.take() == []
