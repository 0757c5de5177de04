"""Whatever is drafted and however chance falls, a text judged by the ratio rules has the target's law.

Every way that chance can take is followed, over the draws of a draft and over what becomes of it, in exact fractions:
what comes out must equal the target's law, not be near it.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pytest

from accel.errors import EngineError
from accel.runtime.drafting import ratio
from accel.runtime.drafting.draft import NOTHING, Draft, Verdict
from accel.runtime.drafting.ratio import Chance, Uniform, judge, pick, verify_by_ratio
from accel.runtime.law import Law
from accel.runtime.sampling import Sampler

from .test_verify import Target as Logits
from .test_verify import TreeRows

# How many children the nodes of a draft have, level by level: (3,) is a root with three, (1, 1) a chain of two.
CHAINS = [(3, (1, 1)), (4, (1, 1)), (5, (1, 1)), (6, (1, 1))]
TREES = [(3, (2, 2)), (3, (3, 1)), (4, (3,)), (4, (2, 1)), (5, (3,)), (6, (2,))]


class Models:
    """A target and a drafter: exact laws that depend on the path, some tokens cut."""

    def __init__(self, seed: int, size: int) -> None:
        self._seed, self.size = seed, size

    def target(self, path: tuple[int, ...]) -> np.ndarray:
        return self._law(0, path)

    def drafter(self, path: tuple[int, ...]) -> np.ndarray:
        return self._law(1, path)

    def _law(self, whose: int, path: tuple[int, ...]) -> np.ndarray:
        chance = np.random.default_rng([self._seed, whose, *path])
        parts = chance.integers(1, 12, self.size) * (chance.random(self.size) < 0.8)
        parts[chance.integers(self.size)] += 1
        return np.array([Fraction(int(part), int(parts.sum())) for part in parts], object)


class Way:
    """Chance that goes where a script says, beyond its end the first way there is; `others` are scripts of the rest."""

    def __init__(self, script: tuple[int, ...]) -> None:
        self._script, self._taken = script, tuple[int, ...]()
        self.weight: Any = Fraction(1)
        self.others: list[tuple[int, ...]] = []

    def accepts(self, probability: float) -> bool:
        return bool(self._take([(True, probability), (False, 1 - probability)]))

    def draw(self, law: np.ndarray) -> int:
        return self._take(list(enumerate(law)))

    def _take(self, options: list[tuple[Any, Any]]) -> Any:
        options = [(value, weight) for value, weight in options if weight > 0]
        if (at := len(self._taken)) < len(self._script):
            chosen = self._script[at]
        else:
            chosen = 0
            self.others += [(*self._taken, other) for other in range(1, len(options))]
        self._taken += (chosen,)
        value, weight = options[chosen]
        self.weight *= weight
        return value


def ways(run: Callable[[Chance], Any]) -> Iterator[tuple[Fraction, Any]]:
    """All that `run` can come to, with its probability."""
    todo: list[tuple[int, ...]] = [()]
    while todo:
        way = Way(todo.pop())
        result = run(way)
        todo += way.others
        yield way.weight, result


def drawn(models: Models, shape: tuple[int, ...], chance: Chance, replaced: bool = False) -> Draft:
    """A draft whose every node was drawn, siblings without replacement as long as there is something to draw."""
    tokens, parents, paths = list[int](), list[int](), list[tuple[int, ...]]([()])
    level = [-1]
    for children in shape:
        above, level = level, []
        for parent in above:
            law = models.drafter(paths[parent + 1]).copy()
            for _ in range(children):
                if not law.sum():
                    break
                token = chance.draw(law)
                if not replaced:
                    law[token] = Fraction(0)
                    law = law / (law.sum() or 1)
                level.append(len(tokens))
                tokens.append(token)
                parents.append(parent)
                paths.append((*paths[parent + 1], token))
    return Draft(tuple(tokens), tuple(parents))


def paths_of(draft: Draft) -> list[tuple[int, ...]]:
    paths: list[tuple[int, ...]] = [()]
    for token, parent in zip(draft.tokens, draft.parents, strict=True):
        paths.append((*paths[parent + 1], token))
    return paths


def judged(
    models: Models, draft: Draft, chance: Chance, given: bool = False, replaced: bool = False
) -> tuple[int, ...]:
    """The tokens that a draft comes to."""
    paths = paths_of(draft)
    drafter = None if given else lambda node: models.drafter(paths[node + 1])
    verdict = judge(draft, lambda node: models.target(paths[node + 1]), drafter, chance, replaced=replaced)
    return (*(draft.tokens[node] for node in verdict.path), verdict.next_token)


def process(models: Models, shape: tuple[int, ...], chance: Chance, draws: bool = False, judges: bool = False) -> Any:
    """A draft, and what it comes to; whether it is drawn with replacement, and judged as if it were."""
    return judged(models, drawn(models, shape, chance, draws), chance, replaced=judges)


def difference(models: Models, run: Callable[[Chance], tuple[int, ...]], length: int) -> Fraction:
    """Between the law of texts of this length, begun by `run` and ended by the target alone, and the target's own."""
    begun: dict[tuple[int, ...], Fraction] = defaultdict(Fraction)
    for weight, tokens in ways(run):
        begun[tokens[:length]] += weight
    assert sum(begun.values()) == 1
    return max(map(abs, _differences(models, begun, (), length)))


def _differences(
    models: Models, begun: dict, text: tuple[int, ...], left: int, got: Any = 0, law: Any = 1
) -> list[Any]:
    got += begun.get(text, 0)
    if not left:
        return [got - law]
    following = enumerate(models.target(text))
    return [
        d for t, share in following for d in _differences(models, begun, (*text, t), left - 1, got * share, law * share)
    ]


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("size", "shape"), CHAINS + TREES)
def test_drawn_without_replacement_the_law_is_the_targets_exactly(seed, size, shape):
    models = Models(seed, size)
    assert difference(models, partial(process, models, shape), len(shape) + 1) == 0


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("size", "shape"), TREES)
def test_drawn_with_replacement_the_law_is_the_targets_exactly(seed, size, shape):
    models = Models(seed, size)
    assert difference(models, partial(process, models, shape, draws=True, judges=True), len(shape) + 1) == 0


@pytest.mark.parametrize("seed", range(10))
def test_with_candidates_that_were_given_the_law_is_the_targets_exactly(seed):
    chance = np.random.default_rng(seed)
    size = int(chance.integers(3, 7))
    models, tokens, parents = Models(seed, size), list[int](), list[int]()
    for _ in range(int(chance.integers(0, 9))):
        parent = int(chance.integers(-1, len(tokens)))
        taken = {token for token, above in zip(tokens, parents, strict=True) if above == parent}
        if free := sorted(set(range(size)) - taken):
            tokens.append(int(chance.choice(free)))
            parents.append(parent)
    draft = Draft(tuple(tokens), tuple(parents))
    assert difference(models, partial(judged, models, draft, given=True), 3) == 0


def test_nothing_drafted_is_a_draw_from_the_target():
    models = Models(5, 6)
    assert difference(models, partial(judged, models, NOTHING), 1) == 0


@pytest.mark.parametrize(("size", "shape"), [(4, (3,)), (5, (3,))])
def test_the_proof_fails_where_the_drafters_law_is_not_normalised_again(size, shape, monkeypatch):
    def left_as_it_is(q: np.ndarray, token: int) -> np.ndarray:
        left = q.copy()
        left[token] = Fraction(0)
        return left

    several = [Models(seed, size) for seed in range(3)]
    assert all(difference(models, partial(process, models, shape), 2) == 0 for models in several)
    monkeypatch.setattr(ratio, "_without", left_as_it_is)
    assert max(difference(models, partial(process, models, shape), 2) for models in several) > Fraction(1, 1000)


def test_the_proof_fails_where_draws_without_replacement_are_judged_as_if_they_were_with():
    several = [Models(seed, 4) for seed in range(3)]
    wrong = [difference(models, partial(process, models, (3,), judges=True), 2) for models in several]
    assert max(wrong) > Fraction(1, 1000)


class Lanes:
    """Many drafts at once, each with uniform numbers of its own: the ways of `Way`, a count of lanes on each."""

    def __init__(self, lanes: int, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._splits: dict[tuple[int, ...], np.ndarray] = {}  # after each script, the lanes on each way from there
        self._lanes = lanes

    def texts(self, run: Callable[[Chance], tuple[int, ...]]) -> Counter[tuple[int, ...]]:
        found: Counter[tuple[int, ...]] = Counter()
        todo: list[tuple[int, ...]] = [()]
        while todo:
            self._script, self._taken, self._here, self._others = todo.pop(), (), self._lanes, []
            text = run(self)
            found[text] += self._here
            todo += self._others
        return found

    def accepts(self, probability: float) -> bool:
        return self._take(lambda numbers: (numbers >= float(probability)).astype(int)) == 0

    def draw(self, law: np.ndarray) -> int:
        return self._take(lambda numbers: pick(law.astype(float), numbers))

    def _take(self, fall: Callable[[np.ndarray], Any]) -> int:
        if (split := self._splits.get(self._taken)) is None:
            split = self._splits[self._taken] = np.bincount(fall(self._random.random(self._here)))
        there = split.nonzero()[0].tolist()
        if (at := len(self._taken)) < len(self._script):
            chosen = self._script[at]
        else:
            chosen = there[0]
            self._others += [(*self._taken, other) for other in there[1:]]
        self._taken += (chosen,)
        self._here = int(split[chosen])
        return chosen


def chi_square(counts: Counter[tuple[int, ...]], models: Models, length: int) -> tuple[float, float]:
    """The statistic, and what it exceeds about once in 30,000 times."""
    total, texts = sum(counts.values()), list(product(range(models.size), repeat=length))
    law = {text: float(np.prod([models.target(text[:n])[text[n]] for n in range(length)])) for text in texts}
    assert set(counts) <= {text for text in texts if law[text]}
    expected = {text: total * share for text, share in law.items() if share}
    statistic = sum((counts[text] - mean) ** 2 / mean for text, mean in expected.items())
    freedom = len(expected) - 1
    return statistic, freedom + 4 * (2 * freedom) ** 0.5


@pytest.mark.parametrize(("shape", "replaced"), [((1, 1), False), ((2, 1), False), ((3,), True)])
def test_200_000_texts_are_spread_as_the_targets_own(shape, replaced):
    models, length = Models(8, 3), len(shape) + 1

    def run(chance: Chance) -> tuple[int, ...]:
        text = process(models, shape, chance, replaced, replaced)
        while len(text) < length:
            text += (chance.draw(models.target(text)),)
        return text

    counts = Lanes(200_000, seed=1).texts(run)
    statistic, bound = chi_square(counts, models, length)
    assert sum(counts.values()) == 200_000 and statistic < bound


def test_a_guess_that_ends_the_turn_is_the_last_token():
    certain, draft = np.array([0.0, 1.0, 0.0]), Draft.chain([1, 1])
    verdict = judge(draft, lambda node: certain, None, Uniform(lambda: 0.5), row=7, ends={1})
    assert verdict == Verdict(draft, (), 1, 7)


def test_equal_laws_that_rounding_tells_apart_leave_the_targets_own():
    p = np.array([0.1, 0.2, 0.7])
    never = Uniform(iter([1 - 2**-53, 0.5]).__next__)
    assert judge(Draft.chain([1]), lambda node: p, lambda node: p * (1 + 1e-12), never).next_token == 2


def test_a_guess_that_could_not_be_drawn_is_no_draft():
    p, q = np.array([0.5, 0.5]), np.array([1.0, 0.0])
    with pytest.raises(EngineError, match="cannot draw"):
        judge(Draft.chain([1]), lambda node: p, lambda node: q, Uniform(lambda: 0.5))


def test_no_number_falls_on_a_token_of_probability_0():
    law = np.array([0.0, 0.3, 0.0, 0.7, 0.0])
    assert pick(law, np.array([0.0, 0.2999, 0.3001, 1 - 2**-53])).tolist() == [1, 1, 3, 3]
    assert Uniform(lambda: 0.0).accepts(0.0) is False and Uniform(lambda: 1 - 2**-53).accepts(1.0) is True


def test_a_sampler_and_rows_are_judged_by_the_law_after_temperature_cuts_and_penalties():
    law, target, draft = Law(temperature=0.9, top_k=3, repeat_penalty=1.5), Logits(3), Draft.chain([2, 2, 0])
    for seed in range(50):
        text, sampler, plain = [1, 2, 3], Sampler(law, 6), Sampler(law, 6)
        sampler.observe(text)
        plain.observe(text)
        rows = TreeRows(target, text, draft)
        verdict = verify_by_ratio(draft, rows, 0, sampler, {5}, Uniform(np.random.default_rng(seed).random))
        said = [*(draft.tokens[node] for node in verdict.path), verdict.next_token]
        for token in said:
            assert plain.probabilities(target.logits(text))[token] > 0
            plain.accept(token)
            text.append(token)
        assert np.array_equal(sampler.probabilities(target.logits(text)), plain.probabilities(target.logits(text)))


def test_greedy_by_the_ratio_rule_is_the_greatest_first_token():
    row = np.array([1, 3, 3, 0, 0, 0], np.float32)
    assert Sampler(Law(temperature=0), 6).probabilities(row).tolist() == [0, 1, 0, 0, 0, 0]
