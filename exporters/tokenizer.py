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
from .checkpoint import MOST_LIST, Config, parse_json, read_json, read_optional, read_text

NORMAL, CONTROL, USER_DEFINED, UNUSED = 1, 3, 4, 5  # token types, as ggml numbers them
MOST_TOKENS = 2**20
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


DIGITS = "each digit alone"
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_ELISION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_WORDS = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_MARKED_WORDS = r"[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+"
_SIGNS = r" ?[^\s\p{L}\p{N}]+[\r\n]*"
_UNMARKED_SIGNS = r" ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
KNOWN: dict[Rules, str] = {  # those for which llama.cpp splits every text as tokenizer.json says
    Rules((_GPT2,)): "gpt-2",
    Rules((DIGITS, _GPT2)): "smollm",
    Rules((rf"{_ELISION}|{_WORDS}|\p{{N}}|{_SIGNS}|{_SPACES}",)): "qwen2",
    Rules((rf"{_ELISION}|{_MARKED_WORDS}|\p{{N}}|{_UNMARKED_SIGNS}|{_SPACES}",)): "qwen35",
    Rules((rf"{_ELISION}|{_WORDS}|\p{{N}}{{1,3}}|{_SIGNS}|{_SPACES}",), ignore_merges=True): "llama-bpe",
    Rules((rf"{_ELISION}|{_WORDS}|\p{{N}}{{1,3}}|{_SIGNS}|{_SPACES}",)): "dbrx",
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


class _Splitter(msgspec.Struct):
    """A pre-tokenizer; which fields mean something follows from its type."""

    type: str
    pretokenizers: list["_Splitter"] = []
    pattern: dict[str, str] = {}
    behavior: str = ""
    invert: bool = False
    add_prefix_space: bool = True
    use_regex: bool = True
    individual_digits: bool = False


class _Slot(msgspec.Struct):
    id: str


class _Processor(msgspec.Struct):
    """A post-processor."""

    type: str
    processors: list["_Processor"] = []
    single: list[dict[str, _Slot]] = []


class _File(msgspec.Struct):
    """tokenizer.json."""

    model: msgspec.Raw
    added_tokens: list[_Added] = []
    normalizer: _Kind | None = None
    pre_tokenizer: _Splitter | None = None
    post_processor: _Processor | None = None


def read_vocabulary(folder: Path, size: int, config: Config) -> Vocabulary:
    """The tokenizer of the checkpoint in `folder`, padded to `size` tokens. Raises ConvertError.

    Text that is not in Unicode's form NFC becomes other tokens than with a tokenizer that brings it there: a GGUF
    cannot ask for that.
    """
    path = folder / "tokenizer.json"
    file = read_json(path, _File, MOST_LIST)
    kind = parse_json(path, file.model, _Kind).type
    if kind != "BPE":
        raise ConvertError(f"{path} is a tokenizer of the kind '{kind[:40]}'", "only byte-level BPE is converted here")
    bpe = parse_json(path, file.model, _Bpe)
    _check(path, file, bpe)
    about = read_optional(folder / "tokenizer_config.json")
    tokens, types = _tokens(path, bpe, file.added_tokens, size)
    ids = _special_ids(path, {text: number for number, text in enumerate(tokens)}, about, config, folder)
    add_bos, add_eos = _adds(path, file, about, {name: tokens[number] for name, number in ids.items()})
    return Vocabulary(
        tokens,
        types,
        [_merge(path, pair) for pair in bpe.merges],
        _rules(path, file.pre_tokenizer, bpe.ignore_merges),
        ids,
        add_bos,
        add_eos,
        _chat_template(folder, about),
    )


def _rules(path: Path, splitter: _Splitter | None, ignore_merges: bool) -> str:
    parts = [splitter] if splitter else []
    if splitter and splitter.type == "Sequence":
        parts = splitter.pretokenizers
    found = Rules(tuple(step for part in parts for step in _steps(part)), ignore_merges)
    if found not in KNOWN or parts[-1].type != "ByteLevel":
        raise ConvertError(f"{path} splits text by rules that the engine lacks: {found!r:.900}", _REFUSED)
    return KNOWN[found]


def _steps(part: _Splitter) -> list[str]:
    """One part of a pre-tokenizer as steps; what is not understood becomes a step that nothing knows."""
    if part.type == "ByteLevel" and not part.add_prefix_space:
        return [_GPT2] if part.use_regex else []
    if part.type == "Digits" and part.individual_digits:
        return [DIGITS]
    if part.type == "Split" and part.behavior == "Isolated" and not part.invert and "Regex" in part.pattern:
        return [part.pattern["Regex"]]
    return [f"unknown: {part!r}"]


def _check(path: Path, file: _File, bpe: _Bpe) -> None:
    if file.normalizer and file.normalizer.type != "NFC":
        raise ConvertError(f"{path} rewrites text by '{file.normalizer.type[:40]}' before it splits it", _REFUSED)
    if bpe.dropout or bpe.continuing_subword_prefix or bpe.end_of_word_suffix or bpe.byte_fallback or not bpe.merges:
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
    if len(set(tokens)) != size or any("\0" in text for text in texts.values()):
        raise ConvertError(f"{path} holds a token twice, or one that ends early", _AGAIN)
    return tokens, [types.get(number, UNUSED) for number in range(size)]


def _merge(path: Path, pair: str | tuple[str, str]) -> str:
    merge = pair if isinstance(pair, str) else " ".join(pair)
    if merge.count(" ") != 1:
        raise ConvertError(f"{path} holds a merge that is not of two parts: {merge!r:.80}", _AGAIN)
    return merge


def _special_ids(path: Path, numbers: dict[str, int], about: Config, config: Config, folder: Path) -> dict[str, int]:
    """Ids by name. The checkpoint may end a text by several tokens: GGUF has three names for those."""
    generation = read_optional(folder / "generation_config.json")
    bos, eos, pad = (_id(path, numbers, about.values.get(f"{name}_token")) for name in ("bos", "eos", "pad"))
    ends = [eos]
    for source in (config, generation):
        listed = source.values.get("eos_token_id")
        ends += listed if isinstance(listed, list) else [listed]
    found = [config.values.get("bos_token_id") if bos is None else bos, pad, *ends]
    for number in found:
        if number is not None and (type(number) is not int or not 0 <= number < len(numbers)):
            raise ConvertError(f"{folder} claims {number!r:.80} as the id of a special token", _AGAIN)
    ends = [end for end in dict.fromkeys(ends) if end is not None]
    if len(ends) > 3:
        raise ConvertError(f"{folder} ends texts by {len(ends)} tokens, and a GGUF can name three", _REFUSED)
    ids = {"bos": found[0], "pad": pad, **dict(zip(("eos", "eot", "eom"), ends, strict=False))}
    return {name: number for name, number in ids.items() if number is not None}


def _id(path: Path, numbers: dict[str, int], token: Any) -> int | None:
    text = token.get("content") if isinstance(token, dict) else token
    if text is None:
        return None
    if not isinstance(text, str) or text not in numbers:
        raise ConvertError(f"{path} lacks the token {text!r:.80} that tokenizer_config.json names", _AGAIN)
    return numbers[text]


def _adds(path: Path, file: _File, about: Config, texts: dict[str, str]) -> tuple[bool, bool]:
    """Whether a text gets a BOS before it and an EOS after it: tokenizer_config.json may overrule tokenizer.json."""
    steps = [file.post_processor] if file.post_processor else []
    if steps and steps[0].type == "Sequence":
        steps = steps[0].processors
    added: list[str | None] = []  # None where the text itself stands
    for step in steps:
        if step.type not in ("ByteLevel", "TemplateProcessing"):
            raise ConvertError(f"{path} ends with a '{step.type[:40]}', which a GGUF cannot say", _REFUSED)
        added += [slot["SpecialToken"].id if "SpecialToken" in slot else None for slot in step.single]
    bos, eos = added[:1] == [texts.get("bos", "")], added[-1:] == [texts.get("eos", "")]
    if sum(each is not None for each in added) != bos + eos:
        raise ConvertError(f"{path} adds more to a text than a BOS and an EOS: {added!r:.200}", _REFUSED)
    return about.get("add_bos_token", bool, bos), about.get("add_eos_token", bool, eos)


def _chat_template(folder: Path, about: Config) -> str:
    """The template that is meant where no other is named; empty where there is none."""
    alone = folder / "chat_template.jinja"
    if alone.exists():
        return read_text(alone)
    template = about.values.get("chat_template")
    if isinstance(template, list):
        named = [each for each in template if isinstance(each, dict) and each.get("name") == "default"]
        template = named[0].get("template") if named else None
    return template if isinstance(template, str) else ""
