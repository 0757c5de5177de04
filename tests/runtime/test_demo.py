"""The models in the package: their shape, their size, and that they answer."""

import pytest
from gguf import GGUFReader

from accel.runtime import demo

PAGE = 4096
TARGET, DRAFT = GGUFReader(demo.target()), GGUFReader(demo.draft())


def field(reader: GGUFReader, key: str):
    return reader.fields[key].contents()


def test_together_they_are_small_enough_for_the_package():
    assert demo.target().stat().st_size + demo.draft().stat().st_size <= 14_000_000


@pytest.mark.parametrize("reader", [TARGET, DRAFT], ids=["target", "draft"])
def test_they_say_what_they_are_and_under_which_licence(reader):
    assert str(field(reader, "general.name")).startswith("accel demo")
    assert field(reader, "general.license") == "Apache-2.0"
    assert "accel" in str(field(reader, "general.description"))


@pytest.mark.parametrize(
    "key", ["tokenizer.ggml.tokens", "tokenizer.ggml.merges", "tokenizer.ggml.eos_token_id", "tokenizer.chat_template"]
)
def test_the_draft_has_the_tokenizer_of_the_target(key):
    assert field(TARGET, key) == field(DRAFT, key)


def test_the_target_is_a_mixture_of_enough_experts():
    assert field(TARGET, "general.architecture") == "qwen3moe"
    assert field(TARGET, "qwen3moe.expert_count") >= 16
    assert field(TARGET, "qwen3moe.expert_used_count") == 2


def test_every_expert_slice_fills_whole_pages_sixteen_at_least():
    experts = [tensor for tensor in TARGET.tensors if "_exps" in tensor.name]
    assert len(experts) == 3 * field(TARGET, "qwen3moe.block_count")
    for tensor in experts:
        slice_bytes = tensor.n_bytes // int(tensor.shape[-1])
        assert slice_bytes % PAGE == 0
        assert slice_bytes >= 16 * PAGE


@pytest.mark.parametrize("reader", [TARGET, DRAFT], ids=["target", "draft"])
def test_every_row_of_a_matrix_is_a_multiple_of_256_values(reader):
    assert all(int(tensor.shape[0]) % 256 == 0 for tensor in reader.tensors if len(tensor.shape) > 1)


def test_the_target_holds_a_conversation_of_two_turns():
    from llama_cpp import Llama

    llama = Llama(str(demo.target()), n_ctx=512, n_threads=2, verbose=False)
    messages: list = [{"role": "user", "content": "Hello, my name is Clara."}]
    answers = []
    for question in ("What is my name?", None):
        reply = llama.create_chat_completion(messages, temperature=0.0, max_tokens=40)
        answers.append(reply["choices"][0]["message"]["content"])  # type: ignore[index]
        messages += [{"role": "assistant", "content": answers[-1]}, {"role": "user", "content": question}]
    assert "Clara" in answers[1]
