"""Every byte is in one part of the footprint, in one tier."""

import random
import tracemalloc
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.runtime.costs import Costs
from accel.runtime.drafting.copying import Past
from accel.runtime.drafting.ngrams import Ngrams
from accel.runtime.drafting.recycling import Recycling
from accel.runtime.footprint import (
    CELLS,
    GPU,
    MEMORY,
    TEMPLATES,
    Placement,
    Speculation,
    copied,
    drafter_tables,
    footprint,
    is_on_gpu,
    of_worker,
    total,
)
from accel.units import Bytes

from .planning import MIB, a_model, models

COSTS = Costs(process=(Bytes(40 * MIB), Bytes(25 * MIB)), repacked={"Q4_0": 8})
placements = st.builds(
    Placement,
    context=st.integers(1, 50_000),
    sequences=st.integers(1, 8),
    kv_type=st.sampled_from(["f16", "q8_0"]),
    ubatch=st.sampled_from([128, 512]),
    outputs=st.integers(1, 64),
    repack=st.booleans(),
    gpu_layers=st.integers(0, 14),
    experts_in_memory=st.integers(0, 14),
)


def sizes(model, placement, costs=COSTS):
    return {part.what: part.size for part in footprint(model, placement, costs)}


@given(models, placements)
@settings(max_examples=80, deadline=None)
def test_every_weight_is_in_main_memory_or_on_the_gpu(model, placement):
    size = sizes(model, placement)
    on_gpu = sum(part.size for part in model.weights if is_on_gpu(part, model, placement))
    if placement.gpu_layers:
        assert size.get("weights", 0) + size.get("GPU weights", 0) == model.size
        assert size.get("GPU weights", 0) == on_gpu
    else:
        assert size["weights"] == sum(model.sizes) and on_gpu == 0


@given(models, placements)
@settings(max_examples=80, deadline=None)
def test_the_kv_cache_is_whole_and_in_whole_cells(model, placement):
    size = sizes(model, placement)
    whole = model.kv_bytes_per_position(placement.kv_type) * placement.cells
    assert size.get("KV cache", 0) + size.get("GPU KV cache", 0) == whole
    assert placement.cells % CELLS == 0 and 0 <= placement.cells - placement.context < CELLS


@given(models, placements, st.integers(1, 5000))
@settings(max_examples=80, deadline=None)
def test_more_context_more_outputs_and_repacking_never_take_less(model, placement, more):
    before = total(footprint(model, placement, COSTS))
    for larger in (
        replace(placement, context=placement.context + more),
        replace(placement, outputs=placement.outputs + 1),
        replace(placement, repack=True),
    ):
        after = total(footprint(model, larger, COSTS))
        assert all(after[tier] >= before[tier] for tier in before)


def test_only_what_the_processor_repacks_is_copied_and_a_tied_matrix_is_copied_as_output():
    model = a_model(format="Q4_0")
    placement = Placement(512, 1, "f16", 128, 8, repack=True)
    layers = sum(part.size for part in model.weights if part.format == "Q4_0" and part.layer >= 0)
    assert sizes(model, placement)["repacked weights"] == layers + model.bytes_of("output")
    assert "repacked weights" not in sizes(a_model(format="Q8_0"), placement)
    odd = replace(model, weights=tuple(replace(part, rows=4 if part.rows else 0) for part in model.weights))
    assert "repacked weights" not in sizes(odd, placement)
    tied = replace(model, weights=tuple(part for part in model.weights if part.role != "output"))
    assert sizes(tied, placement)["repacked weights"] == layers + model.bytes_of("embedding")


def test_kinds_tell_mapped_from_anonymous_and_unified_memory_has_one_tier():
    parts = footprint(a_model(), Placement(512, 1, "f16", 128, 8, repack=True, gpu_layers=3), COSTS)
    kinds = {part.what: part.kind for part in parts}
    assert (kinds["weights"], kinds["repacked weights"], kinds["GPU weights"]) == ("mapped", "anonymous", "device")
    assert set(total(parts)) == {MEMORY, GPU}
    unified = footprint(a_model(), Placement(512, 1, "f16", 128, 8, gpu_layers=3), COSTS, unified=True)
    assert set(total(unified)) == {MEMORY}


def test_recurrent_states_are_counted_for_every_sequence():
    model = replace(a_model(), recurrent=True, state=Bytes(MIB))
    one, four = (sizes(model, Placement(512, count, "f16", 128, 8))["KV cache"] for count in (1, 4))
    assert four - one == 3 * MIB


@given(models, placements)
@settings(max_examples=80, deadline=None)
def test_the_worker_and_the_process_for_templates_are_told_apart(model, placement):
    parts = footprint(model, placement, COSTS)
    templates = [part for part in parts if part.process == TEMPLATES]
    assert [part.kind for part in templates] == ["anonymous"]
    assert sum(of_worker(parts)) + templates[0].size == total(parts)[MEMORY]


def test_a_worker_has_room_for_what_it_grows_by_as_it_answers():
    base = Placement(4096, 1, "f16", 128, 8)
    dense, experts = a_model(), a_model(experts=64)
    rows = "rows for the kernels"
    assert sizes(dense, replace(base, ubatch=512))[rows] == 4 * sizes(dense, base)[rows] > 512 * dense.ff_width
    assert sizes(a_model(format="F16"), base)[rows] > sizes(dense, base)[rows] < sizes(experts, base)[rows]
    for part in ("cells of the KV cache", "text and tokens"):
        assert sizes(dense, replace(base, context=8192))[part] == 2 * sizes(dense, base)[part]
    assert sizes(a_model(vocabulary=2048), base)["choosing a token"] == 2 * sizes(dense, base)["choosing a token"]


def test_a_saved_sequence_takes_few_pages_however_long_it_is():
    short, long = (sizes(a_model(), Placement(context, 1, "f16", 128, 8)) for context in (256, 2**20))
    assert short["saved sequence"] == short["KV cache"]
    assert long["saved sequence"] < long["KV cache"] / 16


def test_drafts_grow_each_part_of_the_engine_under_a_name_of_its_own():
    model, plain = a_model(vocabulary=4096), Placement(4096, 4, "f16", 128, 4)
    drafting = plain.drafting(Speculation(31, leaves=8))
    before, after = sizes(model, plain), sizes(model, drafting)
    assert all(after[part] == before[part] for part in before)
    assert after["candidate logits"] == 31 * 4 * 4096
    assert after["candidate KV"] == CELLS * model.kv_bytes_per_position("f16") > 0
    assert after["compute buffer for drafts"] > 0 and after["draft tree branches"] == 48 * 4096 * 7
    assert drafting.plain == plain and (drafting.branches, drafting.outputs) == (28, 35)
    assert sizes(model, replace(plain, context=4096 - 31).drafting(Speculation(31)))["cells of the KV cache"] > 0
    assert "candidate KV" not in sizes(model, replace(plain, context=4096 - 31).drafting(Speculation(31)))


def test_a_draft_model_is_held_whole_beside_the_target():
    model, draft = a_model(format="Q8_0"), a_model(layers=1, width=256)
    beside = Placement(4096, 1, "f16", 128, 1, repack=True)
    costs = replace(COSTS, draft=replace(COSTS, vocabulary=Bytes(5 * MIB)))
    plain = Placement(4096, 1, "f16", 512, 1)
    held = sizes(model, plain.drafting(Speculation(7, draft=draft, placement=beside)), costs)
    alone = sizes(draft, beside)
    for part in ("weights", "repacked weights", "KV cache", "compute buffer", "logits", "rows for the kernels"):
        assert held[f"draft {part}"] == alone[part]
    assert held["draft vocabulary"] == 5 * MIB
    on_gpu = Speculation(7, draft=draft, placement=replace(beside, gpu_layers=2))
    parts = footprint(model, replace(plain, gpu_layers=5).drafting(on_gpu), costs)
    assert {part.tier for part in parts if part.what.startswith("draft GPU")} == {GPU}


@given(models, placements, st.integers(1, 31), st.sampled_from([1, 2, 8]))
@settings(max_examples=60, deadline=None)
def test_more_nodes_and_leaves_never_take_less_and_all_take_more_than_none(model, placement, nodes, leaves):
    placement = replace(placement, ubatch=512)
    drafting, more = (placement.drafting(Speculation(n, leaves)) for n in (nodes, nodes + 1))
    plain, some, larger = (total(footprint(model, each, COSTS)) for each in (placement, drafting, more))
    assert all(plain[tier] <= some[tier] <= larger[tier] for tier in plain) and plain[MEMORY] < some[MEMORY]


def held_by(make) -> tuple[int, int]:
    """(what stays, the peak) of memory that Python took."""
    tracemalloc.start()
    kept = make()
    now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept
    return now, peak


@pytest.mark.parametrize(("vocabulary", "leaves"), [(512, 1), (512, 2), (32000, 1), (32000, 8)])
def test_the_tables_of_drafters_take_what_was_planned_for_them(vocabulary, leaves, tmp_path):
    def tables():
        drafters = [Ngrams(vocabulary), Recycling(vocabulary, leaves)]
        for drafter in drafters:
            drafter.save(tmp_path, "0" * 32)
            assert drafter.load(tmp_path, "0" * 32)
        return drafters

    _, peak = held_by(tables)
    planned = drafter_tables(vocabulary, Placement(1, 1, "f16", 1, 1), leaves)
    assert 0.95 * planned < peak < 1.02 * planned


@pytest.mark.parametrize("tokens", [1000, 10_920, 10_930, 30_000])
def test_the_index_of_a_text_takes_no_more_than_was_planned_for_its_length(tokens):
    drawn = random.Random(0)
    text = [drawn.randrange(2**20, 2**21) for _ in range(tokens)]

    def index():
        past = Past()
        past.grow(text)
        return past

    _, peak = held_by(index)
    assert 0.6 * copied(tokens) < peak <= copied(tokens)
