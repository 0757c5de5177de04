"""An error is told to OpenAI's clients as what it is."""

import pytest

from accel.errors import AccelError, Busy, Ending, Misdirected, ModelMissing, NotAllowed, status
from accel.runtime.serve.openai.errors import shown


@pytest.mark.parametrize(
    "error, kind, code",
    [
        (NotAllowed("no key"), "authentication_error", "invalid_api_key"),
        (Misdirected("another page"), "permission_error", None),
        (Busy("too many"), "rate_limit_error", "rate_limit_exceeded"),
        (Ending("it ends"), "server_error", None),
        (ModelMissing("none"), "invalid_request_error", "model_not_found"),
        (AccelError("a fault"), "server_error", None),
    ],
)
def test_type_and_code_say_what_went_wrong(error, kind, code):
    told = shown(error, status(error).http)["error"]
    assert (told["type"], told["code"]) == (kind, code)
