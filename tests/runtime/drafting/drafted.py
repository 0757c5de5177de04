"""What tests of drafters share: texts to draft for, rows of logits, and decoding with and without drafts."""

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from accel.runtime.drafting.draft import NOTHING, Context, Draft, Drafter, Verdict
from accel.runtime.drafting.verify import verify
from accel.runtime.engines.base import Batch
from accel.runtime.engines.fake import ENDS, FakeEngine, FakeOptions
from accel.runtime.law import Law
from accel.runtime.sampling import Sampler

SIZE = 64
GREEDY = Law(temperature=0)
STORY = "the cat sat on the mat. the dog sat on the log. the cat sat on the dog and the dog sat on the mat. "


@st.composite
def growing(draw: st.DrawFn, kinds: int) -> list[list[int]]:
    """A text of tokens below `kinds`, at some moments while it grows, the last of which is its end."""
    tokens = draw(st.lists(st.integers(0, kinds - 1), min_size=1, max_size=50))
    ends = draw(st.sets(st.integers(1, len(tokens)), max_size=8)) | {len(tokens)}
    return [tokens[:end] for end in sorted(ends)]


def context(tokens: Sequence[int], number: int = 0, prompt: int | None = None) -> Context:
    return Context(number, tokens, len(tokens) if prompt is None else prompt, Sampler(GREEDY, SIZE))


class SomeRows:
    """Logits by batch row; those of other rows were not asked for."""

    def __init__(self, rows: dict[int, np.ndarray] | None = None) -> None:
        self._rows = rows or {}

    def row(self, i: int) -> np.ndarray:
        if i not in self._rows:
            raise IndexError(i)
        return self._rows[i]

    def argmax(self) -> np.ndarray:
        return np.array([row.argmax() for row in self._rows.values()], np.int32)

    def top(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        rows = np.array(list(self._rows.values()))
        tokens = np.argsort(-rows, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(rows, tokens, 1), tokens


NO_ROWS = SomeRows()


def one_draft(drafter: Drafter, text: Context, limit: int) -> Draft:
    drafter.start([text], [limit])
    (draft,) = drafter.take()
    return draft


def read(drafter: Drafter, tokens: Sequence[int], number: int = 0, prompt: int = 0) -> None:
    """The drafter sees a text from its beginning to its end."""
    one_draft(drafter, context(tokens, number, prompt), 1)
    drafter.forget(number)


def after(draft: Draft, tokens: Sequence[int], row: int = 0) -> Verdict:
    """The verdict where these tokens are the target's, the last of which no guess follows."""
    children, path, at = draft.children(), list[int](), -1
    for token in tokens[:-1]:
        at = children[at + 1][token]
        path.append(at)
    return Verdict(draft, tuple(path), tokens[-1], row)


def tree_batch(seq: int, token: int, draft: Draft) -> Batch:
    n = 1 + len(draft)
    parents = np.array([-1, *(parent + 1 for parent in draft.parents)], np.int32)
    return Batch(np.array([token, *draft.tokens], np.int32), np.full(n, seq, np.int32), parents, np.ones(n, np.int32))


def telling(branches: int = 16) -> FakeEngine:
    """Answers that repeat what was said, over and over."""
    return FakeEngine(FakeOptions(context=2048, branches=branches, script=(("tell", STORY * 3), ("again", STORY * 2))))


def answer(
    engine: FakeEngine, law: Law, prompt: str, most: int, drafter: Drafter | None, limit: int
) -> tuple[str, int]:
    """A text of the engine's, and how many forwards it took."""
    tokens = engine.vocabulary.encode(prompt)
    start, sampler = len(tokens), Sampler(law, engine.vocabulary.size)
    sampler.observe(tokens)
    engine.truncate(0, 0)
    engine.forward(Batch.chain(0, tokens[:-1], wants="none"))
    engine.commit(0, range(start - 1))
    text, steps = Context(0, tokens, start, sampler), 0
    while len(tokens) < start + most and tokens[-1] not in ENDS:
        draft = one_draft(drafter, text, min(limit, start + most - len(tokens))) if drafter else NOTHING
        rows = engine.forward(tree_batch(0, tokens[-1], draft))
        verdict = verify(draft, rows, 0, sampler, len(tokens), ENDS.__contains__)
        engine.commit(0, [0, *(node + 1 for node in verdict.path)])
        tokens += verdict.tokens
        if drafter:
            drafter.observe([verdict], rows)
        steps += 1
    if drafter:
        drafter.forget(0)
    return "".join(map(engine.vocabulary.text, tokens[start : start + most])), steps
