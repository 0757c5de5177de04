"""Three examinations of 60 questions each, whose phrasings, names and pairs of operands the corpus never uses."""

from .first import FIRST
from .question import Question
from .second import SECOND
from .third import THIRD

EXAMINATIONS: dict[str, tuple[Question, ...]] = {"first": FIRST, "second": SECOND, "third": THIRD}
