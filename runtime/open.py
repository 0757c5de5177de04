"""From a model as the user names it to a worker that runs it: the one way in, for the chat, the bench and `accel.open`.

model -> path (library/) -> ModelSpec -> costs (calibrate.py) -> plan (plan.py) -> worker process (supervisor.py)
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Self

from ..devices.paths import cache_dir
from ..errors import AccelError, WorkerDied
from ..units import Bytes, to_json
from .calibrate import is_busy, keep_routing, keep_rows, time_looks
from .costs import MEASURED, ROWS, RowTimes
from .drafting.options import DraftingOptions
from .expert_costs import MEASURED_ROUTING
from .footprint import of_worker
from .history import History
from .law import Law
from .library.find import find
from .model import ModelSpec
from .opening import PromptStore
from .plan import Plan, draft_options, engine_options
from .planning import Say, goal_of, names_draft, nobody, plan_or_raise, this_machine
from .renderer import Renderer
from .session import Session, Wishes, new_seed
from .settings import Settings
from .supervisor import Supervisor

Progress = Callable[[float], object]
Stores = Callable[[Plan], PromptStore | None]
MEASURE_SECONDS = 0.3  # for the speed of a model that was never timed here
ROUTED_TOKENS, ROUTE_SECONDS = 96, 30.0  # at most, for which experts a model uses that was never recorded here


class Opened:
    """A model that runs under its plan; close it, or leave it as a context."""

    def __init__(self, plan: Plan, worker: Supervisor, settings: Settings) -> None:
        self.plan, self.worker, self.settings = plan, worker, settings

    @property
    def planned(self) -> Bytes:
        """Main memory that the plan allows the worker."""
        return sum(of_worker(self.plan.memory), Bytes(0))

    def session(self, history: History | None = None, renderer: Renderer | None = None) -> Session:
        """A conversation; `history` keeps it on disk, `renderer` may have been made before. Raises what the worker
        failed with, TemplateError."""
        return Session(self.worker, wishes(self.settings), self.settings.system, history, renderer)

    def close(self) -> None:
        self.worker.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def wishes(settings: Settings) -> Wishes:
    law = Law(
        temperature=settings.temperature,
        top_k=settings.top_k,
        top_p=settings.top_p,
        min_p=settings.min_p,
        repeat_penalty=settings.repeat_penalty,
        seed=new_seed() if settings.seed is None else settings.seed,
    )
    return Wishes(law, settings.max_tokens, settings.stop)


def open_model(settings: Settings, say: Say = nobody, progress: Progress = nobody, prompts: Stores = nobody) -> Opened:
    """Plans for a model and starts a worker with it; `say` is told what takes time, `progress` how far it is loaded;
    `prompts` says where prompts are kept under a plan that no sequence holds.

    Raises ModelError, NetworkError, DiskFull, PlanRefused, EngineError, WorkerDied.
    """
    opened = start_model(settings, say, progress, prompts=prompts)
    try:
        _learn(opened, say, progress)
    except BaseException:
        opened.close()
        raise
    return opened


def start_model(
    settings: Settings,
    say: Say = nobody,
    progress: Progress = nobody,
    taps: bool = False,
    draft_nodes: int | None = None,
    prompts: Stores = nobody,
) -> Opened:
    """As `open_model`, and nothing is measured; `taps`: whatever is planned, the engine shows what it computes;
    `draft_nodes`: so many, whatever would pay."""
    goal = replace(goal_of(settings), draft_nodes=draft_nodes)

    def plan_of(path: Path, draft: Path | None = None) -> Plan:
        ModelSpec.read(path)  # what is no model is said before anything is measured
        return plan_or_raise(path, goal, this_machine(say), say, draft)

    def foretell(path: Path) -> None:
        """Of a model that is not here yet."""
        say(f"it would write {plan_of(path).decode} here")

    path = find(settings.model, foretell, say, settings.offline)
    draft = find(settings.draft_model, nobody, say, settings.offline) if names_draft(settings) else None
    plan = plan_of(path, draft)
    options = engine_options(plan)
    options = replace(options, taps=taps or options.taps)
    worker = Supervisor("llamacpp", options, drafting_options(plan), prompts(plan))
    try:
        worker.start()
        worker.wait(progress)
    except BaseException:
        worker.stop()
        raise
    return Opened(plan, worker, settings)


def drafting_options(plan: Plan) -> DraftingOptions | None:
    """What the worker drafts with; None where nothing is planned for it."""
    if not plan.speculation:
        return None
    times, draft = plan.row_times, draft_options(plan)
    count = sum(rows <= times.outputs for rows in times.rows) if times else 0  # of more not all rows had logits
    return DraftingOptions(
        folder=str(cache_dir() / "drafting"),
        rows=times.rows[:count] if times else (),
        seconds=times.seconds[:count] if times else (),
        nodes=plan.speculation.nodes,
        leaves=plan.speculation.leaves,
        engine="llamacpp" if draft else "",
        model=to_json(draft).decode() if draft else "",
    )


def _learn(opened: Opened, say: Say, progress: Progress) -> None:
    """Measures on the loaded model what the next plan should know: its speed, or where experts are read as they are
    needed which it uses. A busy machine would not tell; a cache without room does no harm: the model runs all the same,
    and is measured again next time."""
    plan = opened.plan
    managed = plan.choices["expert_memory"]
    unknown = MEASURED_ROUTING not in managed.reason if managed.value else not knows_rows(plan)
    if unknown and not is_busy():
        if managed.value:
            _record_routing(opened, say, progress)
        else:
            time_rows(plan, opened.worker)
    try:
        time_looks(plan.machine, plan.model, int(plan.choices["threads"].value), cache_dir(), say)
    except AccelError as error:
        say(f"how fast it looks back is not known: {error}")


def knows_rows(plan: Plan) -> bool:
    """Whether decoding was timed on the model as it is opened, and steps with as many drafts as there are."""
    timed = plan.row_times.outputs if plan.row_times else 0
    return MEASURED in plan.decode.rests_on and timed >= min(int(plan.choices["outputs"].value), ROWS[-1])


def _record_routing(opened: Opened, say: Say, progress: Progress) -> None:
    say("recording which experts this model uses, once")
    try:
        found = opened.worker.route(ROUTED_TOKENS, ROUTE_SECONDS, progress=progress)
        keep_routing(opened.plan.machine, opened.plan.model, found.curves, cache_dir())
    except WorkerDied:
        raise
    except AccelError as error:
        say(f"which experts this model uses is not known: {error}")


def time_rows(plan: Plan, worker: Supervisor) -> None:
    """Keeps what forwards of several rows take on the loaded model, for the next plan."""
    times = worker.measure(MEASURE_SECONDS)
    threads, batch_threads = (int(plan.choices[name].value) for name in ("threads", "threads_prefill"))
    outputs = int(plan.choices["outputs"].value)
    repack, fused = (bool(plan.choices[name].value) for name in ("repack", "flash_attention"))
    rows = RowTimes(threads, repack, times.rows, times.seconds, batch_threads, outputs, fused)
    with suppress(AccelError):
        keep_rows(plan.machine, plan.model, rows, cache_dir())
