"""`accel bench`: how fast a model is here, along the whole path a chat takes, and what it holds against its plan."""

import json as json_module
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from typing import TYPE_CHECKING

import msgspec

from ..errors import EngineError
from ..units import Bytes
from .chat.blocks import printable
from .expert_use import ExpertUse, of_all, of_layers, since
from .law import Law
from .messages import Finished, LayerUse, Text
from .open import Opened, open_model
from .plan import Estimate
from .planning import Say, nobody
from .settings import Settings

if TYPE_CHECKING:
    from rich.table import Table

ROUNDS = 5
PROMPT, SHORT_PROMPT, ANSWER = 512, 32, 128  # tokens, at most half the context together
_NAME = "bench"
_WORDS = "The quick brown fox jumps over the lazy dog, and nobody knows why it does so. "


@dataclass(frozen=True, slots=True)
class Result:
    """Medians over `rounds`; rates in tokens per second."""

    rounds: int
    prompt: int
    answer: int
    prefill: float
    decode: float
    first_token: float  # seconds until the first text after a prompt of `short_prompt` tokens
    short_prompt: int
    peak: Bytes  # memory that the worker held at most, anonymous and mapped
    planned: Bytes
    loading: float  # seconds
    use: tuple[LayerUse, ...] = ()  # of experts that do not all fit, while `used` tokens were decoded
    used: int = 0


def run(settings: Settings, json: bool = False) -> int:
    """Raises what opening the model raises, and EngineError."""

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    with open_model(settings, say) as opened:
        result = measure(opened, say)
    if json:
        print(json_module.dumps(_facts(opened, result), indent=1))
    else:
        _print(opened, result)
    return 0


def measure(opened: Opened, say: Say = nobody) -> Result:
    """Answers the same prompts several times, each time without anything cached."""
    context = opened.worker.wait().context
    answer = max(1, min(ANSWER, context // 4))
    prompts = {count: _prompt(opened, count) for count in {min(PROMPT, context // 4), min(SHORT_PROMPT, context // 4)}}
    short, long = min(prompts), max(prompts)
    say(f"{ROUNDS} rounds of {long} tokens in and {answer} out")
    _round(opened, prompts[long], answer)
    found = [_round(opened, prompts[long], answer, number) for number in range(1, ROUNDS + 1)]
    use, used = _experts(opened, prompts[long], answer)
    first = [_round(opened, prompts[short], 1).first_text for _ in range(ROUNDS)]
    return Result(
        rounds=ROUNDS,
        prompt=long,
        answer=answer,
        prefill=statistics.median(long / round.prefill for round in found),
        decode=statistics.median(round.decode for round in found),
        first_token=statistics.median(first),
        short_prompt=short,
        peak=max(round.held for round in found),
        planned=opened.planned,
        loading=opened.worker.wait().seconds,
        use=use,
        used=used,
    )


@dataclass(frozen=True, slots=True)
class _Round:
    prefill: float  # seconds
    decode: float  # tokens per second
    first_text: float  # seconds
    held: Bytes


def _prompt(opened: Opened, count: int) -> tuple[int, ...]:
    tokens = opened.worker.encode((_WORDS,))
    return (tokens * (count // len(tokens) + 1))[:count]


def _round(opened: Opened, prompt: tuple[int, ...], answer: int, number: int = 0) -> _Round:
    """One prompt, and as many tokens after it as are asked for; another text for every number."""
    opened.worker.forget(_NAME)
    began, first, decoded, seconds = time.perf_counter(), 0.0, 0, 0.0
    answers: list[Finished] = []
    for event in _answers(opened, prompt, answer, number):
        if isinstance(event, Text):
            first = first or time.perf_counter() - began
        else:
            answers.append(event)
            decoded += _decoded(event)
            seconds += event.timings.decode
    now = opened.worker.statistics()
    if not decoded:
        raise EngineError("the model ends every answer at once", "its speed cannot be measured this way")
    return _Round(answers[0].timings.prefill, decoded / seconds, first, Bytes(now.anonymous + now.mapped + now.pinned))


def _answers(opened: Opened, prompt: tuple[int, ...], answer: int, number: int) -> Iterator[Text | Finished]:
    """Of as many tokens as are asked for: an answer that ends early is followed by another."""
    decoded = 0
    for seed in range(number * 1000, number * 1000 + answer + 1):
        with opened.worker.generate(_NAME, (prompt,), Law(seed=seed), most=answer - decoded + 1) as events:
            for event in events:
                if isinstance(event, Text | Finished):
                    yield event
                if isinstance(event, Finished):
                    decoded += _decoded(event)
        if decoded >= answer:
            return


def _decoded(done: Finished) -> int:
    return done.usage.generated - (done.reason != "end")  # the token that ends is decoded too


def _experts(opened: Opened, prompt: tuple[int, ...], answer: int) -> tuple[tuple[LayerUse, ...], int]:
    """What another answer used of experts that are read as they are needed, and how many tokens that were: the prompt
    was answered before, and is cached but for its last token."""
    before = opened.worker.statistics()
    if not before.experts:
        return (), 0
    for _ in _answers(opened, prompt, answer, ROUNDS + 1):
        pass
    now = opened.worker.statistics()
    return since(before.experts, now.experts), now.rows - before.rows


def _facts(opened: Opened, result: Result) -> dict[str, object]:
    plan = opened.plan
    figures = (field.name for field in fields(result) if field.name not in ("use", "used"))
    return {
        "command": shlex.join(["accel", *sys.argv[1:]]),
        "version": version("accel-runtime"),
        "engine": f"llama-cpp-python {version('llama-cpp-python')}",
        "model": {"name": plan.model.name, "size": int(plan.model.size), "format": plan.model.format},
        "processor": plan.machine.processor.name,
        "choices": {name: choice.value for name, choice in plan.choices.items()},
        "measured": {name: getattr(result, name) for name in figures},
        "predicted": {"prefill": asdict(plan.prefill), "decode": asdict(plan.decode), "memory": int(opened.planned)},
        **({"experts": _expert_facts(result)} if result.use else {}),
    }


def _expert_facts(result: Result) -> dict[str, object]:
    return {
        "tokens": result.used,
        "counts": [msgspec.structs.asdict(layer) for layer in result.use],
        "layers": [asdict(use) for use in of_layers(result.use, result.used)],
        "all": asdict(of_all(result.use, result.used)),
    }


def _print(opened: Opened, result: Result) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    plan = opened.plan
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name, right in (("", False), ("measured", True), ("planned", True), ("", False)):
        table.add_column(name, justify="right" if right else "left")
    table.add_row("decode", _speed(result.decode), _predicted(plan.decode), f"{result.answer} tokens")
    table.add_row("prefill", _speed(result.prefill), _predicted(plan.prefill), f"{result.prompt} tokens")
    table.add_row("first token", f"{1000 * result.first_token:.1f} ms", "", f"after {result.short_prompt} tokens")
    table.add_row("peak memory", str(result.peak), str(result.planned), "of the worker's process")
    table.add_row("loading", f"{result.loading:.2f} s", "", f"{plan.model.size} {plan.model.format}")
    console = Console(highlight=False)
    console.print(Text(f"{printable(plan.model.name)}, {result.rounds} rounds, medians", "bold"))
    console.print(table)
    if result.use:
        console.print()
        console.print(Text(f"experts, in the mean of {result.used} tokens", "bold"))
        console.print(_layers((*of_layers(result.use, result.used), of_all(result.use, result.used))))


def _layers(uses: Sequence[ExpertUse]) -> "Table":
    """One line per layer. What is never anything but zero has no column."""
    from rich.table import Table

    def share(name: str) -> Callable[[ExpertUse], str]:
        return lambda use: f"{getattr(use, name):.0%}"

    columns: dict[str, Callable[[ExpertUse], str]] = {
        "layer": lambda use: "all" if use.layer is None else str(use.layer),
        "in memory": share("hits"),
        "late": share("late"),
        "low": share("low"),
        "skipped": share("skipped"),
        "beside": share("beside"),
        "foreseen": share("recall"),
        "read for nothing": share("wasted"),
        "read a token": lambda use: str(Bytes(use.read)),
        "waited a token": lambda use: f"{1e3 * use.stall:.2f} ms",
    }
    rare = [name for name in ("low", "skipped", "beside") if not any(getattr(use, name) for use in uses)]
    shown = {name: cell for name, cell in columns.items() if name not in rare}
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in shown:
        table.add_column(name, justify="right")
    for use in uses:
        table.add_row(*(cell(use) for cell in shown.values()))
    return table


def _speed(rate: float) -> str:
    return f"{rate:,.1f} tokens/s"


def _predicted(estimate: Estimate) -> str:
    return f"{estimate.low:,.0f} to {estimate.high:,.0f}"
