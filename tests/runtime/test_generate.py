"""Whoever else is answered, whatever is cached: a prompt gets the answer that it gets alone, and is forwarded once."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.errors import ContextFull, GrammarError, SettingError, UsageError
from accel.runtime import generate
from accel.runtime.engines.base import Chosen, Stop
from accel.runtime.engines.fake import FakeEngine, FakeOptions
from accel.runtime.generate import Generator
from accel.runtime.law import Law
from accel.runtime.messages import Failed, Finished, Generate, GrammarSource, Prefilled, Started, Text
from accel.runtime.outbox import said
from accel.runtime.sequences import Sequences
from accel.runtime.stream import Stream, Ticket
from accel.runtime.text import Markers


class Desk:
    """A generator over a fake engine, and what it said."""

    def __init__(self, engine: Any = None, **options: Any) -> None:
        self.engine: Any = engine or FakeEngine(FakeOptions(**options))
        self.said: list[Any] = []
        self.sequences = Sequences(self.engine)
        self.generator = Generator(self.engine, self.sequences, self.hear)

    def hear(self, saying: Any) -> None:
        self.said += said(saying)

    def add(self, id: int, prompt: Any, conversation: str | None = "", **wishes: Any) -> Ticket:
        parts = (prompt,) if isinstance(prompt, str) else prompt
        law = wishes.pop("law", Law(seed=id))
        request = Generate(id, f"c{id}" if conversation == "" else conversation, parts, law, **wishes)
        ticket = Ticket(request)
        self.generator.add(ticket)
        return ticket

    def run(self) -> None:
        steps = 0
        while self.generator.step():
            self.generator.end_cancelled()
            steps += 1
            assert steps < 20_000

    def answer(self, id: int, prompt: Any, conversation: str = "", **wishes: Any) -> Finished:
        self.add(id, prompt, conversation, **wishes)
        self.run()
        return self.of(id, Finished)[0]

    def of(self, id: int, kind: type) -> list[Any]:
        return [message for message in self.said if isinstance(message, kind) and getattr(message, "id", 0) == id]

    def text(self, id: int, thought: bool = False) -> str:
        return "".join(message.text for message in self.of(id, Text) if message.thought is thought)


def chat(*turns: str) -> str:
    roles = ("user", "assistant")
    said = "".join(f"<|im_start|>{roles[n % 2]}\n{turn}<|im_end|>\n" for n, turn in enumerate(turns))
    return said + "<|im_start|>assistant\n"


@settings(max_examples=25, deadline=None)
@given(
    prompts=st.lists(st.text("abc ", min_size=1, max_size=60), min_size=1, max_size=12),
    context=st.integers(70, 300),
    sequences=st.integers(1, 8),
    batch=st.integers(1, 40),
    rollback=st.booleans(),
    greedy=st.booleans(),
    decodes=st.booleans(),
    nobodys=st.booleans(),
    begins=st.text("abc ", max_size=60),
)
def test_answers_at_once_are_those_one_at_a_time(
    prompts, context, sequences, batch, rollback, greedy, decodes, nobodys, begins
):
    law = Law(temperature=0, seed=0) if greedy else Law(temperature=1.5, seed=5)
    together = Desk(context=context, sequences=sequences, batch=batch, rollback=rollback, decodes=decodes)
    prompts = [(begins + prompt)[: context - 1] for prompt in prompts]
    for id, prompt in enumerate(prompts):
        together.add(id, prompt, None if nobodys else "", law=law, most=40)
    together.run()
    for id, prompt in enumerate(prompts):
        alone = Desk(context=context).answer(id, prompt, law=law, most=40)
        (found,) = together.of(id, Finished)
        assert (found.tokens, found.reason) == (alone.tokens, alone.reason)
    assert together.generator.running == together.generator.waiting == 0
    assert together.sequences.promised == 0


def test_fifty_conversations_at_once_of_three_turns_each_equal_one_at_a_time():
    together = Desk(context=9000, sequences=50, batch=64)
    alone = Desk(context=9000, sequences=1)
    for turn in range(3):
        for number in range(50):
            together.add(
                100 * turn + number, chat(*[f"turn {n} of {number}" for n in range(2 * turn + 1)]), f"c{number}"
            )
        together.run()
        for number in range(50):
            prompt = chat(*[f"turn {n} of {number}" for n in range(2 * turn + 1)])
            found = alone.answer(100 * turn + number, prompt, f"c{number}")
            assert together.of(100 * turn + number, Finished)[0].tokens == found.tokens
    assert together.generator.rows < alone.generator.rows


def test_those_without_room_step_back_and_lose_nothing():
    together = Desk(context=100, sequences=4, batch=16)
    for id in range(4):
        together.add(id, f"{id}" * 20, law=Law(seed=id), most=60)
    together.run()
    for id in range(4):
        alone = Desk(context=100).answer(id, f"{id}" * 20, most=60)
        assert together.of(id, Finished)[0].tokens == alone.tokens
        assert len(together.of(id, Started)) == 1
    assert together.generator.rows > sum(
        finished.usage.prompt for finished in together.said if type(finished) is Finished
    )


def test_an_engine_with_less_room_than_it_says_makes_them_wait_and_not_fail():
    engine = FakeEngine(FakeOptions(context=80, sequences=4))
    engine.can = replace(engine.can, context=400)
    together = Desk(engine)
    for id in range(4):
        together.add(id, f"{id}" * 30, most=20)
    together.run()
    for id in range(4):
        alone = Desk(context=400).answer(id, f"{id}" * 30, most=20)
        assert together.of(id, Finished)[0].tokens == alone.tokens


def test_the_second_turn_forwards_only_its_new_tokens():
    desk = Desk(script=(("one", "first answer"), ("two", "second answer")))
    first = desk.answer(1, chat("one"), "c")
    assert first.usage.forwarded == first.usage.prompt + len(first.tokens)
    before = desk.engine.rows_forwarded
    opening = "<|im_start|>user\none<|im_end|>\n<|im_start|>assistant\n"
    second = desk.answer(2, (opening, first.tokens, "<|im_end|>\n" + chat("two")), "c")
    new = second.usage.prompt - first.usage.prompt - len(first.tokens)
    assert second.usage.reused == first.usage.prompt + len(first.tokens)
    assert second.usage.forwarded == new + len(second.tokens) == desk.engine.rows_forwarded - before
    assert desk.text(2) == "second answer"


def test_an_edited_message_is_forwarded_from_where_it_differs():
    desk = Desk()
    desk.answer(1, chat("hello there"), "c")
    second = desk.answer(2, chat("hello world"), "c")
    same = len(desk.generator.encode(("<|im_start|>user\nhello ",)))
    assert second.usage.reused == same
    assert second.usage.forwarded == second.usage.prompt - same + len(second.tokens)


def test_what_is_cached_does_not_show_in_the_text():
    warm, cold = Desk(), Desk()
    warm.answer(1, chat("a"), "c")
    warm.answer(2, chat("a", "b", "c"), "c")
    found = warm.answer(3, chat("a", "b", "d"), "c")
    assert found.usage.reused > 0
    assert found.tokens == cold.answer(3, chat("a", "b", "d")).tokens


def test_of_a_prompt_that_is_read_at_once_only_the_end_is_told():
    desk = Desk(batch=10)
    desk.answer(1, "x" * 34, most=1)
    assert [told.done for told in desk.of(1, Prefilled)] == [35]


def test_one_conversation_is_answered_one_prompt_after_another():
    desk = Desk(script=(("one", "1"), ("two", "2")))
    desk.add(1, chat("one"), "c")
    desk.add(2, chat("two"), "c")
    desk.run()
    order = [message.id for message in desk.said if isinstance(message, Started | Finished)]
    assert order == [1, 1, 2, 2] and (desk.text(1), desk.text(2)) == ("1", "2")


def test_progress_of_a_long_prompt_is_told_in_chunks(monkeypatch):
    monkeypatch.setattr(generate, "_PROGRESS", 0.0)
    desk = Desk(batch=10)
    desk.answer(1, "x" * 34, most=1)
    assert [(told.done, told.total) for told in desk.of(1, Prefilled)] == [(10, 35), (20, 35), (30, 35), (35, 35)]
    assert desk.engine.forwards == 4


@pytest.mark.parametrize(
    ("wishes", "reason", "text"),
    [
        ({}, "end", "a word and more"),
        ({"most": 6}, "length", "a word"),
        ({"stops": ("and",)}, "stop", "a word "),
        ({"stops": ("more", "d an")}, "stop", "a wor"),
        ({"stops": ("never",)}, "end", "a word and more"),
    ],
    ids=str,
)
def test_an_answer_ends_for_the_reason_that_is_told(wishes, reason, text):
    desk = Desk(script=(("go", "a word and more"),))
    found = desk.answer(1, chat("go"), **wishes)
    assert (found.reason, desk.text(1)) == (reason, text)
    assert found.usage.generated == len(found.tokens)


def test_an_answer_ends_where_the_context_does():
    desk = Desk(context=20, script=(("go", "x" * 100),))
    found = desk.answer(1, "go<|im_end|>\n<|im_start|>assistant\n")
    assert found.reason == "context" and found.usage.prompt + len(found.tokens) == 21


def test_a_prompt_of_exactly_the_context_gets_one_token():
    desk = Desk(context=20)
    found = desk.answer(1, "x" * 19)
    assert (found.usage.prompt, found.reason, len(found.tokens)) == (20, "context", 1)


def test_thoughts_are_told_apart():
    desk = Desk(script=(("go", "<think>hm</think>yes"),))
    desk.answer(1, chat("go"), thoughts=Markers("<think>", "</think>"))
    assert (desk.text(1, thought=True), desk.text(1)) == ("hm", "yes")


@pytest.mark.parametrize("decodes", [True, False])
def test_the_tokens_of_thoughts_are_counted(decodes):
    desk = Desk(decodes=decodes, script=(("go", "<think>\nhm</think>\n\nyes"), ("quick", "yes")))
    marks: Any = {"thoughts": Markers("<think>", "</think>")}
    assert desk.answer(1, chat("go"), **marks).usage.thought == len("hm")
    assert desk.answer(2, chat("go"), **marks, most=9).usage.thought == 1
    assert desk.answer(3, chat("quick"), **marks).usage.thought == 0
    assert desk.answer(4, chat("go")).usage.thought == 0


def test_a_character_of_several_tokens_is_told_whole():
    desk = Desk(script=(("go", "häßlich 🙂"),))
    desk.answer(1, chat("go"))
    assert desk.text(1) == "häßlich 🙂"
    assert all("\ufffd" not in message.text for message in desk.of(1, Text))


def test_a_grammar_holds():
    desk = Desk()
    desk.answer(1, chat("go"), grammar=GrammarSource("regex", "[0-9]{3}x"))
    assert desk.text(1)[:3].isdigit() and desk.text(1)[3:] == "x"


@pytest.mark.parametrize(
    ("prompt", "wishes", "error"),
    [
        ("x" * 70, {}, ContextFull),
        (((),), {}, UsageError),
        (((260,),), {}, UsageError),
        (((2**31 - 1,),), {}, UsageError),
        ("x", {"stops": ("",)}, UsageError),
        ("x", {"law": Law(logit_bias=((260, 1.0),))}, SettingError),
        ("x", {"grammar": GrammarSource("regex", "(")}, GrammarError),
    ],
    ids=["too long", "empty", "no token", "far from a token", "empty stop", "bias on no token", "no grammar"],
)
def test_what_can_never_be_answered_is_refused_at_once(prompt, wishes, error):
    desk = Desk(context=64)
    with pytest.raises(error):
        desk.add(1, prompt, **wishes)
    assert not desk.generator.step()


def test_the_refusal_of_a_long_prompt_says_both_numbers():
    with pytest.raises(ContextFull, match=r"\b81\b.*\b64\b"):
        Desk(context=64).add(1, "x" * 80)


def test_a_cancelled_answer_ends_within_one_step():
    desk = Desk(script=(("go", "x" * 100),))
    ticket = desk.add(1, chat("go"))
    for _ in range(5):
        desk.generator.step()
    ticket.cancel()
    desk.generator.end_cancelled()
    forwards = desk.engine.forwards
    assert not desk.generator.step()
    (found,) = desk.of(1, Finished)
    assert found.reason == "cancelled" and len(found.tokens) == 5 and desk.engine.forwards == forwards


@pytest.mark.parametrize(
    "wishes",
    [{}, {"most": 9}, {"most": 1}, {"stops": ("q",)}, {"law": Law(0)}, {"law": Law(repeat_penalty=1.3)}],
    ids=str,
)
def test_an_engine_that_decodes_several_tokens_in_one_call_gives_the_same_answer(wishes):
    one, many = Desk(answer_length=60), Desk(answer_length=60, decodes=True)
    assert one.answer(1, chat("go"), **wishes).tokens == many.answer(1, chat("go"), **wishes).tokens
    assert one.text(1) == many.text(1) and one.engine.forwards == many.engine.forwards
    assert (one.generator.rows, one.generator.generated) == (many.generator.rows, many.generator.generated)


class Overheard(FakeEngine):
    """Somebody asks for the text whenever a token of a decode has been chosen."""

    desk: Desk
    stream: Stream | None = None

    def forward(self, batch: Any, taps: Any = (), stop: Stop | None = None) -> Any:
        if self.stream and self.stream.goes_on:
            self.desk.said += self.stream.speak()
        return super().forward(batch, taps, stop)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("thoughts", [None, Markers("a", "e")], ids=["plain", "thinking"])
def test_what_a_decode_chooses_is_said_while_it_goes_on_and_once(seed, thoughts):
    wishes = {"law": Law(seed=seed), "thoughts": thoughts, "most": 300}
    alone = Desk(answer_length=10**9, context=1000, decodes=True)
    alone.answer(1, chat("go"), **wishes)
    desk = Desk(Overheard(FakeOptions(answer_length=10**9, context=1000, decodes=True)))
    desk.engine.desk = desk
    desk.add(1, chat("go"), **wishes)
    desk.engine.stream = desk.generator._admission.waiting[0]
    desk.run()
    (finished,) = desk.of(1, Finished)
    assert desk.text(1) == alone.text(1) and desk.text(1, thought=True) == alone.text(1, thought=True)
    texts = desk.of(1, Text)
    assert len(texts) > 100 and [text.tokens for text in texts] == sorted(text.tokens for text in texts)
    assert texts[-1].tokens == len(finished.tokens) == 300


class Sought(FakeEngine):
    """Somebody wants something while the forward with this number runs."""

    look = Stop()
    at = -1

    def forward(self, batch: Any, taps: Any = (), stop: Stop | None = None) -> Any:
        if self.forwards + 1 == self.at:
            self.look.set()
        return super().forward(batch, taps, stop)


def test_a_decode_ends_for_whoever_else_wants_something():
    desk = Desk(Sought(FakeOptions(answer_length=10**9, decodes=True, context=1000)))
    desk.add(1, "go")
    while desk.generator.generated < 2:  # the first two come from a forward each
        desk.generator.step()
    before, look = desk.generator.generated, Stop()
    desk.engine.at, desk.engine.look = desk.engine.forwards + 5, look
    desk.generator.step(look)
    assert desk.generator.generated == before + 5
    desk.generator.step(Stop())
    assert desk.generator.generated == before + 5 + Chosen.MOST


def test_an_answer_that_is_decoded_in_one_call_is_cancelled_in_the_middle_of_it():
    engine = Interrupted(FakeOptions(decodes=True, answer_length=10**9))
    engine.at = 4
    desk = Desk(engine)
    engine.ticket = desk.add(1, "go")
    desk.run()
    (found,) = desk.of(1, Finished)
    assert found.reason == "cancelled" and len(found.tokens) == engine.forwards == 4


def test_a_request_cancelled_before_its_turn_is_never_forwarded():
    desk = Desk(sequences=1)
    desk.add(1, "one", most=3)
    desk.add(2, "two").cancel()
    desk.generator.end_cancelled()
    desk.run()
    assert desk.of(2, Finished)[0].reason == "cancelled" and not desk.of(2, Started)


class Interrupted(FakeEngine):
    """Somebody cancels while the forward with this number runs."""

    ticket: Ticket
    at = 2

    def forward(self, batch: Any, taps: Any = (), stop: Stop | None = None) -> Any:
        if self.forwards + 1 == self.at:
            self.ticket.cancel()
        return super().forward(batch, taps, stop)


@pytest.mark.parametrize("rollback", [True, False])
def test_a_prompt_is_cancelled_in_the_middle_of_a_chunk_and_the_others_go_on(rollback, monkeypatch):
    monkeypatch.setattr(generate, "_PROGRESS", 0.0)
    engine = Interrupted(FakeOptions(batch=8, rollback=rollback))
    desk = Desk(engine)
    desk.add(1, "other", most=5)
    engine.ticket = desk.add(2, "x" * 40)
    desk.run()
    assert desk.of(2, Finished)[0].reason == "cancelled" and not desk.of(2, Prefilled)[1:]
    assert desk.of(1, Finished)[0].tokens == Desk().answer(1, "other", most=5).tokens


def test_a_cancelled_conversation_goes_on_from_what_is_cached():
    engine = Interrupted(FakeOptions(batch=8))
    engine.at = 4
    desk = Desk(engine)
    engine.ticket = desk.add(1, "x" * 40, "c")
    desk.run()
    again = desk.answer(2, "x" * 40, "c", most=1)
    assert again.usage.reused == 24 and again.tokens == Desk().answer(2, "x" * 40, most=1).tokens


def test_an_engine_that_fails_fails_those_it_worked_for_and_no_one_else():
    desk = Desk(fail_at=3)
    desk.add(1, "one", "c", most=10)
    desk.run()
    (failed,) = desk.of(1, Failed)
    assert failed.kind == "EngineError" and not desk.of(1, Finished)
    again = desk.answer(2, "one", "c", most=10, law=Law(seed=1))
    assert again.usage.reused == 0
    assert again.tokens == Desk().answer(1, "one", most=10).tokens
    assert desk.sequences.promised == 0


class Broken(FakeEngine):
    """Gives no numbers once a sequence is so long."""

    def forward(self, batch: Any, taps: Any = (), stop: Stop | None = None) -> Any:
        rows = super().forward(batch, taps, stop)
        for i, seq in enumerate(batch.sequences.tolist()):
            if self.length(seq) == 7 and batch.wants[i]:
                rows._logits[i] = rows._logits[i] * float("nan")
        return rows


def test_logits_that_are_no_numbers_are_an_error_and_no_token():
    desk = Desk(Broken(FakeOptions()))
    desk.add(1, "four", most=20)
    desk.add(2, "a longer one", most=5)
    desk.run()
    assert desk.of(1, Failed)[0].kind == "EngineError"
    assert len(desk.of(2, Finished)) == 1


def test_what_prompts_begin_with_in_common_is_forwarded_once():
    together = Desk(context=4000, sequences=8, batch=64)
    system = "You are helpful. " * 20
    for id in range(8):
        together.add(id, f"{system}{id}{'?' * id}", None, most=5)
    together.run()
    for id in range(8):
        alone = Desk(context=4000).answer(id, f"{system}{id}{'?' * id}", most=5)
        (found,) = together.of(id, Finished)
        assert found.tokens == alone.tokens
        assert found.usage.reused >= (len(system) - 32 if id else 0)  # for fewer nobody waits


def test_who_waits_for_another_prompt_to_be_read_is_not_forgotten_when_that_is_cancelled():
    desk = Desk(context=4000, sequences=4, batch=16)
    system = "You are helpful. " * 20
    first = desk.add(1, system + "1", None, most=5)
    desk.add(2, system + "2", None, most=5)
    for _ in range(3):
        desk.generator.step()
    assert not desk.of(2, Started)
    first.cancel()
    desk.generator.end_cancelled()
    desk.run()
    assert desk.of(1, Finished)[0].reason == "cancelled" and desk.of(2, Finished)[0].usage.generated == 5


@pytest.mark.parametrize("decodes", [True, False])
def test_how_likely_tokens_were_is_told_of_each_and_changes_nothing(decodes):
    law = Law(temperature=1.2, seed=3)
    plain = Desk(decodes=decodes).answer(1, "hello", law=law, most=30)
    desk = Desk(decodes=decodes)
    found = desk.answer(1, "hello", law=law, most=30, chances=3)
    assert found.tokens == plain.tokens
    told = [chance for text in desk.of(1, Text) for chance in text.chances]
    assert b"".join(chance.piece for chance in told).decode() == desk.text(1)
    assert len(told) == len(found.tokens) and all(len(chance.best) == 3 for chance in told)
    assert all(chance.log <= 0 and chance.best[0][1] >= chance.log for chance in told)


def test_how_likely_tokens_were_is_told_with_their_own_text():
    desk = Desk(script=(("go", "<think>\nhm</think>\n\nyes STOP"),))
    desk.answer(1, chat("go"), chances=0, stops=(" STOP",), thoughts=Markers("<think>", "</think>"))
    told = {message.text: message.chances for message in desk.of(1, Text)}
    assert "".join(told) == "hmyes"
    for text, chances in told.items():
        assert b"".join(chance.piece for chance in chances).decode() == text
        assert sum(chance.length for chance in chances) == len(text)


def test_where_tokens_are_awaited_a_long_prompt_is_read_in_small_chunks():
    desk = Desk(context=4000, sequences=2, batch=512)
    desk.add(1, "hello", law=Law(temperature=0, logit_bias=((257, -1e30), (259, -1e30))), most=60)
    desk.generator.step()
    assert desk.of(1, Prefilled)
    before = desk.generator.rows
    desk.add(2, "x" * 2000, most=1)
    steps = 0
    while not desk.of(2, Finished):
        desk.generator.step()
        steps += 1
    assert desk.generator.rows - before > 2000 and steps > 2000 / 512 + 1
