"""A residency over what really reads, be it that pages move or that they come through the system's cache: whatever is
used, expected, dropped or resized, the budget holds, what a layer uses is there, and every byte is the file's."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accel.errors import EngineError, ModelChanged, ModelUnreadable
from accel.offload.policy import make_policy
from accel.offload.quotas import least_budget
from accel.offload.residency import Residency
from accel.offload.store import PAGE, RESIDENT, Store, _library
from accel.offload.warmed import Warmed
from accel.units import Bytes

from .test_store import EXPERTS, Bench, make

USED = 2
moves = pytest.mark.skipif(_library() is None, reason="store.c is not compiled here")


@pytest.fixture(params=[pytest.param(Store, marks=moves), Warmed])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    bench = make(tmp_path / "model.gguf", (3 * PAGE - 96, 2 * PAGE + 32), 4000, request.param)
    yield bench
    bench.store.close()
    bench.mapping.close()


def residency(bench: Bench, budget: int) -> Residency:
    return Residency(bench.store, make_policy("lru", 2, EXPERTS), EXPERTS, USED, Bytes(budget), 1000)


def empty(store: Any) -> None:
    """Of what an example before left there, wherever it ended."""
    store.wait(np.flatnonzero(store.state).astype(np.int32))
    for number in np.flatnonzero(store.state).tolist():
        store.evict(number)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_budget_holds_what_is_used_is_there_and_every_byte_is_the_files(bench, data):
    store: Any = bench.store
    least, whole = int(least_budget(store.rooms, USED)), EXPERTS * sum(store.rooms)
    empty(store)
    held = residency(bench, data.draw(st.integers(least, whole)))
    some = st.lists(st.integers(0, EXPERTS - 1), min_size=1, max_size=EXPERTS, unique=True).map(np.array)
    for _ in range(data.draw(st.integers(1, 6))):
        what = data.draw(st.sampled_from(["token", "prompt", "resize", "drop"]))
        if what == "resize":
            held.resize(Bytes(data.draw(st.integers(least, whole))))
        elif what == "drop":
            held.drop(data.draw(st.integers(0, 1)), data.draw(st.integers(0, EXPERTS - 1)))
        else:
            for layer in (0, 1):
                experts = data.draw(some)[: USED if what == "token" else EXPERTS]
                assert held.use(layer, experts).all()
                there = store.state[layer * EXPERTS + experts] == RESIDENT
                assert there.all() or (what == "prompt" and held.counts.beside[layer])
                assert bench.all_seen()
                if not layer:
                    held.expect(1, data.draw(some), data.draw(st.integers(0, 4)), borrow=what == "prompt")
        assert held.bytes_held <= held.budget and bench.all_seen()


def test_an_expert_that_changed_stops_its_layer_and_the_books_agree(bench):
    held = residency(bench, EXPERTS * sum(bench.store.rooms))
    held.use(0, np.array([0, 1]))
    bench.path.touch()
    with pytest.raises((ModelChanged, ModelUnreadable), match="expert 3 of layer 1"):
        held.use(0, np.array([1, 3]))
    assert not held.held[3] and held.held[[0, 1]].all()


def test_a_budget_below_one_token_is_refused(bench):
    with pytest.raises(EngineError, match="at least"):
        residency(bench, int(least_budget(bench.store.rooms, USED)) - 1)
