"""llama.cpp by ctypes: the only file that knows its structures. Importing it loads the libraries.

The prototypes here take and give addresses as plain ints: wrapping and unwrapping pointers would cost more than most of
these calls.
"""

import ctypes
import os
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import Cancelled, EngineError, ModelDamaged, ModelError, ModelTruncated, ModelUnsupported
from .options import EngineOptions

# ggml's OpenMP threads wait in a busy loop; where another process wants the core that loop stands in its own way. So
# many turns last from one token to the next, which an idle machine needs, and not much longer. The library reads this
# once, when it loads.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
# An abort must end this process at once, not after a debugger has looked at it.
os.environ.setdefault("GGML_NO_BACKTRACE", "1")

import llama_cpp.llama_cpp as binding

KV_TYPES = {
    "f32": binding.GGML_TYPE_F32,
    "f16": binding.GGML_TYPE_F16,
    "q8_0": binding.GGML_TYPE_Q8_0,
    "q4_0": binding.GGML_TYPE_Q4_0,
}
OK, NO_SLOT, ABORTED, INVALID = 0, 1, 2, -1  # what `decode` returns; below -1 it failed
_DTYPES = {binding.GGML_TYPE_F32: np.float32, binding.GGML_TYPE_F16: np.float16, binding.GGML_TYPE_I32: np.int32}
_INFO, _ERROR, _CONTINUED = 2, 4, 5  # levels of the log; below them is chatter

address = ctypes.c_void_p
int32, boolean, size = ctypes.c_int32, ctypes.c_bool, ctypes.c_size_t
Batch = binding.llama_batch
EvalCallback = ctypes.CFUNCTYPE(boolean, address, boolean, address)
_LogCallback = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, address)


def _function(name: str, result: Any, *arguments: Any) -> Any:
    # Through libllama's handle: it also finds what the libraries under it export, and loads no second copy of them.
    function = binding._lib[name]
    function.restype, function.argtypes = result, arguments
    return function


version = _function("llama_version", ctypes.c_char_p)
max_sequences = _function("llama_max_parallel_sequences", size)
op_name = _function("ggml_op_name", ctypes.c_char_p, ctypes.c_int)
offloads = _function("llama_supports_gpu_offload", boolean)
_has_amx = _function("ggml_cpu_has_amx_int8", ctypes.c_int)
model_free = _function("llama_model_free", None, address)
context_free = _function("llama_free", None, address)
get_memory = _function("llama_get_memory", address, address)
get_vocab = _function("llama_model_get_vocab", address, address)
n_ctx = _function("llama_n_ctx", ctypes.c_uint32, address)
n_batch = _function("llama_n_batch", ctypes.c_uint32, address)
_has_encoder = _function("llama_model_has_encoder", boolean, address)
_has_decoder = _function("llama_model_has_decoder", boolean, address)
_is_diffusion = _function("llama_model_is_diffusion", boolean, address)
is_recurrent = _function("llama_model_is_recurrent", boolean, address)
is_hybrid = _function("llama_model_is_hybrid", boolean, address)

decode = _function("llama_decode", int32, address, Batch)
logits_of = _function("llama_get_logits_ith", address, address, int32)
output_width = _function("llama_model_n_embd_out", int32, address)
set_embeddings = _function("llama_set_embeddings", None, address, boolean)
_embedding_of = _function("llama_get_embeddings_ith", address, address, int32)
set_abort = _function("llama_set_abort_callback", None, address, address, address)

seq_rm = _function("llama_memory_seq_rm", boolean, address, int32, int32, int32)
seq_cp = _function("llama_memory_seq_cp", None, address, int32, int32, int32, int32)
seq_last = _function("llama_memory_seq_pos_max", int32, address, int32)
state_size = _function("llama_state_seq_get_size_ext", size, address, int32, ctypes.c_uint32)
state_get = _function("llama_state_seq_get_data_ext", size, address, address, size, int32, ctypes.c_uint32)
state_set = _function("llama_state_seq_set_data_ext", size, address, address, size, int32, ctypes.c_uint32)

vocab_size = _function("llama_vocab_n_tokens", int32, address)
vocab_bos = _function("llama_vocab_bos", int32, address)
vocab_adds_bos = _function("llama_vocab_get_add_bos", boolean, address)
vocab_attributes = _function("llama_vocab_get_attr", ctypes.c_int, address, int32)
vocab_is_end = _function("llama_vocab_is_eog", boolean, address, int32)
tokenize = _function("llama_tokenize", int32, address, ctypes.c_char_p, int32, address, int32, boolean, boolean)
to_piece = _function("llama_token_to_piece", int32, address, int32, address, int32, int32, boolean)

_model_load = _function("llama_model_load_from_file", address, ctypes.c_char_p, binding.llama_model_params)
_context_new = _function("llama_init_from_model", address, address, binding.llama_context_params)
_log_set = _function("llama_log_set", None, _LogCallback, address)
_buffer_is_host = _function("ggml_backend_buffer_is_host", boolean, address)
_tensor_get = _function("ggml_backend_tensor_get", None, address, address, size, size)
_tensor_set = _function("ggml_backend_tensor_set", None, address, address, size, size)
_devices = _function("ggml_backend_dev_count", size)
_device = _function("ggml_backend_dev_get", address, size)
_device_buffers = _function("ggml_backend_dev_buffer_type", address, address)
_buffers_name = _function("ggml_backend_buft_name", ctypes.c_char_p, address)

# True as soon as the first byte at the given address is not zero: `Stop.flag` is looked at between two graph nodes
# by C code alone. A Python callback there would cost more than many a node.
STOP_CHECK = ctypes.cast(ctypes.CDLL("msvcrt" if os.name == "nt" else None).strlen, address).value


class Tensor(ctypes.Structure):
    """ggml_tensor."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("buffer", address),
        ("ne", ctypes.c_int64 * 4),  # elements per dimension, the fastest first
        ("nb", size * 4),  # bytes from one to the next
        ("op", ctypes.c_int),
        ("op_params", int32 * 16),
        ("flags", int32),
        ("src", address * 10),
        ("view_src", address),
        ("view_offs", size),
        ("data", address),
        ("name", ctypes.c_char * 64),
    )


NAME_OFFSET, OP_OFFSET = Tensor.name.offset, Tensor.op.offset


def new_batch(
    tokens: np.ndarray, positions: np.ndarray, id_counts: np.ndarray, id_rows: np.ndarray, wants: np.ndarray
) -> Batch:
    """A batch that lies in these arrays; they must outlive it. `id_rows` holds addresses of rows of int32."""
    batch = Batch()
    for name, array in (
        ("token", tokens),
        ("pos", positions),
        ("n_seq_id", id_counts),
        ("seq_id", id_rows),
        ("logits", wants),
    ):
        setattr(batch, name, ctypes.cast(array.ctypes.data, type(getattr(batch, name))))
    return batch


def floats_at(place: int, count: int) -> np.ndarray:
    """A read-only view of memory that llama.cpp owns."""
    view = np.frombuffer(memoryview((ctypes.c_float * count).from_address(place)), np.float32)
    view.flags.writeable = False
    return view


def embeddings(context: int | None, count: int, width: int) -> np.ndarray:
    """Of the rows of the last batch: a copy, (count, width). Raises EngineError."""
    LOG.clear()
    places = [_embedding_of(context, row) for row in range(count)]
    if not all(places):
        raise EngineError("llama.cpp has no embeddings of this model", LOG.reason("it does not say why"))
    return np.stack([floats_at(place, width) for place in places])


def tensor_rows(tensor: int) -> np.ndarray:
    """The values of a computed matrix, (rows, columns): a view where memory is the processor's own, else a copy, which
    `put_rows` puts back."""
    it = Tensor.from_address(tensor)
    if not it.ne[0] * it.ne[1]:  # of the last layer, where nobody wants logits
        return np.empty((it.ne[1], it.ne[0]), _DTYPES[it.type])
    if _buffer_is_host(it.buffer):
        return _rows_at(it.data, it.type, it.ne[0], it.ne[1], it.nb[0], it.nb[1])
    memory = ctypes.create_string_buffer(_span(it))
    _tensor_get(tensor, ctypes.addressof(memory), 0, len(memory))
    return np.ndarray((it.ne[1], it.ne[0]), _DTYPES[it.type], memoryview(memory), strides=(it.nb[1], it.nb[0]))


def data_of(model: int, name: str) -> int:
    """Where the bytes of a model's tensor lie, in main memory or a device's; 0 where that tensor is not loaded. Raises
    EngineError."""
    try:
        # llama_model::get_tensor(char const *) const: what llama.cpp's own C interface has no name for.
        find = _function("_ZNK11llama_model10get_tensorEPKc", address, address, ctypes.c_char_p)
    except AttributeError as error:
        raise EngineError("this build of llama.cpp does not tell what is on the GPU", "install accel anew") from error
    tensor = find(model, name.encode())
    return Tensor.from_address(tensor).data or 0 if tensor else 0


def put_rows(tensor: int, rows: np.ndarray) -> None:
    """What `tensor_rows` gave, all of it, with other values in it."""
    it = Tensor.from_address(tensor)
    if rows.size and not _buffer_is_host(it.buffer):
        _tensor_set(tensor, rows.ctypes.data, 0, _span(it))


def _span(it: Tensor) -> int:
    """Bytes from a matrix's first value to the end of its last."""
    return sum((it.ne[i] - 1) * it.nb[i] for i in range(2)) + np.dtype(_DTYPES[it.type]).itemsize


@lru_cache(maxsize=4096)
def _rows_at(place: int, kind: int, columns: int, rows: int, column: int, row: int) -> np.ndarray:
    """A view: graphs are laid out alike in every step, and making one costs more than looking at it."""
    dtype = np.dtype(_DTYPES[kind])
    span = (columns - 1) * column + (rows - 1) * row + dtype.itemsize
    memory = (ctypes.c_char * span).from_address(place)
    return np.ndarray((rows, columns), dtype, memoryview(memory), strides=(row, column))


class Log:
    """What llama.cpp says, process-wide: kept, not shown. Its last lines explain a failure."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=2000)
        self._errors: deque[str] = deque(maxlen=4)
        self._callback = _LogCallback(self._hear)
        _log_set(self._callback, None)

    @property
    def lines(self) -> list[str]:
        return list(self._lines)

    def clear(self) -> None:
        self._lines.clear()
        self._errors.clear()

    def reason(self, otherwise: str) -> str:
        """The errors since `clear`, on one line."""
        return "; ".join(self._errors)[:400] or otherwise

    def _hear(self, level: int, text: bytes, _: int) -> None:
        if level < _INFO:
            return
        line = text.decode(errors="replace").rstrip("\n")[:2000]
        if level == _CONTINUED and self._lines:
            self._lines[-1] = (self._lines[-1] + line)[:2000]
        else:
            self._lines.append(line)
        if level == _ERROR:
            self._errors.append(line.split(": ", 1)[-1].strip())


LOG = Log()


class _Override(ctypes.Structure):
    """llama_model_tensor_buft_override."""

    _fields_ = (("pattern", ctypes.c_char_p), ("buffers", address))


def load_model(options: EngineOptions, progress: Callable[[float], bool] | None = None, dry: bool = False) -> int:
    """A model's address. `dry` reads the header alone and takes no memory. Raises ModelError, Cancelled."""
    LOG.clear()
    watch = _Watch(progress)
    overrides = _overrides(options.overrides)
    params: Any = binding.llama_model_default_params()
    params.n_gpu_layers = options.gpu_layers
    params.load_mode = binding.LLAMA_LOAD_MODE_NONE if dry else binding.LLAMA_LOAD_MODE_MMAP
    # AMX kernels as GCC compiles them crash (ggml-org/llama.cpp#26954). `make` leaves them out; a library that has them
    # would lay weights out for them.
    params.use_extra_bufts = options.repack and not _has_amx()
    params.no_alloc = dry
    params.progress_callback = watch.callback
    params.tensor_buft_overrides = ctypes.cast(overrides, address) if overrides else None
    model = _model_load(os.fsencode(options.path), params)
    if model and not watch.ended:
        return model
    if model:
        model_free(model)
    if watch.failure:
        raise watch.failure
    if watch.ended:
        raise Cancelled("loading the model was stopped")
    raise _load_error(Path(options.path).name, LOG.reason("it does not say why"))


def new_context(model: int, options: EngineOptions, eval_callback: Any = None, eval_data: int | None = None) -> int:
    """A context's address. `eval_callback` is called with `eval_data`. Raises EngineError."""
    LOG.clear()
    if options.kv_type not in KV_TYPES:
        raise EngineError(f"'{options.kv_type}' is no format of a KV cache", f"choose one of {', '.join(KV_TYPES)}")
    if options.sequences + options.branches > max_sequences():
        raise EngineError(f"more than {max_sequences()} sequences and branches", "ask for fewer")
    params: Any = binding.llama_context_default_params()
    params.n_ctx = options.context + options.candidates
    params.n_batch = options.batch
    params.n_ubatch = options.ubatch
    params.n_seq_max = options.sequences + options.branches
    params.n_outputs_max = options.outputs
    params.n_threads = options.threads
    params.n_threads_batch = options.threads_prefill
    params.pooling_type = binding.LLAMA_POOLING_TYPE_NONE  # what the last layer gives is pooled by us
    params.type_k = params.type_v = KV_TYPES[options.kv_type]
    params.flash_attn_type = (
        binding.LLAMA_FLASH_ATTN_TYPE_AUTO if options.flash_attention else binding.LLAMA_FLASH_ATTN_TYPE_DISABLED
    )
    params.kv_unified = True  # branches share their prefix's cells
    params.swa_full = True  # rows outside the window can be taken back to
    params.no_perf = True
    # Experts that are not in memory must not be copied to a GPU to be multiplied there, and a GPU that holds nothing of
    # the model is left alone: what it took would be in no plan.
    params.op_offload = options.gpu_layers > 0 and not options.expert_memory
    if eval_callback:
        params.cb_eval = ctypes.cast(eval_callback, binding.ggml_backend_sched_eval_callback)
        params.cb_eval_user_data = eval_data
    context = _context_new(model, params)
    if not context:
        raise EngineError(f"no context could be made ({LOG.reason('out of memory?')})", "ask for a smaller context")
    return context


def writes(model: int, context: int) -> bool:
    """Whether tokens come one after another: not from encoders, and not without a cache."""
    return (
        _has_decoder(model) and not _has_encoder(model) and not _is_diffusion(model) and get_memory(context) is not None
    )


class _Watch:
    """The progress callback of one load: exceptions may not cross C, so they wait here."""

    def __init__(self, progress: Callable[[float], bool] | None) -> None:
        self.failure: BaseException | None = None
        self.ended = False
        self._progress = progress
        self.callback = binding.llama_progress_callback(self._step)

    def _step(self, done: float, _: int) -> bool:
        try:
            self.ended = self._progress is not None and not self._progress(done)
        except BaseException as error:  # noqa: BLE001 - raised again by load_model
            self.failure, self.ended = error, True
        return not self.ended


def buffer_types() -> dict[str, int]:
    """Of every device, by name."""
    return {_buffers_name(kind).decode(): kind for kind in map(_device_buffers, map(_device, range(_devices())))}


def _overrides(wanted: tuple[tuple[str, str], ...]) -> Any:
    """(pattern, buffer type) pairs as llama.cpp wants them: an array that ends with an empty one."""
    if not wanted:
        return None
    known = buffer_types()
    array = (_Override * (len(wanted) + 1))()
    for i, (pattern, name) in enumerate(wanted):
        if name not in known:
            raise EngineError(f"there is no buffer type '{name}' here", f"there are {', '.join(known)}")
        array[i] = _Override(pattern.encode(), known[name])
    return array


def _load_error(name: str, reason: str) -> ModelError:
    if "unknown model architecture" in reason or "unknown pre-tokenizer" in reason or "unsupported" in reason:
        return ModelUnsupported(f"{name} cannot be run by llama.cpp ({reason})", "choose another model")
    if "not within the file bounds" in reason or "corrupted or incomplete" in reason or "failed to read" in reason:
        return ModelTruncated(f"{name} ends too early ({reason})", "download it again")
    return ModelDamaged(f"{name} cannot be loaded ({reason})", "download or convert it again")
