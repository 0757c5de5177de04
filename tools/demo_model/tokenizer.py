"""The tokenizer of both models: byte-level BPE trained on the corpus, and conversations as weighted token ids."""

import json
from pathlib import Path
from random import Random

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from .corpus import conversation

VOCABULARY = 2048
END, START, STOP = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
# The pre-tokenizer of Qwen2: llama.cpp knows it as "qwen2", so both split alike.
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TEMPLATE = (
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
PROMPT_WEIGHT = 0.1
RESULT_WEIGHT = 2.5


def train(conversations: int = 30_000) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[END, START, STOP],
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    texts = (m["content"] for seed in range(conversations) for m in conversation(Random(-1 - seed)))
    tokenizer.train_from_iterator((f"{text}\n" for text in texts), trainer)
    return tokenizer


def save(tokenizer: Tokenizer, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": None,
        "eos_token": STOP,
        "pad_token": END,
        "add_bos_token": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": 1024,
        "added_tokens_decoder": {
            str(tokenizer.token_to_id(token)): {"content": token, "special": True} for token in (END, START, STOP)
        },
        "chat_template": TEMPLATE,
    }
    files = {"tokenizer.json": tokenizer.to_str(pretty=True), "tokenizer_config.json": json.dumps(config, indent=2)}
    for name, text in files.items():
        fresh = folder / (name + ".new")
        fresh.write_text(text)
        fresh.replace(folder / name)


def load(folder: Path) -> Tokenizer:
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def encode(tokenizer: Tokenizer, messages: list[dict[str, str]]) -> tuple[list[int], list[float]]:
    """Token ids of a conversation and the weight in the loss of predicting each: 1 in answers, little elsewhere."""
    equals = tokenizer.token_to_id("Ġ=")
    ids: list[int] = []
    weights: list[float] = []
    for message in messages:
        head = tokenizer.encode(f"{START}{message['role']}\n").ids
        body = tokenizer.encode(f"{message['content']}{STOP}").ids
        tail = tokenizer.encode("\n").ids
        ids += head + body + tail
        answer = message["role"] == "assistant"
        shares = [1.0 if answer else PROMPT_WEIGHT] * len(body)
        if answer and equals in body:
            # What comes after the equals sign is all that is hard about a sum.
            at = body.index(equals) + 1
            shares[at:] = [RESULT_WEIGHT] * len(shares[at:])
        weights += [0.02] * len(head) + shares + [0.02] * len(tail)
    return ids, weights
