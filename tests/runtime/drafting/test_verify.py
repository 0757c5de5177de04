"""What stands of a draft is what the target would have said without it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.errors import EngineError
from accel.runtime.drafting.draft import NOTHING, Draft
from accel.runtime.drafting.verify import verify
from accel.runtime.law import Law
from accel.runtime.sampling import Sampler

SIZE, END = 6, 5


def over(token: int) -> bool:
    return token == END


@dataclass
class Target:
    """Logits that depend on all tokens before, as an engine's do."""

    seed: int

    def logits(self, text: Sequence[int]) -> np.ndarray:
        return np.random.default_rng([self.seed, *text]).normal(0, 2, SIZE).astype(np.float32)


class TreeRows:
    """The rows of a forward of the last token of a text (row 0) and the nodes of a draft after it."""

    def __init__(self, target: Target, text: Sequence[int], draft: Draft) -> None:
        paths = [tuple(text)]
        for token, parent in zip(draft.tokens, draft.parents, strict=True):
            paths.append((*paths[parent + 1], token))
        self._rows = [target.logits(path) for path in paths]

    def row(self, i: int) -> np.ndarray:
        return self._rows[i]

    def argmax(self) -> np.ndarray:
        return np.array([row.argmax() for row in self._rows], np.int32)

    def top(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        rows = np.array(self._rows)
        tokens = np.argsort(-rows, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(rows, tokens, 1), tokens


def plainly(target: Target, law: Law, prompt: Sequence[int], most: int) -> list[int]:
    sampler, text = Sampler(law, SIZE), list(prompt)
    sampler.observe(prompt)
    while len(text) < len(prompt) + most and (len(text) == len(prompt) or text[-1] != END):
        text.append(sampler.choose(target.logits(text), len(text)))
        sampler.accept(text[-1])
    return text


@st.composite
def drafts(draw: st.DrawFn) -> Draft:
    tokens: list[int] = []
    parents: list[int] = []
    for _ in range(draw(st.integers(0, 12))):
        parent = draw(st.integers(-1, len(tokens) - 1))
        taken = {token for token, above in zip(tokens, parents, strict=True) if above == parent}
        if free := [token for token in range(SIZE) if token not in taken]:
            tokens.append(draw(st.sampled_from(free)))
            parents.append(parent)
    return Draft(tuple(tokens), tuple(parents))


laws = st.builds(
    Law,
    temperature=st.sampled_from([0.0, 0.7, 1.5]),
    top_k=st.integers(0, SIZE),
    repeat_penalty=st.sampled_from([1.0, 1.3]),
    penalty_last=st.integers(1, 8),
    seed=st.integers(0, 99),
)


@settings(deadline=None)
@given(st.integers(0, 999), laws, st.lists(drafts(), min_size=1, max_size=6))
def test_a_text_is_the_same_whatever_is_drafted(seed, law, guesses):
    target, prompt = Target(seed), [1, 2, 3]
    sampler, text = Sampler(law, SIZE), list(prompt)
    sampler.observe(prompt)
    for draft in guesses:
        verdict = verify(draft, TreeRows(target, text, draft), 0, sampler, len(text), over)
        text += verdict.tokens
        if verdict.next_token == END:
            break
    assert text == plainly(target, law, prompt, len(text) - len(prompt))


@settings(deadline=None)
@given(st.integers(0, 999), laws, st.integers(1, 8))
def test_a_draft_of_the_targets_own_tokens_stands_whole_up_to_the_end_of_the_turn(seed, law, length):
    target, prompt = Target(seed), [0, 4]
    coming = plainly(target, law, prompt, length + 1)[len(prompt) :]
    draft = Draft.chain([*coming[:-1], 1, 1] if coming[-1] == END else coming[:length])
    sampler = Sampler(law, SIZE)
    sampler.observe(prompt)
    verdict = verify(draft, TreeRows(target, prompt, draft), 0, sampler, len(prompt), over)
    assert verdict.path == tuple(range(len(coming) - 1)) and verdict.next_token == coming[-1]


@settings(deadline=None)
@given(st.integers(0, 999), laws, drafts())
def test_what_stands_is_a_path_and_no_longer_one_would(seed, law, draft):
    target, sampler = Target(seed), Sampler(law, SIZE)
    rows = TreeRows(target, [1], draft)
    verdict = verify(draft, rows, 0, sampler, 1, over)
    above = -1
    for node in verdict.path:
        assert draft.parents[node] == above
        above = node
    following = [draft.tokens[i] for i in range(len(draft)) if draft.parents[i] == above]
    assert verdict.next_token == END or verdict.next_token not in following


def test_where_a_later_choice_cannot_be_made_the_one_before_it_is_left_for_the_next_time():
    law, target = Law(temperature=0), Target(1)
    first = int(target.logits([0]).argmax())
    draft = Draft.chain([first, 0])

    class Broken(TreeRows):
        def row(self, i: int) -> np.ndarray:
            return super().row(i) if i == 0 else np.full(SIZE, np.nan, np.float32)

    rows = Broken(target, [0], draft)
    verdict = verify(draft, rows, 0, Sampler(law, SIZE), 1, over)
    assert verdict.path == () and verdict.next_token == first
    with pytest.raises(EngineError, match="no numbers"):
        verify(NOTHING, rows, 1, Sampler(law, SIZE), 2, over)


@pytest.mark.parametrize(
    "draft", [Draft((1,), (0,)), Draft((1, 1), (-1, -1)), Draft((1, 2), (1, -1)), Draft((1,), (-2,))]
)
def test_what_is_no_tree_is_refused(draft):
    with pytest.raises(EngineError, match="no tree"):
        draft.children()


def test_leaves_are_counted():
    assert [Draft.chain([1, 2, 3]).leaves, NOTHING.leaves, Draft((1, 2, 3), (-1, -1, 0)).leaves] == [1, 0, 2]
