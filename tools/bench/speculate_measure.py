"""One cell measured: plain and drafted in turn, on one engine, text by text."""

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from pairs import alternate, environment, ratio_of, until_known
from speculate_record import Subject, written
from speculate_replay import Decoded

from accel.runtime.drafting.bounds import Bounds
from accel.runtime.drafting.conductor import Conductor, Turn
from accel.runtime.drafting.draft import Verdict
from accel.runtime.drafting.forced import Forced, teacher_forced
from accel.runtime.drafting.immediate import Immediate
from accel.runtime.engines.base import Rows
from accel.runtime.law import Law
from accel.runtime.sampling import Sampler

_KNOWN = 0.01  # how well a cell's ratio should be known, to either side


class _Counting(Conductor):
    steps = 0  # that were drafted

    def stepped(self, turn: Turn, verdicts: Sequence[Verdict], rows: Rows, count: int, seconds: float) -> None:
        self.steps += turn.drafts
        super().stepped(turn, verdicts, rows, count, seconds)


class _Cell:
    """Runs of its texts; what the drafters learned is put back before each of them."""

    def __init__(self, subject: Subject, law: Law, replayed: bool, nodes: int, against: int) -> None:
        self._subject, self._law, self._replayed = subject, law, replayed
        self._conductor = self._counting(nodes)
        self._other = self._counting(against) if against else None
        self._learned: dict[str, dict[str, Any]] = {}  # what drafters hold that learn
        self.nodes = self.stood = self.steps = self.forwards = self.count = 0  # of drafted runs
        self.last: dict[bool, Decoded] = {}  # by whether it is what is measured, or what that is measured against

    def _counting(self, nodes: int) -> _Counting:
        made = self._subject.drafters(nodes).conductor
        return _Counting(made.drafters, made.controller, Bounds(nodes, self._subject.engine.can.branches))

    def learn(self, prompt: int, tokens: Sequence[int]) -> None:
        if self._other:
            self._run(prompt, tokens, self._other)
        self._run(prompt, tokens, self._conductor)
        learning = {name: each for name, each in self._conductor.drafters.items() if isinstance(each, Immediate)}
        self._learned = {name: copy.deepcopy(vars(each)) for name, each in learning.items()}

    def other(self, prompt: int, tokens: Sequence[int]) -> float:
        """Tokens a second, plainly or with another budget. Drafters are put back before plain decoding too: it leaves
        caches cold."""
        _put_back(self._other or self._conductor, self._learned)
        done = self.last[False] = self._run(prompt, tokens, self._other)
        return done.rate

    def drafted(self, prompt: int, tokens: Sequence[int]) -> float:
        conductor = self._conductor
        _put_back(conductor, self._learned)
        before = conductor.drafted, conductor.stood, conductor.steps
        done = self.last[True] = self._run(prompt, tokens, conductor)
        self.nodes += conductor.drafted - before[0]
        self.stood += conductor.stood - before[1]
        self.steps += conductor.steps - before[2]
        self.forwards += done.forwards
        self.count += done.count
        return done.rate

    def _run(self, prompt: int, tokens: Sequence[int], conductor: Conductor | None) -> Decoded:
        most, forced = len(tokens) - prompt, tokens if self._replayed else ()
        return self._subject.bench.decode(tokens[:prompt], self._law, most, conductor, forced)

    def forced(self, prompt: Sequence[int]) -> Forced | None:
        """The last drafted text on the target alone; None where it is the other's."""
        ours = self.last[True].tokens
        if ours == self.last[False].tokens:
            return None
        engine = self._subject.engine
        self._subject.bench.clear()
        return teacher_forced(engine, 0, [*prompt, *ours], len(prompt), Sampler(self._law, engine.vocabulary.size))


def measure(subject: Subject, kind: str, temperature: float, given: Any) -> dict[str, Any]:
    """Drafters have learned from the half that is not reported, by writing it, and from nothing else: before each run
    they are put back to that. The controller goes on from run to run, as a worker's does. `given`: `replay`, `tokens`,
    `pairs`, `seconds`, `nodes` and `against` of the command line."""
    replayed, pairs = given.replay, given.pairs
    law = subject.law(temperature)
    found = written(subject, kind, temperature, replayed, given.tokens)
    cell = _Cell(subject, law, replayed, given.nodes, given.against)
    for text, prompt, tokens in found:
        if text.half == "tune":
            cell.learn(prompt, tokens)
    report = [(prompt, tokens) for text, prompt, tokens in found if text.half == "report"]
    if not report:
        raise SystemExit(f"{subject.name} writes next to nothing for {kind}")
    rates: tuple[list[float], list[float]] = ([], [])
    others_than_plain, gaps = 0, list[float]()
    each = -(-pairs // len(report))
    for number, (prompt, tokens) in enumerate(report):
        contestants = partial(cell.drafted, prompt, tokens), partial(cell.other, prompt, tokens)
        if number:
            mine, others = alternate(*contestants, each)
        else:
            mine, others = until_known(*contestants, each, given.seconds / len(report), _KNOWN * math.sqrt(len(report)))
            each = len(mine)  # all texts count alike
        rates[0].extend(mine)
        rates[1].extend(others)
        if forced := cell.forced(tokens[:prompt]):
            others_than_plain += 1
            gaps += forced.gaps
    ratio = ratio_of(*rates)
    return {
        "what": "budgets" if given.against else "measured",
        "nodes": given.nodes,
        "against": given.against,  # so many nodes; 0: plain decoding
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
        "otherwise": others_than_plain,  # texts that came out otherwise than by the other
        "flips": len(gaps),  # tokens of theirs that the target alone would not have chosen
        "flipped_by": max(gaps, default=0.0),  # logits
        "threads": subject.options.threads,
        **environment(),
    }


def _put_back(conductor: Conductor, learned: Mapping[str, dict[str, Any]]) -> None:
    """Its drafters are as they were when they had learned; all else of a worker goes on."""
    for name, state in learned.items():
        drafter = conductor.drafters[name]
        drafter.__dict__.clear()
        drafter.__dict__.update(copy.deepcopy(state))
