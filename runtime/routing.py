"""Records which experts a model uses: while it writes its own text, or reads given tokens.

The engine must be open with taps. Sequence 0 must be empty, and is empty again.
"""

import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ..errors import Cancelled, EngineError
from ..offload.trace import Trace
from .engines.base import Batch, Engine, Rows, Tap
from .expert_costs import expert_sizes
from .law import Law
from .sampling import Sampler

Progress = Callable[[float], bool]  # of 0..1; where it returns False the recording ends with Cancelled

# What its texts begin with, one after the other: a story, a fact, a program, an answer.
BEGINNINGS = ("Once upon a time", "The history of the city", "def main():\n    ", "Question: what is rain?\nAnswer:")
_LONGEST = 128  # tokens of one text: another topic then
_CIRCLE = 4  # tokens, none of them again: a text that goes round in circles would seem to need few experts
FEWEST = 32  # tokens that tell something, where there was no time for more


def record_writing(
    engine: Engine, tokens: int, seconds: float = float("inf"), progress: Progress = lambda done: True
) -> Trace:
    """Of so many tokens that the model draws at temperature 1, none like one of the four before, each forwarded alone;
    or of as many as there was time for, FEWEST at least. Raises EngineError, Cancelled."""
    recorder = _Recorder(engine)
    end, text = time.monotonic() + seconds, 0
    try:
        while True:
            for _ in _write(engine, recorder, text, min(_LONGEST, tokens - recorder.tokens)):
                late = recorder.tokens >= FEWEST and time.monotonic() > end
                _tell(progress, 1.0 if late else recorder.tokens / tokens)
                if late or recorder.tokens >= tokens:
                    return recorder.trace()
            engine.truncate(0, 0)
            text += 1
    finally:
        engine.truncate(0, 0)


def record_reading(engine: Engine, tokens: Sequence[int], progress: Progress = lambda done: True) -> Trace:
    """Of these tokens, a context's worth at a time. Raises EngineError, Cancelled."""
    recorder = _Recorder(engine)
    rows = min(engine.can.rows, engine.can.outputs)
    try:
        at = 0
        while at < len(tokens):
            if engine.length(0) == engine.can.context:
                engine.truncate(0, 0)
            part = tokens[at : at + min(rows, engine.can.context - engine.length(0))]
            recorder.forward(part)  # the last layer chooses experts only where logits are wanted
            at += len(part)
            _tell(progress, at / len(tokens))
    finally:
        engine.truncate(0, 0)
    return recorder.trace()


def _tell(progress: Progress, done: float) -> None:
    if not progress(done):
        raise Cancelled("recording the routing was stopped")


def _write(engine: Engine, recorder: "_Recorder", text: int, most: int) -> Iterator[int]:
    """Tokens as they are forwarded, until the model ends the text."""
    beginning = engine.vocabulary.encode(BEGINNINGS[text % len(BEGINNINGS)], start=True)
    beginning = beginning[: min(engine.can.rows, engine.can.context // 2)] or [0]
    law = Law(temperature=1.0, top_k=0, top_p=1.0, presence_penalty=100.0, penalty_last=_CIRCLE, seed=text)
    sampler = Sampler(law, engine.vocabulary.size)
    logits = engine.forward(Batch.chain(0, beginning)).row(len(beginning) - 1)
    engine.commit(0, range(len(beginning)))
    for written in range(min(most, engine.can.context - len(beginning))):
        token = sampler.choose(logits, engine.length(0))
        if token in engine.vocabulary.ends and written:
            return
        sampler.accept(token)
        logits = recorder.forward([token]).row(0)
        yield token


class _Recorder:
    """What the taps of one engine see."""

    def __init__(self, engine: Engine) -> None:
        """Raises EngineError for an engine or a model without what there is to record."""
        self._engine, self._sizes = engine, expert_sizes(engine.spec)
        if not self._sizes:
            raise EngineError("this model has no experts", "record a Mixture-of-Experts model")
        if "experts" not in engine.can.taps:
            raise EngineError("this engine does not show which experts it uses", "open it with `taps`")
        self.tokens = 0
        self._seen: dict[int, list[np.ndarray]] = {layer: [] for layer in self._sizes}
        self._taps = [Tap(layer, "experts", self._keep(layer)) for layer in self._sizes]

    def forward(self, tokens: Sequence[int]) -> Rows:
        """Commits them; their logits."""
        rows = self._engine.forward(Batch.chain(0, tokens, wants="all"), self._taps)
        self._engine.commit(0, range(len(tokens)))
        self.tokens += len(tokens)
        return rows

    def trace(self) -> Trace:
        spec = self._engine.spec
        whole = [np.concatenate(seen) for seen in self._seen.values()]
        if {values.shape for values in whole} != {(self.tokens, spec.experts_used)}:
            raise EngineError("the engine did not show every token's experts", "choose another model")
        chosen = np.stack(whole, axis=1).astype(np.uint16)
        return Trace(spec.fingerprint, spec.name, spec.experts, tuple(self._sizes.values()), chosen)

    def _keep(self, layer: int) -> Callable[[np.ndarray], None]:
        return lambda chosen: self._seen[layer].append(chosen.astype(np.uint16))
