"""`accel bench speculate`: how much faster guessing ahead makes a text that repeats itself, for several budgets of
nodes, and with `--memory` what each takes beside plain decoding, against what its plan said."""

import json as json_module
import shlex
import statistics
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version

from ..devices.measure import is_busy
from ..devices.resident import resident
from ..errors import EngineError
from ..units import Bytes
from .chat.blocks import printable
from .law import Law
from .messages import Finished
from .open import Opened, knows_rows, start_model, time_rows
from .plan import Plan
from .planning import Say
from .settings import Settings
from .speculation import BUDGETS, ENOUGH
from .supervisor import Supervisor

CONTEXT = 1024  # where none is asked for: the prompt fills it
NODES = (1, 3, 7, 15, BUDGETS[-1])
ROUNDS, ANSWER = 5, 96  # tokens of an answer
_NAME = "bench"
_SHORT = 0.05  # seconds
_LOOK = 0.002  # seconds between two looks at what a worker holds
_TEXT = "The quick brown fox jumps over the lazy dog, and nobody knows why it does so. "


@dataclass(frozen=True, slots=True)
class Budget:
    """What was measured with so many nodes; 0: plain decoding."""

    nodes: int
    decode: float  # tokens per second, the median of the rounds
    speed_up: float  # against plain decoding
    drafted: int  # nodes, of which
    stood: int
    held: Bytes  # anonymous memory of the worker, at its peak
    measured: Bytes  # of it, beside plain decoding's
    predicted: Bytes


@dataclass(frozen=True, slots=True)
class Result:
    plan: Plan  # what would be opened
    budgets: tuple[Budget, ...]  # the first of them none

    @property
    def enough(self) -> Budget:
        """The smallest that keeps enough of the best speed-up."""
        best = max(budget.speed_up for budget in self.budgets)
        return next(budget for budget in self.budgets if budget.speed_up >= ENOUGH * best)


def run(settings: Settings, memory: bool, json: bool = False) -> int:
    """Raises what opening the model raises, EngineError."""

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    settings = replace(settings, drafting=True, context=settings.context or CONTEXT)
    result = measure(settings, say)
    if json:
        print(json_module.dumps(_facts(result, memory), indent=1))
    else:
        _print(result, memory)
    return 0


def measure(settings: Settings, say: Say) -> Result:
    """Every budget in a worker of its own. One before them times the model; all begin with what that one learned."""
    with start_model(settings, say, draft_nodes=NODES[-1]) as opened:
        if not opened.plan.speculation:
            raise EngineError(f"nothing is drafted: {opened.plan.choices['draft_nodes'].reason}", "try another model")
        if is_busy():
            say("the machine is busy: what is measured now may be far off")
        elif not knows_rows(opened.plan):
            time_rows(opened.plan, opened.worker)
        _answers(opened)
    with start_model(settings) as opened:
        plan = opened.plan
    found: list[Budget] = []
    for nodes in (0, *NODES):
        say(f"{ROUNDS} answers with {nodes} nodes" if nodes else f"{ROUNDS} answers without drafts")
        found.append(_budget(settings, nodes, found[0] if found else None))
    return Result(plan, tuple(found))


def _budget(settings: Settings, nodes: int, plain: Budget | None) -> Budget:
    with start_model(settings, draft_nodes=nodes) as opened, _watched(opened.worker) as held:
        rates = _answers(opened)
        now = opened.worker.statistics()
        opened.worker.stop()  # drafters write what they learned: that takes memory, too
        points = opened.plan.drafting
    decode, peak = statistics.median(rates), Bytes(max(held, default=0))
    return Budget(
        nodes=nodes,
        decode=decode,
        speed_up=decode / plain.decode if plain else 1.0,
        drafted=now.drafted,
        stood=now.stood,
        held=peak,
        measured=Bytes(peak - plain.held) if plain else Bytes(0),
        predicted=next((point.memory for point in points if point.model == _drafts(opened)), Bytes(0)),
    )


def _drafts(opened: Opened) -> bool:
    wanted = opened.plan.speculation
    return wanted is not None and wanted.draft is not None


def _answers(opened: Opened) -> list[float]:
    """Tokens per second of every round; before them the prompt is read and answered once."""
    opened.worker.measure(_SHORT)  # forwards with as many logits as there may be
    room = opened.worker.wait().context - ANSWER
    tokens = opened.worker.encode((_TEXT,))
    prompt = (tokens * (room // len(tokens) + 1))[: max(1, room)]
    greedy, _ = _answer(opened.worker, prompt, Law(temperature=0))
    temperature = 0.0 if greedy >= ANSWER // 2 else 0.8  # the likeliest text may end soon
    return [_rate(opened.worker, prompt, temperature, number) for number in range(ROUNDS)]


def _rate(worker: Supervisor, prompt: tuple[int, ...], temperature: float, number: int) -> float:
    """Over as many answers as one of full length has tokens for."""
    tokens, seconds = 0, 0.0
    for seed in range(number * ANSWER, (number + 1) * ANSWER):
        decoded, took = _answer(worker, prompt, Law(temperature=temperature, seed=seed))
        tokens, seconds = tokens + decoded, seconds + took
        if tokens >= ANSWER // 2:
            return tokens / seconds
    raise EngineError("the model ends every answer at once", "its speed cannot be measured this way")


def _answer(worker: Supervisor, prompt: tuple[int, ...], law: Law) -> tuple[int, float]:
    """Tokens that were decoded, and seconds."""
    *_, done = worker.generate(_NAME, (prompt,), law, most=ANSWER)
    if not isinstance(done, Finished):
        raise EngineError("the worker ended an answer without a word")
    return done.usage.generated - (done.reason != "end"), done.timings.decode  # the token that ends is decoded too


@contextmanager
def _watched(worker: Supervisor) -> Iterator[list[int]]:
    """What the worker holds of anonymous memory, look after look, until it has ended."""
    pid, held, over = worker.pid, list[int](), threading.Event()

    def watch() -> None:
        while pid and not over.wait(_LOOK):
            held.append(resident(pid)[0])

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield held
    finally:
        over.set()
        thread.join()


def _facts(result: Result, memory: bool) -> dict[str, object]:
    plan, enough = result.plan, result.enough
    left_out = set() if memory else {"held", "measured", "predicted"}
    return {
        "command": shlex.join(["accel", *sys.argv[1:]]),
        "version": version("accel-runtime"),
        "engine": f"llama-cpp-python {version('llama-cpp-python')}",
        "model": {"name": plan.model.name, "size": int(plan.model.size), "format": plan.model.format},
        "processor": plan.machine.processor.name,
        "choices": {name: choice.value for name, choice in plan.choices.items()},
        "curve": [asdict(point) for point in plan.drafting],
        "budgets": [
            {name: value for name, value in asdict(budget).items() if name not in left_out} for budget in result.budgets
        ],
        "enough": {"nodes": enough.nodes, **({"memory": _share(result)} if memory else {})},
    }


def _share(result: Result) -> float:
    """Of the largest budget's memory that the smallest which is enough takes."""
    return result.enough.measured / max(1, result.budgets[-1].measured)


def _print(result: Result, memory: bool) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="dim")
    columns = ["nodes", "tokens/s", "speed-up", "drafted", "stood"]
    for name in [*columns, *(["memory", "planned", "off by"] if memory else [])]:
        table.add_column(name, justify="right")
    for budget in result.budgets:
        off = budget.predicted / budget.measured - 1 if budget.measured > 0 else 0.0
        sizes = (str(budget.measured), str(budget.predicted), f"{off:+.0%}") if budget.nodes else ("", "", "")
        counts = (str(budget.drafted), str(budget.stood)) if budget.nodes else ("", "")
        cells = (str(budget.nodes), f"{budget.decode:,.1f}", f"{budget.speed_up:.2f}", *counts)
        table.add_row(*cells, *(sizes if memory else ()))
    console = Console(highlight=False)
    console.print(Text(f"{printable(result.plan.model.name)}, a text that repeats itself, medians of {ROUNDS}", "bold"))
    console.print(table)
    takes = f", with {1 - _share(result):.0%} less memory than {result.budgets[-1].nodes}" if memory else ""
    console.print(f"{result.enough.nodes} nodes keep {ENOUGH:.0%} of the best speed-up{takes}")
    choice = result.plan.choices["draft_nodes"]
    console.print(f"planned: {choice.value} nodes: {choice.reason}")
