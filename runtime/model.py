"""What a model file says about itself, from its header alone."""

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import ModelDamaged, ModelUnsupported
from ..offload.gguf_header import FORMATS, Array, Header, Tensor, read_header
from ..units import Bytes

ROLES = ("embedding", "attention", "dense", "experts", "output", "other")
_MOST = 2**24  # of heads, widths, rows: above it a header is hostile
_MOST_LAYERS, _MOST_EXPERTS = 512, 1024  # above these llama.cpp ends its process: LLAMA_MAX_LAYERS, LLAMA_MAX_EXPERTS
_MOST_TOKENS = 2**19  # twice the largest published vocabulary
_NO_WORDS = ("", "none", "no_vocab")  # llama.cpp loads such a model, and ends its process over the first text
_PROBE = "accel.probe"  # what `probe_model` writes: without words, timed and never spoken to
_LAYER = re.compile(r"blk\.(\d{1,5})\.(.+)")
_MIXERS = ("attn_", "ssm_", "time_mix_", "shortconv")
_RECURRENT = ("ssm_", "time_mix_", "shortconv")
_NO_KERNEL = {"F64", "I8", "I16", "I64", "Q8_1", "Q8_K"}  # llama.cpp ends its process over a tensor of these
_KEYS_AND_VALUES = ("attn_k.", "attn_qkv.", "attn_kv")

# Spellings that end a turn in published vocabularies (llama.cpp's llama-vocab.cpp); metadata rarely names them all.
_ENDS = frozenset(
    text.encode()
    for text in (
        "<|eot_id|>",
        "<|eom_id|>",
        "<|im_end|>",
        "<|end|>",
        "<|return|>",
        "<|call|>",
        "<|flush|>",
        "<|calls|>",
        "<|endoftext|>",
        "<|end_of_text|>",
        "<end_of_turn>",
        "<end_of_utterance>",
        "<eos>",
        "<EOT>",
        "_<EOT>",
        "[EOT]",
        "[EOS]",
        "<｜end▁of▁sentence｜>",  # noqa: RUF001 - spelled so in vocabularies
    )
)
_SPECIAL = (2, 3, 4)  # ggml's numbers for tokens that are unknown, control tokens, defined by the model's makers
_LAST = 3  # ggml's number for pooling by the last token
_END_KEYS = ("eos_token_id", "eot_token_id", "eom_token_id")


@dataclass(frozen=True, slots=True)
class Weights:
    """The bytes of one layer's tensors that share a role and a format."""

    layer: int  # -1 outside the layers
    role: str  # one of ROLES
    format: str
    size: Bytes
    rows: int  # the greatest power of two up to 64 that divides every matrix's rows: kernels repack by 4, 8 or 16


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Shapes, bytes and words of a model. Sizes per layer are tuples of `layers` numbers."""

    paths: tuple[str, ...]
    sizes: tuple[Bytes, ...]  # of the files
    fingerprint: str
    architecture: str
    name: str
    layers: int
    width: int  # of an embedding
    heads: tuple[int, ...]
    kv_heads: tuple[int, ...]  # 0 in a layer without a KV cache of its own
    key_size: int  # of one head
    value_size: int  # of one head; 0 where values are read from the keys
    ff_width: int
    vocabulary: int
    context: int  # that it was trained for; 0 where the file does not say
    experts: int
    experts_used: int
    expert_width: int
    shared_experts: int
    sliding_window: int
    recurrent: bool  # some layers keep a state that cannot be taken back
    state: Bytes  # of all recurrent layers, for one sequence
    weights: tuple[Weights, ...]
    tokenizer: str
    pre_tokenizer: str
    bos: int | None
    eos: int | None
    ends: tuple[int, ...]  # every token that ends a turn
    add_bos: bool
    chat_template: str
    specials: tuple[int, ...] = ()  # tokens that the file calls other than ordinary: control tokens are among them
    pools_last: bool = False  # a text's vector is what the last token's output says, not all tokens' mean

    @classmethod
    def read(cls, path: Path) -> "ModelSpec":
        """Raises a ModelError: see `offload.gguf_header.read_header`; ModelUnsupported where no language model is in
        the file, one without words, or one that no engine takes: for its formats, its layers or its experts."""
        return _spec(_Facts(read_header(path)))

    @property
    def path(self) -> Path:
        return Path(self.paths[0])

    @property
    def size(self) -> Bytes:
        """Of all weights."""
        return _total(self.weights)

    @property
    def format(self) -> str:
        """The format that most bytes have."""
        return max(self.bytes_by_format.items(), key=lambda item: item[1])[0]

    @property
    def bytes_by_format(self) -> dict[str, Bytes]:
        sizes: Counter[str] = Counter()
        for weights in self.weights:
            sizes[weights.format] += weights.size
        return {format: Bytes(size) for format, size in sizes.items()}

    @property
    def bytes_by_role(self) -> dict[str, Bytes]:
        return {role: self.bytes_of(role) for role in ROLES}

    def bytes_of(self, role: str, layer: int | None = None) -> Bytes:
        """Of one role, in one layer or in all."""
        return _total(part for part in self.weights if part.role == role and layer in (None, part.layer))

    @property
    def tied(self) -> bool:
        """Whether the embeddings are the output matrix too."""
        return not any(part.role == "output" for part in self.weights)

    @property
    def kv_types(self) -> tuple[str, ...]:
        """Formats that a KV cache of these head sizes can have, best first."""
        sizes = (self.key_size, self.value_size)
        return tuple(kind for kind in ("f16", "q8_0", "q4_0", "f32") if not any(n % _block(kind)[0] for n in sizes))

    def kv_bytes_per_position(self, kind: str, layers: Iterable[int] | None = None) -> Bytes:
        """KV cache of one position over some layers, or all."""
        block, size = _block(kind)
        heads = sum(self.kv_heads[layer] for layer in (range(self.layers) if layers is None else layers))
        return Bytes(heads * (self.key_size + self.value_size) * size // block)


def _block(kind: str) -> tuple[int, int]:
    return FORMATS[kind.upper()]


def _total(parts: Iterable[Weights]) -> Bytes:
    return Bytes(sum(part.size for part in parts))


class _Facts:
    """A header's metadata, asked by key and checked on the way out."""

    def __init__(self, header: Header) -> None:
        self.header, self.file = header, header.files[0]
        self.architecture = self.text("general.architecture")
        self.layers = 0

    def damaged(self, what: str) -> ModelDamaged:
        return ModelDamaged(f"{self.file} {what}", "download or convert the model again")

    def text(self, key: str) -> str:
        value = self.header.metadata.get(key, "")
        if not isinstance(value, str):
            raise self.damaged(f"holds no text under '{key}'")
        return value

    def number(self, key: str, default: int | None = None, most: int = _MOST) -> int:
        """A count of this architecture. Without a default it must be there and positive."""
        return self._checked(key, self.header.metadata.get(f"{self.architecture}.{key}", default), default, most)

    def per_layer(self, key: str, default: int) -> tuple[int, ...]:
        value = self.header.metadata.get(f"{self.architecture}.{key}", default)
        if not isinstance(value, Array):
            return (self._checked(key, value, default),) * self.layers
        numbers = value.numbers() if value.count <= _MOST_LAYERS else ()
        if len(numbers) < self.layers:
            raise self.damaged(f"says '{key}' {value.count} times, and not for each of its {self.layers} layers")
        return tuple(self._checked(key, number, 0) for number in numbers[: self.layers])

    def experts(self) -> tuple[int, int]:
        """How many each layer has, and how many of them work on one token."""
        count, used = self.number("expert_count", 0), self.number("expert_used_count", 0)
        if count > _MOST_EXPERTS:
            raise self.too_many(f"{count} experts", _MOST_EXPERTS)
        if used > count or (count and not used):
            raise self.damaged(f"uses {used} of {count} experts")
        return count, used

    def too_many(self, what: str, most: int) -> ModelUnsupported:
        return ModelUnsupported(f"{self.file} has {what}, and the engine takes at most {most}", "choose another model")

    def _checked(self, key: str, value: object, default: int | None, most: int = _MOST) -> int:
        least = 1 if default is None else 0
        if not isinstance(value, int) or not least <= value <= most:
            raise self.damaged(f"says {'nothing' if value is None else repr(value)[:40]} for '{key}'")
        return value

    def token(self, key: str) -> int | None:
        """A token's number; None where the key is absent or names no token."""
        value = self.header.metadata.get(f"tokenizer.ggml.{key}")
        return value if isinstance(value, int) and 0 <= value < _MOST_TOKENS else None

    def words(self, key: str) -> Array | None:
        """What the tokenizer says of each token; None where it does not."""
        value = self.header.metadata.get(f"tokenizer.ggml.{key}")
        return value if isinstance(value, Array) else None


def _spec(facts: _Facts) -> ModelSpec:
    _check_kind(facts)
    _check_words(facts)
    facts.layers = facts.number("block_count")
    if facts.layers > _MOST_LAYERS:
        raise facts.too_many(f"{facts.layers} layers", _MOST_LAYERS)
    heads = facts.per_layer("attention.head_count", 0)
    width = facts.number("embedding_length")
    head_size = width // max(1, *heads)
    recurrent = len(_layer_names(facts, _RECURRENT))
    experts, experts_used = facts.experts()
    return ModelSpec(
        paths=tuple(str(file) for file in facts.header.files),
        sizes=facts.header.sizes,
        fingerprint=facts.header.fingerprint,
        architecture=facts.architecture,
        name=facts.text("general.name") or facts.file.stem,
        layers=facts.layers,
        width=width,
        heads=heads,
        kv_heads=_kv_heads(facts, heads),
        key_size=facts.number("attention.key_length", head_size),
        value_size=_value_size(facts, head_size),
        ff_width=max(facts.per_layer("feed_forward_length", 0)),
        vocabulary=_vocabulary(facts),
        context=facts.number("context_length", 0, most=2**40),
        experts=experts,
        experts_used=experts_used,
        expert_width=facts.number("expert_feed_forward_length", 0),
        shared_experts=facts.number("expert_shared_count", 0),
        sliding_window=facts.number("attention.sliding_window", 0),
        recurrent=recurrent > 0,
        state=Bytes(recurrent * _state(facts, width)),
        weights=_weights(facts),
        tokenizer=facts.text("tokenizer.ggml.model"),
        pre_tokenizer=facts.text("tokenizer.ggml.pre"),
        bos=facts.token("bos_token_id"),
        eos=facts.token("eos_token_id"),
        ends=_ends(facts),
        add_bos=_add_bos(facts),
        chat_template=facts.text("tokenizer.chat_template"),
        specials=_specials(facts),
        pools_last=facts.header.metadata.get(f"{facts.architecture}.pooling_type") == _LAST,
    )


def _check_kind(facts: _Facts) -> None:
    if not facts.header.tensors:
        raise ModelUnsupported(f"{facts.file} holds no weights", "name a model, not a vocabulary")
    if (kind := facts.text("general.type")) not in ("", "model"):
        raise ModelUnsupported(f"{facts.file} holds no language model but '{kind[:40]}'", "name the model's own file")
    if not facts.architecture:
        raise facts.damaged("does not say which architecture it is")


def _check_words(facts: _Facts) -> None:
    """A model has a vocabulary, and what is said of its tokens is said of each: the engine does not look."""
    tokens = facts.words("tokens")
    count = tokens.count if tokens else 0
    if count > _MOST_TOKENS:
        raise facts.damaged(f"claims {count} tokens, and a vocabulary may have {_MOST_TOKENS} here")
    for key in ("token_type", "scores"):
        said = facts.words(key)
        if said and said.count != count:
            raise facts.damaged(f"says '{key}' of {said.count} tokens and has {count}")
    wordless = not count or facts.text("tokenizer.ggml.model") in _NO_WORDS
    if wordless and not facts.header.metadata.get(_PROBE):
        raise ModelUnsupported(f"{facts.file} holds no vocabulary", "convert the model again, with its tokenizer")


def _weights(facts: _Facts) -> tuple[Weights, ...]:
    sizes: Counter[tuple[int, str, str]] = Counter()
    rows: dict[tuple[int, str, str], int] = {}
    for tensor in facts.header.tensors.values():
        layer, role = _place(tensor)
        if layer >= 2 * facts.layers + 64:  # a few beyond the last hold prediction heads
            raise facts.damaged(f"holds '{tensor.name[:80]}' and has {facts.layers} layers")
        if tensor.format in _NO_KERNEL:
            what = f"{facts.file} holds '{tensor.name[:80]}' in {tensor.format}, which no engine here computes with"
            raise ModelUnsupported(what, "convert it again, for example to F16 or Q8_0")
        key = layer, role, tensor.format
        sizes[key] += tensor.size
        matrix_rows = math.gcd(tensor.shape[1], 64) if len(tensor.shape) > 1 else 0
        rows[key] = math.gcd(rows.get(key, 0), matrix_rows)
    return tuple(Weights(*key, Bytes(size), rows[key]) for key, size in sorted(sizes.items()))


def _place(tensor: Tensor) -> tuple[int, str]:
    """(layer, role) by ggml's names; vectors (norms, biases) are 'other' wherever they stand."""
    inside = _LAYER.fullmatch(tensor.name)
    layer, name = (int(inside[1]), inside[2]) if inside else (-1, tensor.name)
    if len(tensor.shape) == 1 or "_norm" in name:
        return layer, "other"
    if layer < 0:
        role = "embedding" if "embd" in name else "output" if name.startswith("output.") else "other"
    elif name.startswith(_MIXERS):
        role = "attention"
    elif name.startswith("ffn_") and not name.startswith("ffn_gate_inp"):
        role = "experts" if "_exps." in name else "dense"
    else:
        role = "other"
    return layer, role


def _layer_names(facts: _Facts, prefixes: tuple[str, ...]) -> set[int]:
    """Layers that have a tensor whose name begins so."""
    found = (_LAYER.fullmatch(name) for name in facts.header.tensors)
    return {int(match[1]) for match in found if match and match[2].startswith(prefixes)}


def _kv_heads(facts: _Facts, heads: tuple[int, ...]) -> tuple[int, ...]:
    key = "attention.head_count_kv"
    said = facts.per_layer(key, 0) if f"{facts.architecture}.{key}" in facts.header.metadata else heads
    own = _layer_names(facts, _KEYS_AND_VALUES)
    return tuple(count if layer in own else 0 for layer, count in enumerate(said))


def _value_size(facts: _Facts, head_size: int) -> int:
    # Multi-head latent attention caches one compressed row, from which keys and values are both made.
    latent = f"{facts.architecture}.attention.key_length_mla" in facts.header.metadata
    return 0 if latent else facts.number("attention.value_length", head_size)


def _state(facts: _Facts, width: int) -> int:
    """float32 bytes that one recurrent layer keeps for one sequence."""
    inner, size = facts.number("ssm.inner_size", 0), facts.number("ssm.state_size", 0)
    kernel, groups = facts.number("ssm.conv_kernel", 1), facts.number("ssm.group_count", 0)
    mixing = max(0, kernel - 1) * (inner + 2 * groups * size) + inner * size
    shift = width * facts.number("wkv.head_size", 0) + facts.number("token_shift_count", 0) * width
    convolution = width * max(0, facts.number("shortconv.l_cache", 1) - 1)
    return 4 * (mixing + shift + convolution)


def _vocabulary(facts: _Facts) -> int:
    for name in ("output.weight", "token_embd.weight"):
        tensor = facts.header.tensors.get(name)
        if tensor and len(tensor.shape) == 2 and tensor.shape[1] <= _MOST:
            return tensor.shape[1]
    raise ModelUnsupported(f"{facts.file} holds no embeddings of tokens", "name the language model's own file")


def _ends(facts: _Facts) -> tuple[int, ...]:
    said = (facts.token(key) for key in _END_KEYS)
    ends = {token for token in said if token is not None}
    tokens = facts.words("tokens")
    found = tokens.index(_ENDS) if tokens else {}
    if b"<|return|>" in found and b"<|call|>" in found:  # there, <|end|> only closes a part of the answer
        found.pop(b"<|end|>", None)
    return tuple(sorted(ends | set(found.values())))


def _specials(facts: _Facts) -> tuple[int, ...]:
    kinds = facts.words("token_type")
    numbers = kinds.numbers() if kinds else ()
    return tuple(token for token, kind in enumerate(numbers) if kind in _SPECIAL)


def _add_bos(facts: _Facts) -> bool:
    said = facts.header.metadata.get("tokenizer.ggml.add_bos_token")
    return bool(said) if said is not None else facts.text("tokenizer.ggml.model") == "llama"
