"""What an answer says, asked for by one thread while another goes on choosing its tokens."""

from typing import Any

from accel.runtime.engines.fake import ENDS, FakeVocabulary
from accel.runtime.law import Law
from accel.runtime.messages import Chance, Generate, Text
from accel.runtime.sampling import Sampler
from accel.runtime.stream import Stream, Ticket
from accel.runtime.text import TextStream


class Growing(list[Chance]):
    """One more comes as soon as it was looked at."""

    def __iter__(self) -> Any:
        yield from list(super().__iter__())
        self.append(Chance(b"b", -2.0))


def test_a_chance_that_comes_while_others_are_told_is_told_next():
    vocabulary = FakeVocabulary()
    ticket = Ticket(Generate(1, None, ("go",), Law(), chances=0))
    stream = Stream(ticket, [1], Sampler(Law(), vocabulary.size), TextStream(vocabulary.piece), 100, ENDS)
    stream.chances = Growing([Chance(b"a", -1.0)])
    stream.tokens.append(ord("a"))
    (first,) = stream.speak()
    stream.tokens.append(ord("b"))
    stream.chances = list(list.__iter__(stream.chances))
    (second,) = stream.speak()
    assert isinstance(first, Text) and isinstance(second, Text)
    assert [chance.piece for chance in (*first.chances, *second.chances)] == [b"a", b"b"]
