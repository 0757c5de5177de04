"""A worker's drafters, as its options want them."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from ...errors import AccelError, UsageError
from ...units import from_json
from ..costs import RowTimes
from ..engines import open_engine, options_type
from ..engines.base import Capabilities, Engine
from .beside import Beside
from .bounds import Bounds
from .conductor import Conductor, Tell
from .control import Controller
from .copying import Copying
from .draft import Drafter
from .foreign import model_drafter
from .kept_acceptance import MODEL, kept_names, load_acceptance, save_acceptance
from .model import ModelDrafter
from .ngrams import Ngrams
from .options import DraftingOptions
from .recycling import Recycling
from .row_costs import RowCosts

_PAUSE = 180.0  # seconds between two times that what was learned is kept


def lacking(can: Capabilities) -> str:
    """Why nothing can be drafted for an engine; empty where something can."""
    if not can.rollback:
        return "drafting off: this model's state cannot be taken back where a guess falls"
    if (rows := min(can.outputs, can.rows)) < 2:
        return f"drafting off: the engine verifies {rows} row at once, and a guess needs 2"
    return ""


class Kept:
    """Drafters with what they learned of one model, in this worker's life and earlier ones."""

    def __init__(
        self,
        engine: Engine,
        options: DraftingOptions,
        opened: Any = None,
        tell: Tell | None = None,
        goes_on: Callable[[float], bool] | None = None,
    ) -> None:
        """`engine` must not be `lacking`, and was `opened` with these options; `goes_on` is asked while a draft model
        is loaded. One that cannot be used costs guesses and no more: the conductor says why."""
        size, leaves = engine.vocabulary.size, min(options.leaves, 1 + engine.can.branches)
        self._folder, self._model = options.folder, engine.spec.fingerprint
        self._learning = {"ngrams": Ngrams(size), "recycling": Recycling(size, leaves)}
        if self._folder:
            for drafter in self._learning.values():
                drafter.load(Path(self._folder), self._model)
        drafters: dict[str, Drafter] = {"copying": Copying(), **self._learning}
        self._draft_engine: Engine | None = None
        self._beside: Beside | None = None
        trouble: AccelError | None = None
        if options.engine:
            try:
                drafters[MODEL] = self._draft_model(engine, replace(options, leaves=leaves), opened, goes_on)
            except AccelError as error:
                trouble = error
        times = RowTimes(0, False, options.rows, options.seconds) if options.rows else None
        controller = Controller(RowCosts(times))
        self.conductor = Conductor(drafters, controller, Bounds(options.nodes, engine.can.branches), tell)
        if trouble:
            self.conductor.troubles[MODEL] = trouble
        if self._folder:
            known = load_acceptance(Path(self._folder), self._model, list(self._names.values()))
            controller.drafters.update({name: known[at] for name, at in self._names.items() if at in known})
        self._kept, self._kept_at = self.conductor.heard, time.monotonic()

    @property
    def _names(self) -> dict[str, str]:
        return kept_names(self._draft_engine.spec.fingerprint if self._draft_engine else "")

    def _draft_model(
        self, engine: Engine, options: DraftingOptions, opened: Any, goes_on: Callable[[float], bool] | None
    ) -> Drafter:
        try:
            wanted = from_json(options.model.encode(), options_type(options.engine))
        except msgspec.DecodeError as error:
            raise UsageError(f"the options of the draft model cannot be read: {error}") from error
        draft = open_engine(options.engine, wanted, goes_on)
        try:
            drafter = model_drafter(draft, engine.vocabulary, leaves=options.leaves)
        except BaseException:
            draft.close()
            raise
        self._draft_engine = draft
        if isinstance(drafter, ModelDrafter) and are_apart(opened, engine.spec.layers, wanted, draft.spec.layers):
            drafter = self._beside = Beside(drafter)
        return drafter

    def due(self) -> float | None:
        """Seconds until what was learned since it was kept the last time is to be kept; None where nothing was."""
        if not self._folder or self.conductor.heard == self._kept:
            return None
        return max(0.0, self._kept_at + _PAUSE - time.monotonic())

    def save(self) -> None:
        """What cannot be kept is learned again."""
        self._kept, self._kept_at = self.conductor.heard, time.monotonic()
        if not self._folder:
            return
        folder, known = Path(self._folder), self.conductor.controller.drafters
        try:
            for drafter in self._learning.values():
                drafter.save(folder, self._model)
            seen = {at: known[name] for name, at in self._names.items() if name in known}
            save_acceptance(folder, self._model, list(self._names.values()), seen)
        except AccelError:
            return

    def close(self) -> None:
        """Nothing is drafted any more."""
        if self._beside:
            self._beside.close()
        if self._draft_engine:
            self._draft_engine.close()
            self._draft_engine = None


def are_apart(target: Any, layers: int, draft: Any, draft_layers: int) -> bool:
    """Whether engines of these options, for models of so many layers, compute on different devices and so may at once:
    all of one on a GPU, all of the other on the processor. Two that share cores would only stand in each other's way:
    while the target verifies, all its threads work."""
    return {_place(target, layers), _place(draft, draft_layers)} == {"gpu", "processor"}


def _place(options: Any, layers: int) -> str:
    if not (count := getattr(options, "gpu_layers", 0)):
        return "processor"
    return "gpu" if count >= layers and not options.overrides and not options.expert_memory else "both"
