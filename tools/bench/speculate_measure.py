"""One cell measured: plain and drafted in turn, on one engine, text by text."""

import copy
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
from pairs import alternate, environment, ratio_of
from speculate_record import Subject, written
from speculate_replay import Decoded

from accel.runtime.drafting.conductor import Conductor, Turn
from accel.runtime.drafting.draft import Verdict
from accel.runtime.drafting.model import ModelDrafter
from accel.runtime.engines.base import Batch, Engine, Rows
from accel.runtime.law import Law
from accel.runtime.noise import gumbel_of, noise_bits, seed_key


class _Counting(Conductor):
    steps = 0  # that were drafted

    def stepped(self, turn: Turn, verdicts: Sequence[Verdict], rows: Rows, count: int, seconds: float) -> None:
        self.steps += turn.drafts
        super().stepped(turn, verdicts, rows, count, seconds)


class _Cell:
    """Runs of its texts; what the drafters learned is put back before each of them."""

    def __init__(self, subject: Subject, law: Law, replayed: bool) -> None:
        self._subject, self._law, self._replayed = subject, law, replayed
        made = subject.drafters().conductor
        self._learned = _Counting(made.drafters, made.controller)
        self.nodes = self.stood = self.steps = self.forwards = self.count = 0  # of drafted runs
        self.last: dict[bool, Decoded] = {}  # by whether it was drafted

    def learn(self, prompt: int, tokens: Sequence[int]) -> None:
        self._run(prompt, tokens, self._learned)

    def plain(self, prompt: int, tokens: Sequence[int]) -> float:
        """Tokens a second."""
        done = self.last[False] = self._run(prompt, tokens, None)
        return done.rate

    def drafted(self, prompt: int, tokens: Sequence[int]) -> float:
        conductor = _put_back(self._learned)
        done = self.last[True] = self._run(prompt, tokens, conductor)
        self.nodes += conductor.drafted
        self.stood += conductor.stood
        self.steps += conductor.steps
        self.forwards += done.forwards
        self.count += done.count
        return done.rate

    def _run(self, prompt: int, tokens: Sequence[int], conductor: Conductor | None) -> Decoded:
        most, forced = len(tokens) - prompt, tokens if self._replayed else ()
        return self._subject.bench.decode(tokens[:prompt], self._law, most, conductor, forced)

    def flipped_by(self, prompt: Sequence[int]) -> float | None:
        """How far the last drafted text was from the last plain one; None where they are one."""
        ours, plain = self.last[True].tokens, self.last[False].tokens
        if ours == plain:
            return None
        self._subject.bench.clear()
        return _flipped_by(self._subject.engine, prompt, ours, plain, self._law)


def measure(subject: Subject, kind: str, temperature: float, replayed: bool, most: int, pairs: int) -> dict[str, Any]:
    """Drafters have learned from the half that is not reported, by writing it, and from nothing else: before each run
    they are put back to that. The controller goes on from run to run, as a worker's does."""
    law = subject.law(temperature)
    found = written(subject, kind, temperature, replayed, most)
    cell = _Cell(subject, law, replayed)
    for text, prompt, tokens in found:
        if text.half == "tune":
            cell.learn(prompt, tokens)
    report = [(prompt, tokens) for text, prompt, tokens in found if text.half == "report"]
    if not report:
        raise SystemExit(f"{subject.name} writes next to nothing for {kind}")
    rates: tuple[list[float], list[float]] = ([], [])
    flips: list[float] = []
    for prompt, tokens in report:
        mine, others = alternate(
            partial(cell.drafted, prompt, tokens), partial(cell.plain, prompt, tokens), -(-pairs // len(report))
        )
        rates[0].extend(mine)
        rates[1].extend(others)
        if (flipped_by := cell.flipped_by(tokens[:prompt])) is not None:
            flips.append(flipped_by)
    each = len(rates[0]) // len(report)
    ratio = ratio_of(*rates)
    return {
        "what": "measured",
        "model": subject.name,
        "kind": kind,
        "temperature": temperature,
        "replayed": replayed,
        "plain": len(rates[1]) / sum(1 / rate for rate in rates[1]),
        "ours": len(rates[0]) / sum(1 / rate for rate in rates[0]),
        "ratio": asdict(ratio),
        "texts": [
            ratio_of(rates[0][at : at + each], rates[1][at : at + each]).ratio for at in range(0, len(rates[0]), each)
        ],
        "acceptance": cell.stood / max(1, cell.nodes),
        "tokens_a_forward": cell.count / cell.forwards,
        "steps_drafted": cell.steps / cell.forwards,
        "flips": len(flips),  # texts that came out otherwise
        "flipped_by": max(flips, default=0.0),
        "threads": subject.options.threads,
        **environment(),
    }


def _put_back(learned: "_Counting") -> "_Counting":
    """A worker's conductor whose drafters are as they were when they had learned; its controller, and draft models,
    which learn nothing of a text, are shared."""
    twin = copy.copy(learned)
    twin.drafters = {
        name: drafter if isinstance(drafter, ModelDrafter) else copy.deepcopy(drafter)
        for name, drafter in learned.drafters.items()
    }
    twin.troubles, twin.drafted, twin.stood, twin.steps = {}, 0, 0, 0
    return twin


def _flipped_by(engine: Engine, prompt: Sequence[int], ours: Sequence[int], plain: Sequence[int], law: Law) -> float:
    """How much less a drafted text's first other token scored than the best one, in logits, where the same text is
    forwarded to there and the last row alone."""
    at = next(
        (place for place, (one, other) in enumerate(zip(ours, plain, strict=False)) if one != other),
        min(len(ours), len(plain)) - 1,
    )
    text = [*prompt, *ours[:at]]
    engine.truncate(0, 0)
    for start in range(0, len(text) - 1, engine.can.rows):
        chunk = text[start : min(start + engine.can.rows, len(text) - 1)]
        engine.forward(Batch.chain(0, chunk, wants="none"))
        engine.commit(0, range(len(chunk)))
    scores = engine.forward(Batch.chain(0, text[-1:])).row(0).astype(np.float64)
    engine.truncate(0, 0)
    if law.temperature:
        noise = gumbel_of(noise_bits(seed_key(law.seed), len(text), np.arange(len(scores))))
        left = scores >= np.sort(scores)[-max(1, law.top_k or len(scores))]
        scores = np.where(left, scores + law.temperature * noise, -np.inf)
    return float(scores.max() - scores[ours[at]])
