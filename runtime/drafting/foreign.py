"""A draft model with another tokenizer than the target's: it guesses in its own tokens, by the target's law."""

from collections.abc import Sequence

import numpy as np

from ...errors import AccelError, UsageError
from ..engines.base import Engine, Rows, Vocabulary
from ..sampling import Largest, Sampler
from .draft import NOTHING, Context, Draft, Verdict
from .guessing import Guesser
from .model import ModelDrafter
from .retokenise import Reading, Tongues, same_tokens

_NEAR = 64  # of the draft model's tokens, those that may be guessed
_MORE = 2  # guesses beyond the limit: the last word is complete only once another one begins


def model_drafter(engine: Engine, target: Vocabulary, least: float = 0.3, leaves: int = 1) -> "ModelDrafter | Foreign":
    """Drafts with this engine for a target of this vocabulary; trees only where both have the same tokens. Looks at
    all of both vocabularies. Raises EngineError for an engine that cannot draft."""
    if same_tokens(target, engine.vocabulary):
        return ModelDrafter(engine, least, leaves, target.size)
    return Foreign(ModelDrafter(engine, least), target)


class Foreign:
    """See `draft.Drafter`: translates for the drafter, whose drafts must be chains, and back."""

    def __init__(self, drafter: ModelDrafter, target: Vocabulary) -> None:
        self._drafter = drafter
        self._tongues = Tongues(target, drafter.engine.vocabulary)
        self._rows = _Rows(self._tongues)
        self._readings: dict[int, Reading] = {}
        self._asked: list[tuple[Reading, int]] = []

    @property
    def trouble(self) -> AccelError | None:
        """See `Reader`."""
        return self._drafter.trouble

    @property
    def given_up(self) -> bool:
        return self._drafter.given_up

    @property
    def reading(self) -> float:
        return self._drafter.reading

    def start(self, contexts: Sequence[Context], limits: Sequence[int]) -> None:
        wishes, self._asked = [], []
        for context, limit in zip(contexts, limits, strict=True):
            reading = self._readings.get(context.number)
            if reading is None or reading.read > len(context.tokens):
                reading = self._readings[context.number] = Reading(self._tongues)
            tokens = reading.follow(context.tokens)
            guesser = Projected(context.sampler.fork(), self._rows, len(context.tokens))
            more = limit + _MORE if tokens and limit > 0 else 0
            wishes.append(self._drafter.wish(context.number, tokens or [], guesser, more))
            self._asked.append((reading, limit))
        self._drafter.begin(wishes)

    def take(self, deadline: float | None = None) -> list[Draft]:
        drafts = zip(self._asked, self._drafter.take(deadline), strict=True)
        return [reading.translate(draft, limit) or NOTHING for (reading, limit), draft in drafts]

    def observe(self, verdicts: Sequence[Verdict], rows: Rows) -> None:
        self._drafter.observe(verdicts, rows)

    def forget(self, number: int) -> None:
        self._readings.pop(number, None)
        self._drafter.forget(number)


class _Rows:
    """Logits of a draft model as logits of the target's tokens: each of its likeliest tokens counts as the one that its
    text begins with."""

    def __init__(self, tongues: Tongues) -> None:
        self.tongues = tongues
        self._row = np.full(tongues.target.size, -np.inf, np.float32)
        self._likeliest = Largest(tongues.draft.size, min(_NEAR, tongues.draft.size))
        self._there = list[int]()  # tokens of the target that the row knows

    def onto(self, logits: np.ndarray) -> tuple[np.ndarray, dict[int, int]]:
        """The target's row, good until the next one, and for each of its tokens the draft model's. Raises EngineError
        for what are no numbers."""
        own: dict[int, int] = {}
        for token in self._likeliest(logits)[0].tolist():
            if spelled := self.tongues.alone(token):
                own.setdefault(spelled[0], token)
        self._row[self._there] = -np.inf
        self._there = list(own)
        self._row[self._there] = logits[list(own.values())]
        return self._row, own


class Projected:
    """A target's law over the tokens of a draft model, so that both draw with the same noise wherever a token of one is
    a token of the other."""

    def __init__(self, sampler: Sampler, rows: _Rows, position: int) -> None:
        """`position`: where the target's next token will stand."""
        self._sampler, self._rows, self._position = sampler, rows, position

    def fork(self) -> Guesser:
        return Projected(self._sampler.fork(), self._rows, self._position)

    def accept(self, token: int) -> None:
        for spelled in self._rows.tongues.alone(token):
            self._sampler.accept(spelled)
            self._position += 1

    def choose_surely(self, logits: np.ndarray, position: int) -> tuple[int, float]:
        """`position` counts the draft model's tokens, and decides nothing."""
        row, own = self._rows.onto(logits)
        if not own:
            raise UsageError("the draft model guesses what the target cannot write", "take another draft model")
        token, sure = self._sampler.choose_surely(row, self._position)
        return own[token], sure

    def likeliest(self, logits: np.ndarray, position: int, most: int) -> tuple[np.ndarray, np.ndarray]:
        token, sure = self.choose_surely(logits, position)
        return np.array([token]), np.array([sure])
