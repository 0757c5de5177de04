"""Which of a repository's models to take: the one that was named, or the best that fits."""

import re
from collections.abc import Callable
from pathlib import Path

from ...errors import ModelError, ModelMissing, NetworkError, PlanRefused
from ..settings import nearest
from .header import headers_of
from .hub import SizesDisagree, models_of
from .reference import HubModel, Reference

Check = Callable[[Path], object]  # plans for a model's header; raises PlanRefused or ModelError
Say = Callable[[str], object]

# Four bits per weight keep nearly all of a model's quality; more cost memory and time, fewer lose quality fast.
BEST_FIRST = (
    *("Q4_K_M", "Q4_K_S", "Q4_0", "IQ4_NL", "IQ4_XS", "MXFP4"),
    *("Q5_K_M", "Q5_K_S", "Q5_0", "Q6_K", "Q8_0"),
    *("Q3_K_L", "Q3_K_M", "Q3_K_S", "Q2_K"),
)
_FORMAT = re.compile(r"(?:^|[-._/])(I?Q\d(?:_[A-Z0-9]+)*|MXFP4|BF16|F16|F32)(?=[-._])", re.IGNORECASE)


def format_of(name: str) -> str:
    """The quantisation that a file's name tells, or nothing."""
    found = _FORMAT.findall(name)
    return found[-1].upper() if found else ""


def preference(model: HubModel) -> tuple[int, int]:
    """Sorts models, the one to try first first: by format, then the larger, since what goes along with a model
    (a projector, a draft) is smaller; formats that tell nothing come last, the smaller first."""
    told = format_of(model.name)
    if told in BEST_FIRST:
        return BEST_FIRST.index(told), -model.size
    return len(BEST_FIRST), model.size


def choose(wanted: Reference, check: Check, say: Say, offline: bool = False) -> HubModel:
    """The model of the hub that is meant; one that was not named must pass `check`.

    Raises what `check` raises, ModelMissing, NetworkError, DiskFull.
    """
    if offline:
        raise NetworkError(f"{wanted} is not here, and offline is set", "see `accel models` for what is here")
    models = models_of(wanted.repo)
    if not models:
        raise ModelMissing(f"{wanted.repo} holds no GGUF file", "name a repository whose files end in .gguf")
    if not wanted.file:
        return first_that_fits(models, check, say)
    for model in models:
        if any(part.name == wanted.file for part in model.parts):
            return model
    do = f"the nearest there is {nearest(wanted.file, [model.name for model in models])}"
    raise ModelMissing(f"{wanted.repo} holds no {wanted.file}", do)


def first_that_fits(models: list[HubModel], check: Check, say: Say) -> HubModel:
    """The first in order of preference whose header passes `check`. What is as large as one that was refused is not
    asked. Raises the first refusal where none passes, ModelMissing where there are no models."""
    refusals: list[PlanRefused | ModelError | SizesDisagree] = []
    limit = None
    for model in sorted(models, key=preference):
        if limit is not None and model.size >= limit:
            continue
        try:
            with headers_of(model) as header:
                check(header)
        except PlanRefused as error:
            refusals.append(error)
            limit = model.size
        except (ModelError, SizesDisagree) as error:
            refusals.append(error)
        else:
            say(f"chose {model.name}, {model.size}: {_why(model, len(models), limit is not None)}")
            return model
    raise refusals[0] if refusals else ModelMissing("there is no model to choose from", "name another repository")


def _why(model: HubModel, count: int, refused: bool) -> str:
    if refused:
        return "those that come first do not fit this machine"
    if count == 1:
        return "there is no other"
    if format_of(model.name) in BEST_FIRST[:6]:
        return "four bits per weight keep nearly all of the quality, and it fits"
    return "the first choice of what is there, and it fits"
