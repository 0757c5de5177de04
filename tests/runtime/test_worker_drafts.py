"""A worker that drafts, with a second engine in its process too, writes what others do, and says what it did."""

import json
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from accel.runtime import demo, messages
from accel.runtime.drafting import make
from accel.runtime.drafting.forced import teacher_forced
from accel.runtime.drafting.options import DraftingOptions
from accel.runtime.engine_thread import EngineThread
from accel.runtime.engines import open_engine
from accel.runtime.engines.base import Batch, Engine
from accel.runtime.engines.fake import FakeOptions
from accel.runtime.engines.options import EngineOptions
from accel.runtime.law import Law
from accel.runtime.messages import DrafterUse, Drafting, Finished, Statistics, Text
from accel.runtime.opening import Opening
from accel.runtime.outbox import Outbox
from accel.runtime.sampling import Sampler
from accel.runtime.stream import Ticket
from accel.runtime.supervisor import Supervisor

STORIES = Path(__file__).resolve().parents[3] / "shared" / "assets" / "models" / "stories260K.gguf"
ROUNDS = 20
EPSILON = 0.5  # of the logits' deviation
FLIPS = 0.01  # of the tokens
FLAT: dict[str, Any] = {"rows": (1, 32), "seconds": (0.001, 0.0011)}
CHATS = [
    f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
    for question in ("What is the capital of France?", "Count from one to twenty.", "Who are you?")
]
TALES = ["Once upon a time", "Lily and Tom went to the park", "The dog was happy"]
SAID = "the quick brown fox jumps over the lazy dog and is not seen again by anybody"
SCRIPT = (("go", SAID),)


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "sockets").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "sockets"))
    yield


def llama(path: Path, **more: Any) -> EngineOptions:
    sizes = {"context": 1024, "sequences": 3, "branches": 6, "batch": 128, "ubatch": 128, "outputs": 64}
    return EngineOptions(str(path), **{**sizes, **more})


def fake(**more: Any) -> FakeOptions:
    return FakeOptions(**{"context": 2000, "script": SCRIPT, **more})


def drafting(model: Any = None, **more: Any) -> DraftingOptions:
    name = "llamacpp" if isinstance(model, EngineOptions) else "fake" if model else ""
    return DraftingOptions(engine=name, model=json.dumps(asdict(model)) if model else "", **{**FLAT, **more})


def law_of(temperature: float) -> Law:
    return Law(temperature=temperature, top_k=20, seed=5)


def written(supervisor: Supervisor, prompts: list[str], temperature: float = 0.0) -> list[tuple[int, ...]]:
    """All at once, and then once more: what drafters learned is there then."""
    law, found = law_of(temperature), []
    for turn in range(2):
        answers = [supervisor.generate(f"{turn} {n}", [prompt], law, most=40) for n, prompt in enumerate(prompts)]
        found += [step.tokens for answer in answers for step in answer if isinstance(step, Finished)]
    return found


def check(engine: Engine, prompts: list[str], texts: list[tuple[int, ...]], temperature: float) -> None:
    """Every token is the target's own, as exactly as its arithmetic goes: see `forced.py`."""
    assert len(texts) == 2 * len(prompts) and all(texts)
    gaps: list[float] = []
    for prompt, text in zip(2 * prompts, texts, strict=True):
        begun = engine.vocabulary.encode(prompt, special=True, start=True)
        sampler = Sampler(law_of(temperature), engine.vocabulary.size)
        found = teacher_forced(engine, 0, [*begun, *text], len(begun), sampler)
        deviation = float(engine.forward(Batch.chain(0, text[-1:])).row(0).std())
        gaps += [gap / deviation for gap in found.gaps]
    assert len(gaps) <= max(1, FLIPS * sum(map(len, texts))) and max(gaps, default=0) < EPSILON


def model_of(statistics: Statistics) -> DrafterUse:
    return next(use for use in statistics.drafters if use.name == make.MODEL)


@pytest.mark.parametrize(
    ("target", "draft", "prompts", "more"),
    [
        (demo.target(), demo.draft(), CHATS, {}),
        (demo.target(), demo.draft(), CHATS, {"expert_memory": 6 << 20, "taps": True}),
        (STORIES, STORIES, TALES, {}),
        (demo.target(), STORIES, CHATS, {}),
        (STORIES, demo.draft(), TALES, {}),
    ],
    ids=["pair", "pair with experts in memory", "same", "other tokens", "other tokens too"],
)
def test_with_a_second_model_in_its_process_a_worker_writes_the_same(target, draft, prompts, more):
    if not STORIES.is_file() and STORIES in (target, draft):
        pytest.skip(f"{STORIES} is not here")
    alone = open_engine("llamacpp", llama(target, **more))
    for leaves in (1, 3):
        with Supervisor("llamacpp", llama(target, **more), drafting(llama(draft), leaves=leaves)) as supervisor:
            for _ in range(ROUNDS):  # what seems dear beside tokens this quick is tried after a while
                for temperature in (0.0, 0.8):
                    check(alone, prompts, written(supervisor, prompts, temperature), temperature)
                now = supervisor.statistics()
                if now.drafted:
                    break
        assert model_of(now).asked and not model_of(now).trouble and now.drafted
    alone.close()


def test_two_models_at_once_write_the_same_beside_one_another():
    """As on two devices: this engine was built without a GPU, and takes no notice of layers for it."""
    engine = llama(demo.target())
    alone = open_engine("llamacpp", engine)
    with Supervisor("llamacpp", engine, drafting(llama(demo.draft(), gpu_layers=99), leaves=3)) as supervisor:
        check(alone, CHATS, written(supervisor, CHATS, 0.8), 0.8)
        assert model_of(supervisor.statistics()).asked
    alone.close()


def test_what_was_drafted_and_by_whom_is_in_the_statistics_and_the_answer():
    with Supervisor("fake", fake(seconds_per_forward=0.01), drafting(fake())) as supervisor:
        steps = list(supervisor.generate("c", ["go"], Law(temperature=0)))
        now = supervisor.statistics()
    assert "".join(step.text for step in steps if isinstance(step, Text)) == SAID
    told = [step.why for step in steps if isinstance(step, Drafting)]
    assert told and "accepted" in told[0]
    assert [use.name for use in now.drafters] == ["copying", "ngrams", "recycling", make.MODEL]
    assert sum(use.drafted for use in now.drafters) == now.drafted >= now.stood == sum(u.stood for u in now.drafters)
    assert model_of(now).stood > 20 and model_of(now).seconds > 0
    assert now.forwards < len(SAID) / 2 and now.drafting


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (drafting(fake(rollback=False)), "cannot draft"),
        (drafting(llama(Path("/nowhere.gguf"))), "nowhere.gguf"),
        (drafting(fake(context=3)), "too few"),
    ],
    ids=["cannot", "not there", "no room"],
)
def test_a_draft_model_that_is_of_no_use_costs_no_answer_and_the_reason_is_told(options, word):
    with Supervisor("fake", fake(), options) as supervisor:
        for conversation in "abcdef":
            steps = supervisor.generate(conversation, ["go"], Law(temperature=0))
            assert "".join(step.text for step in steps if isinstance(step, Text)) == SAID
        now = supervisor.statistics()
    assert word in model_of(now).trouble and word in now.drafting


@pytest.mark.parametrize(("options", "word"), [(fake(rollback=False), "taken back"), (fake(outputs=1), "1 row")])
def test_a_model_that_cannot_be_drafted_for_is_answered_for_and_the_reason_is_told(options, word):
    with Supervisor("fake", options, drafting(fake())) as supervisor:
        steps = supervisor.generate("c", ["go"], Law(temperature=0))
        assert "".join(step.text for step in steps if isinstance(step, Text)) == SAID
        now = supervisor.statistics()
    assert word in now.drafting and now.drafters == () and now.drafted == 0


def test_a_worker_that_was_killed_while_it_drafts_is_replaced_by_one_that_does():
    with Supervisor("fake", fake(seconds_per_forward=0.02), drafting(fake())) as supervisor:
        answer = supervisor.generate("c", ["go"], Law(temperature=0))
        for step in answer:
            if isinstance(step, Text):
                break
        first = supervisor.pid
        assert first
        psutil.Process(first).send_signal(signal.SIGKILL)
        with pytest.raises(Exception, match="worker"):
            list(answer)
        steps = list(supervisor.generate("c", ["go"], Law(temperature=0)))
        assert supervisor.pid != first
        assert "".join(step.text for step in steps if isinstance(step, Text)) == SAID
        assert model_of(supervisor.statistics()).asked


class Serving:
    """An engine's thread in this process."""

    def __init__(self, options: DraftingOptions, **engine: Any) -> None:
        raw = msgspec.Raw(msgspec.json.encode(asdict(fake(**engine))))
        self.said: list[Any] = []
        self.outbox = Outbox(lambda: None)
        self.thread = EngineThread(Opening("fake", raw, "", "", options), self.outbox)
        self._running = threading.Thread(target=self.thread.run)
        self._running.start()

    def hear(self, kind: type, id: int) -> Any:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            self.said += self.outbox.take()
            for each in self.said:
                if isinstance(each, kind) and getattr(each, "id", 0) == id:
                    return each
            time.sleep(0.005)
        raise TimeoutError(kind.__name__)

    def end(self) -> None:
        self.thread.end()
        self._running.join(20)
        assert not self._running.is_alive()


def generate(id: int, prompt: str = "go") -> Ticket:
    return Ticket(messages.Generate(id, f"c{id}", (prompt,), Law(temperature=0)))


def test_what_was_learned_is_kept_while_nothing_is_asked_and_only_once(tmp_path, monkeypatch):
    monkeypatch.setattr(make, "_PAUSE", 0.05)
    saved: list[int] = []
    save = make.Kept.save
    monkeypatch.setattr(make.Kept, "save", lambda kept: (saved.append(kept.conductor.heard), save(kept))[1])
    serving = Serving(drafting(fake(), folder=str(tmp_path / "kept")))
    serving.thread.ask(generate(1))
    serving.hear(Finished, 1)
    until = time.monotonic() + 20
    while len(list(tmp_path.glob("kept/*.kept"))) < 3 and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(0.3)
    assert len(saved) == 1  # nothing was learned since
    serving.thread.ask(generate(2))
    serving.hear(Finished, 2)
    while len(saved) < 2 and time.monotonic() < until:
        time.sleep(0.01)
    assert saved[1] > saved[0]
    serving.end()


def test_times_that_a_worker_measures_are_what_drafting_goes_by():
    serving = Serving(drafting(rows=(), seconds=()))
    serving.hear(messages.Ready, 0)
    drafts = serving.thread._drafts
    assert drafts and drafts.conductor.controller.costs.times is None
    serving.thread.ask(generate(1))
    serving.thread.ask(messages.Measure(2, 0.05))
    measured = serving.hear(messages.Measured, 2)
    times = drafts.conductor.controller.costs.times
    assert times and (times.rows, times.seconds) == (measured.rows, measured.seconds)
    serving.hear(Finished, 1)
    serving.end()


def test_the_draft_model_is_closed_with_the_worker(monkeypatch):
    closed: list[str] = []
    monkeypatch.setattr("accel.runtime.engines.fake.FakeEngine.close", lambda engine: closed.append("engine"))
    serving = Serving(drafting(fake()))
    serving.thread.ask(generate(1))
    serving.hear(Finished, 1)
    serving.end()
    assert closed == ["engine"]


def test_a_worker_told_to_end_while_it_loads_its_draft_model_ends():
    serving = Serving(drafting(fake(seconds_to_open=30.0)))
    time.sleep(0.3)
    serving.end()
