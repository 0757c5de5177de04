"""`accel draft suggest`: which models could draft for another here, what that would bring, and what it does."""

import json as json_module
import shlex
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from importlib.metadata import version
from itertools import chain
from pathlib import Path

from ..errors import AccelError
from .calibrate import is_busy
from .chat.blocks import printable
from .draft_candidates import Candidate, candidates
from .draft_costs import Planned, beside, pace, planned
from .drafting.payoff import (
    ASSUMED,
    DEEPEST,
    Pace,
    Payoff,
    alike,
    cleared,
    in_words,
    needed,
    payoff,
    seen_in_words,
    standing_of,
)
from .footprint import MEMORY
from .library.find import find, plannable
from .lines import ask
from .measure_drafts import TEMPERATURES, Agreed, DraftsJob, DraftsResult
from .model import ModelSpec
from .plan import engine_options
from .planning import goal_of, this_machine
from .search import Goal
from .settings import Settings

TOKENS = 64  # of each text that is measured on
_CONTEXT = 1024  # that suffices for them
_USUAL = 0.7  # of the guesses, that are assumed to stand where one number is needed


@dataclass(frozen=True)
class Suggestion:
    """One candidate with its costs, and what was seen of it; `trouble`: why it cannot draft here."""

    candidate: Candidate
    trouble: str = ""
    draft: Planned | None = None
    pace: Pace | None = None
    agreed: Agreed | None = None

    @cached_property
    def seen(self) -> Payoff | None:
        """What it would bring with what was seen to stand, at all temperatures together."""
        if self.pace is None or self.agreed is None:
            return None
        return payoff(self.pace, standing_of(tuple(chain.from_iterable(self.agreed.guessed))))

    @property
    def stood(self) -> tuple[float, ...]:
        """The share of guesses that stand, for each of TEMPERATURES."""
        texts = self.agreed.guessed if self.agreed else ()
        return tuple(statistics.mean(list(chain.from_iterable(each)) or [False]) for each in texts)

    @property
    def rank(self) -> tuple[bool, float]:
        """The best first."""
        found = self.seen or (payoff(self.pace, alike(_USUAL)) if self.pace else None)
        return found is None, -found.speed_up if found else 0.0

    @property
    def words(self) -> str:
        if self.pace is None:
            return f"unusable: {self.trouble}"
        return seen_in_words(self.pace, self.seen, statistics.mean(self.stood)) if self.seen else in_words(self.pace)


def run(settings: Settings, named: Sequence[str], measure: bool, json: bool = False) -> int:
    """Raises what finding, reading and planning for the target raises, what finding a named model does, and where they
    are measured EngineError."""
    goal = goal_of(settings)
    if measure and goal.context is None:
        goal = replace(goal, context=_CONTEXT)
    with ExitStack() as files:

        def located(name: str) -> Path:
            if measure:
                return find(name, ModelSpec.read, say, settings.offline)
            return files.enter_context(plannable(name, ModelSpec.read, say, settings.offline))

        path = located(settings.model)
        found = [Suggestion(each, each.trouble) for each in candidates(path, {name: located(name) for name in named})]
        target, found = _planned(path, goal, found)
        if target and measure and any(each.pace for each in found):
            found = _measured(target, found)
    found.sort(key=lambda each: (each.rank, each.candidate.name))
    if json:
        print(json_module.dumps(_facts(ModelSpec.read(path), target, found), indent=1))
    else:
        _print(ModelSpec.read(path), target, found)
    return 0


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _planned(path: Path, goal: Goal, found: list[Suggestion]) -> tuple[Planned | None, list[Suggestion]]:
    """Nothing is planned where nobody could draft."""
    if all(each.trouble for each in found):
        return None, found
    machine = this_machine(say)
    target = planned(machine, path, goal, say)
    rest = beside(machine, goal, target.plan)

    def judged(each: Suggestion) -> Suggestion:
        if each.trouble:
            return each
        try:
            draft = planned(rest[0], each.candidate.path, rest[1], say)
        except AccelError as error:
            return replace(each, trouble=f"{error.what} beside the target")
        return replace(each, draft=draft, pace=pace(target, draft))

    return target, list(map(judged, found))


def _measured(target: Planned, found: list[Suggestion]) -> list[Suggestion]:
    options = tuple(engine_options(each.draft.plan) for each in found if each.draft)
    if is_busy():
        say("the machine is busy: what is measured now may say little")
    with _progress() as show:
        job = DraftsJob(engine_options(target.plan), options, TOKENS)
        result = ask("measure_drafts", job, DraftsResult, "what drafts bring", show)
    rows = cleared([result.rows.of(count) for count in range(1, DEEPEST + 2)])
    agreed = iter(result.drafts)

    def judged(each: Suggestion) -> Suggestion:
        if not each.draft:
            return each
        seen = next(agreed)
        if seen.trouble:
            return Suggestion(each.candidate, seen.trouble)
        candidate = replace(each.candidate, same_tokens=seen.same_tokens)
        return replace(each, candidate=candidate, pace=Pace(rows, seen.guess), agreed=seen)

    return list(map(judged, found))


def _facts(model: ModelSpec, target: Planned | None, found: Sequence[Suggestion]) -> dict[str, object]:
    return {
        "command": shlex.join(["accel", *sys.argv[1:]]),
        "version": version("accel-runtime"),
        "target": {
            "name": model.name,
            "size": int(model.size),
            "format": model.format,
            "memory": _memory(target),
        },
        "rests_on": target.plan.decode.rests_on if target else "",
        "drafts": [_facts_of(each) for each in found],
    }


def _facts_of(each: Suggestion) -> dict[str, object]:
    candidate, costs = each.candidate, each.pace
    facts: dict[str, object] = {
        "name": candidate.name,
        "path": str(candidate.path),
        "size": int(candidate.model.size) if candidate.model else 0,
        "same_tokens": candidate.same_tokens,
        "memory": _memory(each.draft),  # that it would take
        "usable": costs is not None,
        "words": each.words,
    }
    if costs is None:
        return facts
    facts |= {
        "rows_seconds": costs.rows,
        "guess_seconds": costs.guess,
        "needs": needed(costs),
        "assumed": {str(share): asdict(payoff(costs, alike(share))) for share in ASSUMED},
    }
    if each.seen:
        stood = {str(warm): share for warm, share in zip(TEMPERATURES, each.stood, strict=True)}
        facts["measured"] = {"stood": stood, **asdict(each.seen)}
    return facts


def _memory(planned: Planned | None) -> int:
    return sum(part.size for part in planned.plan.memory if part.tier == MEMORY) if planned else 0


def _print(model: ModelSpec, target: Planned | None, found: Sequence[Suggestion]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not found:
        say("no other model was downloaded or lies beside it; name one")
        return
    console, seen = Console(highlight=False), any(each.agreed for each in found)
    by = "by what was measured now" if seen else f"by {target.plan.decode.rests_on}" if target else ""
    console.print(Text.assemble((printable(model.name), "bold"), f", {model.size}: who could draft for it here {by}"))
    table = Table(box=None, pad_edge=False, header_style="dim")
    columns = ["draft", "size", "tokens", "needs"]
    columns += [f"at {warm:g}" for warm in TEMPERATURES] if seen else [f"if {share:.0%}" for share in ASSUMED]
    columns += ["speed-up"] if seen else []
    for number, name in enumerate(columns):
        table.add_column(name, justify="right" if number not in (0, 2) else "left", overflow="fold")
    for each in found:
        table.add_row(*_cells(each, seen))
    console.print(table)
    console.print()
    for each in found:
        console.print(Text.assemble((printable(each.candidate.name), "bold"), f": {printable(each.words)}"))


def _cells(each: Suggestion, seen: bool) -> list[str]:
    candidate, costs = each.candidate, each.pace
    size = str(candidate.model.size) if candidate.model else ""
    tokens = ("same" if candidate.same_tokens else "others") if costs else "unusable"
    cells = [printable(candidate.name), size, tokens]
    if costs is None:
        return cells
    least = needed(costs)
    cells.append("never" if least is None else f"{least:.0%}")
    if not seen:
        return [*cells, *(_times(payoff(costs, alike(share))) for share in ASSUMED)]
    return [*cells, *(f"{share:.0%}" for share in each.stood), _times(each.seen)] if each.seen else cells


def _times(found: Payoff) -> str:
    return f"{found.speed_up:.2f}x"


@contextmanager
def _progress() -> Iterator[Callable[[str, float], bool]]:
    """A bar on a terminal's stderr, and lines elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task, last = bar.add_task("", total=1.0), ""

        def show(doing: str, done: float) -> bool:
            nonlocal last
            if doing != last and not console.is_terminal:
                say(printable(doing))
            last = doing
            bar.update(task, description=printable(doing), completed=done)
            return True

        yield show
