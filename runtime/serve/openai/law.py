"""What OpenAI's fields say of drawing tokens, as a law; what they leave open, the daemon's settings say."""

from typing import TypeVar

from ...law import Law
from ...session import new_seed
from ...settings import Settings
from .shapes import Drawing, Stops

N = TypeVar("N", int, float)
_FORBIDDEN, _FORBIDS = -1e30, -100.0  # a bias of -100 bans a token


def law_of(request: Drawing, settings: Settings) -> Law:
    """Raises SettingError."""
    seed = settings.seed if request.seed is None else request.seed % 2**64
    return Law(
        temperature=_or(request.temperature, settings.temperature),
        top_k=_or(request.top_k, settings.top_k),
        top_p=_or(request.top_p, settings.top_p),
        min_p=_or(request.min_p, settings.min_p),
        repeat_penalty=_or(request.repeat_penalty, settings.repeat_penalty),
        logit_bias=tuple(
            (token, _FORBIDDEN if bias <= _FORBIDS else bias) for token, bias in (request.logit_bias or {}).items()
        ),
        presence_penalty=_or(request.presence_penalty, 0.0),
        frequency_penalty=_or(request.frequency_penalty, 0.0),
        seed=new_seed() if seed is None else seed,
    )


def stops_of(stop: Stops, settings: Settings) -> tuple[str, ...]:
    if stop is None:
        return settings.stop
    return (stop,) if isinstance(stop, str) else tuple(stop)


def _or(given: N | None, otherwise: N) -> N:
    return otherwise if given is None else given
