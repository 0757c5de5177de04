"""What was counted of experts says how it went: in shares and for one token, by layer and in all."""

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel.errors import LinkError
from accel.runtime.chat.facts import expert_lines
from accel.runtime.expert_use import ExpertUse, of_all, of_layers, since
from accel.runtime.messages import LayerUse, Statistics, decode_event, encode

COUNTED = ("late", "beside", "expected", "fulfilled", "wasted", "low", "skipped", "read")
SHARES = [field.name for field in fields(ExpertUse) if field.name not in ("layer", "read", "stall")]


@st.composite
def surveys(draw):
    """Of the same layers, one after another."""
    number = draw(st.integers(1, 5))
    counts = st.integers(0, 10**6)

    def layer(place: int, before: LayerUse | None = None) -> LayerUse:
        more = {name: draw(counts) + (getattr(before, name) if before else 0) for name in (*COUNTED, "hits")}
        missed = draw(counts) + (before.uses - before.hits if before else 0)
        stall = draw(st.integers(0, 1000)) + (before.stall if before else 0.0)
        recall = draw(st.floats(0, 1))
        return LayerUse(layer=place, uses=more["hits"] + missed, stall=stall, recall=recall, **more)

    first = tuple(layer(place) for place in range(number))
    return first, tuple(layer(place, before) for place, before in enumerate(first))


@given(surveys(), st.integers(1, 10**6))
def test_what_happened_between_two_surveys_and_what_was_before_add_up(surveys, tokens):
    first, second = surveys
    between = since(first, second)
    for before, more, now in zip(first, between, second, strict=True):
        assert all(getattr(before, name) + getattr(more, name) == getattr(now, name) for name in (*COUNTED, "uses"))
        assert before.stall + more.stall == pytest.approx(now.stall) and more.recall == now.recall
    assert since((), second) == second
    assert of_all(between, tokens).read == pytest.approx(sum(use.read for use in of_layers(between, tokens)))


@given(surveys(), st.integers(1, 10**6))
def test_all_layers_lie_between_the_least_and_the_most_of_them(surveys, tokens):
    layers = surveys[0]
    whole, each = of_all(layers, tokens), of_layers(layers, tokens)
    for name in ("hits", "late", "low", "skipped"):
        shares = [getattr(use, name) for use, layer in zip(each, layers, strict=True) if layer.uses]
        if shares:
            assert min(shares) - 1e-9 <= getattr(whole, name) <= max(shares) + 1e-9
    assert whole.layer is None and 0 <= whole.recall <= 1


def test_nothing_used_is_no_division_by_nothing():
    idle = (LayerUse(0, 0, 0, 0, 0, 0, 0, 0.0, 0.0),)
    assert all(getattr(of_all(idle, 0), name) == 0 for name in SHARES)


def statistics(**more: int) -> Statistics:
    layer = LayerUse(3, 200, 150, 20, 0, 40, 35, 0.5, 0.9, 4, read=5000, **more)
    return Statistics(1, 100, 100, 90, 0, 0, 50, 512, 10, 10, 10, 5000, (layer,))


def test_the_chat_tells_shares_of_low_precision_and_of_what_was_left_out_only_where_there_are_some():
    exact = "\n".join(expert_lines(statistics()))
    assert "75% in memory" in exact and "10% on their way" in exact and "5.0 ms" in exact and "90% foreseen" in exact
    assert "approximate" not in exact
    assert "25.0% of low precision" in (told := "\n".join(expert_lines(statistics(low=50)))) and "left out" not in told
    assert "1.0% left out" in (told := "\n".join(expert_lines(statistics(skipped=2)))) and "precision" not in told


@pytest.mark.parametrize("field", ["uses", "hits", "late", "beside", "expected", "fulfilled", "stall", "recall",
                                   "wasted", "low", "skipped", "read"])  # fmt: skip
def test_no_count_of_a_layer_may_be_less_than_nothing(field):
    sound = statistics()
    (layer,) = sound.experts
    values = {name: getattr(layer, name) for name in layer.__struct_fields__}
    assert decode_event(encode(sound)) == sound
    frame = encode(Statistics(1, 1, 1, 1, 0, 0, 0, 1, 0, 0, experts=(LayerUse(**{**values, field: -1}),)))
    with pytest.raises(LinkError, match=field):
        decode_event(frame)
