"""A worker's drafters, as its options want them."""

from contextlib import suppress
from pathlib import Path

from ...errors import AccelError
from ..costs import RowTimes
from ..engines.base import Engine
from .conductor import Conductor
from .control import Controller
from .copying import Copying
from .ngrams import Ngrams
from .options import DraftingOptions
from .recycling import Recycling
from .row_costs import RowCosts
from .shares import save_shares


class Kept:
    """Drafters with what they learned of one model, in this worker's life and earlier ones."""

    def __init__(self, engine: Engine, options: DraftingOptions) -> None:
        """Raises EngineError for an engine that cannot draft."""
        size = engine.vocabulary.size
        self._learning = {"ngrams": Ngrams(size), "recycling": Recycling(size, leaves=1)}
        self._folder, self._model = options.folder, engine.spec.fingerprint
        if self._folder:
            for drafter in self._learning.values():
                drafter.load(Path(self._folder), self._model)
        times = RowTimes(0, False, options.rows, options.seconds) if options.rows else None
        self.conductor = Conductor({"copying": Copying(), **self._learning}, Controller(RowCosts(times)))

    def save(self) -> None:
        """What cannot be kept is learned again."""
        for drafter in self._learning.values() if self._folder else ():
            try:
                drafter.save(Path(self._folder), self._model)
            except AccelError:
                return
        if self._folder:
            with suppress(AccelError):
                save_shares(Path(self._folder), self._model, self.conductor.controller.drafters)


def drafts_for(engine: Engine, options: DraftingOptions | None) -> Kept | None:
    """None where nothing is to be drafted, or the engine cannot take rows back or show several rows' logits."""
    if options is None or not engine.can.rollback or min(engine.can.outputs, engine.can.rows) < 2:
        return None
    return Kept(engine, options)
