"""Records a cell for `speculate_simulate.py`: texts as the model writes them, or as people wrote them and the model is
made to, what it would have said at every place, and what all of that costs here."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from pairs import environment
from speculate_costs import Heard, Samples, line_through, measured_steps
from speculate_recording import LIKELY, Look, Recorded, Recording, World
from speculate_replay import Bench
from speculate_simulate import MODEL
from speculate_texts import Text, texts

from accel.runtime.costs import RowTimes
from accel.runtime.drafting.draft import Context
from accel.runtime.drafting.make import Kept
from accel.runtime.drafting.model import ModelDrafter
from accel.runtime.drafting.options import DraftingOptions
from accel.runtime.engines import open_engine
from accel.runtime.engines.base import Batch, Engine
from accel.runtime.engines.options import EngineOptions
from accel.runtime.law import Law
from accel.runtime.plan import engine_options
from accel.runtime.planning import goal_of, plan_or_raise, this_machine
from accel.runtime.sampling import Sampler
from accel.runtime.settings import Settings
from accel.runtime.timing import measure_rows

CONTEXT = 4096
NODES = 31  # of a draft, whatever a plan would think of them
GUESSED = 16  # nodes of a draft model's guesses that are recorded
_LEAST = 12  # tokens of a text that is worth recording
_STEPS = 96  # tokens of the text that costs are measured with
_ROUNDS = 3
SEED = 11


class Subject:
    """A model as a plan would open it here, and perhaps a draft model, in this process."""

    def __init__(self, name: str, target: Path, draft: Path | None, threads: int | None) -> None:
        self.name, self.target, self.draft = name, target, draft
        self.options = plan_options(target, threads, NODES)
        self.engine = open_engine("llamacpp", self.options)
        self.bench = Bench(self.engine)
        self.draft_engine: Engine | None = open_engine("llamacpp", plan_options(draft, threads)) if draft else None
        self.costs: dict[str, tuple[float, tuple[float, ...]]] = {}  # of steps, by kind of text: of how long a one
        self.times: RowTimes = measure_rows(
            self.engine, self.options.threads, self.options.repack, 1.0, self.options.flash_attention
        )

    def law(self, temperature: float) -> Law:
        return Law(temperature=temperature, seed=SEED)

    def drafters(self, nodes: int = NODES) -> Kept:
        """As a worker makes them, and the draft model behind them."""
        kept = Kept(self.engine, DraftingOptions("", self.times.rows, self.times.seconds, nodes))
        if self.draft_engine and MODEL not in kept.conductor.drafters:
            kept.conductor.drafters[MODEL] = ModelDrafter(self.draft_engine, size=self.engine.vocabulary.size)
        return kept

    def encode(self, text: Text, most: int) -> tuple[list[int], list[int]]:
        """The prompt, and what people wrote after it."""
        vocabulary = self.engine.vocabulary
        prompt = vocabulary.encode(text.prompt, start=True)[-(CONTEXT - 2 * most) :]
        return prompt, vocabulary.encode(text.continuation, special=False)[:most] if text.continuation else []


def plan_options(path: Path, threads: int | None, nodes: int = 0) -> EngineOptions:
    settings = Settings(model=str(path), context=CONTEXT, threads=threads, drafting=nodes > 0)
    goal = replace(goal_of(settings), draft_nodes=nodes)
    return engine_options(plan_or_raise(path, goal, this_machine(lambda _: None), lambda _: None))


def written(
    subject: Subject, kind: str, temperature: float, replayed: bool, most: int
) -> list[tuple[Text, int, list[int]]]:
    """The texts of a cell with the lengths of their prompts and all their tokens; not those that end at once."""
    found: list[tuple[Text, int, list[int]]] = []
    for text in texts(kind):
        prompt, continuation = subject.encode(text, most)
        if not replayed:
            continuation = list(subject.bench.decode(prompt, subject.law(temperature), most).tokens)
        if len(continuation) >= _LEAST:
            found.append((text, len(prompt), prompt + continuation))
    return found


def record(subject: Subject, kind: str, temperature: float, replayed: bool, most: int) -> Recording:
    """Takes about a minute for a small model. Raises SystemExit where a half has no text."""
    found = written(subject, kind, temperature, replayed, most)
    law = subject.law(temperature)
    if {text.half for text, _, _ in found} != {"tune", "report"}:
        raise SystemExit(f"{subject.name} writes next to nothing for {kind}")
    if kind not in subject.costs:
        _, prompt, tokens = sorted(found, key=lambda each: each[1])[len(found) // 2]
        text = tokens[:prompt] + (tokens[prompt:] * _STEPS)[:_STEPS]
        subject.costs[kind] = measured_steps(subject.bench, tokens[:prompt], text, law, _ROUNDS)
    heard = Heard(subject.drafters().conductor)
    for text, prompt, tokens in found:
        if text.half == "tune":
            subject.bench.decode(tokens[:prompt], law, len(tokens) - prompt, heard, tokens)
    subject.bench.clear()
    looks = {name: line_through(samples) for name, samples in heard.looks.items()}
    recorded = [
        Recorded(text.name, text.half, prompt, tuple(tokens), _likely(subject.engine, prompt, tokens))
        for text, prompt, tokens in found
    ]
    if subject.draft_engine:
        recorded, looks[MODEL] = _guessed(subject.draft_engine, recorded, law, subject.engine.vocabulary.size)
    world = World(
        *subject.costs[kind],
        subject.times.rows,
        subject.times.seconds,
        looks,
        float(np.median(heard.turns)),
        line_through(heard.learning),
        subject.engine.vocabulary.size,
    )
    return Recording(subject.name, kind, temperature, replayed, world, tuple(recorded), environment())


def _likely(engine: Engine, prompt: int, tokens: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """The best candidates before each of the tokens after the prompt."""
    engine.truncate(0, 0)
    most = min(engine.can.rows, engine.can.outputs)
    for start in range(0, prompt - 1, engine.can.rows):
        rows = tokens[start : min(start + engine.can.rows, prompt - 1)]
        engine.forward(Batch.chain(0, rows, wants="none"))
        engine.commit(0, range(len(rows)))
    found: list[tuple[int, ...]] = []
    for start in range(prompt - 1, len(tokens) - 1, most):
        chunk = tokens[start : min(start + most, len(tokens) - 1)]
        _, best = engine.forward(Batch.chain(0, chunk, wants="all")).top(LIKELY)
        engine.commit(0, range(len(chunk)))
        found += [tuple(row) for row in best.tolist()]
    engine.truncate(0, 0)
    return tuple(found)


def _guessed(engine: Engine, recorded: Sequence[Recorded], law: Law, size: int) -> tuple[list[Recorded], Look]:
    """The texts with what a draft model would guess before each token, and what guessing takes."""
    drafter = ModelDrafter(engine, least=0.0, size=size)
    samples: Samples = []
    found: list[Recorded] = []
    for number, text in enumerate(recorded):
        guesses: list[tuple[tuple[int, ...], tuple[float, ...]]] = []
        for at in range(text.prompt, len(text.tokens)):
            context = Context(number, text.tokens[:at], text.prompt, Sampler(law, size))
            limits = (4, GUESSED) if at % 4 == 0 else (GUESSED,)
            start = time.perf_counter()
            for limit in limits:
                drafter.start([context], [limit])
                (draft,) = drafter.take()
                if at > text.prompt:  # the first has the prompt to read
                    samples.append((len(draft), time.perf_counter() - start))
            guesses.append((draft.tokens, draft.probabilities or ()))
        drafter.forget(number)
        found.append(Recorded(text.name, text.half, text.prompt, text.tokens, text.likely, tuple(guesses)))
    if drafter.trouble:
        raise SystemExit(f"the draft model failed: {drafter.trouble}")
    return found, line_through(samples)
