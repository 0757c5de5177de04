"""Low blocks keep what can be kept, lose about as little as any codes could, and account for it truly."""

from itertools import combinations_with_replacement

import numpy as np
import pytest
from gguf import GGMLQuantizationType
from gguf.quants import dequantize, quantize

from accel.compiled import library
from accel.exporters.low import _RANGES, Loss, choose_levels, encode, table_of
from accel.offload.planes import FORMS, TABLE, expand

from .checkpoints import MOE, write_checkpoint

pytestmark = pytest.mark.skipif(library("accel.exporters._low") is None, reason="low.c is not compiled here")

LEVELS = {
    "Q4_0": (-8, -3, 1, 6),
    "Q8_0": (-127, -102, -79, -60, -44, -30, -16, -3, 10, 23, 36, 50, 64, 79, 97, 127),
    "Q4_K": (0, 5, 9, 14),
    "Q6_K": (-32, -21, -12, -5, 2, 9, 17, 30),
}
QUANTS = {"Q4_0": slice(2, 18), "Q8_0": slice(2, 34), "Q4_K": slice(16, 144), "Q6_K": slice(0, 192)}
TOP = {"Q4_0": (0xCC, 0x22), "Q8_0": (0xF0, 0x08), "Q4_K": (0xCC, 0x22), "Q6_K": (0x88, 0x44)}  # what is kept, and put


def values(format: str, blocks: np.ndarray) -> np.ndarray:
    return dequantize(blocks, GGMLQuantizationType[format]).astype(np.float64)


def lost(format: str, blocks: np.ndarray, other: np.ndarray) -> Loss:
    before, after = values(format, blocks), values(format, other)
    return Loss(((after - before) ** 2).sum(), (before**2).sum())


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """Blocks of each format as llama.cpp makes them: uint8, [blocks, bytes]."""
    import gguf

    from accel.exporters.gguf import convert
    from accel.exporters.quantise import quantise

    folder = tmp_path_factory.mktemp("real")
    wide = MOE | {"hidden_size": 256, "moe_intermediate_size": 256, "num_hidden_layers": 1}
    convert(write_checkpoint(folder / "checkpoint", wide), folder / "whole.gguf", "F32")
    found = {}
    for format, mixture in (("Q4_0", "Q4_0"), ("Q8_0", "Q8_0"), ("Q4_K", "Q4_K_S"), ("Q6_K", "Q6_K")):
        quantise(folder / "whole.gguf", folder / "quantised.gguf", mixture)
        tensors = gguf.GGUFReader(folder / "quantised.gguf").tensors
        (data,) = (each.data for each in tensors if each.name == "blk.0.ffn_gate_exps.weight")
        found[format] = np.array(data).reshape(-1, FORMS[format].block)
    return found


@pytest.mark.parametrize("format", FORMS)
def test_the_account_is_what_the_stand_ins_differ_by(real, format):
    low, loss = encode(format, LEVELS[format], real[format])
    true = lost(format, real[format], expand(format, table_of(format, LEVELS[format]), low))
    assert loss.error == pytest.approx(true.error, rel=1e-3) and loss.whole == pytest.approx(true.whole, rel=1e-3)


@pytest.mark.parametrize(("format", "most"), [("Q4_0", 0.1), ("Q8_0", 0.006), ("Q4_K", 0.09), ("Q6_K", 0.019)])
def test_levels_that_were_chosen_lose_less_than_top_bits_do(real, format, most):
    blocks = real[format]
    _, chosen = encode(format, choose_levels(format, blocks[:200]), blocks)
    keep, put = TOP[format]
    top = blocks.copy()
    top[:, QUANTS[format]] &= keep
    top[:, QUANTS[format]] |= put
    if format == "Q6_K":
        top[:, 128:192] = blocks[:, 128:192]  # the two high bits of each quant are kept whole
    assert chosen.share < 0.85 * lost(format, blocks, top).share
    assert chosen.share < most


@pytest.mark.parametrize("format", FORMS)
def test_levels_are_chosen_for_the_tensor_at_hand(format):
    """Values that are few and far between want other levels than values spread evenly."""
    form, random = FORMS[format], np.random.default_rng(5)
    if format in ("Q4_0", "Q8_0"):
        even, tailed = random.uniform(-1, 1, (32, 256)), random.standard_t(3, (32, 256))
        sets = [quantize(each.astype(np.float32), GGMLQuantizationType[format]) for each in (even, tailed)]
    else:
        sets = [random.integers(0, 256, (64, form.block), np.uint8) for _ in range(2)]
        for blocks in sets:
            blocks[:, -2:] = np.frombuffer(np.float16(1).tobytes(), np.uint8)
            blocks[:, :4] = (
                np.frombuffer(np.ones(2, np.float16).tobytes(), np.uint8) if format == "Q4_K" else blocks[:, :4]
            )
        sets[1][:, QUANTS[format]] &= 0x33 if format == "Q4_K" else 0x11
    sets = [blocks.reshape(-1, form.block) for blocks in sets]
    chosen = [choose_levels(format, blocks) for blocks in sets]
    lowest, highest, count = _RANGES[format]
    assert chosen[0] != chosen[1]
    for mine, other, blocks in zip(chosen, reversed(chosen), sets, strict=True):
        assert list(mine) == sorted(set(mine)) and len(mine) == count and lowest <= mine[0] and mine[-1] <= highest
        assert encode(format, mine, blocks)[1].error <= encode(format, other, blocks)[1].error


@pytest.mark.parametrize("format", FORMS)
def test_what_consists_of_levels_alone_is_kept_bit_for_bit(real, format):
    """Every code in every place comes back, with its scale."""
    form, random = FORMS[format], np.random.default_rng(3)
    low = random.integers(0, 256, (400, form.low), np.uint8)
    scales = {"Q4_0": slice(0, 2), "Q8_0": slice(0, 2), "Q4_K": slice(0, 16), "Q6_K": slice(96, 114)}[format]
    low[:, scales] = encode(format, LEVELS[format], real[format][:400])[0][:, scales]
    table = table_of(format, LEVELS[format])
    blocks = expand(format, table, low)
    again = expand(format, table, encode(format, LEVELS[format], blocks)[0])
    same = (again == blocks).all(axis=1)
    assert same.mean() > 0.98  # a run may lack the levels that would tell its scale from another
    assert lost(format, blocks, again).share < 1e-4


def test_every_scale_that_a_half_can_be_is_kept():
    halves = np.arange(1, 31744, dtype=np.uint16)  # all that are positive and finite
    for signs in (0, 0x8000):
        blocks = np.zeros((len(halves), 18), np.uint8)
        blocks[:, :2] = (halves | signs).reshape(-1, 1).view(np.uint8)
        blocks[:, 2:] = [0x00, 0x55, 0x99, 0xEE] * 4
        low, loss = encode("Q4_0", LEVELS["Q4_0"], blocks)
        assert (low[:, :2] == blocks[:, :2]).all() and loss.error == pytest.approx(0, abs=1e-3 * loss.whole)


def test_codes_of_q4_0_are_almost_the_best_that_there_are(real):
    """Against every way in which thresholds can cut the quants, with the best scale for each."""
    blocks, levels = real["Q4_0"][:300], np.array(LEVELS["Q4_0"])
    quants = np.concatenate([blocks[:, 2:] & 15, blocks[:, 2:] >> 4], axis=1).astype(np.int64) - 8
    counts = np.stack([(quants == quant).sum(axis=1) for quant in range(-8, 8)], axis=1)
    cuts = [np.searchsorted(cut, np.arange(16), side="right") for cut in combinations_with_replacement(range(17), 3)]
    near = levels[np.array([*cuts, *(3 - cut for cut in cuts)])]  # upside down too, where a scale is negative
    both, square = counts @ (near * np.arange(-8, 8)).T, counts @ (near**2).T
    best = (quants**2).sum(axis=1) - (both**2 / square).max(axis=1)
    _, loss = encode("Q4_0", LEVELS["Q4_0"], blocks)
    scales = blocks[:, :2].copy().view(np.float16)[:, 0].astype(np.float64) ** 2
    assert (best * scales).sum() <= 1.001 * loss.error
    assert loss.error < 1.03 * (best * scales).sum()


@pytest.mark.parametrize("format", FORMS)
def test_any_bytes_become_low_blocks(format):
    """Scales that are no numbers, or too large, end nothing, and are not counted."""
    form, random = FORMS[format], np.random.default_rng(11)
    blocks = random.integers(0, 256, (3000, form.block), np.uint8)
    blocks[:50], blocks[50:100] = 0, 255
    low, loss = encode(format, LEVELS[format], blocks)
    assert low.shape == (3000, form.low) and np.isfinite([loss.error, loss.whole]).all()
    assert 0 <= loss.error < loss.whole
    levels = choose_levels(format, blocks[:200])
    assert len(table_of(format, levels)) == TABLE
    assert encode(format, levels, blocks[:0])[0].shape == (0, form.low)


@pytest.mark.parametrize("format", FORMS)
def test_zeros_stay_zeros(format):
    blocks = np.zeros((100, FORMS[format].block), np.uint8)
    low, loss = encode(format, choose_levels(format, blocks), blocks)
    assert loss.share == 0
    assert not values(format, expand(format, table_of(format, LEVELS[format]), low)).any()
