"""Small models of random weights whose experts lie in their files as those of published ones do, as GGUFs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from gguf import GGUFWriter
from gguf.quants import quantize

from accel.exporters.gguf_file import Head, Planned, Type, Value, _writer, write_gguf
from accel.tools.random_model import make_vocabulary

WIDTH, HEADS, HEAD, EXPERTS, USED, EXPERT_WIDTH = 256, 4, 64, 12, 3, 256
VOCABULARY = 512
_FILE_TYPE = "Q4_0"  # nobody asks for more than a name here

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Model:
    """`tensors`: numpy's shape of each by its name; matrices have the type that `types` names for the first part of
    their name that is in it, or Q8_0."""

    architecture: str
    keys: Mapping[str, Value]
    tensors: Shapes
    types: Mapping[str, Type] = field(default_factory=dict)

    def planned(self) -> list[Planned]:
        return [Planned(name, shape, self._type(name, shape)) for name, shape in self.tensors.items()]

    def _type(self, name: str, shape: tuple[int, ...]) -> Type:
        if len(shape) == 1 or "gate_inp" in name or name.endswith(".bias"):
            return Type.F32
        return next((type for part, type in self.types.items() if part in name), Type.Q8_0)


def write(path: Path, model: Model, files: int = 1, seed: int = 11) -> Path:
    """The model in one file, or in `files` that llama.cpp finds by the name of the first, which is returned."""
    head = Head(model.architecture, path.stem, _FILE_TYPE, model.keys, make_vocabulary(VOCABULARY))
    tensors = model.planned()

    def contents(number: int) -> Iterator[bytes]:
        yield _draw(tensors[number], np.random.default_rng([seed, number]))

    if files == 1:
        write_gguf(path, head, tensors, contents)
        return path
    return _write_split(path, head, tensors, [b"".join(contents(number)) for number in range(len(tensors))], files)


def _write_split(path: Path, head: Head, tensors: Sequence[Planned], contents: Sequence[bytes], files: int) -> Path:
    """As llama.cpp's gguf-split does: about as many bytes in each file, all keys in the first of them, and in each how
    many there are and which it is."""
    names = [path.with_name(f"{path.stem}-{number + 1:05d}-of-{files:05d}.gguf") for number in range(files)]
    sizes = np.cumsum([tensor.size for tensor in tensors])
    mine = np.searchsorted(np.arange(1, files) * sizes[-1] / files, sizes)
    for number, name in enumerate(names):
        part = np.flatnonzero(mine == number).tolist()
        writer = GGUFWriter(None, head.architecture) if number else _writer(head)
        writer.add_uint16("split.no", number)
        writer.add_uint16("split.count", files)
        writer.add_int32("split.tensors.count", len(tensors))
        for tensor in (tensors[each] for each in part):
            writer.add_tensor_info(tensor.name, tensor.shape, np.dtype(np.float32), tensor.size, tensor.type)
        writer.write_header_to_file(name)
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        writer.close()
        with name.open("ab") as file:
            for each in part:
                writer.write_padding(file, file.tell())
                file.write(contents[each])
            writer.write_padding(file, file.tell())
    return names[0]


def _draw(tensor: Planned, random: np.random.Generator) -> bytes:
    if tensor.type == Type.Q6_K:  # which is quantised by llama.cpp alone: 208 bytes of codes and scales, then a half
        blocks = random.integers(0, 256, (tensor.size // 210, 210), np.uint8)
        blocks[:, 208:] = np.full((len(blocks), 1), 2e-5, np.float16).view(np.uint8)
        return blocks.tobytes()
    values = random.standard_normal(tensor.shape, np.float32)
    if len(tensor.shape) == 1 or tensor.name.endswith(".bias"):
        values = values / np.float32(10) + np.float32("_norm." in tensor.name)
    else:
        values /= np.float32(tensor.shape[-1] ** 0.5)
    return quantize(values, tensor.type).tobytes()


MIXED = {  # slots of three sizes
    "blk.0.ffn_down_exps": Type.Q6_K,
    "blk.1.ffn_up_exps": Type.F16,
    "blk.2.ffn_down_exps": Type.Q6_K,
    "_exps": Type.Q4_0,
}


def plain(layers: int = 3, types: Mapping[str, Type] = MIXED) -> Model:
    """Qwen3's: three tensors of experts in every layer, here in several formats."""
    tensors: Shapes = {}
    for layer in range(layers):
        tensors |= _named(layer, _attention() | _norms("attn_q_norm", "attn_k_norm", size=HEAD))
        tensors |= _named(layer, _norms("ffn_norm") | _experts())
    return Model("qwen3moe", _keys(layers) | _heads(), _whole(tensors), types)


def shared(layers: int = 3) -> Model:
    """Qwen2's: an expert beside the others that every token uses, and a gate of its own for it."""
    tensors: Shapes = {}
    for layer in range(layers):
        tensors |= _named(layer, _attention() | _norms("ffn_norm") | _experts() | _shared_expert())
        tensors |= _named(layer, {"ffn_gate_inp_shexp.weight": (WIDTH,)})
    keys = _keys(layers) | {"expert_shared_feed_forward_length": EXPERT_WIDTH}
    return Model("qwen2moe", keys, _whole(tensors), {"_exps": Type.Q4_0})


def merged(layers: int = 3) -> Model:
    """DeepSeek's second: gate and up of an expert in one tensor; the first layer has no experts."""
    rank, rotated, plain_part, value = 64, 32, 32, 64
    tensors: Shapes = {}
    for layer in range(layers):
        attention = {
            "attn_q_a.weight": (rank, WIDTH),
            "attn_q_b.weight": (HEADS * (plain_part + rotated), rank),
            "attn_kv_a_mqa.weight": (rank + rotated, WIDTH),
            "attn_kv_b.weight": (HEADS * (plain_part + value), rank),
            "attn_output.weight": (WIDTH, HEADS * value),
        }
        attention |= _norms("attn_q_a_norm", "attn_kv_a_norm", size=rank) | _norms("attn_norm", "ffn_norm")
        whole = _experts() | _shared_expert()
        for name in ("ffn_gate_exps.weight", "ffn_up_exps.weight"):
            del whole[name]
        whole["ffn_gate_up_exps.weight"] = (EXPERTS, 2 * EXPERT_WIDTH, WIDTH)
        tensors |= _named(layer, attention | (whole if layer else _dense()))
    keys = _keys(layers) | {
        "attention.q_lora_rank": rank,
        "attention.kv_lora_rank": rank,
        "attention.key_length": plain_part + rotated,
        "attention.value_length": value,
        "rope.dimension_count": rotated,
        "leading_dense_block_count": 1,
        "expert_shared_count": 1,
        "expert_weights_scale": 1.5,
    }
    return Model("deepseek2", keys, _whole(tensors), {"_exps": Type.Q4_0})


def biased(layers: int = 3) -> Model:
    """gpt-oss's: every expert has biases, and weights are a softmax over the experts that were chosen."""
    tensors: Shapes = {}
    for layer in range(layers):
        attention = _attention() | _norms("post_attention_norm")
        attention |= {"attn_output.bias": (WIDTH,), "attn_sinks.weight": (HEADS,), "ffn_gate_inp.bias": (EXPERTS,)}
        biases = {f"{name}.bias": shape[:2] for name, shape in _named_experts().items()}
        tensors |= _named(layer, attention | _experts() | biases)
    keys = _keys(layers) | _heads() | {"attention.sliding_window": 32}
    return Model("gpt-oss", keys, _whole(tensors), {"_exps": Type.MXFP4})


def foretelling(layers: int = 3) -> Model:
    """GLM 4.5's: after the last layer stands one that foretells a token more, with experts, which llama.cpp neither
    computes nor keeps mapped. The first layer has no experts."""
    tensors: Shapes = {}
    for layer in range(layers + 1):
        rest = _experts() | _shared_expert() | {"exp_probs_b.bias": (EXPERTS,)} if layer else _dense()
        tensors |= _named(layer, _attention() | _norms("post_attention_norm") | rest)
    tensors = _whole(tensors)
    tensors |= _named(layers, {"nextn.eh_proj.weight": (WIDTH, 2 * WIDTH)} | _norms("nextn.enorm", "nextn.hnorm"))
    keys = _keys(layers + 1) | _heads() | {
        "rope.dimension_count": HEAD,
        "leading_dense_block_count": 1,
        "nextn_predict_layers": 1,
        "expert_shared_count": 1,
        "expert_weights_scale": 1.5,
    }  # fmt: skip
    # What is not computed comes last, as the converter writes it.
    last = {name: shape for name, shape in tensors.items() if name.startswith(f"blk.{layers}.")}
    first = {name: shape for name, shape in tensors.items() if name not in last}
    return Model("glm4moe", keys, first | last, {"_exps": Type.Q4_0})


def _keys(layers: int) -> dict[str, Value]:
    return {
        "context_length": 4096,
        "embedding_length": WIDTH,
        "block_count": layers,
        "feed_forward_length": 2 * WIDTH,
        "attention.head_count": HEADS,
        "attention.head_count_kv": HEADS,
        "attention.layer_norm_rms_epsilon": 1e-6,
        "rope.freq_base": 1e5,
        "expert_count": EXPERTS,
        "expert_used_count": USED,
        "expert_feed_forward_length": EXPERT_WIDTH,
        "vocab_size": VOCABULARY,
    }


def _heads() -> dict[str, Value]:
    return {"attention.key_length": HEAD, "attention.value_length": HEAD}


def _named(layer: int, tensors: Shapes) -> Shapes:
    return {f"blk.{layer}.{name}": shape for name, shape in tensors.items()}


def _whole(layers: Shapes) -> Shapes:
    ends: Shapes = {"output_norm.weight": (WIDTH,), "output.weight": (VOCABULARY, WIDTH)}
    return {"token_embd.weight": (VOCABULARY, WIDTH)} | layers | ends


def _norms(*names: str, size: int = WIDTH) -> Shapes:
    return {f"{name}.weight": (size,) for name in names}


def _attention() -> Shapes:
    names = ("attn_q", "attn_k", "attn_v")
    return (
        _norms("attn_norm")
        | {f"{name}.weight": (HEADS * HEAD, WIDTH) for name in names}
        | {"attn_output.weight": (WIDTH, HEADS * HEAD)}
    )


def _named_experts() -> Shapes:
    return {
        "ffn_gate_exps": (EXPERTS, EXPERT_WIDTH, WIDTH),
        "ffn_up_exps": (EXPERTS, EXPERT_WIDTH, WIDTH),
        "ffn_down_exps": (EXPERTS, WIDTH, EXPERT_WIDTH),
    }


def _experts() -> Shapes:
    gate: Shapes = {"ffn_gate_inp.weight": (EXPERTS, WIDTH)}
    return gate | {f"{name}.weight": shape for name, shape in _named_experts().items()}


def _shared_expert() -> Shapes:
    return {
        "ffn_gate_shexp.weight": (EXPERT_WIDTH, WIDTH),
        "ffn_up_shexp.weight": (EXPERT_WIDTH, WIDTH),
        "ffn_down_shexp.weight": (WIDTH, EXPERT_WIDTH),
    }


def _dense() -> Shapes:
    return {
        "ffn_gate.weight": (2 * WIDTH, WIDTH),
        "ffn_up.weight": (2 * WIDTH, WIDTH),
        "ffn_down.weight": (WIDTH, 2 * WIDTH),
    }
