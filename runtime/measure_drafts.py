"""Measures how often draft models guess what a target writes, and what both take, in a process of its own: see
`lines.py`. The target writes its texts once; one draft model after another reads them."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass

from ..errors import AccelError, EngineError, TemplateError
from .costs import RowTimes
from .drafting.agreement import Text, agreement, guess_seconds, write
from .drafting.foreign import Foreign, model_drafter
from .drafting.payoff import DEEPEST
from .engines import open_engine
from .engines.base import Engine
from .engines.options import EngineOptions
from .law import Law
from .lines import Tell, answer
from .routing import BEGINNINGS
from .template import ChatTemplate
from .timing import measure_rows

TEMPERATURES = (0.0, 0.8)
QUESTIONS = (
    "What is the capital of France, and what is it known for?",
    "Write a short story about a dog that finds a key.",
    "How do I read a file line by line in Python?",
    "Explain why the sky is blue.",
)
_MEASURE_SECONDS = 1.0  # for what forwards of several rows take


@dataclass(frozen=True, slots=True)
class DraftsJob:
    """`tokens`: of each text, at most."""

    target: EngineOptions
    drafts: tuple[EngineOptions, ...]
    tokens: int


@dataclass(frozen=True, slots=True)
class Agreed:
    """What was seen of one draft model: whether it has the target's tokens, the seconds of a guess, and for each of
    TEMPERATURES for every text which of its tokens would have been guessed. `trouble`: why there is nothing."""

    same_tokens: bool = False
    guess: float = 0.0
    guessed: tuple[tuple[tuple[bool, ...], ...], ...] = ()
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class DraftsResult:
    rows: RowTimes  # of the target
    drafts: tuple[Agreed, ...]


def measure(job: DraftsJob, tell: Tell) -> DraftsResult:
    """What keeps one draft model from drafting is said of it. Raises ModelError, EngineError where it is the target,
    or it writes too little."""
    with _open(job.target, tell, "opening the target") as target:
        tell("timing the target", 0.0)
        rows = measure_rows(target, job.target.threads, job.target.repack, _MEASURE_SECONDS, job.target.flash_attention)
        texts = list(_texts(target, job.tokens, tell))
        if sum(len(text.tokens) - text.prompt >= DEEPEST for _, text in texts) < len(TEMPERATURES):
            raise EngineError(
                "the target ends every text at once", "what drafts would bring cannot be measured this way"
            )
        return DraftsResult(rows, tuple(_agreed(draft, target, texts, tell) for draft in job.drafts))


def _texts(target: Engine, most: int, tell: Tell) -> Iterator[tuple[int, Text]]:
    """Each with the number of its temperature."""
    prompts = _prompts(target)
    for number, temperature in enumerate(TEMPERATURES):
        for seed, prompt in enumerate(prompts):
            done = (number * len(prompts) + seed) / (len(prompts) * len(TEMPERATURES))

            def progress(part: float, done: float = done) -> None:
                tell("writing texts", done + part / (len(prompts) * len(TEMPERATURES)))

            yield number, write(target, prompt, Law(temperature=temperature, seed=seed), most, progress)


def _prompts(target: Engine) -> list[list[int]]:
    """Questions as the model's template puts them; beginnings of texts for a model without one."""
    texts: Sequence[str] = BEGINNINGS
    if target.spec.chat_template:
        bos, eos = (
            target.vocabulary.text(token) if token is not None else "" for token in (target.spec.bos, target.spec.eos)
        )
        try:
            with closing(ChatTemplate(target.spec.chat_template, bos, eos)) as template:
                texts = [template.render([{"role": "user", "content": question}]) for question in QUESTIONS]
        except TemplateError:
            pass  # it may be a model for something else than chats
    found = (target.vocabulary.encode(text, start=True) for text in texts)
    return [tokens[: target.can.context // 2] or [0] for tokens in found]


def _agreed(options: EngineOptions, target: Engine, texts: Sequence[tuple[int, Text]], tell: Tell) -> Agreed:
    name = options.path.rsplit("/", 1)[-1]
    try:
        with _open(options, tell, f"opening {name}") as draft:
            return _read(draft, name, target, texts, tell)
    except AccelError as error:
        return Agreed(trouble=error.what)


def _read(draft: Engine, name: str, target: Engine, texts: Sequence[tuple[int, Text]], tell: Tell) -> Agreed:
    drafter, size = model_drafter(draft, target.vocabulary, least=0.0), target.vocabulary.size
    guess = guess_seconds(drafter, [text for _, text in texts], size)
    if guess is None:
        raise EngineError("it has no guesses that the target could write", "take another draft model")
    guessed: list[list[tuple[bool, ...]]] = [[] for _ in TEMPERATURES]
    for count, (number, text) in enumerate(texts):
        tell(f"{name} reads along", count / len(texts))
        guessed[number].append(tuple(agreement(drafter, text, size)))
    return Agreed(not isinstance(drafter, Foreign), guess, tuple(map(tuple, guessed)))


@contextmanager
def _open(options: EngineOptions, tell: Tell, doing: str) -> Iterator[Engine]:
    def progress(done: float) -> bool:
        tell(doing, done)
        return True

    engine = open_engine("llamacpp", options, progress)
    try:
        yield engine
    finally:
        engine.close()


def main() -> int:
    return answer(DraftsJob, measure)


if __name__ == "__main__":
    sys.exit(main())
