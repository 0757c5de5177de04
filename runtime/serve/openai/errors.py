"""OpenAI's form of an error."""

from typing import Any

from ....errors import AccelError, Busy, ContextFull, ModelMissing, NotAllowed, UsageError
from ..parsing import BadField

_CODES: dict[type[AccelError], str] = {
    ContextFull: "context_length_exceeded",
    ModelMissing: "model_not_found",
    Busy: "rate_limit_exceeded",
    NotAllowed: "invalid_api_key",
}
_TYPES: dict[type[AccelError], str] = {Busy: "rate_limit_error", NotAllowed: "authentication_error"}


def shown(error: AccelError, status: int) -> dict[str, Any]:
    usual = "invalid_request_error" if status < 500 or isinstance(error, UsageError) else "server_error"
    return {
        "error": {
            "message": str(error),
            "type": next((name for kind, name in _TYPES.items() if isinstance(error, kind)), usual),
            "param": error.field or None if isinstance(error, BadField) else None,
            "code": next((code for kind, code in _CODES.items() if isinstance(error, kind)), None),
        }
    }
