"""An exact engine's predictions are kept for every token that counts, and what another's depart from them is told."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from accel.errors import Cancelled, EngineError
from accel.runtime.engines.base import LayerUse, Offloaded
from accel.runtime.engines.fake import VOCABULARY, FakeEngine, FakeOptions
from accel.runtime.fidelity import FEWEST, WARM, Exact, divergence, follow, log_softmax


class _Noisy(FakeEngine):
    """Its logits are off by as much as `noise` says; it counts rows as uses."""

    def __init__(self, noise: np.ndarray | float = 0.0, **options: Any) -> None:
        super().__init__(FakeOptions(**options))
        self._noise, self._rows = noise, 0

    def forward(self, batch, taps=(), stop=None) -> Any:
        rows = super().forward(batch, taps, stop)
        self._rows += len(batch)
        noise = self._noise

        class Rows:
            def row(self, i: int) -> np.ndarray:
                return (rows.row(i) + noise).astype(np.float32)

        return Rows()

    def offloaded(self) -> Offloaded:
        n = self._rows
        return Offloaded(layers=(LayerUse(0, n, 0, 0, 0, 0, 0, 0.0, 0.0, low=n // 2, needed=10 * n),) * 2)


Noisy: Any = _Noisy


@pytest.fixture
def exact(tmp_path):
    found = Exact(tmp_path, 150, VOCABULARY)
    yield found
    found.close()


@pytest.mark.parametrize("options", [{}, {"answer_length": 5}, {"context": 40}], ids=["long", "short", "narrow"])
def test_an_engine_departs_from_itself_in_nothing(exact, options):
    engine = Noisy(**options)
    exact.write(engine)
    assert len(exact) == 150 and engine.length(0) == 0
    found = follow(Noisy(**options), exact, 150)
    assert found.kl.max() < 1e-6 and np.abs(found.lost).max() < 1e-6 and found.same.all()
    assert sum(len(text.tokens) - 1 for text in exact.texts) == WARM + 150


def test_what_is_kept_is_what_was_predicted_before_each_token(exact):
    exact.write(Noisy())
    tokens = [token for text in exact.texts for token in text.tokens[1:]][WARM:]
    kept = [exact.log_probabilities[i, token] for i, token in enumerate(tokens)]
    assert kept == pytest.approx(exact.likelihoods, abs=1e-5)
    assert np.exp(exact.log_probabilities).sum(axis=1) == pytest.approx(np.ones(150), abs=1e-4)


def test_writing_is_faithful_a_token_comes_as_often_as_it_is_likely(tmp_path):
    exact = Exact(tmp_path, 2000, VOCABULARY)
    exact.write(Noisy())
    entropy = -np.mean([(np.exp(row) * row).sum() for row in exact.log_probabilities.astype(np.float64)])
    assert -np.mean(exact.likelihoods) == pytest.approx(entropy, abs=0.1)
    exact.close()


def test_the_loss_of_likelihood_is_what_the_divergence_lets_expect(tmp_path):
    exact = Exact(tmp_path, 3000, VOCABULARY)
    exact.write(Noisy())
    noise = np.random.default_rng(1).normal(0, 0.5, VOCABULARY)
    found = follow(Noisy(noise), exact, 3000)
    assert found.kl.mean() > 0.02 and not found.same.all()
    assert found.lost.mean() == pytest.approx(found.kl.mean(), abs=4 * found.lost.std() / 3000**0.5)
    assert found.kl.std() < found.lost.std() / 2  # which is why it decides
    exact.close()


def test_a_given_text_is_read_a_contexts_worth_at_a_time(exact):
    tokens = [65 + (7 * i) % 26 for i in range(320)]
    exact.read(Noisy(context=50), tokens)
    assert len(exact) == 150
    assert [*exact.texts[0].beginning, *exact.texts[0].tokens] == tokens[:50]
    assert follow(Noisy(context=50), exact, 150).kl.max() < 1e-6


def test_a_short_text_is_read_to_its_end(exact):
    exact.read(Noisy(), [65 + i % 26 for i in range(WARM + 12)])
    assert len(exact) == 10 and len(exact.used) == 10
    exact.read(Noisy(), [65])  # nothing follows
    assert len(exact) == 10


def test_uses_are_counted_since_the_first_token_that_counts_in_both_passes(exact):
    exact.write(Noisy(answer_length=9))
    found = follow(Noisy(answer_length=9), exact, 150)
    assert np.array_equal(found.used[:, 0], np.array(exact.used)[:, 0]) and found.used[0, 0] >= 2
    assert (found.used[:, 4] == 10 * found.used[:, 0]).all() and (found.used[:, 1] == 0).all()


def test_what_a_texts_beginning_uses_does_not_count(exact):
    exact.write(Noisy(answer_length=9))
    assert len(exact.texts) > 10
    wanted = 2 * np.arange(1, 151)  # one row for each token, in two layers
    assert np.array_equal(np.array(exact.used)[:, 0], wanted)
    assert np.array_equal(follow(Noisy(answer_length=9), exact, 150).used[:, 0], wanted)


def test_a_part_of_the_tokens_can_be_followed_and_no_more_than_there_are(exact):
    exact.write(Noisy())
    assert len(follow(Noisy(), exact, 30).kl) == 30
    with pytest.raises(EngineError, match="fewer tokens"):
        follow(Noisy(), exact, 151)


def test_where_there_is_no_time_few_tokens_do(exact):
    exact.write(Noisy(), seconds=0)
    assert len(exact) == FEWEST


def test_both_passes_can_be_stopped_and_leave_the_engine_empty(exact):
    engine = Noisy()
    with pytest.raises(Cancelled):
        exact.write(engine, progress=lambda done: done < 0.5)
    assert engine.length(0) == 0 and len(exact) == 75
    with pytest.raises(Cancelled):
        follow(engine, exact, 75, progress=lambda done: False)
    assert engine.length(0) == 0


def test_an_engine_that_computes_no_numbers_is_an_error(exact):
    with pytest.raises(EngineError, match="no number"):
        log_softmax(np.array([0.0, np.nan], np.float32))
    exact.write(Noisy())
    with pytest.raises(EngineError, match="no number"):
        follow(Noisy(np.nan), exact, 10)


def test_the_file_has_no_name_and_a_disk_without_room_is_said(tmp_path):
    exact = Exact(tmp_path, 10, VOCABULARY)
    assert not list(tmp_path.iterdir())
    exact.close()
    with pytest.raises(OSError, match=r"No space left|File too large"):
        Exact(tmp_path, 2**30, 2**13)
    assert not list(tmp_path.iterdir())


rows = arrays(np.float32, 20, elements=st.floats(-30, 30, width=32))


@given(rows, rows)
def test_a_divergence_is_none_or_more_and_none_from_itself(one, other):
    p, q = log_softmax(one), log_softmax(other)
    assert divergence(p, p) == pytest.approx(0, abs=1e-9)
    assert 0 <= divergence(p, q) <= 50.0


def test_what_the_exact_engine_rules_out_costs_nothing_and_what_the_other_does_is_bounded():
    sure, torn = log_softmax(np.array([0, -np.inf], np.float32)), log_softmax(np.array([0, 0], np.float32))
    assert divergence(sure, torn) == pytest.approx(np.log(2))
    assert divergence(torn, sure) == 50.0
