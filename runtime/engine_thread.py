"""The thread that opens an engine and alone speaks to it, answering requests as they come."""

import gc
import os
import time
import traceback
from dataclasses import asdict
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import msgspec

from ..devices.link.sockets import FRAME
from ..devices.resident import give_back_scattered_memory, resident
from ..errors import AccelError, EngineError, ModelDamaged, UsageError
from ..units import Bytes, from_json
from . import messages
from .drafting.conductor import Conductor, Use
from .drafting.make import Kept, lacking
from .embed import Embedder
from .engines import open_engine, options_type
from .engines.base import Engine, Stop
from .generate import Generator
from .opening import Opening
from .outbox import Outbox
from .prompt_cache import PromptCache
from .sequences import Sequences
from .stream import Ticket

BROKEN = 70  # exit code of a worker that met an error of its own
_END = None
_TIDYING = ((0.05, gc.collect), (2.0, give_back_scattered_memory))  # each after so many seconds in which nothing came
_BEAT = 0.2  # seconds between two words on how far a recording is: each takes a core from those that compute


class EngineThread:
    """`run` is the thread's; everything else is called by others. What it has to say goes to the outbox."""

    def __init__(self, opening: Opening, outbox: Outbox) -> None:
        self._opening = opening
        self._outbox = outbox
        self._inbox: SimpleQueue[Ticket | messages.Request | None] = SimpleQueue()
        self._look = Stop()  # set once there is something to look at
        self._ending = False
        self._later: list[messages.Measure | messages.Route] = []  # for when nothing runs
        self._drafts: Kept | None = None
        self._undrafted = ""  # why there are none
        self._prompts: PromptCache | None = None
        self.keeping = False  # whether it writes what the next worker may want, and then ends

    def ask(self, request: Ticket | messages.Request) -> None:
        self._inbox.put(request)
        self._look.set()

    def end(self) -> None:
        """After what it does now, or in the middle of loading."""
        self._ending = True
        self._inbox.put(_END)
        self._look.set()

    def run(self) -> None:
        try:
            self._serve()
        except AccelError as error:
            self._outbox.put(messages.failed(0, error))
        except BaseException:  # noqa: BLE001 - nothing could go on; the front learns of it by our end
            traceback.print_exc()
            os._exit(BROKEN)

    def _serve(self) -> None:
        start = time.monotonic()
        options = self._options()
        engine = open_engine(self._opening.engine, options, self._tell_progress)
        sequences = Sequences(engine, self._open_prompts(engine))
        self._make_drafts(engine, options)
        generator = Generator(engine, sequences, self._outbox.put, self._drafts and self._drafts.conductor)
        embedder = Embedder(engine, sequences, self._outbox.put)
        self._outbox.put(_ready(engine, self._opening.engine, time.monotonic() - start))
        gc.collect()
        gc.freeze()
        gc.disable()  # no collection in mid-answer: see `_next`
        idle = True
        while True:
            look = self._look = Stop()  # before the inbox is looked at: what comes after that sets it
            while idle or not self._inbox.empty():
                if (request := self._next()) is _END:
                    self._keep(sequences)
                    return
                self._answer(request, engine, sequences, generator, embedder)
                idle = False
            if embedder:
                look.set()  # so that nobody decodes alone for long
            embeds = embedder.step()
            idle = not generator.step(look) and not embeds and not self._measure_later(engine, sequences)

    def _keep(self, sequences: Sequences) -> None:
        """What the next worker may want."""
        self.keeping = True
        if self._drafts:
            self._drafts.save()
            self._drafts.close()
        if self._prompts is not None:
            sequences.put_all_away()
            self._prompts.flush()

    def _open_prompts(self, engine: Engine) -> PromptCache | None:
        store = self._opening.prompts
        if store and engine.can.save:
            self._prompts = PromptCache(engine, Path(store.folder), Bytes(store.memory), Bytes(store.disk))
        return self._prompts

    def _next(self) -> Ticket | messages.Request | None:
        """Waits for a request. Garbage is collected once nothing is asked for a moment: what an answer ended with is
        sent by then, and the next one seldom comes so soon. So goes what was freed, and is kept what drafters learned,
        now and then."""
        for pause, tidy in _TIDYING:
            try:
                return self._inbox.get(timeout=pause)
            except Empty:
                tidy()
        while self._drafts and (wait := self._drafts.due()) is not None:
            try:
                return self._inbox.get(timeout=wait)
            except Empty:
                self._drafts.save()
        return self._inbox.get()

    def _options(self) -> Any:
        try:
            return from_json(bytes(self._opening.options), options_type(self._opening.engine))
        except msgspec.DecodeError as error:
            raise UsageError(f"the options of the engine cannot be read: {error}") from error

    def _make_drafts(self, engine: Engine, options: Any) -> None:
        if drafting := self._opening.drafting:
            self._undrafted = lacking(engine.can)
            if not self._undrafted:
                self._drafts = Kept(engine, drafting, options, self._tell_drafting, lambda _: not self._ending)

    def _tell_drafting(self, id: int, why: str) -> None:
        self._outbox.put(messages.Drafting(id, messages.plain(why)))

    def _tell_progress(self, fraction: float) -> bool:
        self._outbox.put(messages.Loading(fraction))
        return not self._ending

    def _answer(
        self,
        request: Ticket | messages.Request | None,
        engine: Engine,
        sequences: Sequences,
        generator: Generator,
        embedder: Embedder,
    ) -> None:
        put = self._outbox.put
        try:
            match request:
                case Ticket():
                    generator.add(request)
                case messages.Cancel():
                    generator.end_cancelled()
                case messages.Encode(id, prompt):
                    put(messages.Encoded(id, tuple(generator.encode(prompt))))
                case messages.Embed(id, prompt):
                    embedder.add(id, generator.encode(prompt))
                case messages.Save(id, conversation, path):
                    put(messages.Saved(id, *sequences.save(conversation, Path(path))))
                case messages.Load(id, conversation, path):
                    put(messages.Loaded(id, sequences.load(conversation, Path(path))))
                case messages.Forget(id, conversation):
                    self._forget(conversation, sequences)
                    put(messages.Forgotten(id))
                case messages.Survey(id):
                    put(_statistics(id, engine, sequences, generator, self._undrafted, self._prompts))
                case messages.Measure() | messages.Route():
                    self._later.append(request)
        except AccelError as error:
            put(messages.failed(_id_of(request), error))
        except OSError as error:
            put(messages.failed(_id_of(request), _disk_error(error)))

    def _forget(self, conversation: str | None, sequences: Sequences) -> None:
        if conversation is not None:
            sequences.forget(conversation)
            return
        sequences.forget_all()
        if self._prompts is not None:
            self._prompts.clear()

    def _measure_later(self, engine: Engine, sequences: Sequences) -> bool:
        """Once nothing runs; whether there was something to measure."""
        if not self._later:
            return False
        request = self._later.pop(0)
        sequences.forget_all()
        try:
            measures = isinstance(request, messages.Measure)
            self._outbox.put(self._measure(engine, request) if measures else self._route(engine, request))
        except AccelError as error:
            self._outbox.put(messages.failed(request.id, error))
        except OSError as error:
            self._outbox.put(messages.failed(request.id, _disk_error(error)))
        return True

    def _measure(self, engine: Engine, request: messages.Measure) -> messages.Measured:
        from .timing import measure_rows

        times = measure_rows(engine, 0, False, request.seconds)  # the front knows how it was opened
        if self._drafts:
            self._drafts.conductor.measured(times)
        return messages.Measured(request.id, times.rows, times.seconds)

    def _route(self, engine: Engine, request: messages.Route) -> messages.Routed:
        from ..offload.replay import hit_curves
        from ..offload.trace import save_trace
        from .routing import record_writing

        told = time.monotonic()

        def progress(done: float) -> bool:
            nonlocal told
            if time.monotonic() > told + _BEAT or done == 1:
                told = time.monotonic()
                self._outbox.put(messages.Routing(request.id, done))
            return not self._ending

        trace = record_writing(engine, request.tokens, request.seconds, progress)
        if request.path is not None:
            save_trace(Path(request.path), trace)
        return messages.Routed(request.id, trace.tokens, hit_curves(trace.chosen, trace.experts))


def _disk_error(error: OSError) -> EngineError:
    return EngineError(f"the disk failed the worker: {error.strerror or error}", "check the disk and the path")


def _id_of(request: Ticket | messages.Request | None) -> int:
    return request.request.id if isinstance(request, Ticket) else getattr(request, "id", 0)


def _ready(engine: Engine, name: str, seconds: float) -> messages.Ready:
    """Raises ModelDamaged where the file says more of its words than a message holds."""
    spec, vocabulary = engine.spec, engine.vocabulary
    ready = messages.Ready(
        version=messages.VERSION,
        pid=os.getpid(),
        engine=name,
        model=messages.plain(spec.name),
        fingerprint=spec.fingerprint,
        context=engine.can.context,
        sequences=engine.can.sequences,
        vocabulary=vocabulary.size,
        template=messages.plain(spec.chat_template),
        bos=messages.plain(vocabulary.text(spec.bos)) if spec.bos is not None else "",
        eos=messages.plain(vocabulary.text(spec.eos)) if spec.eos is not None else "",
        ends=tuple(sorted(vocabulary.ends)),
        controls=_controls(engine),
        saves=engine.can.save,
        embeds=engine.can.embeds,
        seconds=seconds,
    )
    if (size := len(messages.encode(ready))) > FRAME:
        raise ModelDamaged(f"the model's chat template and control tokens take {Bytes(size)}", "use another model file")
    return ready


def _controls(engine: Engine) -> tuple[str, ...]:
    """How the control tokens are spelled: those that the engine gives no bytes, whatever the file calls them."""
    vocabulary = engine.vocabulary
    named = sorted({*engine.spec.specials, *vocabulary.ends})
    return tuple(messages.plain(vocabulary.text(token)) for token in named if not vocabulary.piece(token))


def _statistics(
    id: int,
    engine: Engine,
    sequences: Sequences,
    generator: Generator,
    undrafted: str,
    prompts: PromptCache | None,
) -> messages.Statistics:
    anonymous, mapped = resident()
    offloaded, drafting = engine.offloaded(), generator.drafting
    return messages.Statistics(
        id=id,
        forwards=generator.forwards,
        rows=generator.rows,
        generated=generator.generated,
        running=generator.running,
        waiting=generator.waiting,
        positions=sequences.positions,
        context=sequences.context,
        anonymous=int(anonymous),
        mapped=int(mapped),
        pinned=int(offloaded.pinned),
        read=int(offloaded.read),
        experts=tuple(messages.LayerUse(**asdict(use)) for use in offloaded.layers),
        drafted=drafting.drafted if drafting else 0,
        stood=drafting.stood if drafting else 0,
        drafting=messages.plain(drafting.why) if drafting else undrafted,
        drafters=_drafters(drafting) if drafting else (),
        prompts=len(prompts) if prompts is not None else 0,
        prompts_in_memory=int(prompts.held) if prompts is not None else 0,
        prompts_on_disk=int(prompts.on_disk) if prompts is not None else 0,
        prompts_hits=prompts.hits if prompts is not None else 0,
    )


def _drafters(drafting: Conductor) -> tuple[messages.DrafterUse, ...]:
    trouble = {name: messages.plain(str(error)) for name, error in drafting.trouble().items()}
    names = dict.fromkeys([*drafting.uses, *trouble])
    return tuple(
        messages.DrafterUse(name, **asdict(drafting.uses.get(name, Use())), trouble=trouble.get(name, ""))
        for name in names
    )
