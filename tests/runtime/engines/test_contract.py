"""What every engine promises, held against each of them."""

import io
import threading

import numpy as np
import pytest

from accel.errors import ContextFull, EngineError, StateError
from accel.runtime.engines.base import Batch, Engine, Stop, Stopped, Tap

TEXT = [5, 9, 33, 12, 7, 101, 44, 8, 19, 63, 27, 15]


def same(engine: Engine, got: np.ndarray, wanted: np.ndarray) -> bool:
    """Bit for bit where the engine says so, else within what adding in another order may do: a little, or more where
    a model of random weights has an activation that is a table with steps."""
    if engine.can.exact:
        return np.array_equal(got, wanted)
    return bool(np.abs(got - wanted).max() < (1e-2 if engine.spec.sliding_window else 1e-5))


def feed(engine: Engine, seq: int, tokens: list[int]) -> np.ndarray:
    """Commits tokens and gives a copy of the last one's logits."""
    logits = engine.forward(Batch.chain(seq, tokens)).row(len(tokens) - 1).copy()
    engine.commit(seq, range(len(tokens)))
    return logits


def tree(seq: int, tokens: list[int], parents: list[int]) -> Batch:
    return Batch(*(np.array(part, np.int32) for part in (tokens, [seq] * len(tokens), parents, [1] * len(tokens))))


def test_rows_at_once_give_what_single_rows_give(empty):
    at_once = empty.forward(Batch.chain(0, TEXT, wants="all"))
    together = [at_once.row(i).copy() for i in range(len(TEXT))]
    for token, logits in zip(TEXT, together, strict=True):
        assert same(empty, feed(empty, 1, [token]), logits)


def test_many_sequences_in_one_forward_do_not_see_each_other(empty):
    alone = [feed(empty, 0, tokens) for tokens in (TEXT[:5], TEXT[5:]) if empty.truncate(0, 0) is None]
    rows = [(1, t) for t in TEXT[:5]] + [(2, t) for t in TEXT[5:]]
    rows = [rows[i] for i in (0, 5, 1, 6, 7, 2, 3, 8, 9, 10, 4, 11)]  # interleaved
    counts = {1: 0, 2: 0}
    parents = []
    for seq, _ in rows:
        parents.append(counts[seq] - 1)
        counts[seq] += 1
    batch = Batch(
        np.array([t for _, t in rows], np.int32),
        np.array([s for s, _ in rows], np.int32),
        np.array(parents, np.int32),
        np.ones(len(rows), np.int32),
    )
    got = empty.forward(batch)
    assert same(empty, got.row(10), alone[0])
    assert same(empty, got.row(11), alone[1])


def test_every_branch_of_a_tree_sees_its_own_path_alone(empty):
    feed(empty, 0, TEXT)
    parents = [-1, 0, 0, 2, -1, 4, 2, 6]
    tokens = [3, 4, 5, 6, 7, 8, 9, 10]
    rows = empty.forward(tree(0, tokens, parents))
    grown = [rows.row(i).copy() for i in range(len(tokens))]
    for node in range(len(tokens)):
        path, at = [], node
        while at >= 0:
            path.insert(0, tokens[at])
            at = parents[at]
        empty.truncate(1, 0)
        assert same(empty, feed(empty, 1, TEXT + path), grown[node])


def test_a_tree_grows_over_several_calls(empty):
    feed(empty, 0, TEXT)
    empty.forward(tree(0, [3, 4], [-1, 0]))
    empty.forward(tree(0, [5, 6, 7], [0, 2, -1]))
    logits = empty.forward(tree(0, [8, 9], [3, 4])).row(0).copy()
    assert same(empty, feed(empty, 1, [*TEXT, 3, 5, 6, 8]), logits)


def test_commit_keeps_one_path_and_drops_the_rest(empty):
    feed(empty, 0, TEXT)
    empty.forward(tree(0, [3, 4, 5, 6, 7], [-1, 0, 0, 2, -1]))
    empty.commit(0, [0, 2, 3])
    assert empty.length(0) == len(TEXT) + 3
    assert same(empty, feed(empty, 0, [9]), feed(empty, 1, [*TEXT, 3, 5, 6, 9]))


def test_commit_of_nothing_drops_everything(empty):
    feed(empty, 0, TEXT)
    empty.forward(tree(0, [3, 4], [-1, -1]))
    empty.commit(0, [])
    assert empty.length(0) == len(TEXT)
    assert same(empty, feed(empty, 0, [9]), feed(empty, 1, [*TEXT, 9]))


@pytest.mark.parametrize("nodes", [[1], [0, 2], [0, 1, 1], [3], [-1], [1, 0]])
def test_commit_refuses_what_is_no_path_from_the_root(empty, nodes):
    feed(empty, 0, TEXT)
    empty.forward(tree(0, [3, 4, 5], [-1, 0, 1]))
    with pytest.raises(EngineError):
        empty.commit(0, nodes)
    empty.commit(0, [0, 1, 2])
    assert empty.length(0) == len(TEXT) + 3


def test_truncate_takes_committed_rows_back(empty):
    feed(empty, 0, TEXT)
    empty.truncate(0, 4)
    assert empty.length(0) == 4
    assert same(empty, feed(empty, 0, [9]), feed(empty, 1, [*TEXT[:4], 9]))
    with pytest.raises(EngineError):
        empty.truncate(0, 6)


def test_a_fork_goes_its_own_way_and_shares_its_prefix(empty):
    for seq in range(4):  # together more than the context, were the prefix not shared
        if seq:
            empty.fork(0, seq, 120)
        else:
            for _ in range(10):
                feed(empty, 0, TEXT)
    for seq in range(4):
        feed(empty, seq, [seq + 3] * 40)
    lengths = [empty.length(seq) for seq in range(4)]
    second = feed(empty, 1, [9])
    for seq in (0, 2, 3):
        empty.truncate(seq, 0)
    assert lengths == [160] * 4
    first = [*TEXT * 10, *[4] * 40, 9]
    for start in range(0, len(first), 60):
        logits = feed(empty, 4, first[start : start + 60])
    assert same(empty, logits, second)


def test_a_stopped_forward_leaves_nothing_behind(empty):
    feed(empty, 0, TEXT)
    stop = Stop()
    stop.set()
    for batch in (Batch.chain(0, TEXT), tree(0, [3, 4, 5], [-1, 0, 0])):
        with pytest.raises(Stopped):
            empty.forward(batch, stop=stop)
    assert same(empty, feed(empty, 0, [9]), feed(empty, 1, [*TEXT, 9]))


def test_a_stop_that_was_not_set_changes_nothing(empty):
    logits = empty.forward(Batch.chain(0, TEXT), stop=Stop()).row(len(TEXT) - 1).copy()
    assert same(empty, logits, feed(empty, 1, TEXT))


@pytest.mark.parametrize(
    "wrong",
    [
        tree(0, [3, 4], [-1, 5]),
        tree(0, [3, 4], [-1, -2]),
        tree(9, [3], [-1]),
        tree(-1, [3], [-1]),
        tree(0, [10**6], [-1]),
        tree(0, [-1], [-1]),
        tree(0, [], []),
        tree(0, [3] * 20, [-1] * 20),
        Batch.chain(0, [3] * 65),
        Batch.chain(0, [3] * 60, wants="all"),
    ],
    ids=[
        "forward-parent",
        "no-parent",
        "sequence",
        "negative",
        "token",
        "negative-token",
        "empty",
        "branches",
        "long",
        "outputs",
    ],
)
def test_a_batch_against_the_rules_is_refused_whole(empty, wrong):
    feed(empty, 0, TEXT)
    with pytest.raises(EngineError):
        empty.forward(wrong)
    assert same(empty, feed(empty, 0, [9]), feed(empty, 1, [*TEXT, 9]))


def test_a_full_context_says_so_and_keeps_what_it_has(empty):
    for _ in range(8):
        feed(empty, 0, [3] * 60)
    with pytest.raises(ContextFull):
        empty.forward(Batch.chain(0, [3] * 60))
    assert empty.length(0) == 480
    last = feed(empty, 0, [9] * 8)
    empty.truncate(0, 0)
    for _ in range(8):
        feed(empty, 0, [3] * 60)
    assert same(empty, feed(empty, 0, [9] * 8), last)


def test_a_saved_sequence_continues_exactly(empty):
    feed(empty, 0, TEXT)
    file = io.BytesIO()
    empty.save(0, file)
    wanted = feed(empty, 0, [9])
    empty.truncate(0, 0)  # so that the same cells are free: sums run over them in their order
    file.seek(0)
    empty.load(2, file)
    assert empty.length(2) == len(TEXT)
    assert np.array_equal(feed(empty, 2, [9]), wanted)


def test_a_state_for_which_there_is_no_room_is_not_taken(empty):
    for _ in range(5):
        feed(empty, 0, [3] * 60)
    file = io.BytesIO()
    empty.save(0, file)
    with pytest.raises(ContextFull):
        empty.load(1, io.BytesIO(file.getvalue()))
    assert empty.length(1) == 0
    empty.load(0, io.BytesIO(file.getvalue()))
    assert empty.length(0) == 300


def test_a_save_in_the_midst_of_a_draft_is_refused(empty):
    empty.forward(Batch.chain(0, TEXT))
    with pytest.raises(EngineError):
        empty.save(0, io.BytesIO())


def test_a_damaged_state_is_never_loaded(empty):
    feed(empty, 0, TEXT)
    file = io.BytesIO()
    empty.save(0, file)
    whole = file.getvalue()
    random = np.random.default_rng(1)
    for at in [*range(80), *random.integers(80, len(whole), 20).tolist()]:
        damaged = bytearray(whole)
        damaged[at] ^= 0x10
        with pytest.raises(StateError):
            empty.load(1, io.BytesIO(damaged))
        assert empty.length(1) == 0
    for cut in (0, 7, 60, len(whole) // 2, len(whole) - 1):
        with pytest.raises(StateError):
            empty.load(1, io.BytesIO(whole[:cut]))
    assert same(empty, feed(empty, 1, [9]), feed(empty, 2, [9]))


def test_rows_know_their_greatest_tokens(empty):
    rows = empty.forward(Batch.chain(0, TEXT, wants="all"))
    logits = np.stack([rows.row(i) for i in range(len(TEXT))])
    assert np.array_equal(rows.argmax(), logits.argmax(axis=1))
    values, tokens = rows.top(5)
    assert np.array_equal(tokens, np.argsort(-logits, axis=1, kind="stable")[:, :5])
    assert np.array_equal(values, np.take_along_axis(logits, tokens, axis=1))


def test_a_row_that_nobody_wanted_has_no_logits(empty):
    rows = empty.forward(Batch.chain(0, TEXT))
    for i in (0, -1, len(TEXT)):
        with pytest.raises(IndexError):
            rows.row(i)
    with pytest.raises(ValueError):
        rows.row(len(TEXT) - 1)[0] = 0
    empty.commit(0, [])
    assert empty.forward(Batch.chain(0, TEXT, wants="none")).argmax().shape == (0,)


def test_taps_see_what_flows_through_the_layers(empty):
    values: dict[tuple[int, str], np.ndarray] = {}
    taps = [
        Tap(layer, what, lambda value, key=(layer, what): values.update({key: value.copy()}))
        for layer in (0, 1)
        for what in sorted(empty.can.taps)
    ]
    tapped = empty.forward(Batch.chain(0, TEXT), taps).row(len(TEXT) - 1).copy()
    assert set(values) == {(tap.layer, tap.what) for tap in taps}
    for (_, what), value in values.items():
        if what == "experts":
            assert value.shape == (len(TEXT), empty.spec.experts_used) and value.dtype == np.int32
            assert all(len(set(row)) == len(row) for row in value.tolist())
            assert ((value >= 0) & (value < empty.spec.experts)).all()
        else:
            assert value.shape == (len(TEXT), empty.spec.width) and np.isfinite(value).all()
    assert same(empty, tapped, feed(empty, 1, TEXT))


def test_a_tap_that_raises_spoils_the_forward_and_nothing_else(empty):
    feed(empty, 0, TEXT)

    def broken(_: np.ndarray) -> None:
        raise ZeroDivisionError("in the tap")

    with pytest.raises(EngineError, match="in the tap"):
        empty.forward(Batch.chain(0, TEXT), [Tap(0, "layer_output", broken)])
    assert same(empty, feed(empty, 0, [9]), feed(empty, 1, [*TEXT, 9]))


def test_a_tap_on_what_is_not_there_is_refused(empty):
    for tap in (Tap(99, "layer_output", print), Tap(0, "thoughts", print)):
        with pytest.raises(EngineError):
            empty.forward(Batch.chain(0, TEXT), [tap])
    assert same(empty, feed(empty, 0, [9]), feed(empty, 1, [9]))


def test_sequences_that_are_not_there_are_refused(empty):
    for call in (empty.length, lambda seq: empty.truncate(seq, 0), lambda seq: empty.fork(0, seq, 0)):
        for seq in (-1, empty.can.sequences):
            with pytest.raises(EngineError):
                call(seq)


def test_text_goes_to_tokens_and_back(empty):
    words = empty.vocabulary
    tokens = words.encode("the sun, é 🙂", start=True)
    assert words.encode("the sun, é 🙂", start=True).count(tokens[0]) == 1
    assert b"".join(map(words.piece, tokens)).decode().strip() == "the sun, é 🙂"
    assert words.ends and all(words.piece(end) == b"" for end in words.ends)


def test_control_tokens_are_read_only_where_they_may_be(empty):
    words = empty.vocabulary
    end = words.encode("</s>")
    assert end[-1] in words.ends
    assert not set(words.encode("</s>", special=False)) & words.ends
    assert words.encode("<s>", start=True).count(words.encode("a", start=True)[0]) == 1


def test_it_can_be_called_from_a_thread_that_did_not_open_it(empty):
    result = []
    thread = threading.Thread(target=lambda: result.append(feed(empty, 0, TEXT)))
    thread.start()
    thread.join()
    assert same(empty, feed(empty, 1, TEXT), result[0])
