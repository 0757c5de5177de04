"""Drafters are asked when it should pay, what they guess fits, and what is decided and why is told now and then."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from accel.errors import EngineError
from accel.runtime.costs import RowTimes
from accel.runtime.drafting import conductor as module
from accel.runtime.drafting.bounds import Bounds
from accel.runtime.drafting.conductor import Conductor, Turn
from accel.runtime.drafting.control import Controller, Guess
from accel.runtime.drafting.copying import Copying
from accel.runtime.drafting.draft import NOTHING, Context, Draft, Verdict
from accel.runtime.drafting.recycling import Recycling
from accel.runtime.drafting.row_costs import RowCosts
from accel.runtime.engines.base import Rows

from .drafted import NO_ROWS, SIZE, SomeRows, context

FLAT = RowTimes(1, False, (1, 33), (1.0, 1.32))  # a row more costs a hundredth of the first


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module.time, "perf_counter", lambda: clock.now)
    monkeypatch.setattr(module.time, "monotonic", lambda: clock.now)
    return clock


class Scripted:
    """Guesses what it was told to for each text, and notes what it is asked and hears."""

    def __init__(self, *drafts: Draft, work: Callable[[int], None] = lambda nodes: None) -> None:
        self.drafts, self.work = dict(enumerate(drafts)), work
        self.asked: list[tuple[int, int]] = []
        self.heard: list[Verdict] = []
        self.forgot: list[int] = []
        self.times = 0

    def start(self, contexts: Sequence[Context], limits: Sequence[int]) -> None:
        self.asked = [(text.number, limit) for text, limit in zip(contexts, limits, strict=True)]
        self.times += 1

    def take(self, deadline: float | None = None) -> list[Draft]:
        drafts = [self.drafts.get(number, NOTHING) for number, _ in self.asked]
        drafts = [draft.part(range(limit)) if len(draft) > limit else draft
                  for draft, (_, limit) in zip(drafts, self.asked, strict=True)]  # fmt: skip
        self.work(sum(map(len, drafts)))
        return drafts

    def observe(self, verdicts: Sequence[Verdict], rows: Rows) -> None:
        assert len(verdicts) == len(self.asked)
        self.heard += verdicts

    def forget(self, number: int) -> None:
        self.forgot.append(number)


class Watching(Scripted):
    """It also sees the rows of others."""

    def __init__(self, *drafts: Draft) -> None:
        super().__init__(*drafts)
        self.seen: list[tuple[int, int]] = []

    def witness(self, root: int, verdict: Verdict, rows: Rows) -> None:
        self.seen.append((root, verdict.row))


class Model(Scripted):
    """It has an engine of its own."""

    reading, trouble, given_up = 0.0, None, False


class Eager(Controller):
    def limit(self, drafter: str, texts: int, most: int, reading: float = 0.0) -> int:
        return most if texts else 0

    def decide(self, guesses: Sequence[Guess | None]) -> list[Guess | None]:
        return list(guesses)


def chain(*tokens: int, sure: float = 0.9) -> Draft:
    return Draft.chain(tokens, [sure] * len(tokens))


def turn_of(conductor: Conductor, limits: Sequence[int]) -> Turn:
    return conductor.turn([context([40 + number], number) for number in range(len(limits))], limits)


def step(conductor: Conductor, turn: Turn, stand: int = 0, rows: Any = NO_ROWS, seconds: float = 1.0) -> None:
    """The first so many nodes of every draft stand, which are chains."""
    verdicts, row = [], 0
    for place in range(len(turn.contexts)):
        draft = turn.draft(place)
        verdicts.append(Verdict(draft, tuple(range(min(stand, len(draft)))), 63, row))
        row += 1 + len(draft)
    conductor.stepped(turn, verdicts, rows, row, seconds)


def conducting(drafters: dict[str, Any], times: RowTimes | None = FLAT, kind: type = Controller, **more: Any) -> Any:
    return Conductor(drafters, kind(RowCosts(times)), **more)


def test_of_quick_guesses_the_one_that_promises_most_is_kept():
    one, other = Scripted(chain(1), chain(2)), Scripted(chain(3, 4), NOTHING)
    turn = turn_of(conducting({"one": one, "other": other}, kind=Eager), [4, 5])
    assert [turn.draft(0).tokens, turn.draft(1).tokens] == [(3, 4), (2,)]
    assert one.asked == other.asked == [(0, 4), (1, 5)]


def test_each_hears_what_became_of_the_texts_it_was_asked_for_in_its_order():
    one, other = Scripted(NOTHING, chain(1)), Scripted(chain(2))
    conductor = conducting({"one": one, "other": other}, kind=Eager)
    turn = turn_of(conductor, [4, 0, 4])
    step(conductor, turn)
    assert [verdict.row for verdict in one.heard] == [0, 3] and one.heard == other.heard


def test_one_that_learns_from_every_row_sees_each_text_once():
    watching = Watching()
    conductor = conducting({"one": Scripted(NOTHING, chain(1)), "watching": watching}, kind=Eager)
    turn = turn_of(conductor, [4, 4, 0])
    step(conductor, turn)
    assert [verdict.row for verdict in watching.heard] == [0, 1] and watching.seen == [(42, 3)]


def test_what_copying_guessed_is_recycled():
    logits = np.zeros(SIZE, np.float32)
    logits[33] = 5
    recycling = Recycling(SIZE, 9)
    conductor = conducting({"copying": Copying(), "recycling": recycling}, kind=Eager)
    turn = conductor.turn([context([1, 2, 3, 4, 1, 2, 3])], [1])
    assert turn.draft(0).tokens == (4,)
    step(conductor, turn, rows=SomeRows({0: np.zeros(SIZE, np.float32), 1: logits}))
    assert recycling._next[4, 0] == 33


def test_what_is_drafted_fits_the_nodes_and_branches_of_a_step():
    bush = Draft((1, 2, 3, 4), (-1, -1, -1, 0), (0.9, 0.5, 0.2, 0.9))
    one = Scripted(bush, bush)
    conductor = conducting({"one": one}, kind=Eager, bounds=Bounds(5, 1))
    turn = turn_of(conductor, [9, 9])
    drafts = [turn.draft(0), turn.draft(1)]
    assert one.asked == [(0, 5), (1, 5)]
    assert sum(map(len, drafts)) <= 5 and sum(draft.leaves - 1 for draft in drafts) == 1
    assert [guess and guess.draft for guess in turn.guesses] == [bush, bush]  # all of it is judged


def test_who_takes_time_is_asked_where_it_should_outdo_the_guess_at_hand(clock):
    quick, slow = Scripted(chain(1, 2)), Model(chain(3, 4), work=lambda nodes: clock.sleep(0.05 * nodes))
    conductor = conducting({"quick": quick, "slow": slow}, kind=Eager)
    for _ in range(20):  # what the quick one says falls, what the other would say stands
        turn = turn_of(conductor, [2])
        guess = Guess("quick", chain(1, 2), (5, 5))
        conductor.controller._judge(guess, [9])
        conductor.controller._judge(Guess("slow", chain(3, 4), (5, 5)), [3, 4, 9])
        step(conductor, turn)
    assert slow.times == 20
    for _ in range(40):  # now the quick one is right
        conductor.controller._judge(Guess("quick", chain(1, 2), (5, 5)), [1, 2, 9])
        conductor.controller._judge(Guess("slow", chain(3, 4), (5, 5)), [9])
    turn = turn_of(conductor, [2])
    assert slow.times == 20 and turn.draft(0).tokens == (1, 2)


def test_who_was_passed_over_for_long_is_asked_again(clock):
    quick, slow = Scripted(chain(1, 2)), Model(chain(3, 4, 5), work=lambda nodes: clock.sleep(0.02 * nodes))
    conductor = conducting({"quick": quick, "slow": slow}, kind=Eager)
    step(conductor, turn_of(conductor, [3]))
    for _ in range(60):
        conductor.controller._judge(Guess("quick", chain(1, 2), (5, 5)), [1, 9])
        conductor.controller._judge(Guess("slow", chain(3, 4), (5, 5)), [9])
    before = slow.times
    assert turn_of(conductor, [3]) and slow.times == before
    for _ in range(2000):
        turn_of(conductor, [3])
    assert slow.times > before


def test_reading_a_text_is_spent_and_says_nothing_of_what_a_guess_takes(clock):
    slow = Model(chain(1, 2), work=lambda nodes: clock.sleep(5.0))
    slow.reading = 4.9
    conductor = conducting({"slow": slow})
    turn_of(conductor, [2])
    assert conductor.controller._work["slow"].a_node == pytest.approx(0.05)
    assert conductor.controller.elapsed == pytest.approx(5.0)
    assert conductor.uses["slow"].seconds == pytest.approx(5.0)
    assert conductor.uses["slow"].reading == pytest.approx(4.9)


def test_reading_that_a_share_of_the_time_pays_for_leaves_what_trying_may_cost(clock):
    slow = Scripted(chain(1, 2), work=lambda nodes: clock.sleep(0.1))
    conductor = conducting({"slow": slow}, kind=Eager)
    conductor.controller.decoded(None, [5], 0.01)
    conductor.turn([context(list(range(100)))], [2])
    assert conductor.controller.saved == 0 and conductor.controller.elapsed == pytest.approx(0.11)


def test_a_look_that_was_held_up_is_not_the_last_for_long(clock):
    seconds = iter([1e-5, 1e-5, 1e-5, 1e-5, 0.5, *[1e-5] * 9])
    conductor = conducting({"quick": Scripted(work=lambda nodes: clock.sleep(next(seconds)))})
    conductor.controller.decoded(None, [5], 0.001)
    for _ in range(5):
        turn_of(conductor, [2])
    assert conductor.pace() <= 20
    for _ in range(4):
        turn_of(conductor, [2])
    assert conductor.pace() <= 8


def test_it_is_counted_who_was_asked_guessed_was_drafted_and_stood(clock):
    one, other = Scripted(chain(1, 2), work=lambda _: clock.sleep(0.5)), Scripted(NOTHING, chain(3, 4, 5))
    conductor = conducting({"one": one, "other": other}, kind=Eager)
    step(conductor, turn_of(conductor, [4, 4]), stand=2)
    uses = [(use.asked, use.guessed, use.drafted, use.stood, use.seconds) for use in conductor.uses.values()]
    assert uses == [(2, 2, 2, 2, 0.5), (2, 3, 3, 2, 0.0)]
    assert (conductor.drafted, conductor.stood, conductor.heard) == (5, 4, 6)


def test_a_change_of_what_is_decided_is_told_with_its_reason_and_not_every_step(clock):
    told: list[tuple[int, str]] = []
    one = Scripted(chain(1, 2))
    conductor = conducting({"one": one}, kind=Eager, tell=lambda number, why: told.append((number, why)))
    step(conductor, turn_of(conductor, [4]))
    assert told == [(0, "one drafts 2: 0.60 accepted")]
    for _ in range(10):
        one.drafts = {} if one.drafts else {0: chain(1, 2)}
        step(conductor, turn_of(conductor, [4]))
    assert len(told) == 1
    one.drafts = {}
    clock.sleep(10)
    step(conductor, turn_of(conductor, [4]))
    assert told[1:] == [(0, "drafting off: nobody has a guess")]
    clock.sleep(10)
    step(conductor, turn_of(conductor, [4]))
    assert len(told) == 2


def test_a_text_that_nobody_ever_drafts_for_is_told_nothing_and_a_forgotten_one_begins_anew(clock):
    told: list[int] = []
    one = Scripted()
    conductor = conducting({"one": one}, kind=Eager, tell=lambda number, why: told.append(number))
    step(conductor, turn_of(conductor, [4, 4]))
    assert told == []
    one.drafts = {1: chain(1)}
    step(conductor, turn_of(conductor, [4, 4]))
    clock.sleep(10)
    conductor.forget(1)
    step(conductor, turn_of(conductor, [4, 4]))
    assert told == [1, 1] and one.forgot == [1]
    conductor.forget(1)
    assert conductor._told == {}


def test_new_times_are_corrected_by_what_was_seen_at_work(clock):
    conductor = conducting({"one": Scripted(chain(1, 2))}, times=None, kind=Eager)
    for _ in range(8):
        step(conductor, turn_of(conductor, [2]), seconds=0.3)  # of three rows
        conductor.decoded(conductor.turn([context([1, 2])], [0]), [3, 4], 0.4)
    before = [conductor.controller.costs.of(rows) for rows in (1, 3)]
    assert before == pytest.approx([0.2, 0.3])
    conductor.measured(RowTimes(0, False, (1, 2, 4, 8), (0.1, 0.11, 0.12, 0.2)))
    after = [conductor.controller.costs.of(rows) for rows in (1, 3, 8)]
    assert after[:2] == pytest.approx(before) and 0.2 < after[2] < 0.6


def test_what_was_not_seen_is_as_it_was_measured():
    conductor = conducting({}, times=None)
    conductor.measured(RowTimes(0, False, (1, 2), (0.1, 0.11)))
    assert conductor.controller.costs.of(2) == pytest.approx(0.11)


def test_who_fails_is_asked_no_longer_and_the_reason_is_there():
    class Failing(Scripted):
        def take(self, deadline: float | None = None) -> list[Draft]:
            raise EngineError("it is not well")

    conductor = conducting({"one": Failing(), "other": Scripted(chain(1))}, kind=Eager)
    turn = turn_of(conductor, [4])
    assert turn.draft(0).tokens == (1,) and "one: it is not well" in conductor.why
    step(conductor, turn)
    assert list(conductor.drafters) == ["other"] and list(conductor.trouble()) == ["one"]


def test_trouble_that_passes_is_told_while_it_lasts_and_one_who_gave_up_is_asked_no_longer():
    slow: Any = Model()
    conductor = conducting({"slow": slow}, kind=Eager)
    slow.trouble = EngineError("no room")
    step(conductor, turn_of(conductor, [4]))
    assert "slow: no room" in conductor.why and "slow" in conductor.drafters
    slow.trouble = None
    step(conductor, turn_of(conductor, [4]))
    assert conductor.trouble() == {}
    slow.trouble, slow.given_up = EngineError("it died"), True
    step(conductor, turn_of(conductor, [4]))
    assert "slow: it died" in conductor.why and not conductor.drafters


def test_where_looking_takes_long_beside_a_token_it_is_done_seldom():
    conductor = Conductor({}, Controller(RowCosts(None)))
    assert conductor.is_due() and conductor.pace() == 1  # nothing is known
    conductor.controller.decoded(None, [5], 0.001)
    conductor._look = 0.0004
    assert conductor.pace() in (134, 135) and not conductor.is_due()
    conductor.decoded(None, [5] * 70, 0.07)
    assert not conductor.is_due()
    conductor.decoded(None, [5] * 70, 0.07)
    assert conductor.is_due()


def test_where_texts_are_short_somebody_looks_all_the_same_in_one_of_them():
    conductor = Conductor({}, Controller(RowCosts(None)))
    conductor.controller.decoded(None, [5], 0.001)
    conductor._look = 0.0004
    for number in range(14):
        assert not conductor.is_due()
        conductor.decoded(None, [5] * 10, 0.01)
        conductor.forget(number)
    assert conductor.is_due()


def test_several_texts_go_on_plainly_for_as_many_steps_as_looking_for_all_of_them_is_worth(clock):
    watching = Watching()
    conductor = conducting({"watching": watching})
    conductor._looks, conductor._look = 2, 0.008 * conductor.controller.plain(2)
    assert conductor.pace(2) == 3
    for _ in range(2):
        conductor.rested(2, conductor.controller.plain(2))
        assert not conductor.is_due(2)
    conductor.rested(2, conductor.controller.plain(2))
    assert conductor.is_due(2) and conductor.heard == 6
    assert not watching.times and not watching.seen
    conductor._look = 0.008 * conductor.controller.plain(2)
    step(conductor, turn_of(conductor, [0, 0]))
    assert len(watching.seen) == 2


def test_after_a_draft_somebody_looks_again_at_once(clock):
    conductor = conducting({"quick": Scripted(chain(1, 2))}, kind=Eager)
    conductor.controller.decoded(None, [5], 0.001)
    conductor._look = 1.0
    step(conductor, turn_of(conductor, [2, 2]))
    conductor._look = 1.0
    assert conductor.is_due(2)


def test_who_took_long_to_read_is_asked_again_once_that_was_a_small_share_of_the_time(clock):
    slow = Scripted(chain(1, 2), work=lambda nodes: clock.sleep(0.1))
    conductor = conducting({"slow": slow}, kind=Eager)
    text = context(list(range(100)))
    conductor.controller.decoded(None, [5], 0.01)
    assert conductor.turn([text], [2]).asked  # nobody knows yet
    text = context(list(range(100)), number=1)
    for _ in range(60):
        assert not conductor.turn([text], [2]).asked
        conductor.decoded(None, [5], 1.0)
    for _ in range(8):
        conductor.decoded(None, [5], 1.0)
    assert conductor.turn([text], [2]).asked


def test_no_text_is_read_by_a_model_only_to_try_it_where_that_takes_long(clock):
    model = Model(work=lambda nodes: clock.sleep(0.5))
    conductor = conducting({"model": model})
    conductor.controller.decoded(None, [5], 0.01)
    model.reading = 0.49
    assert conductor.turn([context(list(range(100)))], [2]).asked  # nobody knows yet
    for number in range(1, 20):
        assert not conductor.turn([context(list(range(100)), number)], [2]).asked


def test_how_often_somebody_looks_is_set_neither_by_the_first_look_nor_by_a_guess_that_takes_long(clock):
    seconds = iter([0.5, *[1e-6] * 99])
    quick = Scripted(work=lambda nodes: clock.sleep(next(seconds)))
    slow = Model(work=lambda nodes: clock.sleep(0.02))
    conductor = conducting({"quick": quick, "slow": slow})
    conductor.controller.decoded(None, [5], 0.01)
    for _ in range(6):
        conductor.turn([context([1, 2, 3])], [2])
    assert slow.times > 0 and conductor.pace() == 1


def test_what_is_seen_of_a_new_text_says_nothing_of_what_a_guess_takes(clock):
    drafter = Scripted(chain(1, 2), work=lambda nodes: clock.sleep(0.5))
    conductor = conducting({"copying": drafter})
    conductor.controller.decoded(None, [5], 0.01)
    conductor.turn([context([1, 2, 3])], [2])
    assert conductor.controller.is_quick("copying") and conductor.uses["copying"].reading == 0.5
    conductor.turn([context([1, 2, 3, 4])], [2])
    assert not conductor.controller.is_quick("copying")


def test_while_guessing_has_gained_somebody_looks_more_often_and_that_is_paid_from_the_gains(clock):
    conductor = conducting({"quick": Scripted(work=lambda nodes: clock.sleep(1.9e-5))})
    conductor.controller.decoded(None, [5], 0.001)
    for _ in range(4):
        turn_of(conductor, [2])
    assert conductor.pace() == 13
    conductor.controller.saved = 0.001
    assert conductor.pace() == 1
    turn_of(conductor, [2])
    assert conductor.controller.saved == pytest.approx(0.001 - 2 * 1.9e-5)
    for _ in range(60):
        turn_of(conductor, [2])
    assert conductor.controller.saved <= 0 and conductor.pace() == 13
