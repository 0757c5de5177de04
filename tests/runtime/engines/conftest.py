"""Engines that a contract can be held against, and a small model with random weights."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from accel.runtime.engines import open_engine
from accel.runtime.engines.base import Engine
from accel.runtime.engines.options import EngineOptions, FakeOptions

from .managed import memory_mappings

STORIES = Path(__file__).parents[4] / "shared/assets/models/stories260K.gguf"
ROOM: dict[str, Any] = {"context": 512, "sequences": 5, "branches": 8, "batch": 64, "outputs": 48}


@pytest.fixture
def left_mapped() -> Callable[[], set[tuple[int, int]]]:
    """What is mapped of memory for experts and dense weights since the test began."""
    before = memory_mappings("memfd:")
    return lambda: memory_mappings("memfd:") - before


@pytest.fixture(scope="session")
def stories() -> Path:
    if not STORIES.is_file():
        pytest.skip(f"{STORIES} is not here")
    return STORIES


@pytest.fixture(scope="session")
def moe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _write_moe(tmp_path_factory.mktemp("models") / "moe.gguf")


@pytest.fixture(scope="session")
def window(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _write_window(tmp_path_factory.mktemp("models") / "window.gguf")


@pytest.fixture(scope="session", params=["fake", "stories", "moe", "window"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Every engine that is here, with taps; empty it after use."""
    if request.param == "fake":
        opened = open_engine("fake", FakeOptions(**ROOM))
    else:
        path = str(request.getfixturevalue(request.param))
        opened = open_engine(
            "llamacpp", EngineOptions(path, ubatch=64, kv_type="f32", flash_attention=False, taps=True, **ROOM)
        )
    yield opened
    opened.close()


@pytest.fixture
def empty(engine: Engine) -> Engine:
    for seq in range(engine.can.sequences):
        engine.truncate(seq, 0)
    return engine


@pytest.fixture(scope="session")
def open_stories(stories: Path) -> Callable[..., Engine]:
    return lambda **options: open_engine("llamacpp", EngineOptions(str(stories), **{**ROOM, "ubatch": 64, **options}))


@pytest.fixture(scope="session")
def mamba(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _write_mamba(tmp_path_factory.mktemp("models") / "mamba.gguf")


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _write_bert(tmp_path_factory.mktemp("models") / "bert.gguf")


@pytest.fixture(scope="session")
def write_moe() -> Callable[..., Path]:
    return _write_moe


def _write_moe(path: Path, architecture: str = "qwen3moe", quantised: bool = False) -> Path:
    """A Mixture-of-Experts of random weights: 3 layers, 8 experts, 2 used; its matrices float32 or Q4_0."""
    width = 64
    writer = _begin(path, architecture, layers=3, width=width)
    writer.add_feed_forward_length(width)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_key_length(32)
    writer.add_value_length(32)
    writer.add_rope_freq_base(10000.0)
    writer.add_expert_count(8)
    writer.add_expert_used_count(2)
    writer.add_expert_feed_forward_length(width)
    shapes = {
        "attn_norm": (width,), "attn_q": (64, width), "attn_k": (32, width), "attn_v": (32, width),
        "attn_output": (width, 64), "attn_q_norm": (32,), "attn_k_norm": (32,), "ffn_norm": (width,),
        "ffn_gate_inp": (8, width), "ffn_gate_exps": (8, width, width), "ffn_up_exps": (8, width, width),
        "ffn_down_exps": (8, width, width),
    }  # fmt: skip
    return _end(writer, path, {f"blk.{i}.{name}.weight": s for i in range(3) for name, s in shapes.items()}, quantised)


def _write_mamba(path: Path) -> Path:
    """A recurrent model of random weights: no attention, a state that only goes forward."""
    width, inner, state, rank = 32, 64, 16, 4
    writer = _begin(path, "mamba", layers=2, width=width)
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    writer.add_ssm_conv_kernel(4)
    writer.add_ssm_inner_size(inner)
    writer.add_ssm_state_size(state)
    writer.add_ssm_time_step_rank(rank)
    shapes = {
        "attn_norm.weight": (width,), "ssm_in.weight": (2 * inner, width), "ssm_conv1d.weight": (inner, 4),
        "ssm_conv1d.bias": (inner,), "ssm_x.weight": (rank + 2 * state, inner), "ssm_dt.weight": (inner, rank),
        "ssm_dt.bias": (inner,), "ssm_a": (inner, state), "ssm_d": (inner,), "ssm_out.weight": (width, inner),
    }  # fmt: skip
    return _end(writer, path, {f"blk.{i}.{name}": shape for i in range(2) for name, shape in shapes.items()})


def _write_window(path: Path) -> Path:
    """A model of random weights five of whose six layers see the last 16 positions alone."""
    width = 64
    writer = _begin(path, "gemma3", layers=6, width=width)
    writer.add_feed_forward_length(width)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_key_length(32)
    writer.add_value_length(32)
    writer.add_rope_freq_base(10000.0)
    writer.add_sliding_window(16)
    shapes = {
        "attn_norm": (width,), "attn_q": (64, width), "attn_k": (32, width), "attn_v": (32, width),
        "attn_output": (width, 64), "attn_q_norm": (32,), "attn_k_norm": (32,), "post_attention_norm": (width,),
        "ffn_norm": (width,), "ffn_gate": (width, width), "ffn_up": (width, width), "ffn_down": (width, width),
        "post_ffw_norm": (width,),
    }  # fmt: skip
    return _end(writer, path, {f"blk.{i}.{name}.weight": shape for i in range(6) for name, shape in shapes.items()})


def _write_bert(path: Path) -> Path:
    """A model of random weights that embeds texts and writes none."""
    width = 32
    writer = _begin(path, "bert", layers=1, width=width, writes=False)
    writer.add_feed_forward_length(width)
    writer.add_head_count(2)
    writer.add_layer_norm_eps(1e-6)
    writer.add_causal_attention(False)
    writer.add_token_type_count(2)
    shapes: dict[str, tuple[int, ...]] = {"token_types.weight": (2, width), "position_embd.weight": (512, width)}
    shapes |= {f"token_embd_norm.{kind}": (width,) for kind in ("weight", "bias")}
    for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_up", "ffn_down"):
        shapes |= {f"blk.0.{name}.weight": (width, width), f"blk.0.{name}.bias": (width,)}
    for name in ("attn_output_norm", "layer_output_norm"):
        shapes |= {f"blk.0.{name}.{kind}": (width,) for kind in ("weight", "bias")}
    return _end(writer, path, shapes)


def _begin(path: Path, architecture: str, layers: int, width: int, writes: bool = True) -> gguf.GGUFWriter:
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_block_count(layers)
    writer.add_context_length(512)
    writer.add_embedding_length(width)
    writer.add_layer_norm_rms_eps(1e-6)
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "\u2581", *"etaoinshr"]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types([2, 3, 3, *[6] * 256, *[1] * 10])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    random = np.random.default_rng(7)
    for name in ("token_embd.weight", "output.weight") if writes else ("token_embd.weight",):
        writer.add_tensor(name, random.standard_normal((len(tokens), width), np.float32) / np.float32(8))
    if writes:
        writer.add_tensor("output_norm.weight", np.ones(width, np.float32))
    return writer


def _end(writer: gguf.GGUFWriter, path: Path, shapes: dict[str, tuple[int, ...]], quantised: bool = False) -> Path:
    random = np.random.default_rng(8)
    for name, shape in shapes.items():
        values = random.standard_normal(shape, np.float32) / np.float32(shape[-1] ** 0.5)
        values = -np.abs(values) if name.endswith("ssm_a") else values
        if len(shape) == 1:
            writer.add_tensor(name, np.ones(shape, np.float32))
        elif quantised:
            q4_0 = gguf.GGMLQuantizationType.Q4_0
            writer.add_tensor(name, gguf.quants.quantize(values, q4_0), raw_dtype=q4_0)
        else:
            writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
