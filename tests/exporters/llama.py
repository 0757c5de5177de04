"""A GGUF in llama.cpp, as plainly as it can be loaded: float32 KV cache, no flash attention, no repacking."""

import ctypes
from pathlib import Path
from typing import Self

import llama_cpp as lib
import numpy as np

from accel.runtime.engines import llama_api


class Llama:
    """A model in this process, for comparisons; close it, or use it as a context manager."""

    def __init__(self, path: Path, vocabulary_only: bool = False) -> None:
        assert llama_api.LOG  # it hears the library, which has one log for the whole process
        lib.llama_backend_init()
        how = lib.llama_model_default_params()
        how.vocab_only = vocabulary_only
        how.use_extra_bufts = False
        model = lib.llama_model_load_from_file(str(path).encode(), how)
        assert model, f"llama.cpp does not load {path}"
        vocabulary = lib.llama_model_get_vocab(model)
        assert vocabulary
        self._model, self.vocabulary = model, vocabulary

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *what: object) -> None:
        lib.llama_model_free(self._model)

    def logits(self, tokens: list[int]) -> np.ndarray:
        """[tokens, vocabulary]"""
        how = lib.llama_context_default_params()
        how.n_ctx = how.n_batch = how.n_ubatch = len(tokens)
        how.n_threads = how.n_threads_batch = 1
        how.type_k = how.type_v = lib.GGML_TYPE_F32
        how.flash_attn_type = lib.LLAMA_FLASH_ATTN_TYPE_DISABLED
        context = lib.llama_init_from_model(self._model, how)
        assert context
        batch = lib.llama_batch_init(len(tokens), 0, 1)
        try:
            batch.n_tokens = len(tokens)
            for row, token in enumerate(tokens):
                batch.token[row], batch.pos[row], batch.logits[row] = token, row, 1
                batch.n_seq_id[row], batch.seq_id[row][0] = 1, 0
            assert lib.llama_decode(context, batch) == 0
            width = lib.llama_vocab_n_tokens(self.vocabulary)
            return np.stack(
                [
                    np.ctypeslib.as_array(lib.llama_get_logits_ith(context, row), (width,)).copy()
                    for row in range(len(tokens))
                ]
            )
        finally:
            lib.llama_batch_free(batch)
            lib.llama_free(context)

    def tokenize(self, text: str, add_special: bool = False) -> list[int]:
        data = text.encode()
        room = (lib.llama_token * (len(data) + 8))()
        count = lib.llama_tokenize(self.vocabulary, data, len(data), room, len(room), add_special, True)
        assert count >= 0
        return room[:count]

    def detokenize(self, tokens: list[int]) -> str:
        room, pieces = ctypes.create_string_buffer(1024), []
        for token in tokens:
            count = lib.llama_token_to_piece(self.vocabulary, token, room, len(room), 0, True)
            assert count >= 0
            pieces.append(room.raw[:count])
        return b"".join(pieces).decode()
