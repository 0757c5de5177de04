"""Bodies of requests: JSON of a known shape, or an error that names the field at fault."""

import re
from typing import Any, TypeVar

import msgspec

from ...errors import UsageError

T = TypeVar("T")
_PLACE = re.compile(r"^(.*) - at (?:`key` in )?`\$\.?(.*)`$")


class BadField(UsageError):
    """`field` of a request is wrong; "" where no field is to blame."""

    def __init__(self, what: str, field: str = "", do: str = "") -> None:
        super().__init__(what, do)
        self.field = field


def parsed(body: bytes, type: type[T]) -> T:
    """Unknown fields are let be. Raises BadField."""
    try:
        return msgspec.json.decode(body, type=type)
    except msgspec.ValidationError as error:
        found = _PLACE.match(str(error))
        what, field = (found[1], found[2]) if found else (str(error), "")
        if not found and (missing := re.search(r"missing required field `(\w+)`", what)):
            field = missing[1]
        raise BadField(what[:1].lower() + what[1:], field) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadField(f"the body is no JSON: {error}") from error


def refuse(given: Any, field: str, why: str) -> None:
    """For what is known and cannot be done. Raises BadField where it was asked for."""
    if given:
        raise BadField(f"`{field}` {why}", field)
