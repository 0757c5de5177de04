"""What `accel plan` prints: what a model would need, tier by tier, how fast it would be, and why."""

import sys
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from ..devices.cards import load_card
from ..devices.machine import Machine
from ..devices.paths import cache_dir
from ..units import Bytes, to_json
from .calibrate import known_costs, time_kernels
from .chat.blocks import printable
from .costs import Costs, usual_costs
from .footprint import GPU, MEMORY, WORKER, Allocation, total
from .library.find import plannable
from .model import ModelSpec
from .plan import Estimate, Plan, Refusal, cautions, make_plan
from .planning import goal_of, names_draft, nobody, refused, seen_by, this_machine
from .quality_file import stand_ins_of
from .search import Goal
from .settings import Settings

_BAR = 48  # characters
_SMALL = 0.01  # of a tier: below it a part has no line of its own
_COLOURS = {"mapped": "blue", "anonymous": "green", "pinned": "yellow", "device": "magenta"}
_KINDS = {
    "mapped": "pages of files: the system may drop and read them again",
    "anonymous": "the worker's own memory",
    "pinned": "memory that stays in place",
    "device": "memory of the GPU",
}


def run(settings: Settings, machine: str | None, explain: bool, json: bool) -> int:
    """Prints the plan for the settings' model here, or on the machine of a card; nothing is loaded.

    Raises UsageError for a name without a card, PlanRefused (with `json` after printing the refusal), and what finding
    and reading the model raises.
    """
    goal = goal_of(settings)
    card = load_card(machine) if machine is not None else None

    @cache
    def measured_here() -> Machine:
        return this_machine(say)

    def plan(path: Path, draft: Path | None = None) -> Plan | Refusal:
        model = ModelSpec.read(path)  # what is wrong with a file is said before anything is measured
        drafter = ModelSpec.read(draft) if draft else None
        here = seen_by(model, measured_here())
        target = card or here
        costs = replace(_costs(here, target, model, goal, drafter), stand_ins=stand_ins_of(model))
        return make_plan(target, model, goal, costs, drafter)

    def check(path: Path) -> None:
        if isinstance(found := plan(path), Refusal):
            raise refused(path, found)

    with ExitStack() as files:
        path = files.enter_context(plannable(settings.model, check, say, settings.offline))
        drafter = plannable(settings.draft_model, nobody, say, settings.offline) if names_draft(settings) else None
        found = plan(path, files.enter_context(drafter) if drafter else None)
    if json:
        print(to_json(found).decode())
    if isinstance(found, Refusal):
        raise refused(path, found)
    if not json:
        show(found, explain)
    return 0


def say(doing: str) -> None:
    print(doing, file=sys.stderr)


def _costs(here: Machine, target: Machine, model: ModelSpec, goal: Goal, draft: ModelSpec | None) -> Costs:
    """Of a card: the engine's buffers are those of here, the speeds are usual ones."""
    folder = cache_dir()
    costs = known_costs(here, model, goal, folder, say, draft)
    if target is here:
        return costs if costs.rows else time_kernels(here, model, costs, folder, say=say)
    usual = usual_costs(target)

    def there(known: Costs) -> Costs:
        return replace(usual, dry_runs=known.dry_runs, process=known.process, vocabulary=known.vocabulary)

    return replace(there(costs), draft=there(costs.draft) if costs.draft else None)


def show(plan: Plan, explain: bool = False) -> None:
    """The plan as tables, on stdout."""
    from rich.console import Console

    console = Console(highlight=False)
    console.print(_heading(plan))
    for caution in cautions(plan):
        console.print(f"careful: {caution}", style="yellow")
    for tier, size in total(plan.memory).items():
        console.print()
        console.print(_memory_table(plan, tier, size))
    console.print()
    console.print(_choice_table(plan, explain))
    console.print()
    if explain and plan.drafting:
        console.print(_curve_table(plan))
        console.print()
    console.print(_speed_table(plan))


def _heading(plan: Plan) -> Any:
    from rich.text import Text

    model = plan.model
    experts = f", {model.experts} experts of which {model.experts_used} are used" if model.experts else ""
    facts = f": {model.architecture}, {model.layers} layers{experts}, {model.size} {model.format}"
    return Text.assemble((printable(model.name), "bold"), facts, f"\non {plan.machine.name}")


def _memory_table(plan: Plan, tier: str, size: Bytes) -> Any:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    parts = sorted((part for part in plan.memory if part.tier == tier), key=lambda part: -part.size)
    free = _free(plan, tier)
    table = Table(box=None, show_header=False, pad_edge=False)
    for part in _lines(parts, size):
        colour = _COLOURS[part.kind]
        table.add_row(Text("■", colour), part.what, Text(str(part.size), justify="right"), Text(part.kind, "dim"))
    title = Text.assemble((_tier_name(plan, tier), "bold"), f": {size} of {free} {_free_words(plan, tier)}")
    return Group(title, bar(parts, free), table)


def _lines(parts: list[Allocation], size: Bytes) -> list[Allocation]:
    """What has a line: the small parts of the worker's own memory share one, and are told apart in JSON."""
    small = [part for part in parts if part.size < _SMALL * size and (part.kind, part.process) == ("anonymous", WORKER)]
    if len(small) < 2:
        return parts
    rest = replace(small[0], what=f"{len(small)} small parts", size=sum((part.size for part in small), Bytes(0)))
    return [*(part for part in parts if part not in small), rest]


def bar(parts: list[Allocation], free: Bytes) -> Any:
    """One line as long as what is free, a colour for each kind; what is taken shows, however little it is."""
    from rich.text import Text

    scale = max(free, sum(part.size for part in parts), 1)
    text = Text()
    for kind, colour in _COLOURS.items():
        size = sum(part.size for part in parts if part.kind == kind)
        text.append("█" * max(round(_BAR * size / scale), 1 if size else 0), colour)
    return text.append("░" * max(0, _BAR - len(text)), "dim")


def _free(plan: Plan, tier: str) -> Bytes:
    if tier == GPU:
        return plan.machine.accelerators[0].free
    free = plan.machine.memory.free
    return min(free, plan.goal.memory) if plan.goal.memory is not None else free


def _free_words(plan: Plan, tier: str) -> str:
    return "that were allowed" if tier == MEMORY and plan.goal.memory is not None else "free"


def _tier_name(plan: Plan, tier: str) -> str:
    return plan.machine.accelerators[0].name if tier == GPU else tier


def _choice_table(plan: Plan, explain: bool) -> Any:
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    for name, choice in plan.choices.items():
        value = {True: "yes", False: "no"}.get(choice.value, "") if isinstance(choice.value, bool) else choice.value
        table.add_row(name.replace("_", " "), str(value), *([choice.reason] if explain else []))
    return table


def _curve_table(plan: Plan) -> Any:
    """What every budget of drafts takes and gives."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("draft nodes", "leaves", "more memory", "text that repeats itself", "other text"):
        table.add_column(name, justify="right")
    table.add_column("")
    wanted, chosen = plan.speculation, None
    if wanted:
        chosen = wanted.nodes, wanted.draft is not None
    for point in plan.drafting:
        words = ["with the model"] if point.model else []
        words += ["chosen"] if (point.nodes, point.model) == chosen else [] if point.fits else ["does not fit"]
        speeds = (f"{speed:.2f} times" for speed in (point.repeating, point.other))
        style = "bold" if words[-1:] == ["chosen"] else "" if point.fits else "dim"
        table.add_row(str(point.nodes), str(point.leaves), str(point.memory), *speeds, ", ".join(words), style=style)
    return table


def _speed_table(plan: Plan) -> Any:
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    for name, estimate in (("prefill", plan.prefill), ("decode", plan.decode)):
        table.add_row(name, *_speed(estimate))
    if both := plan.stand_ins:
        ways = ("exact", both.exact, "every expert in full"), ("approximate", both.approximate, both.quality)
        for name, estimate, what in ways:
            likely, spread, _ = _speed(estimate)
            table.add_row(f"  {name}", likely, spread, what)
    return table


def _speed(estimate: Estimate) -> tuple[str, str, str]:
    likely, low, high = (f"{value:,.0f}" if value >= 10 else f"{value:.1f}" for value in _three(estimate))
    return f"{likely} tokens/s", f"{low} to {high}", f"by {estimate.rests_on}"


def _three(estimate: Estimate) -> tuple[float, float, float]:
    return estimate.likely, estimate.low, estimate.high
