"""A checkpoint's tokenizer (byte-level BPE) as the keys of a GGUF.

What splits text into words before the merges follows from the rules in tokenizer.json itself, never from a name: they
are compared with the rules that llama.cpp has built in (llama.cpp's src/llama-vocab.cpp, by their names there).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ..errors import ConvertError
from .checkpoint import Config, parse_json, read_json, read_optional, read_text

NORMAL, CONTROL, USER_DEFINED, UNUSED = 1, 3, 4, 5  # token types, as ggml numbers them
MOST_TOKENS = 2**22
_AGAIN = "download the checkpoint again"
_REFUSED = "this tokenizer cannot be converted"


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What a GGUF says about its tokenizer."""

    tokens: list[str]
    types: list[int]
    merges: list[str]
    rules: str  # llama.cpp's name of the rules that split words
    ids: Mapping[str, int]  # of bos, eos, eot, eom, pad: those that there are
    add_bos: bool
    add_eos: bool
    chat_template: str


class Rules(NamedTuple):
    """What happens to text before merges: steps in tokenizer.json's words, and whether whole words skip the merges."""

    steps: tuple[str, ...]
    ignore_merges: bool = False


_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_ELISION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_WORDS = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_KNOWN: dict[Rules, str] = {
    Rules((_GPT2,)): "gpt-2",
    Rules(("digits", _GPT2)): "smollm",
    Rules((rf"{_ELISION}|{_WORDS}|\p{{N}}|{_REST}",)): "qwen2",
    Rules((rf"{_ELISION}|{_WORDS}|\p{{N}}{{1,3}}|{_REST}",), ignore_merges=True): "llama-bpe",
    Rules((rf"{_ELISION}|{_WORDS}|\p{{N}}{{1,3}}|{_REST}",)): "dbrx",
}


class _Added(msgspec.Struct):
    id: int
    content: str
    special: bool = False
    lstrip: bool = False
    rstrip: bool = False
    single_word: bool = False


class _Kind(msgspec.Struct):
    type: str


class _Bpe(msgspec.Struct):
    vocab: dict[str, int]
    merges: list[str | tuple[str, str]]
    dropout: float | None = None
    continuing_subword_prefix: str | None = None
    end_of_word_suffix: str | None = None
    byte_fallback: bool = False
    ignore_merges: bool = False


class _File(msgspec.Struct):
    """tokenizer.json."""

    model: msgspec.Raw
    added_tokens: list[_Added] = []
    normalizer: dict[str, Any] | None = None
    pre_tokenizer: dict[str, Any] | None = None
    post_processor: dict[str, Any] | None = None


def read_vocabulary(folder: Path, size: int, config: Config) -> Vocabulary:
    """The tokenizer of the checkpoint in `folder`, padded to `size` tokens. Raises ConvertError."""
    path = folder / "tokenizer.json"
    file = read_json(path, _File)
    kind = parse_json(path, file.model, _Kind).type
    if kind != "BPE":
        raise ConvertError(f"{path} is a tokenizer of the kind '{kind[:40]}'", "only byte-level BPE is converted here")
    bpe = parse_json(path, file.model, _Bpe)
    _check(path, file, bpe)
    about = read_optional(folder / "tokenizer_config.json")
    tokens, types = _tokens(path, bpe, file.added_tokens, size)
    ids = _special_ids(path, {text: number for number, text in enumerate(tokens)}, about, config, folder)
    add_bos, add_eos = _adds(file.post_processor, about, {name: tokens[number] for name, number in ids.items()})
    return Vocabulary(
        tokens,
        types,
        [_merge(path, pair) for pair in bpe.merges],
        rules(path, file.pre_tokenizer, bpe.ignore_merges),
        ids,
        add_bos,
        add_eos,
        _chat_template(folder, about),
    )


def rules(path: Path, pre_tokenizer: dict[str, Any] | None, ignore_merges: bool) -> str:
    """llama.cpp's name for the rules that tokenizer.json spells out. Raises ConvertError for unknown ones."""
    parts = [pre_tokenizer or {}]
    if parts[0].get("type") == "Sequence":
        parts = parts[0].get("pretokenizers") or [{}]
    found = Rules(tuple(step for part in parts for step in _steps(part)), ignore_merges)
    if found not in _KNOWN:
        raise ConvertError(f"{path} splits words by rules that the engine lacks: {pre_tokenizer!r:.600}", _REFUSED)
    return _KNOWN[found]


def _steps(part: dict[str, Any]) -> list[str]:
    """One part of a pre-tokenizer as steps; what is not understood becomes a step that nothing knows."""
    kind, pattern = part.get("type"), part.get("pattern")
    if kind == "ByteLevel" and not part.get("add_prefix_space", True):
        return [_GPT2] if part.get("use_regex", True) else []
    if kind == "Digits" and part.get("individual_digits"):
        return ["digits"]
    if kind == "Split" and isinstance(pattern, dict) and part.get("behavior") == "Isolated" and not part.get("invert"):
        return [str(pattern.get("Regex"))]
    return [f"unknown: {part!r}"]


def _check(path: Path, file: _File, bpe: _Bpe) -> None:
    if file.normalizer not in (None, {"type": "NFC"}):  # NFC leaves nearly every text as it is
        raise ConvertError(f"{path} rewrites text by {file.normalizer!r:.200} before it splits it", _REFUSED)
    if bpe.dropout or bpe.continuing_subword_prefix or bpe.end_of_word_suffix or bpe.byte_fallback:
        raise ConvertError(f"{path} is no byte-level BPE", _REFUSED)
    for token in file.added_tokens:
        if token.lstrip or token.rstrip or token.single_word:
            raise ConvertError(f"{path}: its token {token.content[:40]!r} takes the spaces around it along", _REFUSED)


def _tokens(path: Path, bpe: _Bpe, added: list[_Added], size: int) -> tuple[list[str], list[int]]:
    texts = {number: text for text, number in bpe.vocab.items()}
    types = dict.fromkeys(texts, NORMAL)
    if len(texts) != len(bpe.vocab):
        raise ConvertError(f"{path} gives two tokens one id", _AGAIN)
    for token in added:
        if texts.setdefault(token.id, token.content) != token.content:
            raise ConvertError(f"{path} gives two tokens the id {token.id}", _AGAIN)
        types[token.id] = CONTROL if token.special else USER_DEFINED
    if not texts or min(texts) < 0 or max(texts) >= size or size > MOST_TOKENS:
        raise ConvertError(f"{path} holds ids outside the {size} of config.json", _AGAIN)
    tokens = [texts.get(number, f"[PAD{number}]") for number in range(size)]
    if len(set(tokens)) != size:
        raise ConvertError(f"{path} holds a token twice", _AGAIN)
    return tokens, [types.get(number, UNUSED) for number in range(size)]


def _merge(path: Path, pair: str | tuple[str, str]) -> str:
    merge = pair if isinstance(pair, str) else " ".join(pair)
    if merge.count(" ") != 1:
        raise ConvertError(f"{path} holds a merge that is not of two parts: {merge!r:.80}", _AGAIN)
    return merge


def _special_ids(path: Path, numbers: dict[str, int], about: Config, config: Config, folder: Path) -> dict[str, int]:
    """Ids by name. The checkpoint may end a text by several tokens: GGUF has three names for those."""
    generation = read_optional(folder / "generation_config.json")
    named = {name: _id(path, numbers, about.values.get(f"{name}_token")) for name in ("bos", "eos", "pad")}
    bos = named["bos"] if named["bos"] is not None else config.values.get("bos_token_id")
    ends = [] if named["eos"] is None else [named["eos"]]
    for source in (config, generation):
        listed = source.values.get("eos_token_id")
        ends += listed if isinstance(listed, list) else [listed]
    ends = list(dict.fromkeys(end for end in ends if end is not None))
    if len(ends) > 3:
        raise ConvertError(f"{folder} ends texts by {len(ends)} tokens, and a GGUF can name three", _REFUSED)
    ids = {"bos": bos, "pad": named["pad"], **dict(zip(("eos", "eot", "eom"), ends, strict=False))}
    for name, number in ids.items():
        if number is not None and (type(number) is not int or not 0 <= number < len(numbers)):
            raise ConvertError(f"{folder} claims {number!r:.80} as the id of its {name} token", _AGAIN)
    return {name: number for name, number in ids.items() if number is not None}


def _id(path: Path, numbers: dict[str, int], token: Any) -> int | None:
    text = token.get("content") if isinstance(token, dict) else token
    if text is None:
        return None
    if text not in numbers:
        raise ConvertError(f"{path} lacks the token {text!r:.80} that tokenizer_config.json names", _AGAIN)
    return numbers[text]


def _adds(post_processor: dict[str, Any] | None, about: Config, texts: dict[str, str]) -> tuple[bool, bool]:
    """Whether a text gets a BOS before it and an EOS after it."""
    parts = [post_processor or {}]
    if parts[0].get("type") == "Sequence":
        parts = parts[0].get("processors") or [{}]
    single = [step for part in parts if part.get("type") == "TemplateProcessing" for step in part.get("single") or [{}]]
    ends = [str(single[index].get("SpecialToken", {}).get("id")) if single else None for index in (0, -1)]
    bos = about.values.get("add_bos_token", ends[0] is not None and ends[0] == texts.get("bos"))
    eos = about.values.get("add_eos_token", ends[1] is not None and ends[1] == texts.get("eos"))
    return bos is True, eos is True


def _chat_template(folder: Path, about: Config) -> str:
    """The template that is meant where no other is named; empty where there is none."""
    alone = folder / "chat_template.jinja"
    if alone.exists():
        return read_text(alone)
    template = about.values.get("chat_template")
    if isinstance(template, list):
        named = {each.get("name"): each.get("template") for each in template if isinstance(each, dict)}
        template = named.get("default")
    return template if isinstance(template, str) else ""
