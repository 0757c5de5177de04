"""Measures what stand-ins cost a model's text, in a process of its own: see `lines.py`.

One pass writes or reads the text exactly; each other pass follows it, at one share of the experts in memory and with
one choice of thresholds.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..devices.files import write_error
from ..devices.probe import probe_memory
from ..errors import EngineError, MemoryFull, UsageError
from ..offload.counts import Shares, shares_of
from ..offload.gguf_header import read_header
from ..offload.layout import Layout
from ..offload.planes import Planes
from ..units import Bytes
from .engines import open_engine
from .engines.base import Engine
from .engines.options import READERS, EngineOptions
from .fidelity import FEWEST, WARM, Departure, Exact, follow
from .footprint import expert_rooms
from .lines import Tell, answer
from .model import ModelSpec
from .quality import GIVEN, OFF, OWN, Quality, standard_error
from .thresholds import LOWS, SKIPS, choose

SHARES = (0.25, 0.4, 0.6)  # of the experts in memory; thresholds are chosen at the first
_PART, _FEWEST_OF_A_PART = 2, 64  # a candidate is tried on so many times fewer tokens, and so many at least
_PASSES = 32  # over all tokens, about, that one measurement takes
_CONTEXT = 1024
_ROWS = 64  # of a forward: beginnings are short
_BESIDE = Bytes.from_mib(256)  # memory that an engine takes beside weights here


@dataclass(frozen=True, slots=True)
class QualityJob:
    """`text`: what to measure on, the model's own writing where there is none. The exact predictions are kept in a file
    in `folder` meanwhile."""

    model: str
    stand_ins: str
    folder: str
    threads: int
    tokens: int
    seconds: float
    text: str = ""


def main() -> int:
    return answer(QualityJob, _measure)


def _measure(job: QualityJob, tell: Tell) -> tuple[Quality, ...]:
    try:
        return measure(job, tell)
    except OSError as error:
        raise write_error(Path(job.folder) / "exact", error) from error


def measure(job: QualityJob, tell: Tell) -> tuple[Quality, ...]:
    """What is served by whatever is in memory first, then what depends on gate scores alone: for each, thresholds that
    lose little at the first share, and what they do at the others. Raises ModelError, EngineError, UsageError, OSError,
    and MemoryFull where not even the first share fits."""
    with passes(job, tell) as run:
        found: list[Quality] = []
        boldest = LOWS[-1], SKIPS[-1]
        for deterministic in (False, True):

            def measured(low: float, skip: float, whole: bool, strict: bool = deterministic) -> Quality:
                return run.quality(low, skip, strict, run.shares[0], whole)

            best = choose(measured, boldest)
            if best is None:
                break  # what depends on gate scores alone uses stand-ins more often
            boldest = best.low, best.skip
            rest = (run.quality(best.low, best.skip, deterministic, share) for share in run.shares[1:])
            found += [best, *rest]
        return tuple(found)


@contextmanager
def passes(job: QualityJob, tell: Tell) -> Iterator["Passes"]:
    """After the exact one."""
    spec = ModelSpec.read(Path(job.model))
    with closing(Exact(Path(job.folder), job.tokens, spec.vocabulary)) as exact:
        run = Passes(job, spec, exact, tell)
        run.begin()
        yield run


class Passes:
    """Of one model along one text."""

    def __init__(self, job: QualityJob, spec: ModelSpec, exact: Exact, tell: Tell) -> None:
        self._job, self._spec, self._exact, self._tell = job, spec, exact, tell
        self.shares, self.least = _shares(spec), spec.experts_used / max(1, spec.experts)
        header = read_header(Path(job.model))
        planes = Planes.read(Path(job.stand_ins), header, Layout.of(header))
        self._stand_ins, self._staging = planes.fingerprint, READERS * planes.longest
        self._needed: dict[float, list[int]] = {}  # by share: bytes that the exact engine needed until each token

    def begin(self) -> None:
        """The exact pass."""
        job, exact = self._job, self._exact
        seconds, progress = job.seconds / _PASSES, self._progress("reading exactly" if job.text else "writing exactly")
        with self._engine(self.shares[0]) as engine:
            if job.text:
                tokens = engine.vocabulary.encode(job.text, special=False, start=True)
                exact.read(engine, tokens, seconds, progress)
            else:
                exact.write(engine, seconds, progress)
        if len(exact) < min(FEWEST, exact.most):
            raise UsageError(f"a text of {len(exact) + WARM} tokens tells too little", f"give {WARM + FEWEST} or more")
        self._needed[self.shares[0]] = [int(used[-1]) for used in exact.used]

    def quality(self, low: float, skip: float, deterministic: bool, share: float, whole: bool = True) -> Quality:
        """With these thresholds, on all tokens or a part of them."""
        tokens = self._tokens(whole)
        found = self._follow(low, skip, deterministic, share, tokens)
        return self._quality(found, 0, tokens, low, skip, deterministic, share)

    def halves(self, low: float, skip: float, deterministic: bool, share: float) -> tuple[Quality, Quality]:
        """As `quality`, of both halves of the tokens apart, in one pass: what was chosen on one is told by the other.
        Of two tokens or more."""
        tokens = len(self._exact)
        found = self._follow(low, skip, deterministic, share, tokens)
        edges = (0, tokens // 2), (tokens // 2, tokens)
        first, second = (self._quality(found, *each, low, skip, deterministic, share) for each in edges)
        return first, second

    def served(self, low: float, skip: float, deterministic: bool, share: float, whole: bool = True) -> Shares:
        """How the uses went, and nothing of what it cost: spares the exact engine's pass at that share."""
        found = self._follow(low, skip, deterministic, share, self._tokens(whole))
        return shares_of(*found.used[-1, :4].tolist())

    def _tokens(self, whole: bool) -> int:
        most = len(self._exact)
        return most if whole else max(most // _PART, min(_FEWEST_OF_A_PART, most))

    def _follow(self, low: float, skip: float, deterministic: bool, share: float, tokens: int) -> Departure:
        left_out = "nothing is left out" if skip >= OFF else f"left out above {skip:g}"
        strict = ", by gate scores alone" if deterministic else ""
        doing = f"stand-ins above {low:g}, {left_out}{strict}, {share:.0%} of experts in memory"
        with self._engine(share, low, skip, deterministic) as engine:
            return follow(engine, self._exact, tokens, self._progress(doing))

    def _quality(
        self, found: Departure, first: int, end: int, low: float, skip: float, deterministic: bool, share: float
    ) -> Quality:
        """Of the tokens from `first` until before `end`."""
        kl, lost = found.kl[first:end], found.lost[first:end]
        uses, hits, served_low, skipped, read = (int(count) for count in _between(found.used, first, end))
        needed = _between(np.array(self._exactly_needed(share)), first, end)
        likelihood = float(np.mean(self._exact.likelihoods[first:end]))
        shares = shares_of(uses, hits, served_low, skipped)
        return Quality(
            model=self._spec.fingerprint,
            stand_ins=self._stand_ins,
            low=low,
            skip=skip,
            deterministic=deterministic,
            share=share,
            text=GIVEN if self._job.text else OWN,
            tokens=end - first,
            kl=float(kl.mean()),
            kl_error=standard_error(kl.tolist()),
            exact=float(np.exp(-likelihood)),
            approximate=float(np.exp(max(float(lost.mean()) - likelihood, 0.0))),
            error=standard_error(lost.tolist()),
            same=float(found.same[first:end].mean()),
            missed=shares.missed,
            served_low=shares.served_low,
            skipped=shares.skipped,
            read_exact=Bytes(needed / (end - first)),
            read=Bytes(read / (end - first)),
        )

    def _exactly_needed(self, share: float) -> list[int]:
        if share not in self._needed:
            progress = self._progress(f"exact, {share:.0%} of experts in memory")
            with self._engine(share) as engine:
                found = follow(engine, self._exact, len(self._exact), progress)
            self._needed[share] = found.used[:, -1].tolist()
        return self._needed[share]

    def _progress(self, doing: str) -> Callable[[float], bool]:
        self._tell(doing, 0.0)

        def progress(done: float) -> bool:
            self._tell(doing, done)
            return True

        return progress

    @contextmanager
    def _engine(self, share: float, low: float = OFF, skip: float = OFF, strict: bool = False) -> Iterator[Engine]:
        """Exact where no threshold is given."""
        spec, job = self._spec, self._job
        options = EngineOptions(
            job.model,
            context=min(_CONTEXT, spec.context or _CONTEXT),
            batch=_ROWS,
            ubatch=_ROWS,
            outputs=1,
            threads=job.threads,
            threads_prefill=job.threads,
            repack=False,
            expert_memory=int(share * _whole(spec)),
        )
        if (low, skip) != (OFF, OFF):
            options = replace(
                options,
                low_experts=job.stand_ins,
                low_above=low,
                skip_above=skip,
                deterministic=strict,
                expert_memory=options.expert_memory + self._staging,
            )
        engine = open_engine("llamacpp", options)
        try:
            yield engine
        finally:
            engine.close()


def _between(counts: np.ndarray, first: int, end: int) -> np.ndarray:
    """What was counted over the tokens from `first` until before `end`, of what had been counted after each."""
    return counts[end - 1] - counts[first - 1] if first else counts[end - 1]


def _whole(spec: ModelSpec) -> int:
    """Bytes of memory for all experts."""
    return spec.experts * sum(expert_rooms(spec))


def _shares(spec: ModelSpec) -> tuple[float, ...]:
    """Those that hold a token's experts and fit into what is free. Raises EngineError, MemoryFull."""
    least = spec.experts_used / spec.experts if spec.experts else 1.0
    shares = sorted({max(share, least) for share in SHARES} - {1.0})
    if not shares:
        raise EngineError("every token uses all experts of this model", "run it without stand-ins")
    free = probe_memory().free - (sum(spec.sizes) - spec.bytes_of("experts")) - _BESIDE
    fitting = tuple(share for share in shares if share * _whole(spec) <= free)
    if not fitting:
        lacking = Bytes(shares[0] * _whole(spec) - free)
        what = f"{lacking} are lacking to measure with {shares[0]:.0%} of the experts in memory"
        raise MemoryFull(what, "close other programs")
    return fitting


if __name__ == "__main__":
    sys.exit(main())
