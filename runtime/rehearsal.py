"""A worker's answers, rehearsed in this process with the smallest model there is: what any worker takes once it has
answered is in memory then. Libraries load late, kernels start threads, records are compiled at their first use."""

from pathlib import Path
from tempfile import TemporaryDirectory

from . import messages
from .demo import draft
from .engines import open_engine
from .engines.options import EngineOptions
from .generate import Generator
from .law import Law
from .outbox import Saying, said
from .sequences import Sequences
from .stream import Ticket

_NAME, _PROMPT, _MOST = "rehearsal", "Once upon a time", 4  # tokens
_LAWS = (  # one for every way in which a token is chosen
    Law(),
    Law(temperature=0),
    Law(top_k=0, top_p=0.9),
    Law(top_k=0, top_p=1.0),
    Law(repeat_penalty=1.1),
)
_WORDS = messages.GrammarSource("regex", "[a-z ]{1,8}")


def rehearse(threads: int) -> None:
    """Raises ModelError, EngineError, and what a temporary folder without room raises."""
    options = EngineOptions(
        str(draft()), context=256, batch=64, ubatch=64, outputs=1, threads=threads, threads_prefill=threads
    )
    engine = open_engine("llamacpp", options)
    try:
        sequences = Sequences(engine)
        generator = Generator(engine, sequences, _say)
        for id, law in enumerate(_LAWS):
            _answer(generator, messages.Generate(id, _NAME, (_PROMPT,), law, _MOST))
        _answer(generator, messages.Generate(len(_LAWS), _NAME, (_PROMPT,), Law(), _MOST, grammar=_WORDS))
        with TemporaryDirectory() as folder:
            sequences.save(_NAME, Path(folder) / _NAME)
            sequences.load(_NAME, Path(folder) / _NAME)
    finally:
        engine.close()


def _answer(generator: Generator, request: messages.Generate) -> None:
    frame = messages.encode(request)
    again = messages.decode_request(frame)
    assert isinstance(again, messages.Generate)
    generator.add(Ticket(again))
    while generator.step():
        pass


def _say(saying: Saying) -> None:
    for message in said(saying):
        messages.encode(message)
