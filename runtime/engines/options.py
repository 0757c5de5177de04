"""What engines are opened with: plain data, light to import, to and from JSON."""

from dataclasses import dataclass

READERS = 4  # reads of experts in flight


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """What a plan chose: how a model is opened."""

    path: str
    context: int = 4096  # positions that all sequences share
    sequences: int = 1
    branches: int = 0  # leaves beyond the first of all draft trees together
    candidates: int = 0  # positions beyond the context, which nodes of drafts may take
    batch: int = 512  # rows of one forward at most
    ubatch: int = 512  # rows that are computed at once
    outputs: int = 32  # rows of one forward whose logits may be wanted
    kv_type: str = "f16"  # "f32", "f16", "q8_0", "q4_0"
    threads: int = 1  # that decode
    threads_prefill: int = 1
    repack: bool = True  # copy weights into the order that this processor's kernels read fastest
    gpu_layers: int = 0
    overrides: tuple[tuple[str, str], ...] = ()  # (pattern of tensor names, buffer type), the first that matches
    flash_attention: bool = True
    expert_memory: int = 0  # bytes that experts may take; 0: all of the file is mapped, and the system decides
    # Pages cannot be moved here: experts are read into the system's cache, which is hoped to keep as much of them.
    through_cache: bool = False
    low_experts: str = ""  # the file of stand-ins for experts, where the text may differ; "": all are exact
    low_above: float = 0.6  # thresholds of offload/precision.py
    skip_above: float = 0.9
    deterministic: bool = False  # what an expert is replaced by depends on gate scores alone, not on what is in memory
    taps: bool = False  # whether `forward` may be given taps; costs a few per cent


@dataclass(frozen=True, slots=True)
class FakeOptions:
    context: int = 4096
    sequences: int = 8
    branches: int = 16
    candidates: int = 0
    batch: int = 512
    outputs: int = 512
    rollback: bool = True
    decodes: bool = False  # several tokens in one call
    answer_length: int = 24  # after about so many tokens an answer ends
    script: tuple[tuple[str, str], ...] = ()  # (prompt, answer): after this text or this user's turn, that answer
    seconds_to_open: float = 0.0
    seconds_per_forward: float = 0.0
    seconds_per_row: float = 0.0
    fail_at: int = 0  # the number, from 1, of the forward that raises EngineError; 0 never
    die_at: int = 0  # the number of the forward that kills this process
