"""Rows are shared out within the budget, decodes first, in everyone's order, and everyone's turn comes."""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from accel.runtime.schedule import Pace, next_rows, turned


@dataclass(eq=False)
class Stream:
    prompt: int
    answer: int
    forwarded: list[int] = field(default_factory=list)
    chosen: int = 0

    @property
    def pending(self) -> int:
        return self.prompt + self.chosen - len(self.forwarded)

    @property
    def decoding(self) -> bool:
        return self.chosen > 0

    def forward(self, rows: int) -> None:
        first = len(self.forwarded)
        self.forwarded += range(first, first + rows)
        if not self.pending:
            self.chosen += 1

    @property
    def done(self) -> bool:
        return self.chosen > self.answer


streams = st.lists(st.builds(Stream, st.integers(1, 60), st.integers(0, 8)), min_size=1, max_size=50)


@settings(max_examples=60)
@given(streams, st.integers(0, 20))
def test_every_stream_ends_with_each_of_its_rows_forwarded_once_and_in_order(waiting, spare):
    rows = len(waiting) + spare
    queue, ended = list(waiting), []
    for _ in range(sum(stream.prompt + stream.answer for stream in waiting)):
        shares = next_rows(queue, rows)
        assert 0 < sum(taken for _, taken in shares) <= rows
        queue = turned(queue, shares)
        for stream, taken in shares:
            stream.forward(taken)
        ended += [stream for stream in queue if stream.done]
        queue = [stream for stream in queue if not stream.done]
        if not queue:
            break
    assert not queue
    for stream in waiting:
        assert stream.forwarded == list(range(stream.prompt + stream.answer))


@given(streams, st.integers(1, 64))
def test_the_budget_holds_and_nobody_gets_more_than_is_pending_or_nothing(waiting, rows):
    shares = next_rows(waiting, rows)
    assert sum(taken for _, taken in shares) == min(rows, sum(stream.pending for stream in waiting))
    assert all(0 < taken <= stream.pending for stream, taken in shares)
    assert len({id(stream) for stream, _ in shares}) == len(shares)


@given(streams, streams, st.integers(1, 64))
def test_a_prefill_gets_rows_only_after_every_decode_has_its_own(decoding, prefilling, rows):
    for stream in decoding:
        stream.forward(stream.prompt)
    shares = next_rows([*prefilling, *decoding], rows)
    kinds = [stream.decoding for stream, _ in shares]
    assert kinds == sorted(kinds, reverse=True)
    assert sum(kinds) == min(rows, len(decoding))


@given(streams, st.integers(1, 64))
def test_a_prompt_that_got_a_part_waits_behind_the_others(waiting, rows):
    shares = next_rows(waiting, rows)
    partly = [stream for stream, taken in shares if taken < stream.pending]
    queue = turned(waiting, shares)
    assert sorted(map(id, queue)) == sorted(map(id, waiting))
    assert len(partly) <= 1 and queue[len(queue) - len(partly) :] == partly


def test_a_short_prompt_overtakes_a_long_one():
    long, short = Stream(1000, 1), Stream(10, 1)
    queue = [long, short]
    queue = turned(queue, shares := next_rows(queue, 100))
    assert shares == [(long, 100)]
    long.forward(100)
    assert next_rows(queue, 100) == [(short, 10), (long, 90)]


@given(st.integers(1, 4096), st.lists(st.tuples(st.integers(1, 4096), st.floats(1e-6, 10)), max_size=20))
def test_who_waits_for_every_token_waits_for_few_rows_and_never_for_none(most, forwards):
    pace = Pace(most)
    for rows, seconds in forwards:
        pace.seen(rows, seconds)
        assert min(32, most) <= pace.rows <= most


def test_a_fast_machine_reads_more_rows_beside_those_who_decode():
    slow, fast = Pace(512), Pace(512)
    for _ in range(20):
        slow.seen(64, 64 * 0.01)
        fast.seen(64, 64 * 0.0001)
    assert slow.rows == 32 and fast.rows == 512
