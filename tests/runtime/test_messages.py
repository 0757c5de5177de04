"""What is sent arrives as it was; what is no message of ours is an error, never anything else."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.errors import STATUS, AccelError, LinkError, ModelTruncated
from accel.offload.curves import HitCurves
from accel.runtime import messages
from accel.runtime.law import Law
from accel.runtime.text import Markers

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
names = texts.filter(bool)
paths = names.map(lambda name: name.replace("\0", "0"))  # no system takes a NUL
ids = st.integers(0, 2**53 - 1)
counts = st.integers(0, 2**62 - 1)
tokens = st.lists(st.integers(0, 2**31 - 1), max_size=20).map(tuple)
prompts = st.lists(texts | tokens, min_size=1, max_size=4).map(tuple)
laws = st.builds(
    Law,
    temperature=st.floats(0, 100),
    top_k=st.integers(0, 2**31 - 1),
    top_p=st.floats(0, 1),
    seed=st.integers(0, 2**64 - 1),
    logit_bias=st.dictionaries(st.integers(0, 2**31 - 1), st.floats(max_value=1e30), max_size=3).map(
        lambda biases: tuple(biases.items())
    ),
)
requests = st.one_of(
    st.builds(messages.Hello, st.integers(0, 1000)),
    st.builds(
        messages.Generate,
        id=ids,
        conversation=names,
        prompt=prompts,
        law=laws,
        most=st.none() | st.integers(1, 2**40),
        stops=st.lists(texts, max_size=3).map(tuple),
        thoughts=st.none() | st.builds(Markers, texts, texts),
        thinking=st.booleans(),
        grammar=st.none() | st.builds(messages.GrammarSource, st.sampled_from(["json_schema", "lark"]), texts),
    ),
    st.builds(messages.Cancel, ids),
    st.builds(messages.Encode, ids, prompts),
    st.builds(messages.Save, ids, names, paths),
    st.builds(messages.Measure, ids, st.floats(0.001, 60)),
    st.builds(messages.Route, ids, st.integers(1, 2**20), st.floats(0.001, 3600), st.none() | paths),
    st.builds(messages.Shutdown),
)
events = st.one_of(
    st.builds(messages.Loading, st.floats(0, 1)),
    st.builds(messages.Text, ids, texts, st.booleans(), counts),
    st.builds(
        messages.Finished,
        ids,
        st.sampled_from(["end", "stop", "length", "context", "cancelled"]),
        tokens,
        st.builds(messages.Usage, counts, counts, counts, counts),
        st.builds(messages.Timings, *[st.floats(0, 1e9)] * 3),
    ),
    st.builds(messages.Drafting, ids, texts),
    st.builds(
        messages.Statistics,
        *[ids, *[counts] * 9],
        drafting=texts,
        drafters=st.lists(
            st.builds(messages.DrafterUse, texts, *[counts] * 4, *[st.floats(0, 1e9)] * 2, texts), max_size=4
        ).map(tuple),
    ),
    st.builds(messages.Routing, ids, st.floats(0, 1)),
    st.builds(messages.Routed, ids, counts, st.builds(HitCurves, counts, st.just(((0, 1, 2), (0, 2, 2))))),
    st.builds(messages.Failed, ids, st.sampled_from(sorted(messages.KINDS)), texts, texts),
    st.builds(messages.Pong, ids),
)


@settings(max_examples=60)
@given(requests)
def test_a_request_arrives_as_it_was_sent(request):
    assert messages.decode_request(messages.encode(request)) == request


@pytest.mark.parametrize("path", ["\0", "a\0b", ""])
def test_a_path_that_cannot_be_is_none_of_ours(path):
    with pytest.raises(LinkError, match="path"):
        messages.decode_request(messages.encode(messages.Save(1, "c", path)))


@settings(max_examples=60)
@given(events)
def test_an_event_arrives_as_it_was_sent(event):
    assert messages.decode_event(messages.encode(event)) == event


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_garbage_is_a_link_error_on_both_sides(frame):
    for decode in (messages.decode_request, messages.decode_event):
        with pytest.raises(LinkError):
            decode(frame)


@settings(max_examples=100)
@given(requests | events, st.data())
def test_a_message_that_was_cut_or_changed_is_an_error_or_a_message(message, data):
    frame = bytearray(messages.encode(message))
    at = data.draw(st.integers(0, len(frame) - 1))
    changed = frame[:at] + bytes([data.draw(st.integers(0, 255))]) + frame[at + 1 :]
    for damaged in (bytes(frame[:at]), bytes(changed), bytes(frame) + b"\0"):
        for decode in (messages.decode_request, messages.decode_event):
            try:
                found = decode(damaged)
            except LinkError:
                continue
            assert isinstance(found, messages.Record)


GENERATE = {"type": "Generate", "id": 1, "conversation": "c", "prompt": ["hi"], "law": {}}


@pytest.mark.parametrize(
    "change",
    [
        {"id": -1},
        {"id": 2**53},
        {"id": "1"},
        {"id": 1.5},
        {"id": True},
        {"conversation": ""},
        {"conversation": "c" * 201},
        {"prompt": []},
        {"prompt": "hi"},
        {"prompt": [[-1]]},
        {"prompt": [[2**31]]},
        {"prompt": [["1"]]},
        {"prompt": [{}]},
        {"most": 0},
        {"stops": ["x"] * 65},
        {"law": {"temperature": -1.0}},
        {"law": {"temperature": float("nan")}},
        {"law": {"top_k": 2**62}},
        {"grammar": {"kind": "python", "text": ""}},
        {"law": {"more": 1}},
        {"thoughts": {"open": "<think>", "close": "</think>", "more": 1}},
        {"more": 1},
        {"type": "Execute"},
        {"type": ["Generate"]},
    ],
    ids=str,
)
def test_a_field_out_of_bounds_is_an_error(change):
    assert messages.decode_request(msgspec.msgpack.encode(GENERATE))
    with pytest.raises(LinkError):
        messages.decode_request(msgspec.msgpack.encode(GENERATE | change))


@pytest.mark.parametrize(
    "frame",
    [b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xffabc", b"\x91" * 100_000, b"\xc1", b""],
    ids=["array of 2^32", "map of 2^32", "text of 2^32", "100,000 arrays in one another", "never used", "nothing"],
)
def test_lengths_and_depths_that_are_not_there_are_errors(frame):
    with pytest.raises(LinkError):
        messages.decode_request(frame)


def test_neither_side_takes_what_the_other_says():
    with pytest.raises(LinkError):
        messages.decode_request(messages.encode(messages.Pong(1)))
    with pytest.raises(LinkError):
        messages.decode_event(messages.encode(messages.Ping(1)))


@pytest.mark.parametrize("kind", STATUS, ids=lambda kind: kind.__name__)
def test_every_error_comes_back_as_what_it_was(kind):
    failed = messages.decode_event(messages.encode(messages.failed(7, kind("what happened", "what to do"))))
    assert isinstance(failed, messages.Failed) and failed.id == 7
    error = messages.error_of(failed)
    assert type(error) is kind and (error.what, error.do) == ("what happened", "what to do")


def test_an_error_that_the_tree_does_not_name_travels_as_its_ancestor():
    class Special(ModelTruncated):
        pass

    assert type(messages.error_of(messages.failed(1, Special("cut")))) is ModelTruncated


def test_an_error_of_any_words_can_travel():
    failed = messages.failed(1, AccelError("no \udcff file", "x" * 10_000))
    found = messages.decode_event(messages.encode(failed))
    assert isinstance(found, messages.Failed) and found.what == "no ? file" and len(found.do) == 2000


def test_an_unknown_kind_of_error_is_no_message():
    frame = msgspec.msgpack.encode({"type": "Failed", "id": 0, "kind": "SystemExit", "what": "", "do": ""})
    with pytest.raises(LinkError):
        messages.decode_event(frame)
