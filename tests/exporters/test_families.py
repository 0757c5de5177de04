import json
import math

import gguf
import numpy as np
import pytest

from accel.errors import ConvertError
from accel.exporters.families import FAMILIES
from accel.exporters.gguf import convert

from . import reference
from .checkpoints import DENSE, MOE, write_checkpoint
from .llama import Llama

TOKENS = [(17 * number + 5) % 590 for number in range(48)]
PLAIN = 50000.0 ** -(np.arange(0, 32, 2) / 32)


def stretched_by_yarn(factor: float, trained: int) -> np.ndarray:
    """YaRN's frequencies (arXiv:2309.00071, section 3.2): slow dimensions stretched, fast ones left, a ramp between."""

    def dimension(turns: float) -> float:
        return 32 * math.log(trained / (turns * 2 * math.pi)) / (2 * math.log(50000.0))

    low, high = max(math.floor(dimension(32)), 0), min(math.ceil(dimension(1)), 31)
    ramp = np.clip((np.arange(16) - low) / max(high - low, 0.001), 0, 1)
    return PLAIN / factor * ramp + PLAIN * (1 - ramp)


@pytest.mark.parametrize("config", [DENSE, MOE], ids=["dense", "moe"])
@pytest.mark.parametrize(
    ("scaling", "frequencies", "turn"),
    [
        ({"rope_scaling": None}, PLAIN, 1.0),
        ({"rope_scaling": {"type": "linear", "factor": 4}}, PLAIN / 4, 1.0),
        (
            {"rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}},
            stretched_by_yarn(4, 64),
            0.1 * math.log(4) + 1,
        ),
        (
            {"rope_scaling": {"type": "yarn", "factor": 2.0, "beta_fast": 32, "beta_slow": 1.0}},
            stretched_by_yarn(2, 256),
            0.1 * math.log(2) + 1,
        ),
        ({"rope_theta": None, "rope_parameters": {"rope_type": "default", "rope_theta": 50000.0}}, PLAIN, 1.0),
    ],
    ids=["none", "linear", "yarn", "yarn-betas", "parameters"],
)
def test_positions_are_turned_as_the_checkpoint_says(tmp_path, config, scaling, frequencies, turn):
    folder = write_checkpoint(tmp_path, config | scaling)
    convert(folder, tmp_path / "model.gguf", "F32")
    with Llama(tmp_path / "model.gguf") as model:
        found = model.logits(TOKENS)
    assert np.abs(found - reference.logits(folder, TOKENS, frequencies, turn)).max() < 1e-3
    if turn != 1:
        assert np.abs(found - reference.logits(folder, TOKENS, PLAIN)).max() > 1e-2


def test_yarn_stretches_the_context(tmp_path):
    scaling = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 256}
    convert(write_checkpoint(tmp_path, DENSE | {"rope_scaling": scaling}), tmp_path / "model.gguf")
    assert gguf.GGUFReader(tmp_path / "model.gguf").fields["qwen3.context_length"].contents() == 1024


def test_a_family_that_is_unknown_is_named_with_those_that_are_not(tmp_path):
    with pytest.raises(ConvertError, match=r"'mamba2'.*qwen3, qwen3_moe"):
        convert(write_checkpoint(tmp_path, DENSE | {"model_type": "mamba2"}), tmp_path / "model.gguf")


@pytest.mark.parametrize(
    ("config", "changes", "why"),
    [
        (DENSE, {"hidden_act": "gelu"}, "hidden_act"),
        (DENSE, {"attention_bias": True}, "attention_bias"),
        (DENSE, {"use_sliding_window": True}, "use_sliding_window"),
        (MOE, {"norm_topk_prob": False}, "norm_topk_prob"),
        (MOE, {"norm_topk_prob": None}, "norm_topk_prob"),
        (MOE, {"mlp_only_layers": [0]}, "mlp_only_layers"),
        (MOE, {"decoder_sparse_step": 2}, "decoder_sparse_step"),
        (DENSE, {"quantization_config": {"quant_method": "fp8"}}, "quantised checkpoint"),
        (DENSE, {"rope_scaling": {"rope_type": "longrope"}}, "'longrope'"),
        (DENSE, {"rope_scaling": {"rope_type": "yarn", "factor": 4.0, "attention_factor": 1.0}}, "attention_factor"),
        (DENSE, {"rope_scaling": {"rope_type": "yarn", "factor": 4.0, "beta_fast": 16}}, "beta_fast"),
        (DENSE, {"rope_scaling": {"rope_type": "yarn", "factor": 4.0, "truncate": False}}, "truncate"),
        (DENSE, {"rope_scaling": {"rope_type": "yarn", "factor": 0}}, "factor"),
        (DENSE, {"rope_scaling": "yarn"}, "no dict"),
        (DENSE, {"rope_theta": -1}, "rope_theta"),
        (DENSE, {"rope_theta": "many"}, "no float"),
        (DENSE, {"rms_norm_eps": 1e400}, "rms_norm_eps|should be"),
        (DENSE, {"num_attention_heads": 0}, "num_attention_heads"),
        (DENSE, {"num_attention_heads": 3}, "3 heads"),
        (DENSE, {"head_dim": 31}, "31"),
        (DENSE, {"num_key_value_heads": 10**30}, "num_key_value_heads"),
        (DENSE, {"hidden_size": None}, "has no 'hidden_size'"),
        (DENSE, {"hidden_size": True}, "no int"),
        (DENSE, {"model_type": None}, "has no 'model_type'"),
        (MOE, {"num_experts": 2**24}, "config.json says"),
    ],
)
def test_what_the_engine_would_compute_otherwise_is_refused(tmp_path, config, changes, why):
    folder = write_checkpoint(tmp_path, config)
    (folder / "config.json").write_text(json.dumps(config | changes))
    with pytest.raises(ConvertError, match=why):
        convert(folder, tmp_path / "model.gguf")
    assert not (tmp_path / "model.gguf").exists()


def test_every_family_names_only_tensors_and_keys_that_gguf_has():
    from gguf.constants import TENSOR_NAMES

    known = {name for name in TENSOR_NAMES.values()}
    for family in FAMILIES.values():
        assert family.architecture in gguf.MODEL_ARCH_NAMES.values()
        assert family.whole.keys() <= known
        assert {f"blk.{{bid}}.{name}" for name in (*family.layer, *family.experts)} <= known
