"""Experts that lie in their files in another way than the demo model's are kept within a budget all the same, and the
logits are those of a plain engine bit for bit."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accel.offload.gguf_header import read_header
from accel.offload.store import _library
from accel.runtime.engines import open_engine
from accel.runtime.engines.base import Batch, Tap
from accel.runtime.engines.llama_experts import _gates
from accel.runtime.engines.llama_taps import _WEIGHTS

from . import expert_models as models
from .managed import MUCH, SHARES, Disturbance, closing, logits, open_managed, plain_options, shown

pytestmark = pytest.mark.skipif(_library() is None, reason="store.c is not compiled here")

TOKENS = np.random.default_rng(3).integers(3, models.VOCABULARY - 3, 100).tolist()
PROMPT = 40


@dataclass(frozen=True)
class Written:
    path: Path
    wanted: list[bytes]  # the logits of a plain engine


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, int], Written]:
    """A model by its name in `expert_models`, written and computed once."""
    known: dict[tuple[str, int], Written] = {}

    def get(name: str, files: int = 1) -> Written:
        if (name, files) not in known:
            path = models.write(tmp_path_factory.mktemp(name) / "model.gguf", getattr(models, name)(), files)
            known[name, files] = Written(path, closing(open_engine("llamacpp", plain_options(path)), TOKENS, PROMPT))
        return known[name, files]

    return get


MODELS = ["plain", "shared", "merged", "biased", "foretelling"]


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("files", [1, 4])
@pytest.mark.parametrize("name", MODELS)
def test_logits_are_the_same_at_every_budget_whatever_is_evicted(written, name, files, share):
    model = written(name, files)
    assert len(set(model.wanted)) == len(model.wanted)  # the model does compute
    engine = open_managed(plain_options(model.path), share)
    disturbance, residency = Disturbance(engine), engine.experts.residency
    found = logits(engine, TOKENS, PROMPT, disturbance)
    moved, held = shown(engine), residency.bytes_held
    engine.close()
    assert found == model.wanted
    assert moved > 0 and held <= residency.budget and disturbance.dropped > 20 and disturbance.wrong > 20


@pytest.mark.parametrize("name", MODELS)
def test_without_disturbance_experts_are_foreseen_and_logits_are_the_same(written, name):
    model = written(name)
    engine = open_managed(plain_options(model.path), 0.4)
    engine.experts._computing[:] = 1.0  # time enough to read whatever is foreseen
    found = logits(engine, TOKENS, PROMPT)
    counts = engine.experts.residency.counts
    engine.close()
    assert found == model.wanted and counts.expected.sum() > 0 and counts.fulfilled.sum() > 0


@pytest.mark.parametrize("name", MODELS)
def test_what_a_gate_says_of_its_own_input_is_what_its_layer_chooses(written, name):
    path = written(name).path
    engine: Any = open_engine("llamacpp", plain_options(path, taps=True))
    inputs: dict[int, np.ndarray] = {}
    choices: dict[int, np.ndarray] = {}

    def keep(into: dict[int, np.ndarray], layer: int, what: str) -> Tap:
        return Tap(layer, what, lambda value: into.__setitem__(layer, value.copy()))

    layout = layout_of(path)
    gates, numbers = _gates(read_header(path), layout), dict(enumerate(layout.layers))
    numbers = {place: layer for place, layer in numbers.items() if layer < engine.spec.layers}
    taps = [keep(inputs, layer, "gate_input") for layer in numbers.values()]
    taps += [keep(choices, layer, "experts") for layer in numbers.values()]
    engine.forward(Batch.chain(0, TOKENS[:PROMPT]), taps)
    engine.close()
    for place, layer in numbers.items():
        gate, rows = gates[place], len(choices[layer])  # of the last layer, those whose logits are wanted
        assert gate.norm is not None and (gate.bias is not None) == (name == "biased")
        assert (gate.favour is not None) == gate.sigmoid == (name == "foretelling")
        products = inputs[layer][-rows:] @ gate.weight.T
        order = gate.order(products if gate.bias is None else products + gate.bias)
        chosen = np.sort(np.argsort(-order)[:, : models.USED])
        assert rows and (chosen == np.sort(choices[layer])).mean() > 0.95  # some are as good as equal


def layout_of(path: Path):
    engine = open_managed(plain_options(path), 1.0)
    layout = engine.experts.store.layout
    engine.close()
    return layout


def test_experts_of_one_layer_lie_in_several_files(written):
    layout = layout_of(written("plain", 4).path)
    assert {tensor.file for tensors in layout.layers.values() for tensor in tensors} == {0, 1, 2, 3}
    assert any(len({tensor.file for tensor in tensors}) > 1 for tensors in layout.layers.values())


def test_formats_of_experts_are_mixed_and_slots_have_several_sizes(written):
    engine = open_managed(plain_options(written("plain").path), 0.4)
    assert {tensor.format for tensor in engine.experts.store.layout.layers[0]} == {"Q4_0", "Q6_K"}
    assert len(set(engine.experts.store.rooms)) > 1
    engine.close()


def test_gate_and_up_may_be_one_tensor_and_the_first_layer_dense(written):
    layout = layout_of(written("merged").path)
    assert list(layout.layers) == [1, 2]
    assert {tensor.name for tensor in layout.layers[1]} == {"ffn_gate_up_exps", "ffn_down_exps"}


def test_experts_that_every_token_uses_and_biases_stay_in_memory(written):
    for name in ("shared", "biased"):
        layout = layout_of(written(name).path)
        assert all(len(tensors) == 3 for tensors in layout.layers.values())


@pytest.mark.parametrize("files", [1, 4])
def test_what_the_engine_has_unmapped_is_left_alone(written, files, left_mapped):
    """Pages moved there would overwrite whatever the system has put in that place since."""
    options = plain_options(written("foretelling", files).path)
    engine = open_managed(options, 1.0)
    layout = engine.experts.store.layout
    logits(engine, TOKENS, PROMPT)
    assert list(layout.layers) == [1, 2]
    engine.close()
    assert not left_mapped()


@pytest.mark.parametrize("name", MODELS)
def test_closing_in_the_middle_of_reads_leaves_nothing_mapped(written, name, faults, left_mapped):
    faults.delay = 2_000_000
    engine = open_managed(plain_options(written(name).path), 1.0)
    engine.experts._computing[:] = 10.0
    engine.forward(Batch.chain(0, TOKENS[:8]))
    residency, experts = engine.experts.residency, engine.experts.store.layout.experts
    asked = residency.expect(1, np.arange(experts), experts)
    assert asked > 0
    engine.close()
    assert not left_mapped()


def test_two_engines_of_one_file_keep_to_their_own_mappings(written, left_mapped):
    model = written("plain")
    plain = open_engine("llamacpp", plain_options(model.path))
    one, two = (open_managed(plain_options(model.path), share) for share in (0.5, 0.25))
    places = [{piece.place for piece in engine.experts.store._pieces if piece.length} for engine in (one, two)]
    assert not places[0] & places[1]
    assert closing(one, TOKENS, PROMPT, Disturbance(one)) == model.wanted
    assert closing(two, TOKENS, PROMPT, Disturbance(two)) == model.wanted
    assert not left_mapped()
    assert closing(plain, TOKENS, PROMPT) == model.wanted


def test_a_budget_of_more_than_all_experts_reads_each_once(written):
    model = written("shared")
    engine = open_managed(plain_options(model.path), MUCH)
    found = logits(engine, TOKENS, PROMPT)
    layout, (_, reads, _) = engine.experts.store.layout, engine.experts.store.counts
    engine.close()
    assert found == model.wanted and reads <= len(layout.layers) * layout.experts


@pytest.mark.parametrize("name", MODELS)
def test_weights_are_told_only_where_they_are_scores_by_the_time_experts_are_chosen(written, name):
    """The one with biases makes them scores later: what is nothing among logits would count for much."""
    engine = open_managed(plain_options(written(name).path), 1.0)
    taps, told = engine._taps, []
    taps._before_at = _WEIGHTS
    before = taps._before_experts
    taps._before_experts = lambda layer, chosen: (told.append(deepcopy(chosen.weights)), before(layer, chosen))
    engine.forward(Batch.chain(0, TOKENS[:1]))
    engine.close()
    assert told and all((weights is None) == (name == "biased") for weights in told)
    assert all(weights.min() >= 0 and weights.max() <= 1 for weights in told if weights is not None)
