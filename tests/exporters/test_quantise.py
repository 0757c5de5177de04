import gguf
import numpy as np
import pytest
from gguf.quants import dequantize

from accel.errors import AccelError, ConvertError, ModelError
from accel.exporters.gguf import convert
from accel.exporters.quantise import MIXTURES, quantise

from .checkpoints import DENSE, MOE, write_checkpoint
from .llama import Llama

WIDE = DENSE | {"hidden_size": 256, "intermediate_size": 512, "head_dim": 64, "num_hidden_layers": 1}
TOKENS = [5, 598, 17, 300, 17, 44]


def formats(path) -> dict[str, str]:
    return {each.name: each.tensor_type.name for each in gguf.GGUFReader(path).tensors}


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wide")
    convert(write_checkpoint(folder / "checkpoint", WIDE, "BF16"), folder / "wide.gguf", "BF16")
    return folder / "wide.gguf"


@pytest.mark.parametrize("type", ["Q4_1", "Q2_K", "Q4_K_M", "Q6_K", "IQ4_XS", "TQ2_0", "MXFP4_MOE"])
def test_a_mixture_loads_and_stays_near_the_model_it_was_made_of(wide, tmp_path, type):
    assert quantise(wide, tmp_path / "out.gguf", type) == ()
    expected = MIXTURES[type][1] if type != "MXFP4_MOE" else "Q8_0"  # that mixture is for experts
    assert expected in formats(tmp_path / "out.gguf").values()
    with Llama(wide) as model:
        before = model.logits(TOKENS)
    with Llama(tmp_path / "out.gguf") as model:
        after = model.logits(TOKENS)
    assert np.corrcoef(before.ravel(), after.ravel())[0, 1] > (0.3 if type.startswith("TQ") else 0.7)


@pytest.mark.parametrize("type", ["Q4_0", "Q8_0"])
def test_what_is_written_here_is_what_llama_cpp_would_write(tmp_path, type):
    folder = write_checkpoint(tmp_path / "checkpoint", MOE)
    convert(folder, tmp_path / "whole.gguf", "F32")
    convert(folder, tmp_path / "here.gguf", type)
    quantise(tmp_path / "whole.gguf", tmp_path / "there.gguf", type, embeddings=type, output=type)
    here, there = (
        {each.name: (each.tensor_type, each.data.tobytes()) for each in gguf.GGUFReader(tmp_path / name).tensors}
        for name in ("here.gguf", "there.gguf")
    )
    assert here == there


def test_embeddings_and_output_may_have_types_of_their_own(wide, tmp_path):
    quantise(wide, tmp_path / "out.gguf", "Q4_0", embeddings="Q8_0", output="Q6_K")
    found = formats(tmp_path / "out.gguf")
    assert (found["token_embd.weight"], found["output.weight"], found["blk.0.attn_q.weight"]) == (
        "Q8_0",
        "Q6_K",
        "Q4_0",
    )


def test_a_checkpoint_becomes_any_mixture_in_one_call(tmp_path):
    folder = write_checkpoint(tmp_path / "checkpoint", WIDE, "F16")
    seen: list[float] = []
    assert convert(folder, tmp_path / "out.gguf", "Q4_K_M", seen.append) == ()
    assert {"Q4_K", "Q6_K", "F32"} == set(formats(tmp_path / "out.gguf").values())
    assert seen == sorted(seen) and seen[-1] == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint", "out.gguf"]


def test_tensors_whose_rows_do_not_divide_are_named(tmp_path):
    folder = write_checkpoint(tmp_path / "checkpoint", WIDE | {"intermediate_size": 96})
    fallbacks = convert(folder, tmp_path / "out.gguf", "Q4_K_S")
    found = formats(tmp_path / "out.gguf")
    assert [each.tensor for each in fallbacks] == ["blk.0.ffn_down.weight"]
    assert fallbacks[0].wanted == "Q4_K"
    assert fallbacks[0].got == found["blk.0.ffn_down.weight"] != "Q4_K"


def test_a_type_asked_for_an_embedding_is_no_fallback(tmp_path):
    folder = write_checkpoint(tmp_path / "checkpoint", DENSE)
    fallbacks = convert(folder, tmp_path / "out.gguf", "Q4_K_M", embeddings="Q8_0", output="F16")
    found = formats(tmp_path / "out.gguf")
    assert (found["token_embd.weight"], found["output.weight"]) == ("Q8_0", "F16")
    assert {each.tensor for each in fallbacks} == found.keys() - {
        name for name in found if found[name] in ("F32", "F16") or name == "token_embd.weight"
    }


def test_the_intermediate_file_loses_nothing(tmp_path):
    folder = write_checkpoint(tmp_path / "checkpoint", WIDE, "BF16")
    convert(folder, tmp_path / "exact.gguf", "F32")
    quantise(tmp_path / "exact.gguf", tmp_path / "one.gguf", "Q6_K")
    convert(folder, tmp_path / "two.gguf", "Q6_K")
    one, two = (gguf.GGUFReader(tmp_path / name).tensors for name in ("one.gguf", "two.gguf"))
    assert {each.name: each.data.tobytes() for each in one} == {each.name: each.data.tobytes() for each in two}
    assert np.isfinite(dequantize(one[0].data, one[0].tensor_type)).all()


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"type": "Q4_X"}, ConvertError),
        ({"type": "IQ1_S"}, ConvertError),
        ({"embeddings": "Q4_K_M"}, ConvertError),
        ({"source": "nowhere.gguf"}, ModelError),
        ({"out": "nowhere/out.gguf"}, AccelError),
    ],
)
def test_what_cannot_be_made_is_refused_and_nothing_is_left(wide, tmp_path, changes, error):
    asked = {"source": wide, "out": "out.gguf", "type": "Q8_0"} | changes
    with pytest.raises(error):
        quantise(**asked | {"source": tmp_path / asked["source"], "out": tmp_path / asked["out"]})
    assert not list(tmp_path.iterdir())


def test_a_quantised_source_is_refused_with_llama_cpps_own_words(wide, tmp_path):
    quantise(wide, tmp_path / "small.gguf", "Q4_0")
    with pytest.raises(ConvertError, match="requantizing"):
        quantise(tmp_path / "small.gguf", tmp_path / "out.gguf", "Q8_0")
    assert not (tmp_path / "out.gguf").exists()


def test_a_quantiser_that_aborts_is_an_error_here(tmp_path):
    """llama.cpp ends its process where an embedding's rows do not divide by a type that was asked for by name."""
    convert(write_checkpoint(tmp_path / "checkpoint", DENSE), tmp_path / "whole.gguf", "F32")
    with pytest.raises(ConvertError, match="could not quantise"):
        quantise(tmp_path / "whole.gguf", tmp_path / "out.gguf", "Q8_0", embeddings="Q6_K")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint", "whole.gguf"]


def test_an_interrupt_ends_the_quantiser_and_leaves_nothing(wide, tmp_path):
    def interrupt(fraction: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quantise(wide, tmp_path / "out.gguf", "Q8_0", progress=interrupt)
    assert not list(tmp_path.iterdir())


def test_mixtures_have_llama_cpps_numbers():
    import llama_cpp

    for name, (number, _) in MIXTURES.items():
        assert number == getattr(llama_cpp, f"LLAMA_FTYPE_{'ALL' if name == 'F32' else 'MOSTLY'}_{name}")
