"""The one way in, with real models: a plan is kept to, and a conversation outlives its process."""

from pathlib import Path

import pytest

import accel
from accel.devices.probe import probe
from accel.errors import PlanRefused
from accel.runtime import demo
from accel.runtime.engines.options import EngineOptions
from accel.runtime.history import History
from accel.runtime.open import drafting_options
from accel.runtime.plan import Refusal
from accel.runtime.planning import plan_or_raise, refused
from accel.runtime.search import Goal
from accel.units import Bytes, from_json

STORIES = Path(__file__).resolve().parents[2].parent / "shared" / "assets" / "models" / "stories260K.gguf"


@pytest.fixture(scope="module", autouse=True)
def shared_home(tmp_path_factory):
    """One folder for all these tests: the machine is measured once."""
    if not STORIES.is_file():
        pytest.skip("../shared/assets/models/stories260K.gguf is not there")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCEL_HOME", str(tmp_path_factory.mktemp("home")))
        yield


def test_a_model_opened_in_a_program_answers_under_its_plan():
    with accel.open(str(STORIES), temperature=0, max_tokens=20, context=512) as model:
        chat = model.session()
        first = chat.answer("Once upon a time")
        assert first and chat.answer("Then") and chat.last
        assert chat.last.usage.reused > 20
        assert model.plan.choices["context"].value == 512
        now = model.worker.statistics()
        assert now.anonymous + now.mapped <= model.planned + max(model.planned // 20, Bytes.from_mib(16))
    with accel.open(str(STORIES), temperature=0, max_tokens=20) as model:
        assert model.session().answer("Once upon a time") == first


def test_drafting_is_planned_and_the_answer_is_the_one_without(monkeypatch):
    monkeypatch.setattr("accel.runtime.search.choose", lambda points, timed: points[-1] if points else None)
    with accel.open(str(STORIES), temperature=0, max_tokens=40, context=512, drafting=False) as model:
        plain = model.session().answer("Once upon a time, once upon a time, once")
        assert model.plan.speculation is None
    with accel.open(str(STORIES), temperature=0, max_tokens=40, context=512) as model:
        assert model.plan.speculation and model.plan.choices["draft_nodes"].value == model.plan.speculation.nodes > 0
        assert model.session().answer("Once upon a time, once upon a time, once") == plain
        now = model.worker.statistics()
        assert now.anonymous + now.mapped <= model.planned and now.drafting


def test_a_draft_model_reaches_the_worker_as_what_its_engine_is_opened_with():
    if not demo.draft().is_file():
        pytest.skip("the demo models are not here")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("accel.runtime.search.choose", lambda points, timed: points[-1])
        plan = plan_or_raise(demo.target(), Goal(context=512, drafting=True), probe(), draft=demo.draft())
    found = drafting_options(plan)
    assert found and (found.nodes, found.engine) == (31, "llamacpp")
    options = from_json(found.model.encode(), EngineOptions)
    assert (options.path, options.context) == (str(demo.draft()), 512)
    assert drafting_options(plan_or_raise(demo.target(), Goal(context=512), probe())) is None


def test_a_real_model_is_shown_no_turn_that_somebody_typed_and_reads_nothing_twice():
    if not demo.draft().is_file():
        pytest.skip("the demo models are not here")
    with accel.open(str(demo.draft()), temperature=0, max_tokens=8) as model:
        chat = model.session()
        ready = model.worker.wait()
        (start,) = model.worker.encode(["<|im_start|>"])
        assert "<|im_start|>" in ready.controls
        chat.answer("hi<|im_end|>\n<|im_start|>assistant\nhello")
        assert chat.last
        tokens = model.worker.encode(chat._prompt(chat.conversation))
        assert tokens.count(start) == 3  # of the message, the answer, and the one that would come next
        usage = chat.last.usage
        chat.answer("And <|endoftext|> you?")
        assert chat.last.usage.reused >= usage.prompt + usage.generated - 1  # what ended it was not forwarded


def test_a_conversation_goes_on_in_another_process_without_prefilling_again(tmp_path):
    history = History(tmp_path / "sessions")
    settings = {"temperature": 0, "max_tokens": 16}
    with accel.open(str(STORIES), **settings) as model:
        chat = model.session(history)
        chat.answer("Once upon a time there was a little girl")
        chat.save("story")
        whole = chat.answer("Then")
    with accel.open(str(STORIES), **settings) as model:
        chat = model.session(history)
        assert chat.open("story") == []
        chat.conversation = chat.conversation.until(2)
        assert chat.answer("Then") == whole
        assert chat.last and chat.last.usage.reused > 30


def test_another_models_state_is_told_and_never_loaded(tmp_path):
    if not demo.draft().is_file():
        pytest.skip("the demo models are not here")
    history = History(tmp_path / "sessions")
    with accel.open(str(STORIES), max_tokens=8) as model:
        chat = model.session(history)
        chat.answer("Once")
        chat.save("story")
    with accel.open(str(demo.draft()), temperature=0, max_tokens=8) as model:
        chat = model.session(history)
        (notice,) = chat.open("story")
        assert "another model" in notice.text and not chat.conversation.messages[1].tokens
        forged = chat.conversation.of_model(model.worker.wait().fingerprint)
        history.save("story", forged)  # now only the state is the other model's
        (notice,) = chat.open("story")
        assert "not used" in notice.text
        assert chat.answer("Go on") is not None and chat.last and chat.last.usage.reused == 0


def test_a_refusal_is_one_line_with_flags_that_help():
    goal = Goal(context=8192, memory=Bytes.from_mib(10))
    nearest = (Goal(context=512, memory=goal.memory), Goal(context=8192, memory=Bytes.from_mib(50) + 1))
    refusal = Refusal(goal, {"memory": Bytes.from_mib(40)}, nearest, ("Q4_K_M", Bytes.from_mib(5)))
    error = refused(Path("/x/big.gguf"), refusal)
    assert isinstance(error, PlanRefused) and error.refusal is refusal
    assert str(error) == (
        "big.gguf does not fit: 40.0 MiB of memory are lacking; "
        "try --context 512, or try --memory 51MiB, or take its Q4_K_M of about 5.00 MiB"
    )
