"""Rows are shared out within the budget, decodes first, in everyone's order, and everyone's turn comes."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.runtime.schedule import Pace, next_rows, passed_over


@dataclass(eq=False)
class Stream:
    prompt: int
    answer: int
    forwarded: list[int] = field(default_factory=list)
    chosen: int = 0
    passed: int = 0

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


def step(queue: list[Stream], rows: int) -> list[tuple[Stream, int]]:
    shares = next_rows(queue, rows)
    for stream, more in passed_over(queue, shares):
        stream.passed += more
    for stream, taken in shares:
        stream.forward(taken)
    return shares


streams = st.lists(st.builds(Stream, st.integers(1, 60), st.integers(0, 8)), min_size=1, max_size=50)


@settings(max_examples=60)
@given(streams, st.integers(0, 20))
def test_every_stream_ends_with_each_of_its_rows_forwarded_once_and_in_order(waiting, spare):
    rows = len(waiting) + spare
    queue, ended = list(waiting), []
    for _ in range(sum(stream.prompt + stream.answer for stream in waiting)):
        assert 0 < sum(taken for _, taken in step(queue, rows)) <= rows
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
def test_one_prompt_at_most_gets_a_part_and_those_without_their_rest_know_what_was_put_before_them(waiting, rows):
    shares = next_rows(waiting, rows)
    assert [taken < stream.pending for stream, taken in shares].count(True) <= 1
    given = {id(stream): taken for stream, taken in shares}
    before = {id(stream): more for stream, more in passed_over(waiting, shares)}
    assert all((id(stream) in before) is (given.get(id(stream), 0) < stream.pending) for stream in waiting)
    assert all(more + given.get(each, 0) == sum(given.values()) for each, more in before.items())


def test_a_short_prompt_overtakes_a_long_one():
    long, short = Stream(1000, 1), Stream(10, 1)
    assert step([long], 100) == [(long, 100)]
    assert next_rows([long, short], 100) == [(short, 10), (long, 90)]


def test_prompts_of_one_length_are_read_one_after_another():
    queue = [Stream(1000, 100) for _ in range(3)]
    while not queue[2].decoding:
        step(queue, 103)
        read = [len(stream.forwarded) for stream in queue]
        assert read[1] == 0 or queue[0].decoding
        assert read[2] == 0 or queue[1].decoding


@given(st.integers(1, 2000), st.integers(1, 200), st.integers(50, 200))
def test_a_long_prompt_waits_for_none_that_came_once_as_many_rows_were_read_as_it_has(length, short, rows):
    long, others, late, read = Stream(length, 0), list[Stream](), list[Stream](), 0
    while not long.decoding:
        others.append(Stream(short, 0))
        late += others[-1:] if read >= length else []
        shares = step([long, *others], rows)
        read += sum(taken for _, taken in shares)
        assert long.decoding or not any(stream in late for stream, _ in shares)
        others = [stream for stream in others if not stream.decoding]


@given(st.integers(1, 4096), st.lists(st.tuples(st.integers(1, 4096), st.floats(1e-6, 10)), max_size=20))
def test_who_waits_for_every_token_waits_for_few_rows_and_never_for_none(most, forwards):
    pace = Pace(most)
    for rows, seconds in forwards:
        pace.seen(rows, seconds)
        assert min(32, most) <= pace.rows(1, 1) <= most


def test_a_fast_machine_reads_more_rows_beside_those_who_decode():
    slow, fast = Pace(512), Pace(512)
    for _ in range(20):
        slow.seen(64, 64 * 0.01)
        fast.seen(64, 64 * 0.0001)
    assert slow.rows(2, 1) == pytest.approx(45, abs=1) and fast.rows(2, 1) == 512


def test_chunks_are_the_larger_the_more_prompts_wait_for_their_first_token():
    pace = Pace(512)
    for _ in range(20):
        pace.seen(512, 512 * 0.005)
    rows = [pace.rows(3, 1), pace.rows(2, 2), pace.rows(1, 2), pace.rows(1, 7)]
    assert rows == pytest.approx([80, 120, 180, 200], abs=1)
    assert pace.rows(0, 1) == 512
