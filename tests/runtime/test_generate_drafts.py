"""Whatever is drafted, answers are those that come without: for one text or many, whatever ends them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.errors import GrammarError
from accel.runtime.drafting.conductor import Conductor
from accel.runtime.drafting.control import Controller, Guess
from accel.runtime.drafting.draft import Context, Draft, Verdict
from accel.runtime.drafting.row_costs import RowCosts
from accel.runtime.engines.base import Rows
from accel.runtime.engines.fake import FakeEngine, FakeOptions
from accel.runtime.generate import Generator
from accel.runtime.law import Law
from accel.runtime.messages import Failed, Finished, Generate, GrammarSource, Text
from accel.runtime.outbox import said
from accel.runtime.sequences import Sequences
from accel.runtime.stream import Ticket

pytestmark = pytest.mark.usefixtures("looking_is_free")


class Eager(Controller):
    """Drafts whatever is guessed."""

    def limit(self, drafter: str, texts: int, most: int, reading: float = 0.0) -> int:
        return most

    def decide(self, guesses: Sequence[Guess | None]) -> list[Guess | None]:
        return list(guesses)


@dataclass
class Seer:
    """Knows what is coming, and errs now and then; guesses chains or trees."""

    futures: dict[int, Any]
    right: float
    leaves: int = 1
    size: int = 250
    observed: list[Verdict] = field(default_factory=list)
    forgotten: list[int] = field(default_factory=list)
    asked: list[tuple[int, int]] = field(default_factory=list)  # (tokens of the text so far, nodes at most)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(len(self.futures))
        self.begun: list[Draft] = []

    def start(self, contexts: Sequence[Context], limits: Sequence[int]) -> None:
        self.asked += [(len(context.tokens), limit) for context, limit in zip(contexts, limits, strict=True)]
        self.begun = [self.guess(context, limit) for context, limit in zip(contexts, limits, strict=True)]

    def guess(self, context: Context, limit: int) -> Draft:
        coming = list(self.futures[context.number])[len(context.tokens) - context.prompt :]
        tokens: list[int] = []
        parents: list[int] = []
        for token in coming[: max(0, limit - self.leaves + 1)]:
            wrong = self.random.random() >= self.right
            parents.append(len(tokens) - 1)
            tokens.append(int(self.random.integers(3, self.size)) if wrong else token)
        for _ in range(min(self.leaves - 1, limit - len(tokens))):
            parent = int(self.random.integers(-1, len(tokens)))
            token = int(self.random.integers(3, self.size))
            if token not in [tokens[i] for i in range(len(tokens)) if parents[i] == parent]:
                tokens.append(token)
                parents.append(parent)
        return Draft(tuple(tokens), tuple(parents))

    def take(self, deadline: float | None = None) -> list[Draft]:
        return self.begun

    def observe(self, verdicts: Sequence[Verdict], rows: Rows) -> None:
        for verdict in verdicts:
            for i in range(1 + len(verdict.draft)):
                assert rows.row(verdict.row + i).shape
        self.observed += verdicts

    def forget(self, number: int) -> None:
        self.forgotten.append(number)


class Desk:
    def __init__(self, seer: Seer | None = None, **options: Any) -> None:
        self.engine: Any = FakeEngine(FakeOptions(**options))
        self.said: list[Any] = []
        self.sequences = Sequences(self.engine)
        drafting = Conductor({"seer": seer}, Eager(RowCosts(None))) if seer else None
        self.generator = Generator(self.engine, self.sequences, lambda saying: self.said.extend(said(saying)), drafting)

    def answers(self, requests: Sequence[Generate]) -> dict[int, tuple[Any, Any, str]]:
        for request in requests:
            self.generator.add(Ticket(request))
        for _ in range(20_000):
            if not self.generator.step():
                break
        ended = [each for each in self.said if isinstance(each, Finished | Failed)]
        texts = {each.id: "" for each in ended}
        for each in self.said:
            if isinstance(each, Text):
                texts[each.id] += each.text
        return {
            each.id: (each.tokens, each.reason, texts[each.id]) if isinstance(each, Finished) else (None, each.kind, "")
            for each in ended
        }


def requests_of(count: int, **wishes: Any) -> list[Generate]:
    wishes = {"law": Law(seed=7), "most": 40} | wishes
    return [Generate(id, f"c{id}", (f"prompt {id} of some",), **wishes) for id in range(1, count + 1)]


LAWS = [Law(temperature=0), Law(temperature=1.5, seed=3), Law(temperature=0.9, repeat_penalty=1.4, seed=4)]


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(1, 5),
    right=st.sampled_from([0.0, 0.5, 0.9, 1.0]),
    leaves=st.integers(1, 3),
    law=st.sampled_from(LAWS),
    most=st.integers(1, 60),
    context=st.integers(80, 600),
    decodes=st.booleans(),
)
def test_answers_are_those_without_drafting(count, right, leaves, law, most, context, decodes):
    requests = requests_of(count, law=law, most=most)
    plain = Desk(context=context).answers(requests)
    futures = {id: tokens or () for id, (tokens, _, _) in plain.items()}
    seer = Seer(futures, right, leaves)
    desk = Desk(seer, context=context, decodes=decodes, sequences=max(1, count - 1), outputs=24)
    assert desk.answers(requests) == plain
    assert desk.sequences.promised == 0 and desk.generator.running == desk.generator.waiting == 0


def test_a_draft_that_is_right_saves_forwards_and_everyone_hears_of_it():
    requests = requests_of(2, most=30)
    plain = Desk(context=600)
    futures = {id: tokens for id, (tokens, _, _) in plain.answers(requests).items()}
    seer = Seer(futures, 1.0)
    desk = Desk(seer, context=600, outputs=16)
    desk.answers(requests)
    assert desk.generator.forwards < plain.generator.forwards / 3
    assert {len(verdict.path) for verdict in seer.observed} > {7} and set(seer.forgotten) == {1, 2}
    for verdict in seer.observed:
        assert verdict.tokens[:-1] == tuple(verdict.draft.tokens[node] for node in verdict.path)


@pytest.mark.parametrize("right", [1.0, 0.6])
def test_a_stop_string_ends_a_text_where_it_would_without_drafting(right):
    (request,) = requests_of(1, most=60, law=Law(temperature=0))
    tokens, _, text = Desk(context=600).answers([request])[1]
    for start in range(2, len(text) - 3, 5):
        stopping = replace_struct(request, stops=(text[start : start + 3],))
        plain = Desk(context=600).answers([stopping])
        assert plain[1][1] == "stop"
        assert Desk(Seer({1: tokens}, right), context=600).answers([stopping]) == plain


def test_how_likely_tokens_were_is_told_with_their_text_where_others_are_drafted_for():
    first, second = requests_of(2, most=30, stops=("no such text",))
    futures = {id: tokens for id, (tokens, _, _) in Desk(context=600).answers([first, second]).items()}
    desk = Desk(Seer(futures, 1.0), context=600, outputs=16)
    desk.answers([replace_struct(first, chances=2), second])
    texts = [each for each in desk.said if isinstance(each, Text) and each.id == 1]
    assert len(texts) > 1
    for text in texts:
        assert b"".join(chance.piece for chance in text.chances).decode() == text.text


def test_a_grammar_holds_along_a_draft():
    (request,) = requests_of(1, most=60, grammar=GrammarSource("regex", "[a-d]{3}(-[a-d]{3}){2,5}"))
    plain = Desk(context=600).answers([request])
    tokens = plain[1][0]
    assert tokens
    for right in (1.0, 0.5):
        assert Desk(Seer({1: tokens}, right), context=600).answers([request]) == plain


def test_where_there_is_no_room_for_drafts_the_text_goes_on_without():
    requests = requests_of(1, most=1000, law=Law(temperature=1.5, seed=1))
    plain = Desk(context=90, answer_length=1000).answers(requests)
    assert plain[1][1] == "context"
    seer = Seer({1: plain[1][0]}, 1.0)
    assert Desk(seer, context=90, answer_length=1000).answers(requests) == plain


def test_drafts_shrink_with_the_room_that_is_left_in_the_context():
    requests = requests_of(1, most=1000, law=Law(temperature=1.5, seed=1))
    options: dict[str, Any] = {"context": 90, "answer_length": 1000, "outputs": 32}
    seer = Seer({1: Desk(**options).answers(requests)[1][0]}, 0.3)
    desk = Desk(seer, **options)
    desk.answers(requests)
    assert [limit for _, limit in seer.asked] == sorted((limit for _, limit in seer.asked), reverse=True)
    assert all(tokens + limit <= 90 for tokens, limit in seer.asked)
    (_, first), (_, last) = seer.asked[0], seer.asked[-1]
    assert first > 25 and last < 5 and not desk.generator._tight


@pytest.mark.parametrize("candidates", [0, 16])
def test_cells_of_their_own_leave_drafts_room_where_others_texts_fill_the_context(candidates):
    requests = requests_of(3, most=40, law=Law(temperature=1.5, seed=1))
    options: dict[str, Any] = {"context": 90, "answer_length": 1000, "outputs": 24, "candidates": candidates}
    futures = {id: found[0] for id, found in Desk(**options).answers(requests).items()}
    seer = Seer(futures, 0.3)
    desk = Desk(seer, **options, sequences=3)
    for request in requests:  # one after another: those that are over stay cached
        assert desk.answers([request])[request.id][0] == futures[request.id]
    least = min(limit for tokens, limit in seer.asked if tokens < 30)  # while much is left to answer
    assert least >= 15 if candidates else least < 8


def test_an_engine_that_fails_in_a_drafted_forward_fails_what_was_in_it_and_serves_the_next():
    requests = requests_of(2, most=20)
    tokens = {id: found[0] for id, found in Desk(context=600).answers(requests).items()}
    seer = Seer(tokens, 1.0)
    desk = Desk(seer, context=600, fail_at=3)
    failed = desk.answers(requests)
    assert any(found[0] is None for found in failed.values())
    again = [replace_struct(request, id=request.id + 10) for request in requests]
    seer.futures = seer.futures | {id + 10: each for id, each in tokens.items()}
    desk.said.clear()
    assert {id - 10: found[0] for id, found in desk.answers(again).items()} == tokens


def replace_struct(request: Generate, **changes: Any) -> Generate:
    import msgspec

    return msgspec.structs.replace(request, **changes)


def test_a_text_that_fails_says_nothing_more_and_the_others_go_on():
    one, other = requests_of(2, most=12)
    plain = Desk(context=600).answers([one, other])
    desk = Desk(Seer({id: found[0] for id, found in plain.items()}, 1.0), context=600, outputs=8)
    generator: Any = desk.generator
    verify = generator._verify

    def failing(stream: Any, *more: Any) -> Verdict | None:
        if stream.id == 1 and stream.answered > 3:
            generator._fail(stream, GrammarError("the grammar leaves no token"))
            return None
        return verify(stream, *more)

    generator._verify = failing
    found = desk.answers([one, other])
    assert found[1][:2] == (None, "GrammarError")
    assert found[2] == plain[2]
    of_one = [each for each in desk.said if getattr(each, "id", 0) == 1]
    assert isinstance(of_one[-1], Failed)
