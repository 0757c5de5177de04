"""A worker whose model's experts do not all fit answers as one whose do, and tells how they are kept."""

import json
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from accel.devices.machine import Accelerator, Memory
from accel.devices.probe import probe
from accel.devices.resident import resident
from accel.errors import ModelChanged
from accel.offload.store import _library
from accel.runtime import bench
from accel.runtime.costs import usual_costs
from accel.runtime.demo import target
from accel.runtime.engines import llama_api as api
from accel.runtime.engines import open_engine
from accel.runtime.engines.base import Batch
from accel.runtime.engines.options import EngineOptions
from accel.runtime.footprint import MEMORY, of_worker, total
from accel.runtime.law import Law
from accel.runtime.messages import Finished, Started, Statistics, Text
from accel.runtime.model import ModelSpec
from accel.runtime.open import Opened
from accel.runtime.plan import Plan, cautions, engine_options, make_plan
from accel.runtime.search import Goal
from accel.runtime.settings import Settings
from accel.runtime.supervisor import Supervisor
from accel.units import Bytes, Rate

pytestmark = pytest.mark.skipif(_library() is None, reason="store.c is not compiled here")

PROMPT = "<|im_start|>user\nTell me a story about a fox.<|im_end|>\n<|im_start|>assistant\n"


def answer(options: EngineOptions) -> tuple[tuple[int, ...], Statistics]:
    with Supervisor("llamacpp", options) as worker:
        worker.wait()
        with worker.generate("here", (PROMPT,), Law(seed=4), most=80) as events:
            (done,) = (event for event in events if isinstance(event, Finished))
        return done.tokens, worker.statistics()


def small_plan(moves: bool = True) -> Plan:
    """For a machine that lacks a little of what the demo model takes, and has no GPU; `moves`: pages, if asked to."""
    model, goal, machine = ModelSpec.read(target()), Goal(context=512), replace(probe(), accelerators=())
    costs = usual_costs(machine)
    whole = make_plan(machine, model, goal, costs)
    assert isinstance(whole, Plan)
    for missing in range(64):
        free = Bytes(total(whole.memory)[MEMORY] - Bytes.from_mib(missing))
        plan = make_plan(replace(machine, memory=Memory(free, free), can_move_pages=moves), model, goal, costs)
        if isinstance(plan, Plan) and plan.choices["expert_memory"].value:
            return plan
    raise AssertionError("no memory is too little for all experts and enough for some")


def test_a_plan_for_too_little_memory_keeps_a_part_of_the_experts_and_says_so():
    plan = small_plan()
    assert 0 < int(plan.choices["expert_memory"].value) < plan.model.bytes_of("experts")
    assert any("experts fit" in caution and str(plan.decode) in caution for caution in cautions(plan))
    assert engine_options(plan).expert_memory == plan.choices["expert_memory"].value
    assert "a token waits for" in plan.choices["expert_memory"].reason


def test_the_answer_is_the_same_and_the_worker_tells_what_it_keeps():
    managed = replace(engine_options(small_plan()), threads=2, threads_prefill=2)
    plain = replace(managed, expert_memory=0)
    wanted, nothing = answer(plain)
    tokens, told = answer(managed)
    assert tokens == wanted
    assert nothing.pinned == 0 and not nothing.experts
    assert len(told.experts) == 3 and all(0 < layer.hits <= layer.uses for layer in told.experts)
    assert 0 < told.pinned <= of_worker(small_plan().memory)[2] and told.read > 0
    assert sum(layer.read for layer in told.experts) == told.read


def test_where_no_page_can_be_moved_the_answer_is_the_same_and_nothing_stays_in_place():
    plan = small_plan(moves=False)
    managed = replace(engine_options(plan), threads=2, threads_prefill=2)
    assert managed.through_cache and any("system's cache" in caution for caution in cautions(plan))
    wanted, _ = answer(replace(managed, expert_memory=0, through_cache=False))
    tokens, told = answer(managed)
    assert tokens == wanted
    anonymous, mapped, pinned = of_worker(plan.memory)
    assert told.anonymous <= anonymous and told.mapped <= mapped and told.pinned == pinned == 0
    assert len(told.experts) == 3 and all(0 < layer.hits <= layer.uses for layer in told.experts)
    assert sum(layer.read for layer in told.experts) == told.read > 0


def test_the_bench_tells_how_every_layer_went(capsys):
    plan = small_plan()
    with Supervisor("llamacpp", replace(engine_options(plan), threads=2, threads_prefill=2)) as worker:
        worker.wait()
        opened = Opened(plan, worker, Settings())
        result = bench.measure(opened)
        facts = bench._facts(opened, result)
        bench._print(opened, result)
    told: Any = facts["experts"]
    assert [layer["layer"] for layer in told["layers"]] == [layer["layer"] for layer in told["counts"]] == [0, 1, 2]
    # Whatever ends an answer, each token that was decoded used two experts of every layer.
    assert told["tokens"] >= result.answer and all(layer["uses"] == 2 * told["tokens"] for layer in told["counts"])
    for layer, counts in zip(told["layers"], told["counts"], strict=True):
        assert layer["hits"] == counts["hits"] / counts["uses"] and 0 < layer["hits"] <= 1
        assert layer["read"] == counts["read"] / told["tokens"] and layer["low"] == layer["skipped"] == 0
    assert told["all"]["read"] == pytest.approx(sum(layer["read"] for layer in told["layers"]))
    assert "use" not in json.loads(json.dumps(facts))["measured"]
    lines = capsys.readouterr().out.splitlines()
    first = next(number for number, line in enumerate(lines) if "in memory" in line)
    assert [line.split()[0] for line in lines[first + 1 :]] == ["0", "1", "2", "all"]
    assert all(word in lines[first] for word in ("late", "foreseen", "read for nothing", "read a token", "waited"))
    assert "low" not in lines[first] and "skipped" not in lines[first]


CHUNK = 32  # rows of a forward: a long prompt takes many
LONG = "<|im_start|>user\n" + "Tell me a story about a fox and a bear. " * 20 + "<|im_end|>\n<|im_start|>assistant\n"
# Prompts, and the event at which the answer is cancelled: in the middle of the prompt, or of the answer.
TALKS: list[tuple[str, type | None]] = [(PROMPT, None), (PROMPT, Text), (LONG, Started), (LONG, None), (LONG, Text)] * 4


def ask(worker: Supervisor, number: int, prompt: str, cancel_at: type | None) -> Finished:
    """A conversation of its own."""
    with worker.generate(f"number {number}", (prompt,), Law(seed=number), most=40) as events:
        for event in events:
            if cancel_at and isinstance(event, cancel_at):
                events.cancel()
            if isinstance(event, Finished):
                return event
    raise AssertionError("an answer did not end")


def experts_in_memory(pid: int) -> int:
    """Bytes of a process's slots for experts, as the system counts them."""
    sizes: dict[int, int] = {}  # by the number of the file, which Python opens twice
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            if "memfd:experts" in str(file.readlink()):
                sizes[file.stat().st_ino] = 512 * file.stat().st_blocks
    (size,) = sizes.values()
    return size


def test_a_worker_holds_its_plan_and_its_answers_through_twenty_conversations_some_of_them_cancelled():
    plan = small_plan()
    anonymous, _, pinned = of_worker(plan.memory)
    managed = replace(engine_options(plan), batch=CHUNK, ubatch=CHUNK, threads=1, threads_prefill=1)
    with Supervisor("llamacpp", replace(managed, expert_memory=0)) as worker:
        wanted = [ask(worker, number, prompt, None) for number, (prompt, _) in enumerate(TALKS)]
    cancelled = []
    with Supervisor("llamacpp", managed) as worker:
        worker.wait()
        pid = worker.pid
        assert pid
        for number, ((prompt, cancel_at), whole) in enumerate(zip(TALKS, wanted, strict=True)):
            found = ask(worker, number, prompt, cancel_at)
            if found.reason == "cancelled":
                assert cancel_at
                cancelled.append(len(found.tokens))
                assert found.tokens == whole.tokens[: len(found.tokens)]
            else:
                assert (found.tokens, found.reason) == (whole.tokens, whole.reason)
            told = worker.statistics()
            assert told.pinned <= pinned and told.anonymous <= anonymous
            assert 0 < experts_in_memory(pid) <= managed.expert_memory
        assert worker.pid == pid and told.read > 0
    assert cancelled.count(0) >= 2 and len(cancelled) > cancelled.count(0)  # in both stages
    assert not psutil.pid_exists(pid)


def test_a_model_that_is_written_to_ends_the_answer_and_the_next_worker_opens_it_as_it_is(tmp_path):
    path = tmp_path / "model.gguf"
    path.write_bytes(target().read_bytes())
    options = replace(engine_options(small_plan()), path=str(path), threads=1, threads_prefill=1)
    with Supervisor("llamacpp", options) as worker:
        wanted = ask(worker, 1, PROMPT, None)
        first = worker.pid
        os.utime(path)
        with pytest.raises(ModelChanged, match=r"changed while it was in use \(expert \d+ of layer \d"):
            for number in range(20):  # until an expert has to be read
                ask(worker, number, PROMPT, None)
        assert ask(worker, 1, PROMPT, None).tokens == wanted.tokens
        assert worker.pid != first


def plan_beside(card: int) -> Plan | None:
    """For a machine that lacks memory for most experts, and whose GPU has so many bytes free; None where it has no such
    plan that puts all else on the GPU."""
    model, goal = ModelSpec.read(target()), Goal(context=512)
    gpu = Accelerator("a GPU", "cuda", Bytes(card), Bytes(card), Rate(1e12))
    for missing in range(64):
        free = Bytes(Bytes.from_mib(328 - missing))
        machine = replace(probe(), memory=Memory(free, free), accelerators=(gpu,), can_move_pages=True)
        plan = make_plan(machine, model, goal, usual_costs(machine))
        if isinstance(plan, Plan) and plan.choices["expert_memory"].value:
            return plan if int(plan.choices["gpu_layers"].value) > model.layers else None
    return None


@pytest.mark.gpu
@pytest.mark.skipif(not api.offloads(), reason="llama.cpp finds no GPU here")
def test_beside_a_gpu_the_engine_holds_its_plan():
    plan = next(filter(None, (plan_beside(int(Bytes.from_mib(704)) + card) for card in range(0, 64 << 20, 1 << 20))))
    anonymous, _, pinned = of_worker(plan.memory)
    engine = open_engine("llamacpp", replace(engine_options(plan), threads=2, threads_prefill=2))
    before = resident()[0]
    rng = np.random.default_rng(2)
    for _ in range(20):
        engine.forward(Batch.chain(0, rng.integers(3, 1900, 20).tolist()))
        engine.commit(0, range(20))
    held = engine.offloaded()
    assert 0 < held.pinned <= pinned and resident()[0] - before < anonymous
    assert sum(layer.uses for layer in held.layers) > 0
    engine.close()
