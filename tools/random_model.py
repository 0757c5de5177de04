"""A dense model of random weights and a real size, as a GGUF: for measuring where no download is wanted.

    python tools/random_model.py big.gguf --preset 1b --type Q4_0 [--layers 4 ...] [--seed 7]

It talks nonsense, but computes like any other model of its shape: the architecture is Qwen3's, the tokenizer a
byte-level BPE whose words are made of syllables, with ChatML's special tokens and template.

    python tools/random_model.py big.gguf --draft small.gguf [--draft-layers 2] [--fading 0.1]

also writes a draft model: the same embeddings and the first layers. Those of the big model that it lacks then add that
share of what they would, which sets how often the two agree: `accel draft suggest big.gguf small.gguf --measure` says.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from itertools import islice, product
from pathlib import Path

import numpy as np
from gguf.constants import GGML_QUANT_SIZES

from accel.errors import AccelError, UsageError
from accel.exporters.gguf_file import Head, Planned, Progress, Type, Value, write_gguf
from accel.exporters.tokenizer import CONTROL, NORMAL, Vocabulary
from accel.units import Bytes

TYPES = ("F32", "F16", "Q8_0", "Q4_0")
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# Small beside what the layers add, or every token would foretell itself.
_EMBEDDING = 0.05
_LOGIT = 4.0  # deviation of a logit: some thousand tokens are likely, none is certain
_ADDED = ("attn_output", "ffn_down")  # the matrices whose outputs are added to the stream between layers
_BLOCKS = 2**17  # drawn at once, of 32 values


@dataclass(frozen=True, slots=True)
class Shapes:
    """Of a dense model whose embeddings are the output matrix too."""

    layers: int = 16
    width: int = 2048
    heads: int = 16
    kv_heads: int = 4
    head: int = 128  # values in one head
    ff_width: int = 6144
    vocabulary: int = 151936
    context: int = 32768


PRESETS = {"1b": Shapes()}  # 1.08 billion parameters


@dataclass(frozen=True, slots=True)
class Fading:
    """Layers from this one on add so much less than those before: a model of those alone then nearly agrees."""

    layer: int
    share: float


@dataclass(frozen=True, slots=True)
class _Law:
    """How the values of one tensor are drawn: evenly around `mean`, or all the same where `deviation` is 0."""

    deviation: float
    mean: float = 0.0


def write_random_model(
    path: Path,
    shapes: Shapes,
    type: str = "Q4_0",
    seed: int = 0,
    progress: Progress | None = None,
    fading: Fading | None = None,
) -> None:
    """Writes the model; the same name, shapes, type, seed and fading give the same bytes. Types: those of TYPES. A
    model of fewer layers has the same embeddings and the first of the same layers.

    Raises UsageError for shapes that cannot be, DiskFull or AccelError while it writes.
    """
    _check(shapes, type)
    if fading and not 0 < fading.share <= 1:
        raise UsageError(f"layers cannot add {fading.share} of what others add", "give a share above 0, at most 1")
    laws = _tensors(shapes, Type[type], fading)
    tensors = list(laws)

    def contents(number: int) -> Iterator[bytes]:
        return _draw(tensors[number], laws[tensors[number]], np.random.default_rng([seed, number]))

    write_gguf(
        path,
        Head("qwen3", path.stem, type, _keys(shapes), make_vocabulary(shapes.vocabulary)),
        tensors,
        contents,
        progress,
    )


def _check(shapes: Shapes, type: str) -> None:
    if type not in TYPES:
        raise UsageError(f"'{type}' is no type that is drawn here", f"choose one of {', '.join(TYPES)}")
    if min(asdict(shapes).values()) < 1 or shapes.heads % shapes.kv_heads or shapes.head % 2:
        raise UsageError(f"no model has {shapes}", "kv_heads must divide heads, and head be even")
    block = GGML_QUANT_SIZES[Type[type]][0]
    if any(row % block for row in (shapes.width, shapes.heads * shapes.head, shapes.ff_width)):
        raise UsageError(f"rows of {shapes} do not divide by {block}, as {type} needs", "choose rounder widths")
    if not len(SPECIAL) + 256 <= shapes.vocabulary <= 10**6:
        raise UsageError(f"no vocabulary here has {shapes.vocabulary} tokens", "choose 259 to 1,000,000")


def _keys(shapes: Shapes) -> dict[str, Value]:
    return {
        "context_length": shapes.context,
        "embedding_length": shapes.width,
        "block_count": shapes.layers,
        "feed_forward_length": shapes.ff_width,
        "attention.head_count": shapes.heads,
        "attention.head_count_kv": shapes.kv_heads,
        "attention.key_length": shapes.head,
        "attention.value_length": shapes.head,
        "attention.layer_norm_rms_epsilon": 1e-6,
        "rope.freq_base": 1e6,
        "vocab_size": shapes.vocabulary,
    }


def _tensors(shapes: Shapes, type: Type, fading: Fading | None = None) -> dict[Planned, _Law]:
    """In the order of the file. A normed row times any of these matrices has values of a deviation near 1, but for
    those whose outputs fade."""
    width, inner, kv = shapes.width, shapes.heads * shapes.head, shapes.kv_heads * shapes.head
    norms = {"attn_norm": width, "attn_q_norm": shapes.head, "attn_k_norm": shapes.head, "ffn_norm": width}
    matrices = {
        "attn_q": (inner, width),
        "attn_k": (kv, width),
        "attn_v": (kv, width),
        "attn_output": (width, inner),
        "ffn_gate": (shapes.ff_width, width),
        "ffn_up": (shapes.ff_width, width),
        "ffn_down": (width, shapes.ff_width),
    }
    tensors = {Planned("token_embd.weight", (shapes.vocabulary, width), type): _Law(_EMBEDDING)}
    for layer in range(shapes.layers):
        at = f"blk.{layer}."
        share = fading.share if fading and layer >= fading.layer else 1.0
        tensors |= {Planned(f"{at}{name}.weight", (size,), Type.F32): _Law(0, 1) for name, size in norms.items()}
        for name, shape in matrices.items():
            deviation = shape[1] ** -0.5 * (share if name in _ADDED else 1.0)
            tensors[Planned(f"{at}{name}.weight", shape, type)] = _Law(deviation)
    last = _LOGIT / (_EMBEDDING * width**0.5)
    return tensors | {Planned("output_norm.weight", (width,), Type.F32): _Law(0, last)}


def _draw(tensor: Planned, law: _Law, random: np.random.Generator) -> Iterator[bytes]:
    """The bytes of a tensor, in pieces."""
    if law.deviation:
        return draw(tensor, law.deviation, random)
    return iter([np.full(tensor.shape, law.mean, np.float32).tobytes()])


def draw(tensor: Planned, deviation: float, random: np.random.Generator) -> Iterator[bytes]:
    """The bytes of a tensor of one of TYPES, in pieces: values even around 0."""
    left = int(np.prod(tensor.shape, dtype=np.int64))
    while left:
        count = min(left, _BLOCKS * 32)
        yield _PIECES[tensor.type](count, deviation, random)
        left -= count


def _floats(count: int, deviation: float, random: np.random.Generator) -> np.ndarray:
    return (random.random(count, np.float32) - np.float32(0.5)) * np.float32(deviation * 12**0.5)


def _blocks(codes: np.ndarray, levels: int, deviation: float) -> bytes:
    """[blocks, bytes] with the scale before each block; codes are even over `levels` whole numbers around 0."""
    scale = np.float16(deviation / ((levels**2 - 1) / 12) ** 0.5)
    scales = np.full((len(codes), 1), scale).view(np.uint8)
    return np.concatenate([scales, codes], 1).tobytes()


def _q8_0(count: int, deviation: float, random: np.random.Generator) -> bytes:
    codes = random.integers(-127, 128, (count // 32, 32), np.int8).view(np.uint8)
    return _blocks(codes, 255, deviation)


_NIBBLES = np.array([low | high << 4 for low, high in product(range(1, 16), repeat=2)], np.uint8)  # 8 stands for 0


def _q4_0(count: int, deviation: float, random: np.random.Generator) -> bytes:
    codes = _NIBBLES[random.integers(0, len(_NIBBLES), (count // 32, 16), np.uint8)]
    return _blocks(codes, 15, deviation)


_PIECES = {
    Type.F32: lambda *what: _floats(*what).tobytes(),
    Type.F16: lambda *what: _floats(*what).astype(np.float16).tobytes(),
    Type.Q8_0: _q8_0,
    Type.Q4_0: _q4_0,
}


def make_vocabulary(size: int) -> Vocabulary:
    """The bytes, then words of syllables in the order of the merges that make them, then the special tokens."""
    alphabet = _byte_alphabet()
    words = list(islice(_merges(), size - len(alphabet) - len(SPECIAL)))
    tokens = [*alphabet, *("".join(pair) for pair in words), *SPECIAL]
    types = [NORMAL] * (len(tokens) - len(SPECIAL)) + [CONTROL] * len(SPECIAL)
    ids = {"bos": tokens.index(SPECIAL[0]), "eos": tokens.index(SPECIAL[2]), "eot": tokens.index(SPECIAL[0])}
    return Vocabulary(tokens, types, [" ".join(pair) for pair in words], "qwen2", ids, False, False, TEMPLATE)


def _merges() -> Iterator[tuple[str, str]]:
    """Pairs that become one, frequent ones first: syllables, two of them, a space before, a third."""
    syllables = [a + b for a, b in product("tnsrdlmkpbgfvzjwhycxq", "eaoiu")]
    twice = [(a, b) for a in syllables for b in syllables]
    yield from ((syllable[0], syllable[1]) for syllable in syllables)
    yield from twice
    yield from (("Ġ", a + b) for a, b in twice)
    yield from (("Ġ" + a + b, c) for (a, b), c in product(twice, syllables))


def _byte_alphabet() -> list[str]:
    """The letter that stands for each byte in a byte-level BPE: itself where it can be seen, one above 255 if not."""
    seen = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    unseen = [byte for byte in range(256) if byte not in seen]
    return [chr(byte) if byte in seen else chr(256 + unseen.index(byte)) for byte in range(256)]


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("out", type=Path)
    options.add_argument("--preset", choices=PRESETS, default="1b")
    options.add_argument("--type", choices=TYPES, default="Q4_0")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--draft", type=Path, metavar="FILE", help="write a draft model of its first layers, too")
    options.add_argument("--draft-layers", type=int, default=2, help="that the draft model has")
    options.add_argument("--fading", type=float, default=0.1, help="what the other layers add, of what they would")
    for field in fields(Shapes):
        options.add_argument(f"--{field.name.replace('_', '-')}", type=int, help="instead of the preset's")
    chosen = options.parse_args()
    given = {field.name: getattr(chosen, field.name) for field in fields(Shapes)}
    shapes = replace(PRESETS[chosen.preset], **{name: value for name, value in given.items() if value is not None})

    def progress(fraction: float) -> None:
        sys.stderr.write(f"\r{fraction:4.0%} ")

    written = {chosen.out: (shapes, Fading(chosen.draft_layers, chosen.fading) if chosen.draft else None)}
    if chosen.draft:
        written[chosen.draft] = replace(shapes, layers=chosen.draft_layers), None
    try:
        for path, (each, fading) in written.items():
            write_random_model(path, each, chosen.type, chosen.seed, progress if sys.stderr.isatty() else None, fading)
            print(f"{path}: {Bytes(path.stat().st_size)}", file=sys.stderr)
    except AccelError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
