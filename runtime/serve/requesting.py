"""What a request over HTTP is to the rest of the daemon."""

from hashlib import blake2b

from starlette.requests import Request

from .running import Running


def running_of(request: Request, model: str, batch: bool = False) -> Running:
    """Clients are told apart by their key, or else by where they are."""
    key = request.headers.get("authorization") or request.headers.get("x-api-key")
    host = request.client.host if request.client else ""
    client = blake2b(key.encode(), digest_size=6).hexdigest() if key else host
    return Running(request.scope["accel.id"], client, model, batch)
