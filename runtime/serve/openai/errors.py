"""OpenAI's form of an error."""

from typing import Any

from ....errors import AccelError, ContextFull, ModelMissing, UsageError
from ..parsing import BadField

_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_CODES = {401: "invalid_api_key", 429: "rate_limit_exceeded"}
_CODES_OF_KINDS: dict[type[AccelError], str] = {
    ContextFull: "context_length_exceeded",
    ModelMissing: "model_not_found",
}


def shown(error: AccelError, status: int) -> dict[str, Any]:
    usual = "invalid_request_error" if status < 500 or isinstance(error, UsageError) else "server_error"
    code = next((code for kind, code in _CODES_OF_KINDS.items() if isinstance(error, kind)), _CODES.get(status))
    return {
        "error": {
            "message": str(error),
            "type": _TYPES.get(status, usual),
            "param": error.field or None if isinstance(error, BadField) else None,
            "code": code,
        }
    }
