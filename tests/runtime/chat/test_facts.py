"""What /stats tells of drafting."""

from accel.runtime.chat.facts import drafting_lines
from accel.runtime.messages import DrafterUse, Statistics


def statistics(drafting: str, *drafters: DrafterUse) -> Statistics:
    return Statistics(1, 0, 0, 0, 0, 0, 0, 0, 0, 0, drafted=20, stood=15, drafting=drafting, drafters=drafters)


def test_what_is_decided_comes_first_and_then_how_each_who_was_asked_fared():
    asked = DrafterUse("copying", 40, 30, 20, 15, 0.012, 0.0)
    idle = DrafterUse("model", 0, 0, 0, 0, 0.0, 0.0, "it is not there")
    lines = drafting_lines(statistics("copying drafts 8: 0.93 accepted", asked, idle))
    assert lines[0].startswith("drafting   15 of 20 guesses stood; copying drafts 8: 0.93 accepted")
    assert [line.strip() for line in lines[1:]] == ["copying: asked 40 times, 15 of 20 stood, 12 ms"]


def test_where_nothing_can_be_drafted_it_says_why_and_where_nothing_is_to_be_nothing():
    assert drafting_lines(statistics("drafting off: this model")) == ["drafting   drafting off: this model"]
    assert drafting_lines(statistics("")) == []
