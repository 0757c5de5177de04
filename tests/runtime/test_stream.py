"""What an answer says, asked for by one thread while another goes on choosing its tokens."""

from typing import Any

from accel.runtime.engines.fake import ENDS, FakeVocabulary
from accel.runtime.law import Law
from accel.runtime.messages import Chance, Generate, Text
from accel.runtime.sampling import Sampler
from accel.runtime.stream import Stream, Ticket
from accel.runtime.text import Markers, TextStream


class Growing(list[Chance]):
    """One more comes as soon as it was looked at."""

    def __iter__(self) -> Any:
        yield from list(super().__iter__())
        self.append(Chance(b"b", -2.0))


def test_a_chance_that_comes_while_others_are_told_is_told_next():
    vocabulary = FakeVocabulary()
    ticket = Ticket(Generate(1, None, ("go",), Law(), chances=0))
    text = TextStream(vocabulary.piece, shares=True)
    stream = Stream(ticket, [1], Sampler(Law(), vocabulary.size), text, 100, ENDS)
    stream.chances = Growing([Chance(b"a", -1.0)])
    stream.tokens.append(ord("a"))
    (first,) = stream.speak()
    stream.tokens.append(ord("b"))
    stream.chances = list(list.__iter__(stream.chances))
    (second,) = stream.speak()
    assert isinstance(first, Text) and isinstance(second, Text)
    assert [chance.piece for chance in (*first.chances, *second.chances)] == [b"a", b"b"]


def test_what_nobody_has_said_yet_counts_when_it_ends_and_is_said_all_the_same():
    vocabulary, thoughts = FakeVocabulary(), Markers("<think>", "</think>")
    ticket = Ticket(Generate(1, None, ("go",), Law(), thoughts=thoughts, chances=0))
    text = TextStream(vocabulary.piece, (), thoughts, shares=True)
    stream = Stream(ticket, [1], Sampler(Law(), vocabulary.size), text, 100, ENDS)
    answer = b"<think>\nso</think>\n\nyes"
    stream.chances += [Chance(bytes([byte]), -1.0) for byte in answer]
    stream.tokens += answer
    stream.over = True
    assert stream.finished("end").usage.thought == len("so")
    thought, said = stream.speak()
    assert isinstance(thought, Text) and isinstance(said, Text)
    assert [(each.text, each.thought) for each in (thought, said)] == [("so", True), ("yes", False)]
    assert b"".join(chance.piece for chance in thought.chances) == b"so"
    assert b"".join(chance.piece for chance in said.chances) == b"yes"
    assert not stream.speak() and stream.finished("end").usage.thought == len("so")
