"""How the next token is to be drawn: what a front asks for, and a sampler follows. Pure, and without numpy, which a
front that only describes a law need not load."""

import math

import msgspec

from ..errors import SettingError

_BOUNDS: dict[str, tuple[float, float]] = {
    "temperature": (0, 100),
    "top_p": (0, 1),
    "min_p": (0, 1),
    "repeat_penalty": (0.01, 100),
    "frequency_penalty": (-100, 100),
    "presence_penalty": (-100, 100),
    "top_k": (0, 2**31 - 1),
    "penalty_last": (0, 2**20),
    "seed": (0, 2**64 - 1),
    "logit_bias": (-math.inf, 1e30),
    "logit_bias's token": (0, 2**31 - 1),
}
_WHOLE = ("top_k", "penalty_last", "seed", "logit_bias's token")


class Law(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the next token is drawn, by the rule of sampling.py. Raises SettingError that names the field.

    `top_k` 0, `top_p` 1, `min_p` 0, `repeat_penalty` 1 and the other penalties 0 switch their rule off. `logit_bias`
    holds (token, bias) pairs; a bias of -1e30 or less forbids the token.
    """

    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.0
    repeat_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    penalty_last: int = 64
    logit_bias: tuple[tuple[int, float], ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if name != "logit_bias":
                _check(name, getattr(self, name))
        if not all(isinstance(pair, tuple) and len(pair) == 2 for pair in self.logit_bias):
            raise SettingError("logit_bias holds something that is no (token, bias)", "give pairs")
        for token, bias in self.logit_bias:
            _check("logit_bias's token", token)
            _check("logit_bias", bias)
        if len({token for token, _ in self.logit_bias}) < len(self.logit_bias):
            raise SettingError("logit_bias names a token twice", "give each token one bias")

    @property
    def penalises(self) -> bool:
        """Whether the tokens already there matter."""
        given = self.repeat_penalty != 1 or self.frequency_penalty != 0 or self.presence_penalty != 0
        return given and self.penalty_last > 0


def _check(name: str, value: object) -> None:
    low, high = _BOUNDS[name]
    kind = int if name in _WHOLE else (int, float)
    if isinstance(value, bool) or not isinstance(value, kind) or not low <= value <= high:
        what = "a whole number" if name in _WHOLE else "a number"
        raise SettingError(f"{name} cannot be {value!r}", f"give {what} from {low:g} to {high:g}")
