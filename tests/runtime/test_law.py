"""A law that cannot be meant is refused where it is written down."""

import math

import msgspec
import pytest

from accel.errors import SettingError
from accel.runtime.law import Law


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("temperature", bad) for bad in (-0.1, math.nan, math.inf, "hot", True)],
        ("top_k", -1),
        ("top_k", 1.5),
        ("top_p", 1.01),
        ("min_p", -1),
        ("repeat_penalty", 0),
        ("frequency_penalty", math.inf),
        ("presence_penalty", None),
        ("penalty_last", -1),
        ("seed", 2**64),
        ("seed", -1),
        *[("logit_bias", bad) for bad in (((-1, 1.0),), ((1, math.nan),), ((1, math.inf),), ((1, 1.0), (1, 2.0)))],
        *[("logit_bias", bad) for bad in (((1, 1e39),), ((1, "a"),), (1, 2), ((1,),), ((2**40, 1.0),), ((True, 1.0),))],
    ],
)
def test_a_law_that_cannot_be_meant_is_refused_by_name(field, value):
    with pytest.raises(SettingError, match=field):
        Law(**{field: value})


def test_a_law_travels():
    law = Law(seed=2**64 - 1, logit_bias=((7, -1.5), (8, -math.inf)), top_k=0)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(law), type=Law) == law
