"""Whose turn it is: nobody waits for ever, and nobody gets more by asking more often."""

from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from accel.runtime.serve.line import BATCH_EVERY, Limits, Line, Place

SLOTS = 4
steps = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(1, 2 * SLOTS), st.booleans(), st.integers(0, 3)), max_size=60
)


def a_line(running: int = SLOTS, waiting: int = 100, a_client: int = 100) -> Line:
    return Line(Limits(running, waiting, a_client))


def joined(line: Line, client: str, size: int = 1, batch: bool = False) -> Place:
    place = line.join(client, size, batch)
    assert place
    return place


def order(line: Line) -> str:
    """Clients as they are served, one after another."""
    found = ""
    while line.waiting or line.running:
        line.admitted()
        found += line.running[0].client
        line.leave(line.running[0])
    return found


@given(steps)
def test_no_more_run_than_there_are_slots_and_none_stays_free_for_nothing(steps):
    line = a_line()
    for client, size, batch, leaving in steps:
        line.join(client, size, batch)
        line.admitted()
        free = SLOTS - sum(place.size for place in line.running)
        assert free >= 0 and (not line.waiting or free < SLOTS)
        for place in line.running[:leaving]:
            line.leave(place)


@given(steps)
def test_who_waits_is_served_within_as_many_answers_as_were_there_before_and_batches_take(steps):
    line, served = a_line(running=1), count()
    for client, size, batch, _ in steps:
        line.join(client, size, batch)
    waited = {place: next(served) for _ in steps for place in line.admitted() if not line.leave(place)}
    assert not line.waiting and len(waited) == len(steps)
    interactive = sum(not place.batch for place in waited)
    for number, place in enumerate(sorted((place for place in waited if place.batch), key=lambda place: waited[place])):
        assert waited[place] <= number + min(interactive, (number + 1) * BATCH_EVERY)


@given(steps)
def test_requests_of_one_client_and_kind_are_served_in_the_order_they_came(steps):
    line, found = a_line(), []
    for client, size, batch, leaving in steps:
        line.join(client, size, batch)
        found += line.admitted()
        for place in line.running[:leaving]:
            line.leave(place)
    for client, batch in {(place.client, place.batch) for place in found}:
        numbers = [place.number for place in found if (place.client, place.batch) == (client, batch)]
        assert numbers == sorted(numbers)


def test_asking_more_often_gives_no_more_turns():
    line = a_line(running=2)
    for client in "aaaaaabc":
        joined(line, client)
    assert [place.client for place in line.admitted()] == ["a", "b"]
    line.leave(line.running[0])
    assert [place.client for place in line.admitted()] == ["a"]  # none of its runs, and it came before
    line.leave(line.running[0])
    assert [place.client for place in line.admitted()] == ["c"]


def test_who_waits_for_an_answer_goes_before_a_batch():
    line = a_line(running=1)
    joined(line, "b", batch=True)
    joined(line, "b", batch=True)
    joined(line, "a")
    assert order(line) == "abb"


def test_a_batch_has_its_turn_however_many_others_keep_coming():
    line = a_line(running=1)
    batch = joined(line, "batch", batch=True)
    for number in range(BATCH_EVERY + 1):
        assert batch in line.waiting
        joined(line, str(number))
        (place,) = line.admitted()
        line.leave(place)
    assert batch not in line.waiting


def test_a_request_of_more_than_there_are_slots_gets_all_of_them_once_they_are_free():
    line = a_line()
    small, large, later = joined(line, "a"), joined(line, "b", size=9), joined(line, "c")
    assert line.admitted() == [small]
    assert line.admitted() == []  # the later one would fit, and the large one would wait for ever
    line.leave(small)
    assert line.admitted() == [large]
    line.leave(large)
    assert line.admitted() == [later]


def test_the_line_and_a_clients_share_of_it_have_an_end():
    line = a_line(running=1, waiting=3, a_client=2)
    assert line.join("a") and line.join("a") and not line.join("a")
    assert line.join("b") and not line.join("c")
    line.admitted()
    assert line.join("c") and not line.join("a")


def test_who_leaves_before_its_turn_holds_up_nobody():
    line = a_line()
    first, large = joined(line, "a"), joined(line, "b", size=SLOTS)
    line.admitted()
    later = joined(line, "c")
    line.leave(large)
    assert line.admitted() == [later] and line.running == [first, later]


def test_the_wait_grows_with_the_line():
    line = a_line(running=2)
    empty = line.turns_until()
    for _ in range(8):
        joined(line, "a")
    assert line.turns_until() == 9 * empty
