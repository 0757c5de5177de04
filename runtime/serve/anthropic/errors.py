"""Anthropic's form of an error."""

from typing import Any

from ....errors import AccelError
from ..parsing import BadField

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}


def shown(error: AccelError, status: int) -> dict[str, Any]:
    """The field at fault, which OpenAI's form has a place for, stands before the words."""
    usual = "invalid_request_error" if status < 500 else "api_error"
    where = f"{error.field}: " if isinstance(error, BadField) and error.field else ""
    return {"type": "error", "error": {"type": _TYPES.get(status, usual), "message": f"{where}{error}"}}
