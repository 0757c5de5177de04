"""`accel bench experts`: a model's routing, recorded or from a file, through every cache policy at several budgets."""

import json as json_module
import shlex
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from ..devices.paths import cache_dir
from ..errors import AccelError, UsageError
from ..offload.compare import BEST, Budget, compare
from ..offload.policy import POLICIES
from ..offload.trace import Trace, load_trace
from ..units import Rate
from .calibrate import keep_routing
from .chat.app import loading
from .chat.blocks import printable
from .expert_costs import disk_rate, expert_rooms, measured_disk_rate
from .library.find import is_demo
from .model import ModelSpec
from .open import start_model
from .plan import Plan
from .planning import Say, this_machine
from .settings import Settings

TOKENS, SECONDS = 512, 600.0  # that are recorded, at most
USUAL_SHARE = 0.4  # of the experts, in a picture, where no plan says how many fit
_NAMES = (*POLICIES, BEST)


@dataclass(frozen=True, slots=True)
class _Recorded:
    trace: Trace
    file: Path  # of the model, or of the trace where the model is not known: whose disk would be read
    share: float  # of the experts, kept at once


def run(settings: Settings, trace: Path | None, picture: Path | None, json: bool = False) -> int:
    """Raises what opening the model raises, StateError for a file that holds no routing, UsageError."""

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    if picture:
        from .picture import check

        check()  # before minutes are spent
    recorded = _known(settings, trace) if trace and trace.exists() else _record(settings, trace, say)
    machine = this_machine(say)
    rate = disk_rate(machine, str(recorded.file))
    measured = measured_disk_rate(machine, str(recorded.file)) is not None
    budgets = compare(recorded.trace)
    if json:
        print(json_module.dumps(_facts(recorded.trace, budgets, rate, measured), indent=1))
    else:
        _print(recorded.trace, budgets, rate, measured)
    if picture:
        from .picture import draw

        draw(picture, recorded.trace, recorded.share)
        say(f"{picture}: {recorded.share:.0%} of the experts kept")
    return 0


def _known(settings: Settings, file: Path) -> _Recorded:
    trace, model = load_trace(file), Path(settings.model)
    if is_demo(settings.model) or not model.is_file():
        return _Recorded(trace, file.absolute(), USUAL_SHARE)
    if ModelSpec.read(model).fingerprint != trace.model:
        raise UsageError(f"{file} is of another model", "leave the model out, or name a new file")
    return _Recorded(trace, model.absolute(), USUAL_SHARE)


def _record(settings: Settings, file: Path | None, say: Say) -> _Recorded:
    """By a worker under its plan; kept at `file`, and what it tells the next plan too."""
    with TemporaryDirectory(prefix="accel-") as folder:
        kept = (file or Path(folder) / "trace").absolute()
        with start_model(settings, say, taps=True) as opened, loading("recording") as progress:
            say(f"recording {TOKENS} tokens")
            found = opened.worker.route(TOKENS, SECONDS, str(kept), progress)
            plan = opened.plan
        with suppress(AccelError):
            keep_routing(plan.machine, plan.model, found.curves, cache_dir())
        return _Recorded(load_trace(kept), plan.model.path, _planned_share(plan))


def _planned_share(plan: Plan) -> float:
    whole = plan.model.experts * sum(expert_rooms(plan.model))
    planned = int(plan.choices["expert_memory"].value)
    return min(1.0, planned / whole) if planned else USUAL_SHARE


def _facts(trace: Trace, budgets: list[Budget], rate: Rate, measured: bool) -> dict[str, object]:
    return {
        "command": shlex.join(["accel", *sys.argv[1:]]),
        "version": version("accel-runtime"),
        "model": {"name": trace.name, "fingerprint": trace.model},
        "layers": trace.layers,
        "experts": trace.experts,
        "used": trace.used,
        "tokens": trace.tokens,
        "disk": {"rate": float(rate), "measured": measured},
        "budgets": [
            {
                "share": budget.share,
                "quotas": budget.quotas,
                "policies": {name: _figures(budget, name, rate) for name in _NAMES},
            }
            for budget in budgets
        ],
    }


def _figures(budget: Budget, name: str, rate: Rate) -> dict[str, float]:
    missed = budget.bytes_per_token(name)
    return {"hit_rate": budget.replays[name].rate, "bytes_per_token": int(missed), "stall_ms": 1e3 * missed / rate}


def _print(trace: Trace, budgets: list[Budget], rate: Rate, measured: bool) -> None:
    from rich.console import Console
    from rich.text import Text

    shape = f"{trace.tokens} tokens, {trace.used} of {trace.experts} experts in each of {trace.layers} layers"
    source = "as measured here" if measured else "as is usual: no disk was measured here"
    console = Console(highlight=False)
    console.print(Text.assemble((printable(trace.name), "bold"), f": {shape}"))
    columns: dict[str, Callable[[Budget, str], str]] = {
        "experts found in memory": lambda budget, name: f"{budget.replays[name].rate:.1%}",
        "read for one token": lambda budget, name: str(budget.bytes_per_token(name)),
        f"ms that a token waits, at {rate / 1e9:.2f} GB/s {source}": lambda budget, name: (
            f"{1e3 * budget.bytes_per_token(name) / rate:,.2f}"
        ),
    }
    for title, cell in columns.items():
        console.print()
        console.print(Text(title, "bold"))
        console.print(_table(trace, budgets, cell))
    if any(min(budget.quotas) < trace.used for budget in budgets):
        console.print("* fewer than one token uses: such a budget is not planned for", style="dim")


def _table(trace: Trace, budgets: list[Budget], cell: Callable[[Budget, str], str]) -> object:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("kept", *_NAMES):
        table.add_column(name, justify="right")
    for budget in budgets:
        star = "*" if min(budget.quotas) < trace.used else ""
        table.add_row(f"{star}{budget.share:.0%}", *(cell(budget, name) for name in _NAMES))
    return table
