"""Of drafters in a row the first with a guess wins, others go on from its end, and each learns what it can."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.runtime.drafting.chained import Chained
from accel.runtime.drafting.copying import Copying
from accel.runtime.drafting.draft import NOTHING, Context, Draft, Drafter, Verdict
from accel.runtime.drafting.ngrams import Ngrams
from accel.runtime.drafting.recycling import Recycling
from accel.runtime.engines.base import Rows
from accel.runtime.law import Law

from .drafted import NO_ROWS, SIZE, SomeRows, after, answer, context, telling


class Scripted:
    """Guesses what it was told to for each text, and notes what it is asked and hears."""

    def __init__(self, drafts: dict[int, Draft] | None = None) -> None:
        self.drafts = drafts or {}
        self.asked: list[tuple[int, int]] = []
        self.heard: list[Verdict] = []
        self.forgot: list[int] = []
        self.deadline: float | None = -1.0

    def start(self, contexts: Sequence[Context], limits: Sequence[int]) -> None:
        self.asked = [(text.number, limit) for text, limit in zip(contexts, limits, strict=True)]

    def take(self, deadline: float | None = None) -> list[Draft]:
        self.deadline = deadline
        return [self.drafts.get(number, NOTHING) for number, _ in self.asked]

    def observe(self, verdicts: Sequence[Verdict], rows: Rows) -> None:
        assert len(verdicts) == len(self.asked)
        self.heard += verdicts

    def forget(self, number: int) -> None:
        self.forgot.append(number)


class Following(Scripted):
    """It would also go on from a chain, always with the same tree."""

    more = Draft((7, 8), (-1, -1), (0.6, 0.3))

    def follow(self, context: Context, path: Sequence[int], limit: int) -> Draft:
        return Draft(self.more.tokens[:limit], self.more.parents[:limit], (0.6, 0.3)[:limit])


class Watching(Scripted):
    """It also sees the rows of others."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, int]] = []

    def witness(self, root: int, verdict: Verdict, rows: Rows) -> None:
        self.seen.append((root, verdict.row))


def run(drafters: list[Drafter], limits: list[int]) -> tuple[Chained, list[Draft]]:
    chained = Chained(drafters)
    chained.start([context([40 + number], number) for number in range(len(limits))], limits)
    return chained, chained.take(3.5)


def test_the_first_with_a_guess_wins_and_the_next_is_asked_for_the_other_texts_alone():
    first, second, third = (
        Scripted({0: Draft.chain([1])}),
        Scripted({1: Draft.chain([2])}),
        Scripted({2: Draft.chain([3])}),
    )
    _, drafts = run([first, second, third], [4, 5, 6, 0])
    assert drafts == [Draft.chain([1]), Draft.chain([2]), Draft.chain([3]), NOTHING]
    assert first.asked == [(0, 4), (1, 5), (2, 6)] and second.asked == [(1, 5), (2, 6)] and third.asked == [(2, 6)]
    assert [second.deadline, third.deadline] == [None, 3.5]


def test_nobody_is_asked_for_what_is_drafted_already():
    last = Scripted()
    chained, _ = run([Scripted({0: Draft.chain([1])}), last], [4])
    assert last.asked == [] and last.deadline == -1.0
    chained.observe([after(Draft.chain([1]), [2])], NO_ROWS)
    assert last.heard == []


def test_each_hears_what_became_of_the_texts_it_was_asked_for_in_its_order():
    first, second = Scripted({1: Draft.chain([1])}), Scripted({0: Draft.chain([2])})
    chained, drafts = run([first, second], [4, 4, 4])
    verdicts = [Verdict(draft, (), 50 + place, 9 * place) for place, draft in enumerate(drafts)]
    chained.observe(verdicts, NO_ROWS)
    assert first.heard == verdicts and second.heard == [verdicts[0], verdicts[2]]


def test_one_that_learns_from_every_row_sees_each_text_once():
    watching = Watching()
    chained, drafts = run([Scripted({1: Draft.chain([1])}), watching], [4, 4, 0])
    chained.observe([Verdict(draft, (), 50, 10 + place) for place, draft in enumerate(drafts)], NO_ROWS)
    assert [verdict.row for verdict in watching.heard] == [10] and watching.seen == [(41, 11), (42, 12)]


@pytest.mark.parametrize(
    ("limit", "tokens", "parents"),
    [(4, (1, 2, 7, 8), (-1, 0, 1, 1)), (3, (1, 2, 7), (-1, 0, 1)), (2, (1, 2), (-1, 0))],
)
def test_a_chain_that_ends_early_is_gone_on_with_within_the_limit(limit, tokens, parents):
    _, drafts = run([Scripted({0: Draft.chain([1, 2], [0.9, 0.8])}), Following()], [limit])
    shares = (0.9, 0.8, 0.6, 0.3)[:limit]
    assert drafts == [Draft(tokens, parents, shares)]


def test_a_tree_and_what_nobody_began_are_not_gone_on_with():
    tree = Draft((1, 2), (-1, -1))
    _, drafts = run([Scripted({0: tree}), Following()], [9, 9])
    assert drafts == [tree, NOTHING]


def test_without_probabilities_of_both_there_are_none_of_the_whole():
    _, drafts = run([Scripted({0: Draft.chain([1])}), Following()], [9])
    assert drafts[0].tokens == (1, 7, 8) and drafts[0].probabilities is None


def test_all_forget():
    first, second = Scripted(), Scripted()
    Chained([first, second]).forget(3)
    assert first.forgot == second.forgot == [3]


def test_what_copying_guessed_is_recycled():
    logits = np.zeros(SIZE, np.float32)
    logits[33] = 5
    recycling = Recycling(SIZE, 9)
    chained = Chained([Copying(), recycling])
    text = context([1, 2, 3, 4, 1, 2, 3])
    chained.start([text], [1])
    (draft,) = chained.take()
    assert draft.tokens == (4,)
    chained.observe([Verdict(draft, (), 9, 0)], SomeRows({0: np.zeros(SIZE, np.float32), 1: logits}))
    assert recycling._next[4, 0] == 33


@settings(max_examples=12, deadline=None)
@given(st.sampled_from([0.0, 0.8]), st.integers(0, 9), st.integers(1, 12), st.sampled_from([0, 8]))
def test_a_text_is_the_same_with_and_without_them(temperature, seed, limit, branches):
    law, engine = Law(temperature=temperature, seed=seed), telling(branches)
    drafter = Chained([Copying(), Ngrams(260), Recycling(260, 1 + branches)])
    for prompt in ("tell", "again", "tell"):
        plain, steps = answer(engine, law, prompt, 120, None, 0)
        drafted, fewer = answer(engine, law, prompt, 120, drafter, limit)
        assert drafted == plain and fewer < steps
