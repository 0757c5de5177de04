"""Which guesses stand: those that equal the target's own tokens, so that no text depends on drafting.

The target's token at a position is a function of its logits, the law, the seed and the position (`sampling.py`),
drafted or not. A drafter that draws with the same noise agrees nearly as often as the ratio rule of speculative
sampling would accept, and only ids need to travel.
"""

from collections.abc import Callable

from ...errors import AccelError
from ..engines.base import Rows
from ..sampling import Sampler
from .draft import Draft, Verdict


def verify(draft: Draft, rows: Rows, row: int, sampler: Sampler, position: int, over: Callable[[int], bool]) -> Verdict:
    """Follows the target's own choices down a draft until one was not guessed, or nothing may follow it: `over` is
    asked once about each, in order.

    `rows` holds the logits after the last token that stands in row `row` and those after node i in row `row + 1 + i`;
    `position` is where the first choice will stand. The sampler has accepted all of `path` and the token after it then.
    Raises EngineError, GrammarError or UsageError where the first choice cannot be made; where a later one cannot, it
    is left for the next time.
    """
    children, path, at = draft.children(), list[int](), -1
    token = sampler.choose(rows.row(row), position)
    sampler.accept(token)
    while not over(token) and (child := children[at + 1].get(token)) is not None:
        position += 1
        try:
            following = sampler.choose(rows.row(row + 1 + child), position)
            sampler.accept(following)
        except AccelError:
            break  # asked for again, it is raised
        path.append(child)
        token, at = following, child
    return Verdict(draft, tuple(path), token, row)
